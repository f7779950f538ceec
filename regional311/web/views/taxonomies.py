"""Trees of terms: browsing them with what is sorted by them, taking them in, tying them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.catalog import content, queries
from regional311.catalog.directory import Service
from regional311.catalog.models import TermCrosswalk
from regional311.catalog.taxonomy import Terms, TreeTerm
from regional311.catalog.taxonomy_imports import (
    BrokenRows,
    Report,
    head_of,
    take_crosswalks,
    take_taxonomy,
    tie,
    untie,
)
from regional311.catalog.taxonomy_sheet import (
    LANGUAGES,
    Sheet,
    SheetRefused,
    read_crosswalks,
    read_terms,
)
from regional311.errors import DomainError, InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.strict import from_plain
from regional311.web.forms import (
    Choice,
    Form,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextWidget,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.i18n import _, translated
from regional311.web.listing import Column, Filter, Listing, page_of
from regional311.web.representations import csv_response, exported, wanted
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import Taxonomies, TaxonomyRecord
from regional311.web.views.reviews import bureaus_of

MOST_BYTES: Final = 1_000_000
"""Of a file that is sent by a page; a larger one is for the command."""
LISTED: Final = 200
RELATIONS: Final = {
    "exact": _("is exactly the same as"),
    "broader": _("is narrower than"),
    "narrower": _("is broader than"),
    "related": _("is related to"),
}
"""A crosswalk read from its first term: `broader` says that the other one is."""


class _Sorted:
    """Services of today by the terms that they name, and which of them are this partner's."""

    def __init__(self, tell: Telling, terms: Terms) -> None:
        self.terms = terms
        self.slug = tell.slug
        self.by_ref: dict[str, list[Service]] = {}
        for each in tell.published.directory.services:
            if each.offered(tell.today):
                for ref in each.details.get("taxonomy") or ():
                    self.by_ref.setdefault(ref, []).append(each)

    def within(self, refs: Iterable[str]) -> dict[str, Service]:
        """Services that name one of these terms, each once."""
        return {each.ref: each for ref in refs for each in self.by_ref.get(ref, ())}

    def counts(self, branch: str) -> tuple[int, int]:
        """Services in a branch, crosswalks followed: of everybody, and of this partner."""
        found = self.within(self.terms.terms_of(branch))
        return len(found), sum(1 for each in found.values() if each.tenant == self.slug)


def _terms(request: Any) -> Terms:
    """Every taxonomy as the database has it now: who has just taken one in sees it."""
    return queries.terms(request.dbsession, telling(request).published.slugs)


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/taxonomies"


def _crumbs(request: Any, *more: tuple[str | None, Any]) -> list[tuple[str | None, Any]]:
    return [(_url(request), _("Taxonomies")), *more]


# --- browsing -------------------------------------------------------------------------------------


@view_config(
    context=Taxonomies,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="taxonomies/index.jinja2",
)
def index(context: Taxonomies, request: Any) -> dict[str, Any]:
    """Every tree of the region, whoever keeps it, and how much is sorted by it."""
    tell, terms = telling(request), _terms(request)
    mine = tell.published.directory.of(tell.slug, tell.today)
    trees = []
    for tree in terms.taxonomies.values():
        prefix = f"{tree.key}:"
        sorted_ = [each for each in mine if _names(each, prefix)]
        trees.append(
            {
                "url": f"{_url(request)}/{tree.key}",
                "name": tree.name,
                "version": tree.version,
                "description": tree.description,
                "keeper": tell.partner(tree.tenant),
                "terms": len(terms.of(tree.key)),
                "services": len(sorted_),
            }
        )
    return {
        "trees": trees,
        "services": len(mine),
        "unmapped": sum(1 for each in mine if not each.details.get("taxonomy")),
        "crosswalks": len(terms.links),
        "url": _url(request),
        "may_import": may(request, P.SERVICE_PUBLISH),
    }


def _names(service: Service, prefix: str) -> bool:
    return any(ref.startswith(prefix) for ref in service.details.get("taxonomy") or ())


