"""Alembic's environment: the owner's role online, the whole schema as SQL offline."""

from __future__ import annotations

from importlib import import_module

from alembic import context
from sqlalchemy import Connection, create_engine, pool

from regional311.database.base import Base

SLICES = (
    "tenancy",
    "audit",
    "metering",
    "ledger",
    "allocation",
    "catalog",
    "identity",
    "notices",
    "exchange",
    "gazetteer",
    "intake",
    "referral",
    "chargeback",
    "settlement",
    "forecast",
    "erasure",
    "insight",
    "inbox",
)

for name in SLICES:
    import_module(f"regional311.{name}.models")


def run(connection: Connection) -> None:
    """Migrate over one connection, in one transaction a revision."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        context.run_migrations()
elif (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    from regional311.database.prepare import reach
    from regional311.settings import Settings

    with reach(Settings.from_environment()) as addresses:
        engine = create_engine(addresses.owner_or_refuse(), poolclass=pool.NullPool)
        with engine.connect() as connection:
            run(connection)
