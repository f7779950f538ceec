"""The commands: each reads its arguments, calls one use case and prints what came of it.

Errors that a person can act on are one line on standard error and exit code 1; a wrong argument is
exit code 2. What a command needs is imported when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regional311.errors import DomainError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from regional311.chargeback.queries import Node
    from regional311.database.prepare import Addresses
    from regional311.database.session import TenantSession
    from regional311.notices.worker import Chore, Errand
    from regional311.settings import Settings

VAR = click.option(
    "--var",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of this installation's own files (REGIONAL311_VAR; ./var).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would change, by row; no more.")
SKIP_BROKEN = click.option(
    "--skip-broken", is_flag=True, help="Take the sound rest without what is broken."
)
ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="Directory that holds tenants/ and policies/.",
)
TENANT = click.option("--tenant", metavar="SLUG", help="Only this partner.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="regional311")
def commands() -> None:
    """One region, many partners: contacts, referrals and cost sharing."""


# The installation


@commands.command()
@VAR
def init(var: Path | None) -> None:
    """Make the two roles and the database, and bring its schema up to date.

    On the embedded server nothing else is needed. On another server, REGIONAL311_DATABASE_URL and
    REGIONAL311_OWNER_DATABASE_URL name what to make, and REGIONAL311_ADMIN_DATABASE_URL is a role
    that may make it.
    """
    with _reached(_settings(var)) as addresses:
        _prepare(addresses)
    click.echo("The database is ready.")


@commands.command()
@VAR
@click.option("--revision", metavar="TEXT", help="Draft a migration from the models instead.")
def migrate(var: Path | None, revision: str | None) -> None:
    """Bring the database's schema up to date."""
    from regional311.database import prepare

    with _reached(_settings(var)) as addresses:
        if addresses.embedded:
            _prepare(addresses)
        else:
            prepare.migrate(addresses.owner_or_refuse())
        if revision:
            prepare.draft_revision(addresses.owner_or_refuse(), revision)
    click.echo("The schema is up to date.")


@commands.command()
@VAR
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=6543, show_default=True, type=click.IntRange(0, 65535))
@click.option("--processes", type=click.IntRange(1, 64), help="Web processes; one a core.")
def serve(var: Path | None, host: str, port: int, processes: int | None) -> None:
    """Serve the region and run one worker, until Ctrl-C."""
    from regional311.logs import configure_logging
    from regional311.web.serve import serve as serve_region

    configure_logging()
    settings = _settings(var)
    with _reached(settings) as addresses:
        _require_schema(addresses)
        serve_region(
            settings,
            addresses.app,
            host=host,
            port=port,
            processes=processes,
            on_ready=lambda address: click.echo(f"Serving on {address} (Ctrl-C stops)."),
        )


