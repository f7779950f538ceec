"""The demo: configure the region, replay a month, work it, bill it and the one a year before.

Every step is skipped when it was done before, so that a second run is ready in seconds and one
that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine, func, select

from regional311.calendars import Period
from regional311.chargeback.checks import Check, Owed, check_region, who_owes_whom
from regional311.chargeback.month import Billed, bill_month
from regional311.chargeback.queries import usage_by_state
from regional311.config.apply import ChangedOnBothSides, apply
from regional311.cover.spoken import speak, spoken_by
from regional311.database.session import Scope, session_scope
from regional311.demo.agreements import CITY, set_in_motion
from regional311.demo.contacts import DrawnContact, LineAnswer, Month
from regional311.demo.money import move_money, plan_money
from regional311.demo.places import list_places
from regional311.demo.work import answer_referrals, work_requests
from regional311.demo.year_before import bill_year_before
from regional311.errors import Conflict
from regional311.identity.passwords import hash_password
from regional311.identity.permissions import ROLE_PERMISSIONS
from regional311.identity.service import create_person, grant
from regional311.intake.models import Contact, ServiceRequest
from regional311.money import format_cents
from regional311.referral.filing import Asker, Intake, Place
from regional311.referral.models import Decision, Referral
from regional311.referral.snapshot import Published, invalidate, published
from regional311.replay.service import BATCH, batches, take_in_batch
from regional311.settings import Settings, write_private
from regional311.tenancy.answering import HERE, PARTNER

SOURCE = "demo"
REGION = "region"
SPOKEN = {"specialist": ("en", "es"), "supervisor": ("en", "vi"), "partner": ("en", "ru")}
"""Languages that people of a role begin with, so that there is somebody to ring."""


class OtherDemo(Conflict):
    """The directory holds a demo of another size, whose month is billed already."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in to the demo."""

    tenant: str
    role: str
    name: str
    email: str


@dataclass(slots=True)
class DemoReport:
    """What the demo did, in numbers that anybody can check."""

    period: str
    contacts: int = 0
    requests: int = 0
    referrals: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    statements: list[dict[str, Any]] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    owed: list[dict[str, Any]] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    password: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return bool(self.checks) and all(self.checks.values())

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON object; accounts and their password are not in it."""
        return {
            "period": self.period,
            "contacts": self.contacts,
            "requests": self.requests,
            "referrals": self.referrals,
            "decisions": self.decisions,
            "usage_events": self.usage,
            "statements": self.statements,
            "owed": self.owed,
            "checks": self.checks,
            "problems": self.problems,
            "seconds": {step: round(taken, 2) for step, taken in self.seconds.items()},
        }

    def welcome(self, address: str) -> None:
        """Tell where the demo is and who can sign in."""
        console = Console()
        console.print(f"\n[bold]Regional311 is at {address}[/bold]  (Ctrl-C stops everything)\n")
        console.print(f"Everybody's password: [bold]{self.password}[/bold]\n")
        for tenant, accounts in groupby(self.accounts, key=lambda each: each.tenant):
            console.print(f"  {tenant}")
            for account in accounts:
                console.print(f"    {account.role:<14} {account.email}", highlight=False)


def run(
    engine: Engine,
    settings: Settings,
    *,
    contacts: int,
    as_json: bool = False,
    root: Path | None = None,
) -> DemoReport:
    """Make the demo's month on a migrated database, or find that it is there already.

    `root` holds `tenants/` and `policies/`: left out, those of the directory one is in, or else the
    example region beside this package. With `as_json` nothing is printed on the way.
    """
    month = Month.example()
    _keep_to(settings.var, contacts)
    report = DemoReport(month.period)
    console = Console(stderr=True, quiet=as_json)
    with _timed(report, "configure"):
        _configure(engine, root or _example_region(), console)
        invalidate()
        region = published(engine)
        list_places(engine, region, now=_now())
    with _timed(report, "people"):
        report.password = _password(settings.var)
        report.accounts = _people(engine, region, report.password)
    with _timed(report, "contacts"), _bar(console, "Taking in contacts", contacts) as advance:
        take_in_month(engine, region, month, contacts, advance)
    with _timed(report, "work"):
        people = _first_of(engine, region, report.accounts)
        with _bar(console, "Answering referrals", None) as advance:
            answer_referrals(engine, region, people["partner"], now=_month_end(month), done=advance)
        with _bar(console, "Working requests", None) as advance:
            work_requests(engine, region, people["worker"], now=_month_end(month), done=advance)
    with _timed(report, "bill"):
        period = Period.month(month.period)
        partners = {slug: region.ids[slug] for slug in region.partners}
        bill_year_before(
            engine, region, period, finance=people["finance"], approver=people["approver"]
        )
        plan_money(engine, region, period, finance=people["finance"], now=_now())
        billed = bill_month(
            engine,
            partners,
            period,
            preparer=people["finance"],
            approver=people["approver"],
            until="issued",
            now=_now(),
        )
        set_in_motion(
            engine,
            partners,
            period,
            finance=people["finance"][partners[CITY]],
            approver=people["approver"][partners[CITY]],
            now=_now(),
        )
        move_money(engine, region, period, billed, finance=people["finance"], now=_now())
    with _timed(report, "check"):
        _count(engine, region, report)
        _tell_money(
            report,
            region,
            billed,
            check_region(engine, partners, month.period),
            who_owes_whom(engine, partners),
        )
    _print(console, report)
    return report


def _now() -> datetime:
    return datetime.now(UTC)


def _example_region() -> Path:
    here = Path.cwd()
    return here if (here / "tenants").is_dir() else Path(__file__).resolve().parents[2]


def _configure(engine: Engine, root: Path, console: Console) -> None:
    """Apply the region's files, but nothing over what somebody changed in the forms since."""
    try:
        apply(engine, root, now=_now())
    except ChangedOnBothSides as conflict:
        console.print(conflict.message, highlight=False)


