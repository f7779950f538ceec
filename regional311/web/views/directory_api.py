"""The directory of services for programs: the HSDS 3.2.3 API, of the region and of each partner.

No sign-in, nothing is changed. What is confidential or not published is nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from pyramid.events import NewResponse, subscriber
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import exception_view_config, view_config

from regional311.catalog.hsds import documents, queries
from regional311.catalog.hsds.shapes import PROFILE, VERSION
from regional311.web.directory import (
    EVERYTHING,
    Parameters,
    TooManyStreams,
    View,
    answer,
    paged,
    streamed,
)
from regional311.web.directory_openapi import openapi
from regional311.web.i18n import _
from regional311.web.tree import DirectoryApi, DirectoryEntry, DirectoryList
from regional311.web.views.data_guide import guide_path
from regional311.web.views.errors import RETRY_AFTER_SECONDS, error_page

HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@subscriber(NewResponse)
def open_to_others(event: Any) -> None:
    """Let pages of other sites read the directory, errors too."""
    if f"{event.request.environ.get('PATH_INFO', '')}/".startswith("/hsds/"):
        event.response.headers.update(HEADERS)


@exception_view_config(TooManyStreams)
def busy(error: Any, request: Any) -> Response:
    """As many streams as there may be are being read."""
    return error_page(
        request,
        503,
        _("Try again in a moment"),
        _("Others are reading the whole directory just now. Ask again in half a minute."),
        code="TooManyStreams",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


@view_config(context=DirectoryApi, permission=NO_PERMISSION_REQUIRED, request_method="GET")
def about(context: DirectoryApi, request: Any) -> Response:
    """What this API is."""
    view = View(request, context.partner)
    name = context.partner.name if context.partner else view.published.tenants["region"].name
    slug = context.partner.slug if context.partner else None
    return answer(
        view,
        lambda: {
            "version": VERSION,
            "profile": PROFILE,
            "openapi_url": f"{view.url}/openapi.json",
            "publisher": name,
            "data_guide": request.host_url + guide_path(slug),
            "description": f"Services, organizations and locations of {name}.",
        },
    )


@view_config(
    context=DirectoryApi,
    name="openapi.json",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
)
def described(context: DirectoryApi, request: Any) -> Response:
    """Every path and parameter, as OpenAPI 3.1."""
    view = View(request, context.partner)
    name = context.partner.name if context.partner else view.published.tenants["region"].name
    return answer(view, lambda: openapi(view.url, name))


@view_config(context=DirectoryList, permission=NO_PERMISSION_REQUIRED, request_method="GET")
@view_config(
    context=DirectoryList,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    require_csrf=False,
)
def listed(context: DirectoryList, request: Any) -> Response:
    """A page of a list, or all of it as lines of JSON."""
    give = _LISTS.get(context.__name__)
    if give is None:
        raise HTTPNotFound
    view = View(request, context.api.partner)
    return give(view, Parameters(request))


@view_config(context=DirectoryEntry, permission=NO_PERMISSION_REQUIRED, request_method="GET")
def entry(context: DirectoryEntry, request: Any) -> Response:
    """One entry with everything in it."""
    view = View(request, context.list.api.partner)
    found = _ENTRIES[context.list.__name__](view, Parameters(request), context.id)
    if found is None:
        raise HTTPNotFound
    return answer(view, lambda: found)


# --- lists ---------------------------------------------------------------------------------------


def _services(view: View, given: Parameters) -> Response:
    asked, full, minimal = given.asked(), given.flag("full"), given.flag("minimal")
    if given.choice("format", "json", "ndjson") == "ndjson":
        session = view.session()
        rows = queries.stream_services(session, view.region, asked, view.today, full=full)
        show = documents.minimal_service if minimal else _shown(view, full=full)
        return streamed(view, session, map(show, rows))
    number, size = given.page(EVERYTHING, EVERYTHING) if minimal else given.page()

    def make() -> Any:
        start = (number - 1) * size
        with view.session() as session:
            if minimal:
                page = queries.service_ids(
                    session, view.region, asked, view.today, start=start, size=size
                )
                contents = [documents.minimal_service(row) for row in page.rows]
            else:
                page = queries.services(
                    session, view.region, asked, view.today, full=full, start=start, size=size
                )
                contents = list(map(_shown(view, full=full), page.rows))
        return paged(contents, page.total, number, size)

    return answer(view, make)


def _shown(view: View, *, full: bool) -> Any:
    show = documents.full_service if full else documents.service_entry
    return lambda row: show(row, view.region)


def _sites(view: View, given: Parameters) -> Response:
    asked, full = given.asked(places=True), given.flag("full")
    show = documents.full_site if full else documents.site_entry
    if given.choice("format", "json", "ndjson") == "ndjson":
        session = view.session()
        around = view.around(session, asked)
        rows = queries.stream_sites(session, view.region, asked, around, view.today, full=full)
        return streamed(view, session, (show(row, view.region) for row in rows))
    number, size = given.page()

    def make() -> Any:
        with view.session() as session:
            page = queries.sites(
                session,
                view.region,
                asked,
                view.around(session, asked),
                view.today,
                full=full,
                start=(number - 1) * size,
                size=size,
            )
        contents = [show(row, view.region) for row in page.rows]
        return paged(contents, page.total, number, size)

    return answer(view, make)


def _organizations(view: View, given: Parameters) -> Response:
    asked, full = given.asked(), given.flag("full")
    full_service = given.flag("full_service")
    nested = full or full_service
    if given.choice("format", "json", "ndjson") == "ndjson":
        session = view.session()
        return streamed(
            view,
            session,
            _every_organization(view, session, asked, nested=nested, full=full_service),
        )
    number, size = given.page()

    def make() -> Any:
        start = (number - 1) * size
        with view.session() as session:
            page, bodies = queries.organizations(
                session, view.region, asked, view.today, full=nested, start=start, size=size
            )
            found = [_body(view, session, each, nested=nested) for each in bodies]
            found += [_organization(view, row, nested=nested) for row in page.rows]
            if nested:
                found = list(_with_services(view, session, found, full=full_service))
        return paged(found, page.total, number, size)

    return answer(view, make)


def _every_organization(
    view: View, session: Any, asked: Any, *, nested: bool, full: bool
) -> Iterator[Any]:
    bodies = [
        _body(view, session, each.id, nested=nested) for each in queries.bodies(view.region, asked)
    ]
    rows = queries.stream_organizations(session, view.region, asked, view.today, full=nested)
    if not nested:
        yield from bodies
        yield from (_organization(view, row, nested=False) for row in rows)
        return
    yield from _with_services(view, session, bodies, full=full)
    # the services of a few at a time, in a session beside the one that streams
    with view.session() as beside:
        batch: list[Any] = []
        for row in rows:
            batch.append(_organization(view, row, nested=True))
            if len(batch) == queries.FETCHED:
                yield from _with_services(view, beside, batch, full=full)
                batch = []
        yield from _with_services(view, beside, batch, full=full)


def _body(view: View, session: Any, body_id: UUID, *, nested: bool) -> Any:
    body = next(each for each in view.region.bodies if each.id == body_id)
    if not nested or body.bureau:
        return body.document
    around = view.region.around(body.tenant_id)
    places = queries.own_locations(session, body.tenant_id, view.today)
    shown = [documents.own_location(each, around) for each in places]
    return {**body.document, **({"locations": shown} if shown else {})}


def _organization(view: View, row: Any, *, nested: bool) -> Any:
    show = documents.full_organization if nested else documents.organization_entry
    return show(row, view.region)


def _with_services(view: View, session: Any, found: list[Any], *, full: bool) -> Iterable[Any]:
    ids = [UUID(each["id"]) for each in found]
    rows = queries.services_of(session, view.region, ids, view.today, full=full) if ids else {}
    for one, document in zip(ids, found, strict=True):
        yield documents.with_services(document, rows.get(one, ()), view.region, full=full)


def _taxonomies(view: View, given: Parameters) -> Response:
    return _in_memory(view, given, queries.taxonomies(view.region, given.text("search")))


def _terms(view: View, given: Parameters) -> Response:
    found = queries.taxonomy_terms(
        view.region,
        given.text("search"),
        taxonomy=given.uuid("taxonomy_id"),
        parent=given.uuid("parent_id"),
        top_only=given.flag("top_only"),
    )
    return _in_memory(view, given, [queries.detailed_term(view.region, each) for each in found])


def _in_memory(view: View, given: Parameters, found: list[Any]) -> Response:
    if given.choice("format", "json", "ndjson") == "ndjson":
        return streamed(view, view.session(), found)
    number, size = given.page()
    start = (number - 1) * size
    return answer(view, lambda: paged(found[start : start + size], len(found), number, size))


_LISTS = {
    "services": _services,
    "organizations": _organizations,
    "service_at_locations": _sites,
    "taxonomies": _taxonomies,
    "taxonomy_terms": _terms,
}


# --- single entries ------------------------------------------------------------------------------


def _service(view: View, given: Parameters, service_id: UUID) -> Any:
    with view.session() as session:
        row = queries.service(session, view.region, service_id, view.today)
    return None if row is None else documents.full_service(row, view.region)


def _site(view: View, given: Parameters, site_id: UUID) -> Any:
    with view.session() as session:
        row = queries.site(session, view.region, site_id, view.today)
    return None if row is None else documents.full_site(row, view.region)


def _one_organization(view: View, given: Parameters, organization_id: UUID) -> Any:
    full = given.flag("full_service")
    with view.session() as session:
        if any(each.id == organization_id for each in view.region.bodies):
            found = _body(view, session, organization_id, nested=True)
        else:
            row = queries.organization(session, view.region, organization_id, view.today)
            if row is None:
                return None
            found = _organization(view, row, nested=True)
        return next(iter(_with_services(view, session, [found], full=full)))


def _taxonomy(view: View, given: Parameters, taxonomy_id: UUID) -> Any:
    return view.region.taxonomies.get(str(taxonomy_id))


def _one_term(view: View, given: Parameters, term_id: UUID) -> Any:
    found = view.region.taxonomy_terms.get(str(term_id))
    return None if found is None else queries.detailed_term(view.region, found)


def _area(view: View, given: Parameters, area_id: UUID) -> Any:
    row = view.region.areas.get(area_id)
    if row is None:
        return None
    return {
        "type": "Feature",
        "id": str(area_id),
        "properties": {"name": row.name},
        "geometry": row.geometry,
    }


_ENTRIES = {
    "services": _service,
    "organizations": _one_organization,
    "service_at_locations": _site,
    "taxonomies": _taxonomy,
    "taxonomy_terms": _one_term,
    "areas": _area,
}