def chores(settings: Settings, *, once: bool = False) -> list[Chore | Errand]:
    """What the worker does for every partner besides delivering, and how often."""
    from regional311.casework.accommodation_reminders import remind as remind_coordinators
    from regional311.casework.bulk import work as work_bulk
    from regional311.catalog.alike import Finder
    from regional311.catalog.refresh import refresh_everything
    from regional311.chargeback import rate_approvals, rate_uploads
    from regional311.chargeback.agreement_reminders import remind
    from regional311.config.directories import work_packages
    from regional311.cover.due import cover_due
    from regional311.cover.letters import with_emergencies
    from regional311.erasure.kinds import KINDS
    from regional311.floor import notes
    from regional311.floor.line_openings import tell_of_openings
    from regional311.forecast.warnings import warn
    from regional311.inbox import bounces
    from regional311.inbox.texting import Texts
    from regional311.insight.publishing import publish_months
    from regional311.intake import drafts, front_desk, held_files
    from regional311.intake.program_hooks import ProgramNews
    from regional311.intake.service import Followers
    from regional311.keeping.days import publish_on_their_day
    from regional311.keeping.reminders import keep
    from regional311.ledger.seals import seal_everything
    from regional311.locale.sentences import in_language
    from regional311.notices.choosing import gather
    from regional311.notices.leaving import leaving
    from regional311.notices.worker import Chore, Errand
    from regional311.referral import backtest
    from regional311.referral.external_delivery import Errands, Taking
    from regional311.referral.reminders import come_back, end_consents, keep_loops
    from regional311.referral.rule_watch import watch_rules
    from regional311.referral.snapshot import Published, published
    from regional311.settlement.prepayments import take_off
    from regional311.settlement.reminders import remind as remind_payers
    from regional311.web.answer_links import links_of

    def followers(known: Published) -> Followers:
        return Followers(
            known.names_of_all,
            settings.url,
            in_language,
            wording=known.wording,
            service=known.service_name,
        )

    return [
        Chore("cover", 15, cover_due),
        Chore(
            "line_openings", 30, lambda session, at: tell_of_openings(session, at, url=settings.url)
        ),
        Chore("agreement_reminders", 3600, lambda session, at: remind(session, now=at)),
        Chore("prepayments", 900, lambda session, at: take_off(session, now=at)),
        Chore("payment_reminders", 3600, lambda session, at: remind_payers(session, now=at)),
        Chore(
            "accommodation_reminders",
            3600,
            lambda session, at: remind_coordinators(session, now=at, url=settings.url),
        ),
        Chore("budget_warnings", 3600, lambda session, at: warn(session, now=at)),
        Chore("loops", 3600, lambda session, at: keep_loops(session, now=at, url=settings.url)),
        Chore("consents", 60, lambda session, at: end_consents(session, now=at, url=settings.url)),
        Chore(
            "partners_left",
            3600,
            lambda session, at: come_back(session, now=at, url=settings.url),
        ),
        Chore("rule_watch", 300, lambda session, at: watch_rules(session, at, url=settings.url)),
        Chore("keeping", 3600, lambda session, at: keep(session, now=at, url=settings.url)),
        Chore("trends", 3600, lambda session, at: publish_months(session, now=at)),
        Chore("ledger_seals", 60, seal_everything),
        Chore(
            "catalogue_due",
            60,
            lambda session, at: publish_on_their_day(session, at, url=settings.url),
        ),
        Errand(
            "outside_systems",
            2,
            Errands(settings, Taking(links_of(settings), followers, settings.url)),
        ),
        Errand(
            "bulk_changes",
            0.5,
            lambda engine, tenant_id, clock: work_bulk(
                engine,
                tenant_id,
                clock,
                followers=lambda engine: followers(published(engine)),
            ),
        ),
        Errand("texts", 1, Texts(settings, leaving(settings, with_emergencies))),
        Chore("answers_back", 5, bounces.bring_back),
        Chore("digests", 60, lambda session, at: gather(session, at, url=settings.url)),
        Chore("backtests", 1, backtest.work_all if once else backtest.work),
        Chore("search_documents", 86_400, refresh_everything),
        *(Chore(each.chore, each.every_seconds, each.do) for each in KINDS),
        Chore("front_desk_names", 3600, front_desk.forget),
        Chore("held_files", 600, held_files.forget),
        Chore("contact_drafts", 3600, drafts.forget),
        Chore("internal_notes", 300, notes.forget),
        Chore("alike_entries", 60, Finder()),
        Errand("rate_sheets", 1, rate_uploads.work),
        Errand("rate_approvals", 2, rate_approvals.work),
        Chore("packages", 1, lambda session, at: work_packages(session, at, url=settings.url)),
        Errand("program_news", 5, ProgramNews(settings), apart=True),
    ]


@commands.command()
@VAR
@click.option("--once", is_flag=True, help="End when nothing is due.")
def work(var: Path | None, once: bool) -> None:
    """Deliver the outbox: what must be told after a commit."""
    from regional311.cover.letters import with_emergencies
    from regional311.forecast.statement_letters import with_statements
    from regional311.logs import configure_logging
    from regional311.notices.leaving import leaving
    from regional311.notices.worker import work as work_outbox
    from regional311.web.serve import attach_to_parent

    configure_logging()
    stop = threading.Event()
    tell_ready = attach_to_parent(stop.set)
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    settings = _settings(var)
    with _reached(settings) as addresses, _engine(addresses) as engine:
        tell_ready()
        fates = work_outbox(
            engine,
            settings,
            once=once,
            stop_event=stop,
            chores=chores(settings, once=once),
            complete=leaving(settings, with_statements(with_emergencies)),
        )
    click.echo(
        ", ".join(f"{count} {fate.value}" for fate, count in fates.items()) or "Nothing due."
    )


@commands.command()
@VAR
def mail(var: Path | None) -> None:
    """Receive mail to the partners' lines by SMTP, on REGIONAL311_MAIL_LISTEN; `serve` runs one."""
    from regional311.inbox.mail_server import receiving
    from regional311.logs import configure_logging
    from regional311.settings import SettingRefused
    from regional311.web.serve import attach_to_parent

    configure_logging()
    stop = threading.Event()
    tell_ready = attach_to_parent(stop.set)
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    settings = _settings(var)
    if settings.mail_listen is None:
        name = "REGIONAL311_MAIL_LISTEN"
        raise SettingRefused(f"{name} must say where, like 127.0.0.1:2525.", field=name)
    with (
        _reached(settings) as addresses,
        _engine(addresses) as engine,
        receiving(engine, settings) as port,
    ):
        tell_ready()
        click.echo(f"Receiving mail on {settings.mail_listen[0]}:{port} (Ctrl-C stops).")
        stop.wait()