@view_config(
    context=TaxonomyRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="taxonomies/tree.jinja2",
)
def tree(context: TaxonomyRecord, request: Any) -> Any:
    """A tree, or one of its branches, with counts of services; or the whole of it as CSV."""
    tell, terms = telling(request), _terms(request)
    key = context.__name__
    found = terms.taxonomies.get(key)
    if found is None:
        raise HTTPNotFound
    form = wanted(request)
    if form != "html":
        return _exported(request, form, key, terms.of(key))
    code = request.GET.get("branch", "")[:120]
    branch = terms.find(f"{key}:{code}") if code else None
    if code and branch is None:
        raise HTTPNotFound
    sorted_ = _Sorted(tell, terms)
    here = f"{_url(request)}/{key}"

    def row(term: TreeTerm) -> dict[str, Any]:
        every, mine = sorted_.counts(term.ref)
        return {
            "name": term.name,
            "code": term.ref.partition(":")[2],
            "url": _branch_url(here, term.ref),
            "services": every,
            "mine": mine,
        }

    below = terms.tops(key) if branch is None else terms.below(branch.ref)
    crumbs = _crumbs(request, (here if branch else None, found.name))
    path = terms.path(branch.ref) if branch else ()
    crumbs += [
        (_branch_url(here, each.ref) if each is not branch else None, each.name) for each in path
    ]
    services = sorted_.within(terms.terms_of(branch.ref)) if branch else {}
    shown = sorted(services.values(), key=lambda each: (each.name.casefold(), each.ref))
    return {
        "crumbs": crumbs,
        "tree": found,
        "keeper": tell.partner(found.tenant),
        "branch": branch,
        "branch_code": code,
        "names": [(each, branch.named(each)) for each in LANGUAGES if branch.names.get(each)]
        if branch
        else [],
        "counts": row(branch) if branch else None,
        "below": [
            {**row(each), "below": [row(child) for child in terms.below(each.ref)]}
            for each in below
        ],
        "ties": _ties(request, terms, branch.ref) if branch else [],
        "services": [
            {
                "name": each.name,
                "who": tell.partner(each.tenant),
                "url": f"/{tell.slug}/services/{each.key}"
                if each.tenant == tell.slug
                else f"/services/{each.ref}",
                "terms": [
                    _term_name(terms, ref)
                    for ref in each.details.get("taxonomy") or ()
                    if ref in terms.terms_of(branch.ref)
                ]
                if branch
                else [],
            }
            for each in shown[:LISTED]
        ],
        "more": max(0, len(shown) - LISTED),
        "url": here,
        "partner": request.tenant.short_name,
        "csv_url": f"{here}?format=csv",
    }


def _branch_url(here: str, ref: str) -> str:
    return f"{here}?{urlencode({'branch': ref.partition(':')[2]})}"


def _term_name(terms: Terms, ref: str) -> str:
    found = terms.find(ref)
    return found.name if found else ref


def _ties(request: Any, terms: Terms, ref: str) -> list[dict[str, Any]]:
    """The crosswalks of a term, read from its side."""
    turned = {"broader": "narrower", "narrower": "broader"}
    found = []
    for link in terms.links:
        if ref not in (link.term, link.other):
            continue
        mine = link.term == ref
        other = link.other if mine else link.term
        relation = link.relation if mine else turned.get(link.relation, link.relation)
        taxonomy = other.partition(":")[0]
        tree = terms.taxonomies.get(taxonomy)
        found.append(
            {
                "relation": RELATIONS[relation],
                "name": _term_name(terms, other),
                "tree": tree.name if tree else taxonomy,
                "url": _branch_url(f"{_url(request)}/{taxonomy}", other) if tree else None,
            }
        )
    return found


def _exported(request: Any, form: str, key: str, terms: Iterable[TreeTerm]) -> Any:
    """The whole tree in the layout in which it can be taken in again."""
    others = [each for each in LANGUAGES if each != "en"]
    columns = ["code", "name", "parent", "description", *(f"name_{each}" for each in others)]
    rows = [
        {
            "code": each.ref.partition(":")[2],
            "name": each.name,
            "parent": (each.parent or "").partition(":")[2],
            "description": each.description,
            **{f"name_{language}": each.names.get(language, "") for language in others},
        }
        for each in terms
    ]
    return exported(request, form, f"{key}.csv", columns, rows)