def _month_end(month: Month) -> datetime:
    return datetime(
        month.end_on.year, month.end_on.month, month.end_on.day, tzinfo=month.zone
    ).astimezone(UTC)


@contextmanager
def _timed(report: DemoReport, step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    report.seconds[step] = time.perf_counter() - began


@contextmanager
def _bar(console: Console, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(label, total=total)
        yield lambda many: bar.advance(task, many)
        bar.update(task, total=bar.tasks[0].completed)


def _keep_to(var: Path, contacts: int) -> None:
    """Note how many contacts this demo has; another number would be another month."""
    path = var / "demo-contacts"
    if not path.exists():
        write_private(path, str(contacts))
    held = path.read_text(encoding="utf-8").strip()
    if held != str(contacts):
        raise OtherDemo(
            f"{var} holds a demo of {held} contacts: use --contacts {held}, or another --var."
        )


def _password(var: Path) -> str:
    """The demo's one password, made once for this installation."""
    path = var / "demo-password"
    if not path.exists():
        write_private(path, "-".join(secrets.token_hex(3) for _ in range(4)))
    return path.read_text(encoding="utf-8").strip()


def _people(engine: Engine, region: Published, password: str) -> list[Account]:
    """One account for each role of each partner, and for the region's own people."""
    hashed = hash_password(password)
    accounts = []
    for slug, tenant in region.tenants.items():
        roles = ("administrator", "auditor") if slug == REGION else tuple(ROLE_PERMISSIONS)
        with session_scope(engine, Scope(tenant.id)) as session:
            for role in roles:
                account = Account(
                    slug, role, f"{role.title()} of {tenant.short_name}", f"{role}@{slug}.example"
                )
                person_id = create_person(
                    session,
                    email=account.email,
                    name=account.name,
                    password=None,
                    password_hash=hashed,
                    now=_now(),
                )
                grant(
                    session,
                    person_id=person_id,
                    name=account.name,
                    email=account.email,
                    roles=[role],
                )
                if role in SPOKEN and not spoken_by(session, person_id):
                    speak(session, person_id, SPOKEN[role], now=_now())
                accounts.append(account)
    return accounts


def _first_of(
    engine: Engine, region: Published, accounts: list[Account]
) -> Mapping[str, Mapping[UUID, UUID]]:
    """Role to partner's id to the person who has it."""
    people: dict[str, dict[UUID, UUID]] = {role: {} for role in ROLE_PERMISSIONS}
    for account in accounts:
        tenant_id = region.ids[account.tenant]
        with session_scope(engine, Scope(tenant_id)) as session:
            people[account.role][tenant_id] = create_person(
                session, email=account.email, name=account.name, password=None, now=_now()
            )
    return people


def take_in_month(
    engine: Engine, region: Published, month: Month, count: int, advance: Callable[[int], None]
) -> None:
    """Take the month in, partner by partner within each batch, in order of time."""
    channels = {ref: line.channel for ref, line in region.lines.items()}

    def answer_of(ref: str, at: datetime) -> LineAnswer | None:
        found = region.who_answers(ref, at)
        if found.kind not in (HERE, PARTNER):
            return None
        return LineAnswer(found.partner, after_hours=found.after_hours)

    drawn = month.contacts(count, answer_of, channels)
    for batch in batches(drawn, BATCH * 2):
        for slug in sorted({each.answered_by for each in batch}):
            intakes = [
                _intake(each, channels[each.line], month.period)
                for each in batch
                if each.answered_by == slug
            ]
            take_in_batch(engine, Scope(region.ids[slug]), region, intakes)
        advance(len(batch))


def _intake(drawn: DrawnContact, channel: str, period: str) -> Intake:
    consents = drawn.consents and channel != "social"
    return Intake(
        source=SOURCE,
        key=f"{period}/{drawn.number:07}",
        channel=channel,
        started_at=drawn.started_at,
        ended_at=datetime.fromtimestamp(drawn.started_at.timestamp() + drawn.seconds, UTC),
        handle_seconds=drawn.seconds,
        service=drawn.subject,
        line=drawn.line,
        language=drawn.language,
        interpreter=drawn.language != "en" and channel in ("phone", "walk_in"),
        after_hours=drawn.after_hours,
        asker=_resident(drawn.number) if consents else None,
        place=Place(latitude=Decimal(str(drawn.latitude)), longitude=Decimal(str(drawn.longitude))),
        danger_answer="medical" if drawn.danger else "none",
        consent="given" if consents else "refused",
        track=False,
    )


def _resident(number: int) -> Asker:
    """Somebody invented, with a number of the fictitious range; one in three may be asked later."""
    return Asker(
        name=f"Resident {number}",
        phone=f"503-555-01{number % 100:02}",
        safe_to_call=True,
        may_leave_message=number % 2 == 0,
        may_follow_up=number % 3 == 0,
    )


def _count(engine: Engine, region: Published, report: DemoReport) -> None:
    decisions: Counter[str] = Counter()
    usage: Counter[str] = Counter()
    for tenant_id in region.ids.values():
        with session_scope(engine, Scope(tenant_id)) as session:
            mine = {model: model.tenant_id == tenant_id for model in (Contact, ServiceRequest)}
            for model, name in ((Contact, "contacts"), (ServiceRequest, "requests")):
                found = session.scalar(select(func.count()).select_from(model).where(mine[model]))
                setattr(report, name, getattr(report, name) + (found or 0))
            report.referrals += (
                session.scalar(
                    select(func.count())
                    .select_from(Referral)
                    .where(Referral.tenant_id == tenant_id, Referral.side == "sent")
                )
                or 0
            )
            for outcome, many in session.execute(
                select(Decision.outcome, func.count())
                .where(Decision.tenant_id == tenant_id)
                .group_by(Decision.outcome)
            ):
                decisions[outcome] += many
            for row in usage_by_state(session, report.period):
                usage[row.state] += row.events
    report.decisions = dict(sorted(decisions.items()))
    report.usage = dict(sorted(usage.items()))


def _tell_money(
    report: DemoReport,
    region: Published,
    billed: list[Billed],
    checks: list[Check],
    owed: list[Owed],
) -> None:
    report.statements = [
        {
            "issuer": region.slugs[each.issuer_id],
            "payer": each.payer(region.slugs),
            "number": each.number,
            "total_cents": each.total_cents,
            "lines": each.line_count,
            "items": each.item_count,
            "state": each.state,
        }
        for each in billed
    ]
    report.owed = [
        {
            "creditor": region.slugs[each.creditor_id],
            "debtor": region.slugs[each.debtor_id],
            "cents": each.cents,
        }
        for each in owed
    ]
    report.checks = {check.name: check.holds for check in checks}
    report.problems = [
        f"{check.name}: {problem.message}" for check in checks for problem in check.problems[:20]
    ]


def _print(console: Console, report: DemoReport) -> None:
    console.print(
        f"\n{report.contacts:,} contacts, {report.requests:,} requests, "
        f"{report.referrals:,} referrals in {report.period}.\n",
        highlight=False,
    )
    console.print("[bold]Who owes whom[/bold]")
    for owed in report.owed:
        amount = format_cents(owed["cents"])
        line = f"  {owed['debtor']:<18} owes {owed['creditor']:<18} {amount:>14}"
        console.print(line, highlight=False)
    console.print("\n[bold]Checks[/bold]")
    for name, holds in report.checks.items():
        console.print(f"  {'holds ' if holds else 'FAILS '} {name.replace('_', ' ')}")
    for problem in report.problems:
        console.print(f"  [red]{problem}[/red]")