@commands.command(hidden=True)
def web_process() -> None:
    """Be one of the web processes that `serve` starts."""
    import warnings

    # Known, and settled by pinning setuptools: no news to whoever serves.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated as an API")

    from regional311.app import main as make_app
    from regional311.web.serve import run_web_process

    run_web_process(
        lambda settings: make_app({}, configured=settings, database_url=settings.database_url)
    )


# Configuration


@commands.command()
@VAR
@ROOT
@TENANT
@JSON
def plan(var: Path | None, root: Path, tenant: str | None, as_json: bool) -> None:
    """Show what apply would change; exits 0 whether or not there is something."""
    from regional311.config.plan import plan as plan_changes

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        _show(plan_changes(engine, root, tenant=tenant), as_json=as_json)


@commands.command()
@VAR
@ROOT
@TENANT
@click.option("--as", "person", metavar="EMAIL", help="Apply with this person's rights.")
@JSON
def apply(
    var: Path | None, root: Path, tenant: str | None, person: str | None, as_json: bool
) -> None:
    """Make the database what tenants/ and policies/ say, in one transaction."""
    from regional311.config.apply import apply as apply_changes

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        done = apply_changes(engine, root, tenant=tenant, person=person, now=_now())
        _show(done, as_json=as_json)


@commands.command()
@VAR
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@TENANT
def export(var: Path | None, directory: Path, tenant: str | None) -> None:
    """Write tenants/ and policies/ from the database into DIRECTORY."""
    from regional311.config.export import export as export_files

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        _show(export_files(engine, directory, tenant=tenant), as_json=False)


@commands.group(invoke_without_command=True)
@ROOT
@click.pass_context
def check(context: click.Context, root: Path) -> None:
    """Check the files, or (`check books`) the books; alone it checks the files."""
    if context.invoked_subcommand is None:
        _check_files(root)


@check.command(name="files")
@ROOT
def check_files(root: Path) -> None:
    """Read tenants/ and policies/ and say everything that is wrong, without a database."""
    _check_files(root)


def _check_files(root: Path) -> None:
    from regional311.config.files import read_region

    partners = list(read_region(root).every_tenant())
    click.echo(f"{len(partners)} partners, nothing wrong.")


@check.command(name="books")
@VAR
@TENANT
@click.option(
    "--heads",
    "heads_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Heads that `books heads` wrote before: finds a chain that was cut or rewritten.",
)
@JSON
@click.pass_context
def check_books(
    context: click.Context,
    var: Path | None,
    tenant: str | None,
    heads_file: Path | None,
    as_json: bool,
) -> None:
    """Check seals, balance, mirror, net-zero, totals and numbers; exits 1 when one does not hold.

    Says how much was looked at, and each problem with its partner and the id it is about. One
    partner alone cannot be held against the others: mirror and net-zero need all.
    """
    from regional311.ledger.seals import read_heads
    from regional311.referral.snapshot import published
    from regional311.settlement.verification import check_books as check_all

    heads = None if heads_file is None else read_heads(heads_file.read_text(encoding="utf-8"))
    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        report = check_all(engine, published(engine).ids, tenant=tenant, heads=heads)
    click.echo(json.dumps(report.as_dict()) if as_json else str(report))
    if not report.ok:
        context.exit(1)


@commands.command()
@click.option("--check", "only_check", is_flag=True, help="Write nothing; fail if a page is old.")
def docs(only_check: bool) -> None:
    """Generate the pages of docs/ that come from the schemas."""
    from regional311.config.reference import write_reference

    click.echo(str(write_reference(only_check=only_check)))


@commands.group()
def hsds() -> None:
    """The directory of services as packages of HSDS (Human Services Data Specification)."""


@hsds.command(name="export")
@VAR
@click.argument("target", type=click.Path(path_type=Path))
@TENANT
def export_hsds(var: Path | None, target: Path, tenant: str | None) -> None:
    """Write the region's directory, or one partner's: TARGET.zip, .json, .ndjson or a directory."""
    from regional311.config.directories import export_directory

    settings = _settings(var)
    with _reached(settings) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        said = export_directory(engine, target, tenant=tenant, now=_now(), url=settings.url)
    click.echo(said)


