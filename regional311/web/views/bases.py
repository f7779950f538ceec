"""What costs are divided by: bases, and the dated readings that they are made of."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.allocation.base_changes import draft, draft_readings
from regional311.allocation.bases import COUNTED, Base, holding, readings_text, weights
from regional311.allocation.models import CostPool
from regional311.allocation.network import percents
from regional311.allocation.readings_sheet import MOST_BYTES, read_sheet
from regional311.allocation.snapshots import (
    BaseSaid,
    ReadingsSaid,
    count_readings,
    snapshots_of,
)
from regional311.allocation.year import newest_pools, read_base_versions, read_bases
from regional311.calendars import Period
from regional311.errors import DomainError, InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.web import lines_of_text
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Choice,
    Date,
    HiddenWidget,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.pool_wording import BASE_KINDS, COUNTS, Targets
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import BaseRecord, Bases
from regional311.web.views.pool_versions import number_asked

NOBODY = "-"
READING_LINE = "bureau:water; 340000"
PART_LINE = "contacts; 54"


class _BaseForm(Schema):
    name = SchemaNode(String(200), title=_("Name"), description=_("As it stands on statements."))
    kind = SchemaNode(
        Choice(list(BASE_KINDS.items())),
        title=_("What is read"),
        widget=SelectWidget(values=list(BASE_KINDS.items())),
    )
    counts = SchemaNode(
        Choice([(NOBODY, _("Not counted")), *COUNTS.items()]),
        title=_("Whose contacts are counted"),
        description=_("For bases of contacts and of handle minutes."),
        widget=SelectWidget(values=[(NOBODY, _("Not counted")), *COUNTS.items()]),
    )
    rolling_quarters = SchemaNode(
        Integer(),
        title=_("Quarters that are averaged"),
        description=_("For example 8. Left out: the newest readings alone."),
        missing=None,
    )
    parts = SchemaNode(
        String(4000, multiline=True),
        title=_("Bases of a mix"),
        description=_(
            "One a line: key; per cent. For example: ${example}. Together exactly 100.",
            mapping={"example": PART_LINE},
        ),
        missing=None,
    )
    note = SchemaNode(String(200), title=_("Note"), missing=None)
    valid_from = SchemaNode(
        Date(),
        title=_("Holds from"),
        description=_("Months that end on this day or later. Left out: every month."),
        missing=None,
    )
    why = SchemaNode(
        String(500, multiline=True),
        title=_("Why"),
        description=_("Whoever approves it reads this, and those whose part changes."),
    )


class NewBaseForm(_BaseForm):
    """A base that is not there yet."""

    key = SchemaNode(
        String(60),
        title=_("Key"),
        description=_("Lower case letters, digits and hyphens."),
        insert_before="name",
    )


class BaseForm(_BaseForm):
    """What may be changed about a base."""

    version = SchemaNode(Integer(), widget=HiddenWidget())


class SnapshotForm(Schema):
    """Readings as they are known now."""

    as_of = SchemaNode(
        Date(),
        title=_("Last day that they tell of"),
        description=_("Months that end after it are divided by them."),
    )
    source = SchemaNode(
        String(200), title=_("Where they come from"), description=_("A count, a budget, a census.")
    )
    readings = SchemaNode(
        String(20_000, multiline=True),
        title=_("Readings"),
        description=_(
            "One a line: who; number. For example: ${example}. Who is a partner's key, bureau:key,"
            " outside:key, or pool:key for a pool that is served.",
            mapping={"example": READING_LINE},
        ),
    )
    why = SchemaNode(
        String(500, multiline=True),
        title=_("Why"),
        description=_("Whoever approves it reads this, and those whose part changes."),
    )
    brings_back = SchemaNode(Integer(), widget=HiddenWidget(), missing=None)


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/bases"


@view_config(
    context=Bases, permission=P.POOL_READ, request_method="GET", renderer="bases/index.jinja2"
)
def bases(context: Bases, request: Any) -> Any:
    """Everything that this partner divides costs by."""
    words = Words(request)
    rows: list[dict[str, Any]] = [
        {
            "key": base.key,
            "name": base.name,
            "kind": base.kind,
            "snapshots": len(base.snapshots),
            "newest": max((each.as_of for each in base.snapshots), default=None),
        }
        for base in read_bases(request.dbsession).values()
    ]
    form = wanted(request)
    columns = ("key", "name", "kind", "snapshots", "newest")
    if form == "json":
        return json_response(rows)
    if form == "csv":
        return csv_response(
            request, "bases.csv", columns, [[row[name] for name in columns] for row in rows]
        )
    listing = Listing(
        request,
        columns=[
            Column("name", _("Base")),
            Column("kind", _("What is read")),
            Column("snapshots", _("Snapshots"), number=True),
            Column("newest", _("Newest tells of days until")),
        ],
        csv=True,
    )
    listing.fill(
        [
            row
            | {
                "kind": BASE_KINDS[row["kind"]],
                "newest": "" if row["newest"] is None else words.day(row["newest"]),
            }
            for row in rows
        ],
        total=len(rows),
    )
    return page(
        request,
        listing=listing,
        may_edit=may(request, P.POOL_EDIT),
        new_url=f"{_url(request)}/new",
        pools_url=f"/{request.tenant.slug}/pools",
        proposals_url=f"{_url(request)}/proposals",
    )


@view_config(
    context=BaseRecord, permission=P.POOL_READ, request_method="GET", renderer="bases/base.jinja2"
)
def base(context: BaseRecord, request: Any) -> Any:
    """A base: what it says today, its snapshots, and the pools that are divided by it."""
    words = Words(request)
    versions = read_base_versions(request.dbsession)
    found = holding(versions)[context.__name__ or ""]
    names = Targets(request, _pool_names(request))
    chosen = _chosen(found, request.GET.get("snapshot", ""))
    if wanted(request) == "json":
        return json_response(
            [each.name | {"readings": readings_text(each.readings)} for each in found.snapshots]
        )
    if wanted(request) == "csv":
        return csv_response(
            request,
            f"base-{found.key}.csv",
            ("number", "as_of", "source", "target", "reading"),
            [
                [each.number, each.as_of, each.source, target, reading]
                for each in found.snapshots
                for target, reading in readings_text(each.readings).items()
            ],
        )
    tomorrow = words.today + timedelta(days=1)
    every = holding(versions, tomorrow)
    rows, problem, title = _shown(every.get(found.key, found), every, chosen, tomorrow, names)
    url = f"{_url(request)}/{found.key}"
    listing = Listing(
        request,
        columns=[
            Column("target", _("Who")),
            Column("reading", _("Reading"), number=True),
            Column("percent", _("Part"), number=True),
        ],
        csv=True,
    ).fill(rows)
    listing.csv_url = f"{url}?format=csv"
    taken = {each.number: each for each in snapshots_of(request.dbsession, found.key)}
    may_edit = may(request, P.POOL_EDIT)
    return page(
        request,
        base=found,
        row=context.record,
        url=url,
        bases_url=_url(request),
        listing=listing,
        problem=problem,
        title=title,
        snapshots=[
            {
                "number": each.number,
                "url": f"{url}?snapshot={each.number}",
                "as_of": words.day(each.as_of),
                "source": each.source,
                "digest": each.digest[:12],
                "taken": words.when(taken[each.number].taken_at),
                "why": taken[each.number].why,
                "again_url": f"{url}/snapshot?again={each.number}"
                if may_edit and each is not found.snapshots[-1]
                else None,
            }
            for each in reversed(found.snapshots)
        ],
        parts=[
            (every[key].name if key in every else key, f"{_url(request)}/{key}", percent)
            for key, percent in sorted(found.parts.items())
        ],
        may_edit=may_edit,
        versions_url=f"{url}/versions",
        edit_url=f"{url}/edit",
        snapshot_url=None if found.kind == "mix" else f"{url}/snapshot",
        pools=_pools_of(request, found.key),
        facts=[
            (_("What is read"), BASE_KINDS[found.kind]),
            (
                _("Counted"),
                COUNTS[context.record.counts] if context.record.counts else None,
            ),
            (
                _("Averaged over"),
                _("${count} quarters", mapping={"count": found.rolling_quarters})
                if found.rolling_quarters
                else None,
            ),
            (_("Note"), context.record.note),
            (
                _("Holds from"),
                words.day(context.record.valid_from) if context.record.valid_from else None,
            ),
        ],
    )


def _chosen(found: Base, asked: str) -> Any:
    return next((each for each in found.snapshots if str(each.number) == asked), None)


def _shown(
    found: Base, every: dict[str, Base], chosen: Any, before: date, names: Targets
) -> tuple[list[dict[str, Any]], str | None, Any]:
    """The readings of one snapshot when it is asked for, otherwise what the base says today."""
    problem = None
    if chosen is not None:
        readings: dict[str, Any] = dict(chosen.readings)
        title = _("Snapshot ${number}", mapping={"number": chosen.number})
    else:
        title = _("What it says today")
        try:
            readings = dict(weights(found, every, before).by_target)
        except DomainError as error:
            return [], error.message, title
    parts = percents({target: Fraction(each) for target, each in readings.items()})
    rows = [
        {
            "target": names(target),
            "url": names.url(target),
            "reading": f"{float(readings[target]):,.6f}".rstrip("0").rstrip("."),
            "percent": parts.get(target, Decimal(0)),
        }
        for target in sorted(readings, key=lambda each: (-readings[each], names(each)))
    ]
    return rows, problem, title


def _pool_names(request: Any) -> dict[str, str]:
    rows = request.dbsession.execute(
        select(CostPool.key, CostPool.name)
        .where(CostPool.tenant_id == request.tenant.id)
        .order_by(CostPool.fiscal_year, CostPool.number)
    )
    return {row.key: row.name for row in rows}


def _pools_of(request: Any, base_key: str) -> list[tuple[str, str]]:
    rows = request.dbsession.execute(
        select(CostPool.key, CostPool.name)
        .where(
            CostPool.tenant_id == request.tenant.id,
            CostPool.base_key == base_key,
            CostPool.id.in_(newest_pools(request.tenant.id)),
        )
        .order_by(CostPool.name)
        .distinct()
    )
    return [(f"/{request.tenant.slug}/pools/{row.key}", row.name) for row in rows]


# Forms


@view_config(
    context=Bases,
    name="new",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="bases/edit.jinja2",
)
def new(context: Bases, request: Any) -> Any:
    """The form of a base that is not there yet."""
    return _new_page(request, _new_form(request))


@view_config(
    context=Bases,
    name="new",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="bases/edit.jinja2",
)
def add(context: Bases, request: Any) -> Any:
    """Draft a base; its readings follow once it is approved."""
    form = _new_form(request)

    def on_success(values: dict[str, Any]) -> Any:
        return _save(request, values["key"], values, new=True)

    return handle_form_submission(request, form, on_success, lambda: _new_page(request, form))


@view_config(
    context=BaseRecord,
    name="edit",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="bases/edit.jinja2",
)
def edit(context: BaseRecord, request: Any) -> Any:
    """The form that changes what is said about a base."""
    return _edit_page(context, request, _edit_form(context, request))


@view_config(
    context=BaseRecord,
    name="edit",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="bases/edit.jinja2",
)
def save(context: BaseRecord, request: Any) -> Any:
    """Draft the next version of a base; its snapshots stay."""
    form = _edit_form(context, request)

    def on_success(values: dict[str, Any]) -> Any:
        return _save(request, context.__name__, values, new=False)

    return handle_form_submission(
        request, form, on_success, lambda: _edit_page(context, request, form)
    )


def _save(request: Any, key: str, values: dict[str, Any], *, new: bool) -> Any:
    parts = lines_of_text.percents(values["parts"], field="parts", example=PART_LINE)

    said = BaseSaid(
        name=values["name"],
        kind=values["kind"],
        counts=None if values["counts"] == NOBODY else values["counts"],
        rolling_quarters=values["rolling_quarters"],
        parts=parts,
        note=values["note"],
        valid_from=values["valid_from"],
    )

    def do() -> dict[str, Any]:
        made = draft(
            request.dbsession,
            key,
            said,
            why=values["why"],
            now=request.now,
            new=new,
            based_on=values.get("version"),
        )
        return {"id": str(made)}

    answer = once(request.dbsession, form_key(request), ["base:save", key, values], do)
    return HTTPSeeOther(location=f"{_url(request)}/proposals/{answer['id']}")


def _new_form(request: Any) -> Any:
    return make_form(
        request,
        NewBaseForm(),
        submit=_("See what changes"),
        values={"kind": "fixed", "counts": NOBODY},
        once=True,
        cancel_url=_url(request),
    )


def _new_page(request: Any, form: Any) -> Any:
    return page(
        request,
        form=form,
        title=_("New base"),
        lead=_("What costs are divided by. Its readings are added afterwards, with their source."),
        bases_url=_url(request),
        url=None,
        base_name=None,
    )


def _edit_form(context: BaseRecord, request: Any) -> Any:
    row = context.record
    return make_form(
        request,
        BaseForm(),
        submit=_("See what changes"),
        values={
            "name": row.name,
            "kind": row.kind,
            "counts": row.counts or NOBODY,
            "rolling_quarters": row.rolling_quarters,
            "parts": lines_of_text.pairs_text({each["base"]: each["percent"] for each in row.parts})
            or None,
            "note": row.note,
            "valid_from": row.valid_from,
            "version": row.number,
        },
        once=True,
        cancel_url=f"{_url(request)}/{row.key}",
    )


def _edit_page(context: BaseRecord, request: Any, form: Any) -> Any:
    return page(
        request,
        form=form,
        title=_("Change the base"),
        lead=_("Snapshots that were taken stay as they are."),
        bases_url=_url(request),
        url=f"{_url(request)}/{context.__name__}",
        base_name=context.record.name,
    )


@view_config(
    context=BaseRecord,
    name="snapshot",
    permission=P.POOL_EDIT,
    request_method="GET",
    renderer="bases/snapshot.jinja2",
)
def snapshot(context: BaseRecord, request: Any) -> Any:
    """The form of a new snapshot, with the last readings or with what was counted."""
    _require_readings(context)
    values, problem = _counted(context, request)
    return _snapshot_page(context, request, _snapshot_form(context, request, values), problem)


@view_config(
    context=BaseRecord,
    name="snapshot",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="bases/snapshot.jinja2",
)
def take(context: BaseRecord, request: Any) -> Any:
    """Draft readings that are to be the next snapshot."""
    _require_readings(context)
    form = _snapshot_form(context, request, {})

    def on_success(values: dict[str, Any]) -> Any:
        readings = lines_of_text.pairs(values["readings"], field="readings", example=READING_LINE)

        said = ReadingsSaid(values["as_of"], values["source"], readings)

        def do() -> dict[str, Any]:
            made = draft_readings(
                request.dbsession,
                context.__name__ or "",
                said,
                why=values["why"],
                now=request.now,
                brings_back=values["brings_back"],
            )
            return {"id": str(made)}

        kept = ["base:snapshot", context.__name__, values]
        answer = once(request.dbsession, form_key(request), kept, do)
        return HTTPSeeOther(location=f"{_url(request)}/proposals/{answer['id']}")

    return handle_form_submission(
        request, form, on_success, lambda: _snapshot_page(context, request, form, None)
    )


@view_config(
    context=BaseRecord,
    name="upload",
    permission=P.POOL_EDIT,
    request_method="POST",
    renderer="bases/snapshot.jinja2",
)
def upload(context: BaseRecord, request: Any) -> Any:
    """Fill the form of a snapshot from a sheet; nothing is kept until the form is sent."""
    _require_readings(context)
    sent = request.POST.get("file")
    values: dict[str, Any] = {}
    problem = None
    try:
        content = b""
        if hasattr(sent, "file"):
            with sent.file as file:
                content = file.read(MOST_BYTES + 1)
        readings = read_sheet(content)
        values = {
            "readings": lines_of_text.pairs_text(readings),
            "source": str(sent.filename)[:200],
        }
    except InvalidInput as error:
        problem = error.message
        request.response.status_int = 400
    form = _snapshot_form(context, request, values)
    return _snapshot_page(context, request, form, problem)


def _require_readings(context: BaseRecord) -> None:
    if context.record.kind == "mix":
        raise HTTPNotFound


def _counted(context: BaseRecord, request: Any) -> tuple[dict[str, Any], str | None]:
    """What was counted between two days, when a counted base is asked for it."""
    if context.record.kind not in COUNTED or "from" not in request.GET:
        return {}, None
    words = Words(request)
    try:
        since = date.fromisoformat(request.GET.get("from", ""))
        last = date.fromisoformat(request.GET.get("to", ""))
        period = Period(since, last + timedelta(days=1))
    except (ValueError, OverflowError, DomainError):
        return {}, str(request.localizer.translate(_("Choose a first and a later last day.")))
    readings = count_readings(request.dbsession, context.record, period)
    source = _(
        "Counted from recorded work, ${since} to ${last}",
        mapping={"since": words.day(since), "last": words.day(last)},
    )
    return {
        "as_of": last,
        "source": str(request.localizer.translate(source)),
        "readings": lines_of_text.pairs_text(readings) or None,
    }, None if readings else str(request.localizer.translate(_("No work was recorded then.")))


def _snapshot_form(context: BaseRecord, request: Any, values: dict[str, Any]) -> Any:
    every = read_bases(request.dbsession) if request.method == "GET" and not values else {}
    past = every[context.__name__].snapshots if context.__name__ in every else ()
    number = number_asked(request, "again")
    again = next((each for each in past if each.number == number), None)
    last = again or next(iter(past[-1:]), None)
    given: dict[str, Any] = {
        "readings": lines_of_text.pairs_text(readings_text(last.readings)) if last else None,
        "as_of": Words(request).today - timedelta(days=1),
    }
    if again is not None:
        given |= {"as_of": again.as_of, "source": again.source, "brings_back": again.number}
    return make_form(
        request,
        SnapshotForm(),
        submit=_("See what changes"),
        values=given | values,
        once=True,
        action=f"{_url(request)}/{context.__name__}/snapshot",
        cancel_url=f"{_url(request)}/{context.__name__}",
    )


def _snapshot_page(context: BaseRecord, request: Any, form: Any, problem: str | None) -> Any:
    today = Words(request).today
    first = Period.month_of(today).previous()
    return page(
        request,
        form=form,
        problem=problem,
        base=context.record,
        counted=context.record.kind in COUNTED,
        since=request.GET.get("from") or first.start_on.isoformat(),
        last=request.GET.get("to") or (first.end_on - timedelta(days=1)).isoformat(),
        bases_url=_url(request),
        url=f"{_url(request)}/{context.__name__}",
    )
