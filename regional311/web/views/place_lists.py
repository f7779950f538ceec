"""Lists of known places: which there are, and taking a file in after seeing what it changes."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any, Final

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import DomainError
from regional311.gazetteer.lists import ListRefused, read
from regional311.gazetteer.queries import sources
from regional311.gazetteer.service import BrokenRows, Report, end_list, source_of, take_list
from regional311.identity.permissions import Permissions as P
from regional311.web.forms import start_over
from regional311.web.i18n import _, translated
from regional311.web.telling import telling
from regional311.web.tree import Settings

MOST_BYTES: Final = 2_000_000
"""Of a file that is sent by the page; a larger one is for the command."""
HEAD: Final = ("key", "name", "licence", "website")


@view_config(
    context=Settings,
    name="places",
    permission=P.SETTINGS_EDIT,
    request_method="GET",
    renderer="settings/places.jinja2",
)
def lists(context: Settings, request: Any) -> dict[str, Any]:
    """The partner's lists, and where a file is chosen."""
    return _page(request, {})


@view_config(
    context=Settings,
    name="places",
    permission=P.SETTINGS_EDIT,
    request_method="POST",
    renderer="settings/places.jinja2",
)
def take(context: Settings, request: Any) -> Any:
    """Say what a file would change, or, when that was seen, change it; or end a list."""
    if "end" in request.POST:
        end_list(request.dbsession, str(request.POST["end"])[:200], now=request.now)
        request.flash("success", _("Ended. Words find its places no more."))
        return HTTPSeeOther(location=_url(request))
    given = {name: str(request.POST.get(name, "")).strip()[:4000] for name in HEAD}
    try:
        name, content = _sent(request)
        report = take_list(
            request.dbsession,
            source_of(request.dbsession, given["key"], **{n: given[n] for n in HEAD[1:]}),
            read(io.BytesIO(content), name),
            now=request.now,
            dry_run="take" not in request.POST,
            skip_broken=request.POST.get("take") == "sound",
        )
    except BrokenRows:
        raise HTTPBadRequest from None
    except DomainError as error:
        start_over(request)
        request.response.status_int = 400
        return _page(request, given, problem=error.message)
    if report.applied:
        request.flash("success", _("Taken in: ${name}.", mapping={"name": name}))
        return HTTPSeeOther(location=_url(request))
    return _page(request, given | {"file_name": name}, report=report, content=content)


def _sent(request: Any) -> tuple[str, bytes]:
    """The file that is sent now, or was sent when its changes were shown."""
    if "sent" in request.POST:
        try:
            content = base64.b64decode(str(request.POST["sent"]), validate=True)
        except (binascii.Error, ValueError):
            raise HTTPBadRequest from None
        return str(request.POST.get("file_name", ""))[:200], content
    file = request.POST.get("file")
    if not hasattr(file, "file"):
        raise ListRefused(translated(request, _("Choose a file.")), field="file")
    with file.file as opened:
        found: bytes = opened.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise ListRefused(
            f"The file is larger than {MOST_BYTES:,} bytes; take it in with the command "
            "regional311 places import.",
            field="file",
        )
    return str(file.filename)[-200:], found


def _url(request: Any) -> str:
    return f"/{request.tenant.slug}/settings/places"


def _page(
    request: Any,
    given: Mapping[str, str],
    *,
    problem: Any = None,
    report: Report | None = None,
    content: bytes = b"",
) -> dict[str, Any]:
    tell = telling(request)
    return {
        "url": _url(request),
        "settings_url": f"/{request.tenant.slug}/settings",
        "lists": [
            {
                "key": each.key,
                "name": each.name,
                "licence": each.licence,
                "website": each.website,
                "places": each.places,
                "when": tell.when(each.imported_at),
            }
            for each in sources(request.dbsession, request.tenant.id)
        ],
        "given": given,
        "problem": problem,
        "report": None if report is None else _shown(report),
        "sent": base64.b64encode(content).decode(),
        "most": MOST_BYTES // 1_000_000,
    }


def _shown(report: Report) -> dict[str, Any]:
    return {
        "counts": [
            (_("New"), report.new),
            (_("Gone"), report.gone),
            (_("As before"), report.same),
            (_("Named twice"), report.twice),
            (_("Broken"), report.broken),
        ],
        "broken": report.problems,
        "more": report.broken - len(report.problems),
        "changes": bool(report.new or report.gone),
        "names": bool(report.new or report.same),
        "sound": not report.broken,
    }