@hsds.command(name="import")
@VAR
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--tenant", required=True, metavar="SLUG", help="The partner whose directory it is.")
@click.option("--bureau", metavar="KEY", help="Bureau that keeps what is new; its first otherwise.")
@click.option("--feed", default="", metavar="NAME", help="Its name, of several of the partner's.")
@click.option("--as", "person", metavar="EMAIL", help="Import with this person's rights.")
@click.option("--dry-run", is_flag=True, help="Say what would change, by file and row; no more.")
@SKIP_BROKEN
@click.option(
    "--keep", "ours", multiple=True, metavar="KIND/KEY", help="Of both sides' changes keep ours."
)
@click.option(
    "--take", "theirs", multiple=True, metavar="KIND/KEY", help="Of both sides' take the package's."
)
@JSON
def import_hsds(
    var: Path | None,
    path: Path,
    tenant: str,
    bureau: str | None,
    feed: str,
    person: str | None,
    dry_run: bool,
    skip_broken: bool,
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
    as_json: bool,
) -> None:
    """Take a package of HSDS 1 to 3 in: a directory or zip of CSV tables, JSON, or ndjson.

    All of it or nothing, in one transaction. What is gone from it is ended, what was changed here
    and in it is left as it is until --keep or --take says whose words count.
    """
    from regional311.catalog.hsds.importing import Order
    from regional311.config.directories import import_directory

    choices = dict.fromkeys(ours, "ours") | dict.fromkeys(theirs, "theirs")
    order = Order(feed, bureau, skip_broken, dry_run, choices)
    settings = _settings(var)
    with _reached(settings) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        report = import_directory(
            engine, path, tenant=tenant, order=order, now=_now(), url=settings.url, person=person
        )
        _show(report, as_json=as_json)


@commands.group()
def taxonomy() -> None:
    """Trees of terms by which services are sorted, and crosswalks between them."""


@taxonomy.command(name="import")
@VAR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--tenant", required=True, metavar="SLUG", help="The partner that keeps it.")
@click.option("--key", required=True, metavar="KEY", help="Its key: terms are named KEY:code.")
@click.option("--name", metavar="TEXT", help="Its name; needed the first time.")
@click.option("--description", metavar="TEXT", help="What it sorts; needed the first time.")
@click.option("--edition", metavar="TEXT", help="Its edition, when it has one.")
@click.option("--website", metavar="ADDRESS", help="Where it comes from.")
@click.option("--licence", metavar="TEXT", help="Terms on which it may be used.")
@click.option("--dry-run", is_flag=True, help="Say what would change, by term and row; no more.")
@SKIP_BROKEN
@JSON
def import_taxonomy(
    var: Path | None,
    file: Path,
    tenant: str,
    key: str,
    name: str | None,
    description: str | None,
    edition: str | None,
    website: str | None,
    licence: str | None,
    dry_run: bool,
    skip_broken: bool,
    as_json: bool,
) -> None:
    """Make a taxonomy what a CSV file says: columns code, name, parent, or Open Eligibility's.

    The file is the whole tree: a term that it names no more ends. The same file again changes
    nothing.
    """
    from regional311.config.taxonomy_sheets import import_taxonomy as take

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        report = take(
            engine,
            file,
            tenant=tenant,
            key=key,
            dry_run=dry_run,
            skip_broken=skip_broken,
            now=_now(),
            name=name,
            description=description,
            version=edition,
            website=website,
            licence=licence,
        )
        _show(report, as_json=as_json)


@taxonomy.command(name="crosswalk")
@VAR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--tenant", required=True, metavar="SLUG", help="The partner that keeps them.")
@DRY_RUN
@SKIP_BROKEN
@JSON
def import_crosswalks(
    var: Path | None, file: Path, tenant: str, dry_run: bool, skip_broken: bool, as_json: bool
) -> None:
    """Add crosswalks from a CSV file: columns term, relation, other and, if wanted, note.

    Those that the file does not name stay.
    """
    from regional311.config.taxonomy_sheets import import_crosswalks as take

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        report = take(
            engine, file, tenant=tenant, dry_run=dry_run, skip_broken=skip_broken, now=_now()
        )
        _show(report, as_json=as_json)


@commands.group()
def places() -> None:
    """Lists of known places: addresses, crossings and buildings by which words find a point."""