@view_config(
    context=TaxonomyRecord,
    name="unused",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="taxonomies/unused.jinja2",
)
def unused(context: TaxonomyRecord, request: Any) -> Any:
    """The terms of a tree by which nothing is sorted, neither by them nor below them."""
    tell, terms = telling(request), _terms(request)
    key = context.__name__
    found = terms.taxonomies.get(key)
    if found is None:
        raise HTTPNotFound
    sorted_ = _Sorted(tell, terms)
    rows = [
        {
            "code": each.ref.partition(":")[2],
            "name": each.name,
            "path": " › ".join(above.name for above in terms.path(each.ref)[:-1]),
        }
        for each in terms.of(key)
        if not sorted_.within(terms.terms_of(each.ref))
    ]
    listing = Listing(
        request,
        columns=[
            Column("name", _("Term")),
            Column("path", _("Within")),
            Column("code", _("Code")),
        ],
        csv=True,
    )
    form = wanted(request)
    if form != "html":
        return exported(request, form, f"{key}-unused.csv", ("code", "name", "path"), rows)
    page_of(listing, rows)
    here = f"{_url(request)}/{key}"
    return {
        "listing": listing,
        "url": here,
        "branch": lambda code: _branch_url(here, f"{key}:{code}"),
        "crumbs": _crumbs(request, (here, found.name), (None, _("Terms without services"))),
        "total": len(rows),
        "terms": len(terms.of(key)),
    }


@view_config(
    context=Taxonomies,
    name="unmapped",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="taxonomies/unmapped.jinja2",
)
def unmapped(context: Taxonomies, request: Any) -> Any:
    """The partner's services that no term is given to, or none of one tree."""
    tell, terms = telling(request), _terms(request)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Service")),
            Column("bureau", _("Bureau")),
            Column("group", _("Heading")),
        ],
        filters=[
            Filter(
                "taxonomy",
                _("Without a term of"),
                choices=[(each.key, each.name) for each in terms.taxonomies.values()],
            ),
            Filter("bureau", _("Bureau"), choices=bureaus_of(tell)),
        ],
        csv=True,
    )
    asked = listing.values
    prefix = f"{asked['taxonomy']}:" if asked["taxonomy"] else ""
    rows = [
        {
            "key": each.key,
            "name": each.name,
            "bureau": tell.bureau(tell.slug, each.bureau),
            "group": each.group,
        }
        for each in tell.published.directory.of(tell.slug, tell.today)
        if asked["bureau"] in (None, each.bureau)
        and not (_names(each, prefix) if prefix else each.details.get("taxonomy"))
    ]
    rows.sort(key=lambda row: (row["name"].casefold(), row["key"]))
    form = wanted(request)
    if form != "html":
        return exported(request, form, "unmapped.csv", ("key", "name", "bureau", "group"), rows)
    page_of(listing, rows)
    return {
        "listing": listing,
        "crumbs": _crumbs(request, (None, _("Services without a term"))),
        "services_url": f"/{tell.slug}/services",
        "may_edit": may(request, P.SERVICE_EDIT),
    }


# --- taking in ------------------------------------------------------------------------------------

HEAD: Final = ("key", "name", "description", "version", "website", "licence")


@view_config(
    context=Taxonomies,
    name="import",
    permission=P.SERVICE_PUBLISH,
    request_method="GET",
    renderer="taxonomies/import.jinja2",
)
def import_page(context: Taxonomies, request: Any) -> dict[str, Any]:
    """Where a file is chosen; nothing changes before it was shown what would."""
    key = request.GET.get("key", "")[:60]
    return _import_page(request, {"key": key} if key else {})


@view_config(
    context=Taxonomies,
    name="import",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="taxonomies/import.jinja2",
)
def import_file(context: Taxonomies, request: Any) -> Any:
    """Say what a file would change, or, when that was seen, change it."""
    given = {name: str(request.POST.get(name, "")).strip()[:4000] for name in HEAD}
    content_ = b""
    try:
        content_ = _sent(request)
        sheet = read_terms(content_)
        head = head_of(request.dbsession, given["key"], **{n: given[n] for n in HEAD if n != "key"})
        report = take_taxonomy(
            request.dbsession,
            head,
            sheet,
            dry_run="take" not in request.POST,
            skip_broken=request.POST.get("take") == "sound",
            today=telling(request).today,
            now=request.now,
        )
    except BrokenRows:
        raise HTTPBadRequest from None
    except DomainError as error:
        start_over(request)
        request.response.status_int = 400
        return _import_page(request, given, problem=error.message)
    if report.applied:
        request.flash("success", _("Taken in: ${name}.", mapping={"name": head.name}))
        return HTTPSeeOther(location=f"{_url(request)}/{head.key}")
    return _import_page(request, given, report=report, content=content_)


