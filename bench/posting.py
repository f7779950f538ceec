"""Posting: balanced entries a second, one by one and at once, beside django-hordak in the same run.

Each entry is in a transaction of its own on one connection, with row security, an open period, the
chart looked at, a key that makes it repeatable, and the balance checked by the database.
The baseline is django-hordak (2.0) on the same server, installed from the public index into an
environment of its own that is thrown away; where it cannot be installed that is said, and nothing
is compared. Of both the better of two runs counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, text

from bench import Figure, Site
from regional311.database.embedded import ADMIN_ROLE
from regional311.database.ids import new_id
from regional311.database.session import Scope, open_session, session_scope
from regional311.ledger.books import credit, debit
from regional311.ledger.seals import seal_everything, verify
from regional311.ledger.service import NewEntry, open_accounts, post, post_many
from regional311.referral.snapshot import published

ONE_BY_ONE = 2_000
AT_ONCE = 30_000
HORDAK_ENTRIES = 400
NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)

HORDAK = """
import json, sys, time
import django
from django.conf import settings
settings.configure(
    DATABASES={"default": json.loads(sys.argv[1])},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "mptt", "hordak"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    DEFAULT_CURRENCY="USD",
    CURRENCIES=["USD"],
    SECRET_KEY="bench",
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.db import transaction
from hordak.models import Account, Leg, Transaction
from moneyed import Money
kinds = getattr(__import__("hordak.models.core", fromlist=["x"]), "AccountType", None)
asset, income = (kinds.asset, kinds.income) if kinds else ("AS", "IN")
due = Account.objects.create(name="Due", type=asset, currencies=["USD"])
revenue = Account.objects.create(name="Revenue", type=income, currencies=["USD"])
fields = {field.name for field in Leg._meta.get_fields()}
count = int(sys.argv[2])

def post_one(number):
    with transaction.atomic():
        made = Transaction.objects.create(description=f"Entry {number}")
        if "debit" in fields:
            Leg.objects.create(transaction=made, account=due, debit=Money(5, "USD"))
            Leg.objects.create(transaction=made, account=revenue, credit=Money(5, "USD"))
        else:
            Leg.objects.create(transaction=made, account=due, amount=Money(5, "USD"))
            Leg.objects.create(transaction=made, account=revenue, amount=Money(-5, "USD"))

for number in range(20):
    post_one(number)
taken = []
for turn in range(2):
    begun = time.perf_counter()
    for number in range(count):
        post_one(number)
    taken.append(time.perf_counter() - begun)
print(count / min(taken))
"""


def run(site: Site) -> list[Figure]:
    scope = Scope(published(site.engine).ids["city-of-portland"])
    with session_scope(site.engine, scope) as session:
        open_accounts(session)
    # books with some months in them, whose statistics the server knows
    _at_once(site, scope)
    with site.owner() as owner:
        owner.execute(text("ANALYZE"))
    site.engine.dispose()
    single = _one_by_one(site, scope, ONE_BY_ONE // 2)
    hordak = _hordak(site)
    single = max(single, _one_by_one(site, scope, ONE_BY_ONE))
    bulk = max(_at_once(site, scope) for _ in range(2))
    figures = [
        Figure("entries one by one, each committed", single, "a second", at_least=1_000),
        Figure("entries at once", bulk, "a second", at_least=15_000),
    ]
    if hordak is not None:
        figures += [
            Figure("django-hordak, one by one", hordak, "a second"),
            Figure("times django-hordak", single / hordak, "", at_least=3),
        ]
    return figures + _sealing(site, scope)


def _entry() -> NewEntry:
    return NewEntry(
        period_key="2026-10",
        service_period="2026-10",
        memo="Bench",
        source_key=f"bench:{new_id()}",
        legs=[debit("due_from_outside", 500), credit("service_revenue", 500)],
    )


def _one_by_one(site: Site, scope: Scope, count: int) -> float:
    entries = [_entry() for _ in range(count + 50)]
    with site.engine.connect() as connection, open_session(connection, scope) as session:
        for entry in entries[:50]:
            post(session, entry, now=NOW)
            session.commit()
        begun = time.perf_counter()
        for entry in entries[50:]:
            post(session, entry, now=NOW)
            session.commit()
        return count / (time.perf_counter() - begun)


def _at_once(site: Site, scope: Scope) -> float:
    entries = [_entry() for _ in range(AT_ONCE)]
    begun = time.perf_counter()
    with session_scope(site.engine, scope) as session:
        post_many(session, entries, now=NOW)
    return AT_ONCE / (time.perf_counter() - begun)


def _sealing(site: Site, scope: Scope) -> list[Figure]:
    """How fast what was posted is sealed, and the whole chain checked again."""
    with session_scope(site.engine, scope) as session:
        begun = time.perf_counter()
        seal_everything(session, NOW)
        sealed = time.perf_counter()
        check = verify(session)
        checked = time.perf_counter()
    assert not check.problems
    return [
        Figure("entries sealed", check.sealed_entries / (sealed - begun), "a second"),
        Figure(
            "entries checked against the chain",
            check.sealed_entries / (checked - sealed),
            "a second",
        ),
    ]


def _hordak(site: Site) -> float | None:
    with tempfile.TemporaryDirectory(prefix="regional311-hordak-") as directory:
        place = Path(directory)
        python = place / "venv" / "bin" / "python"
        venv.create(place / "venv", with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "django<6", "django-hordak>=2,<3", "psycopg[binary]", "psycopg2-binary"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"django-hordak cannot be installed here: {done.stderr.strip()[-300:]}")
            return None
        return _measure_hordak(site, python, place)


def _measure_hordak(site: Site, python: Path, place: Path) -> float | None:
    from regional311.database.embedded import EmbeddedServer

    address = EmbeddedServer(site.settings.var).ensure()
    url = address.url(ADMIN_ROLE, "postgres").replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS hordak"))
        connection.execute(text("CREATE DATABASE hordak"))
    given = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "hordak",
        "USER": engine.url.username,
        "PASSWORD": engine.url.password,
        "HOST": engine.url.query.get("host") or engine.url.host,
        "PORT": str(engine.url.query.get("port") or engine.url.port or ""),
    }
    script = place / "measure.py"
    script.write_text(HORDAK, encoding="utf-8")
    try:
        done = subprocess.run(
            [str(python), str(script), json.dumps(given), str(HORDAK_ENTRIES)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    finally:
        with engine.connect() as connection:
            connection.execute(text("DROP DATABASE IF EXISTS hordak WITH (FORCE)"))
        engine.dispose()
    if done.returncode:
        print(f"django-hordak did not run: {done.stderr.strip()[-800:]}", file=sys.stderr)
        return None
    return float(done.stdout.strip().splitlines()[-1])