@places.command(name="import")
@VAR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--tenant", required=True, metavar="SLUG", help="The partner that keeps it.")
@click.option("--key", required=True, metavar="KEY", help="The list's key, of several.")
@click.option("--name", metavar="TEXT", help="Its name; needed the first time.")
@click.option("--licence", metavar="TEXT", help="Terms of its use; needed the first time.")
@click.option("--website", metavar="ADDRESS", help="Where it comes from.")
@DRY_RUN
@SKIP_BROKEN
@JSON
def import_places(
    var: Path | None,
    file: Path,
    tenant: str,
    key: str,
    name: str | None,
    licence: str | None,
    website: str | None,
    dry_run: bool,
    skip_broken: bool,
    as_json: bool,
) -> None:
    """Make a list of places what a CSV or GeoJSON file says; docs/places.md has the columns.

    The file is the whole list: a place that it names no more ends. The same file again changes
    nothing.
    """
    from regional311.config.place_lists import import_places as take

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        report = take(
            engine,
            file,
            tenant=tenant,
            key=key,
            dry_run=dry_run,
            skip_broken=skip_broken,
            now=_now(),
            name=name,
            licence=licence,
            website=website,
        )
        _show(report, as_json=as_json)


@places.command(name="end")
@VAR
@click.option("--tenant", required=True, metavar="SLUG", help="The partner that keeps it.")
@click.option("--key", required=True, metavar="KEY", help="The list's key.")
def end_places(var: Path | None, tenant: str, key: str) -> None:
    """End every place of a list: words find them no more."""
    from regional311.config.place_lists import end_places as end

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        ended = end(engine, tenant=tenant, key=key, now=_now())
    click.echo(f"{ended} places ended.")


# Work and money


@commands.command()
@VAR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--tenant", required=True, metavar="SLUG", help="The partner that took these in.")
@click.option(
    "--map",
    "map_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="TOML that names the columns and translates their values.",
)
@click.option("--dry-run", is_flag=True, help="Read and place every row, write nothing.")
@JSON
def replay(
    var: Path | None, file: Path, tenant: str, map_file: Path, dry_run: bool, as_json: bool
) -> None:
    """Take in an export of contacts or requests, each row once."""
    from regional311.replay.service import replay as replay_file

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        report = replay_file(
            engine, file, tenant=tenant, map_file=map_file, dry_run=dry_run, now=_now()
        )
        _show(report, as_json=as_json)


@commands.command()
@VAR
@click.argument("month", metavar="YYYY-MM", type=click.DateTime(["%Y-%m"]))
@TENANT
@JSON
def bill(var: Path | None, month: datetime, tenant: str | None, as_json: bool) -> None:
    """Rate a month's work and draft its statements; people review, approve and issue them."""
    from regional311.calendars import Period
    from regional311.chargeback.month import bill_month
    from regional311.referral.snapshot import published

    period = Period.month_of(month.date())
    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        region = published(engine)
        slugs = region.partners if tenant is None else (region.tenant(tenant).slug,)
        partners = {slug: region.ids[slug] for slug in slugs}
        drafted = bill_month(
            engine,
            partners,
            period,
            preparer=dict.fromkeys(partners.values()),
            approver={},
            until="draft",
            now=_now(),
        )
        names = {tenant_id: slug for slug, tenant_id in region.ids.items()}
        if as_json:
            click.echo(json.dumps([_plain(each) for each in drafted]))
            return
        for each in drafted:
            click.echo(
                f"{each.number or each.public_id}  {names[each.issuer_id]} charges"
                f" {each.payer(names)} {each.total_cents / 100:,.2f}  ({each.state},"
                f" {each.line_count} lines)"
            )
        if not drafted:
            click.echo("Nobody owes anybody anything for that month.")


@commands.command()
@VAR
@click.argument("statement")
@click.argument("line", type=int, required=False)
@click.option("--tenant", required=True, metavar="SLUG", help="The partner who asks.")
@JSON
def explain(var: Path | None, statement: str, line: int | None, tenant: str, as_json: bool) -> None:
    """Explain a STATEMENT, or one LINE of it, down to rate, rule and contact."""
    from regional311.chargeback.explain import explain as explain_statement
    from regional311.chargeback.explain import walk
    from regional311.database.session import Scope, session_scope
    from regional311.errors import NotFound
    from regional311.referral.snapshot import published

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        scope = Scope(published(engine).tenant(tenant).id)
        with session_scope(engine, scope) as session:
            said = False
            if as_json:
                found = explain_statement(session, statement, position=line)
                if found is not None:
                    said = True
                    click.echo(json.dumps(found.as_json(), default=str))
            else:
                for depth, node in walk(session, statement, position=line):
                    said = True
                    _tell(node, depth)
    if not said:
        raise NotFound(f"{tenant} has no statement {statement}, or no such line in it.")