def _sent(request: Any) -> bytes:
    """The file that is sent now, or was sent when its changes were shown."""
    if "sent" in request.POST:
        try:
            return base64.b64decode(str(request.POST["sent"]), validate=True)
        except (binascii.Error, ValueError):
            raise HTTPBadRequest from None
    file = request.POST.get("file")
    if not hasattr(file, "file"):
        raise SheetRefused(translated(request, _("Choose a file.")), field="file")
    with file.file as opened:
        found: bytes = opened.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise SheetRefused(
            f"The file is larger than {MOST_BYTES:,} bytes; take it in with the command "
            "regional311 taxonomy import.",
            field="file",
        )
    return found


def _import_page(
    request: Any,
    given: Mapping[str, str],
    *,
    problem: Any = None,
    report: Report | None = None,
    content: bytes = b"",
) -> dict[str, Any]:
    return {
        "crumbs": _crumbs(request, (None, _("Take a tree in"))),
        "url": f"{_url(request)}/import",
        "given": given,
        "problem": problem,
        "report": None if report is None else _shown(report),
        "sent": base64.b64encode(content).decode(),
        "most": MOST_BYTES // 1_000_000,
    }


def _shown(report: Report) -> dict[str, Any]:
    return {
        "counts": [
            (_("New"), len(report.new)),
            (_("Changed"), len(report.changed)),
            (_("Gone"), len(report.gone)),
            (_("As before"), report.same),
            (_("Broken"), len(report.broken)),
        ],
        "new": report.new[:LISTED],
        "changed": report.changed[:LISTED],
        "gone": [(code, report.used.get(code, 0)) for code in report.gone[:LISTED]],
        "broken": report.broken[:LISTED],
        "notes": report.notes,
        "changes": report.changes or bool(report.notes),
        "sound": not report.broken,
        "listed": LISTED,
    }


# --- crosswalks -----------------------------------------------------------------------------------


class CrosswalkForm(Schema):
    """How a term relates to one of another tree."""

    term = SchemaNode(
        String(161),
        title=_("Term"),
        description=_("As taxonomy:code."),
        widget=TextWidget(autocomplete="off", attributes={"list": "terms"}),
    )
    relation = SchemaNode(
        Choice(RELATIONS), title=_("Relation"), widget=SelectWidget(values=list(RELATIONS.items()))
    )
    other = SchemaNode(
        String(161),
        title=_("Term of another taxonomy"),
        widget=TextWidget(autocomplete="off", attributes={"list": "terms"}),
    )
    note = SchemaNode(String(200), title=_("Note"), missing=None)


@view_config(
    context=Taxonomies,
    name="crosswalks",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="taxonomies/crosswalks.jinja2",
)
def crosswalks(context: Taxonomies, request: Any) -> Any:
    """Every crosswalk of the region, with a form and a file for this partner's own."""
    form = wanted(request)
    if form == "html":
        return _crosswalks_page(request, _crosswalk_form(request))
    rows = [
        {"term": row.term_ref, "relation": row.relation, "other": row.other_ref, "note": row.note}
        for row in _crosswalks(request)
    ]
    columns = ("term", "relation", "other", "note")
    if form == "csv":
        return csv_response(
            request, "crosswalks.csv", columns, ([row[each] for each in columns] for row in rows)
        )
    return exported(request, form, "crosswalks.json", columns, rows)


@view_config(
    context=Taxonomies,
    name="crosswalks",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="taxonomies/crosswalks.jinja2",
)
def add_crosswalk(context: Taxonomies, request: Any) -> Any:
    """Tie two terms."""
    form = _crosswalk_form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        try:
            new = from_plain(content.Crosswalk, values)
        except DomainError:
            raise InvalidInput(
                "Write both terms as taxonomy:code, such as region:food.", field="term"
            ) from None
        tie(request.dbsession, new, _terms(request).codes, now=request.now)
        request.flash("success", _("Tied."))
        return HTTPSeeOther(location=f"{_url(request)}/crosswalks")

    return handle_form_submission(
        request, form, on_success, lambda: _crosswalks_page(request, form)
    )


