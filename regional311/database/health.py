"""Whether the database can be reached and has the schema that this release was written for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from regional311.database.prepare import alembic_configuration


@dataclass(frozen=True, slots=True)
class Health:
    """What a health check finds; `migrations_current` is False when the database is not reached."""

    reachable: bool
    migrations_current: bool

    @property
    def ok(self) -> bool:
        """Whether this installation can serve."""
        return self.reachable and self.migrations_current


def health(engine: Engine) -> Health:
    """Ask the database, in one statement; never raises for a database that is down."""
    try:
        with engine.connect() as connection:
            found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except DBAPIError as error:
        missing = getattr(error.orig, "sqlstate", None) == "42P01"
        return Health(reachable=missing, migrations_current=False)
    except SQLAlchemyError:
        return Health(reachable=False, migrations_current=False)
    return Health(reachable=True, migrations_current=found == head_revision())


@cache
def head_revision() -> str | None:
    """The newest migration of this release."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_configuration()).get_current_head()