@commands.command()
@VAR
@click.argument("number")
@click.option("--tenant", required=True, metavar="SLUG", help="The partner who asks.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["pdf", "xlsx", "csv", "json"]),
    default="pdf",
    show_default=True,
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Where to write it; NUMBER and the format unless told.",
)
def statement(var: Path | None, number: str, tenant: str, form: str, output: Path | None) -> None:
    """Write the statement NUMBER as a document: PDF/UA, XLSX, CSV or JSON."""
    from regional311.database.session import Scope, session_scope
    from regional311.errors import NotFound
    from regional311.forecast.documents import write_document
    from regional311.referral.snapshot import published

    target = output or Path(f"{number}.{form}")
    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        scope = Scope(published(engine).tenant(tenant).id)
        with session_scope(engine, scope) as session, tempfile.TemporaryFile() as made:
            if not write_document(session, number, form, made, now=datetime.now(UTC)):
                raise NotFound(f"{tenant} has no statement {number}.")
            made.seek(0)
            with target.open("wb") as file:
                shutil.copyfileobj(made, file)
    click.echo(str(target))


@commands.group()
def books() -> None:
    """Seal the books, keep their heads, export them to other ledgers."""


@books.command(name="seal")
@VAR
@TENANT
def seal_books(var: Path | None, tenant: str | None) -> None:
    """Seal what has been posted, as the worker does once a minute."""
    from regional311.ledger.seals import head, seal_everything

    with _books_of(var, tenant) as found:
        for slug, session in found:
            made = seal_everything(session, _now())
            session.commit()
            last = head(session)
            click.echo(f"{slug}: {made} new seals; head {last.number} {last.hash}")


@books.command()
@VAR
@TENANT
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; else it is printed."
)
def heads(var: Path | None, tenant: str | None, output: Path | None) -> None:
    """Write the heads of the chains of seals as JSON, to be kept where nobody here can write."""
    from regional311.ledger.seals import Head, head, heads_text

    found: dict[str, Head] = {}
    with _books_of(var, tenant) as each:
        for slug, session in each:
            found[slug] = head(session)
    content = heads_text(found, now=_now())
    if output is None:
        click.echo(content, nl=False)
    else:
        output.write_text(content, encoding="utf-8")
        click.echo(str(output))


@books.group(name="export")
def export_books() -> None:
    """Write entries for another ledger, charges as FOCUS rows, or everything as beancount."""


OUTPUT = click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it."
)
ONE_TENANT = click.option("--tenant", required=True, metavar="SLUG", help="Whose books.")


@export_books.command(name="gl")
@VAR
@ONE_TENANT
@click.option("--layout", metavar="KEY", help="For a new batch: sap, workday or plain.")
@click.option("--through", metavar="YYYY-MM", help="For a new batch: the last month it takes.")
@click.option("--batch", type=click.IntRange(1), help="Send this batch again instead.")
@OUTPUT
def export_gl(
    var: Path | None,
    tenant: str,
    layout: str | None,
    through: str | None,
    batch: int | None,
    output: Path | None,
) -> None:
    """Put every entry that no batch has yet into a new one, or write a batch again as it was."""
    from regional311.errors import NotFound
    from regional311.ledger import exports

    if (batch is None) == (layout is None or through is None):
        raise click.UsageError("Give --layout and --through for a new batch, or --batch.")
    with _books_of(var, tenant) as found:
        for slug, session in found:
            if batch is None:
                assert layout is not None
                assert through is not None
                exports.make_batch(session, layout_key=layout, through_period=through, now=_now())
            rows = exports.batches(session)
            row = rows[0] if batch is None else exports.batch_numbered(session, batch)
            if row is None:
                raise NotFound(f"{slug} has no batch {batch}.")
            target = output or Path(exports.file_name(slug, row))
            target.write_bytes(exports.content(session, row.id))
            session.commit()
            click.echo(f"{target}: batch {row.number}, {row.entry_count} entries, {row.digest}")


@export_books.command(name="focus")
@VAR
@ONE_TENANT
@click.option("--month", metavar="YYYY-MM", help="Only the statements of this month.")
@click.option(
    "--side",
    type=click.Choice(["issued", "received"]),
    default="issued",
    show_default=True,
    help="What the partner charges, or what it is charged.",
)
@OUTPUT
def export_focus(
    var: Path | None, tenant: str, month: str | None, side: str, output: Path | None
) -> None:
    """Write statements' lines as FOCUS 1.2 charge rows in CSV."""
    from regional311.calendars import Period
    from regional311.chargeback.focus import charge_rows, csv_text

    period = None if month is None else Period.month(month).label
    with _books_of(var, tenant) as found:
        for slug, session in found:
            target = output or Path(f"{slug}-focus.csv")
            with target.open("w", encoding="utf-8", newline="") as file:
                file.writelines(csv_text(charge_rows(session, side=side, period_key=period)))
            click.echo(str(target))