@view_config(
    context=Taxonomies,
    name="end-crosswalk",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
)
def end_crosswalk(context: Taxonomies, request: Any) -> HTTPSeeOther:
    """Untie two terms."""
    try:
        row_id = UUID(str(request.POST.get("crosswalk", "")))
    except ValueError:
        raise HTTPBadRequest from None
    untie(request.dbsession, row_id, today=telling(request).today, now=request.now)
    request.flash("success", _("Untied."))
    return HTTPSeeOther(location=f"{_url(request)}/crosswalks")


@view_config(
    context=Taxonomies,
    name="crosswalk-sheet",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="taxonomies/crosswalks.jinja2",
)
def crosswalk_sheet(context: Taxonomies, request: Any) -> Any:
    """Say what a file of crosswalks would change, or, when that was seen, change it."""
    content_ = b""
    try:
        content_ = _sent(request)
        sheet: Sheet[content.Crosswalk] = read_crosswalks(content_)
        report = take_crosswalks(
            request.dbsession,
            sheet,
            _terms(request).codes,
            dry_run="take" not in request.POST,
            skip_broken=request.POST.get("take") == "sound",
            now=request.now,
        )
    except BrokenRows:
        raise HTTPBadRequest from None
    except DomainError as error:
        start_over(request)
        request.response.status_int = 400
        return _crosswalks_page(request, _crosswalk_form(request), problem=error.message)
    if report.applied:
        request.flash("success", _("The crosswalks were taken in."))
        return HTTPSeeOther(location=f"{_url(request)}/crosswalks")
    return _crosswalks_page(request, _crosswalk_form(request), report=report, content=content_)


def _crosswalk_form(request: Any) -> Form:
    asked = request.GET.get("term", "")[:161] if request.method == "GET" else ""
    return make_form(
        request,
        CrosswalkForm(),
        submit=_("Tie them"),
        values={"term": asked or None},
        name="crosswalk",
        action=f"{_url(request)}/crosswalks",
    )


def _crosswalks(request: Any) -> list[Any]:
    table = TermCrosswalk.__table__
    return list(
        request.dbsession.execute(
            select(table)
            .where(table.c.ended_on.is_(None))
            .order_by(table.c.term_ref, table.c.other_ref, table.c.tenant_id)
        )
    )


def _crosswalks_page(
    request: Any,
    form: Form,
    *,
    problem: Any = None,
    report: Report | None = None,
    content: bytes = b"",
) -> dict[str, Any]:
    tell, terms = telling(request), _terms(request)
    listing = Listing(
        request,
        columns=[
            Column("term", _("Term")),
            Column("relation", _("Relation")),
            Column("other", _("Other term")),
            Column("keeper", _("Kept by")),
            Column("end", _("Change")),
        ],
        filters=[
            Filter(
                "taxonomy",
                _("Taxonomy"),
                choices=[(each.key, each.name) for each in terms.taxonomies.values()],
            )
        ],
        csv=True,
    )
    asked = listing.values["taxonomy"]
    ends = may(request, P.SERVICE_PUBLISH)

    def shown(ref: str) -> dict[str, Any]:
        taxonomy = ref.partition(":")[0]
        tree = terms.taxonomies.get(taxonomy)
        return {
            "ref": ref,
            "name": _term_name(terms, ref),
            "tree": tree.name if tree else taxonomy,
            "url": _branch_url(f"{_url(request)}/{taxonomy}", ref) if terms.find(ref) else None,
        }

    rows = [
        {
            "id": row.id if ends and row.tenant_id == request.tenant.id else None,
            "term": shown(row.term_ref),
            "relation": RELATIONS[row.relation],
            "other": shown(row.other_ref),
            "keeper": tell.partner(row.tenant_id),
            "note": row.note,
        }
        for row in _crosswalks(request)
        if asked is None
        or asked in (row.term_ref.partition(":")[0], row.other_ref.partition(":")[0])
    ]
    page_of(listing, rows)
    offered = [each for key in terms.taxonomies for each in terms.of(key)]
    return {
        "crumbs": _crumbs(request, (None, _("Crosswalks"))),
        "listing": listing,
        "form": form if ends else None,
        "offered": [(each.ref, each.name) for each in offered[:3000]] if ends else [],
        "end_url": f"{_url(request)}/end-crosswalk",
        "sheet_url": f"{_url(request)}/crosswalk-sheet",
        "problem": problem,
        "report": None if report is None else _shown(report),
        "sent": base64.b64encode(content).decode(),
    }