@export_books.command(name="beancount")
@VAR
@TENANT
@OUTPUT
def export_beancount(var: Path | None, tenant: str | None, output: Path | None) -> None:
    """Write one partner's books, or everybody's, as beancount text for `bean-check`."""
    from regional311.ledger.beancount import books as books_text
    from regional311.ledger.beancount import head as head_text

    target = output or Path(f"{tenant or 'region'}.beancount")
    with _books_of(var, tenant) as found, target.open("w", encoding="utf-8") as file:
        file.writelines(head_text(f"Books of {tenant or 'the region'}"))
        for _slug, session in found:
            file.writelines(books_text(session))
    click.echo(str(target))


class _BadInput(click.ClickException):
    """What was given cannot be used; one line on standard error."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"regional311: {self.message}", err=True, file=file)


@commands.command()
@click.argument("case", type=click.Path(path_type=Path))
@click.option(
    "--method",
    type=click.Choice(["direct", "step-down", "double-step-down", "reciprocal", "all"]),
    default="step-down",
    show_default=True,
    help="How pools that serve one another are divided; all shows the four side by side.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; a list for all.")
def allocate(case: Path, method: str, as_json: bool) -> None:
    """Divide the costs of pools among the targets of a CASE in TOML; needs no database.

    Each [[pool]] has a name, a cost and [pool.serves] with a quantity for each pool or target that
    it serves; pools step down in the order of the file. Each [[target]] has a name and a cost.
    """
    from regional311.allocation import methods
    from regional311.allocation.case import read_case
    from regional311.allocation.comparison import table_text

    try:
        read = read_case(case)
    except DomainError as error:
        raise _BadInput(error.message) from error
    wanted = methods.METHODS if method == "all" else (method,)
    try:
        found = [methods.allocate(read, each) for each in wanted]
    except DomainError as error:
        raise _BadInput(f"{case}: pool[{error.field}].serves: {error.message}") from error
    if as_json:
        answers = [each.as_dict() for each in found]
        click.echo(json.dumps(answers if method == "all" else answers[0]))
    else:
        click.echo(table_text(found))


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("total_cents", metavar="TOTAL_CENTS")
@click.argument("weights", metavar="WEIGHT...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def split(total_cents: str, weights: tuple[str, ...], as_json: bool) -> None:
    """Divide TOTAL_CENTS in proportion to the weights, losing no cent; prints the parts.

    Weights are whole or decimal numbers. The total may be negative.
    """
    import re
    from decimal import Decimal

    from regional311.money import split as split_cents

    if re.fullmatch(r"-?[0-9]{1,18}", total_cents) is None:
        raise _BadInput(f"TOTAL_CENTS: {total_cents} is not a whole number of cents, such as 9900.")
    for each in weights:
        if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", each) is None:
            raise _BadInput(f"WEIGHT: {each} is not a number, such as 2 or 33.33.")
    try:
        parts = split_cents(int(total_cents), [Decimal(each) for each in weights])
    except DomainError as error:
        raise _BadInput(f"WEIGHT: {error.message}") from error
    click.echo(json.dumps(parts) if as_json else " ".join(str(part) for part in parts))


@commands.command()
@VAR
@click.option("--contacts", default=20_000, show_default=True, type=click.IntRange(1, 10_000_000))
@click.option("--no-serve", is_flag=True, help="Stop after the checks.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=6543, show_default=True, type=click.IntRange(0, 65535))
@JSON
@click.pass_context
def demo(
    context: click.Context,
    var: Path | None,
    contacts: int,
    no_serve: bool,
    host: str,
    port: int,
    as_json: bool,
) -> None:
    """The whole region on this machine: a month of contacts, its bills, and a place to look."""
    from regional311.demo.run import run
    from regional311.web.serve import serve as serve_region

    settings = _settings(var)
    with _reached(settings) as addresses:
        if addresses.admin is not None and addresses.owner is not None:
            _prepare(addresses)
        else:
            _require_schema(addresses)
        with _engine(addresses) as engine:
            report = run(engine, settings, contacts=contacts, as_json=as_json)
        if as_json:
            click.echo(json.dumps(_plain(report)))
        if not report.ok:
            context.exit(1)
        if not no_serve:
            serve_region(
                settings,
                addresses.app,
                host=host,
                port=port,
                on_ready=report.welcome,
            )


# What the commands share


def _settings(var: Path | None) -> Settings:
    from regional311.settings import Settings

    return Settings.from_environment(var)


@contextlib.contextmanager
def _reached(settings: Settings) -> Iterator[Addresses]:
    from regional311.database.prepare import reach

    with reach(settings) as addresses:
        yield addresses


def _prepare(addresses: Addresses) -> None:
    from regional311.database import prepare
    from regional311.settings import SettingRefused

    owner = addresses.owner_or_refuse()
    if addresses.admin is None:
        name = "REGIONAL311_ADMIN_DATABASE_URL"
        raise SettingRefused(
            f"{name} must be set to the address of a role that may make roles and databases.",
            field=name,
        )
    prepare.prepare_database(addresses.admin, app_url=addresses.app, owner_url=owner)
    prepare.migrate(owner)


def _require_schema(addresses: Addresses) -> None:
    """Make or update the embedded database's schema; refuse another one that is not current."""
    from regional311.database.health import health
    from regional311.database.prepare import ServerUnsuitable

    with _engine(addresses) as engine:
        found = health(engine)
    if found.ok:
        return
    if addresses.embedded:
        _prepare(addresses)
        return
    if not found.reachable:
        raise ServerUnsuitable(
            "The database at REGIONAL311_DATABASE_URL cannot be reached, or is not made yet:"
            " regional311 init makes it."
        )
    raise ServerUnsuitable("The database's schema is not current; run regional311 migrate.")


@contextlib.contextmanager
def _engine(addresses: Addresses) -> Iterator[Engine]:
    from regional311.database.session import make_engine

    engine = make_engine(addresses.app)
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _books_of(
    var: Path | None, tenant: str | None
) -> Iterator[Iterator[tuple[str, TenantSession]]]:
    """Each partner's slug with a session of its own, one after another; or only one partner's."""
    from regional311.database.session import Scope, session_scope
    from regional311.referral.snapshot import published

    def each(engine: Engine) -> Generator[tuple[str, TenantSession], None, None]:
        region = published(engine)
        slugs = sorted(region.ids) if tenant is None else [region.tenant(tenant).slug]
        for slug in slugs:
            with session_scope(engine, Scope(region.ids[slug])) as session:
                yield slug, session

    with _reached(_settings(var)) as addresses, _engine(addresses) as engine:
        _require_schema(addresses)
        with contextlib.closing(each(engine)) as found:
            yield found


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(node: Node, depth: int) -> None:
    """Print a figure on a line."""
    facts = ", ".join(f"{name} {value}" for name, value in node.facts.items() if value is not None)
    click.echo(
        f"{'  ' * depth}{node.amount:,.4f}  {node.label}" + (f"  ({facts})" if facts else "")
    )


def _show(result: Any, *, as_json: bool) -> None:
    """Print a report: as one JSON object, or in its own words (`str`)."""
    click.echo(json.dumps(_plain(result)) if as_json else str(result))


def _plain(value: Any) -> Any:
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return json.loads(json.dumps(asdict(value), default=str))
    return value


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0, 1 for what a person can mend, 2 for a wrong argument."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        left_with = commands.main(arguments, prog_name="regional311", standalone_mode=False)
        if left_with:
            sys.exit(int(left_with))
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except DomainError as error:
        _fail(error.message)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _fail(_about_files(error))
    except Exception as error:
        message = _about_database(error)
        if message is None:
            raise
        _fail(message)


def _terminated(*_: Any) -> None:
    raise KeyboardInterrupt


def _fail(message: str) -> None:
    click.echo(f"regional311: {message}", err=True)
    sys.exit(1)


def _about_files(error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "The disk is full; free some space and run this again. Nothing was changed."
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}."


def _about_database(error: Exception) -> str | None:
    """The sentence for a database that failed, or None when this is something else."""
    import psycopg
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.errors.DiskFull):
        return "The database's disk is full; free some space and run this again."
    if isinstance(cause, psycopg.errors.InvalidCatalogName | psycopg.errors.UndefinedTable):
        return "The database is not made yet; run regional311 init."
    if isinstance(cause, psycopg.OperationalError):
        first = str(cause).strip().splitlines()[0] if str(cause).strip() else "no answer"
        return f"The database cannot be reached ({first}). Nothing was half done."
    return None


if __name__ == "__main__":
    main()
