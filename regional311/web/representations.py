"""One resource, several representations: a page for people, JSON for programs, CSV of a table.

A program asks with `Accept: application/json` or `text/csv`; a person follows a link that ends in
`?format=csv`. What is asked for in the address wins.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from pyramid.response import Response
from translationstring import TranslationString

from regional311.database.session import Scope, TenantSession, open_session
from regional311.spreadsheets import defused
from regional311.web.i18n import translated

_CHUNK = 64 * 1024
_OFFERS = ("text/html", "application/json", "text/csv")


def wanted(request: Any) -> str:
    """Return `html`, `json` or `csv`: what this request asks for."""
    try:
        asked = request.GET.get("format", "")
    except UnicodeDecodeError:
        asked = ""  # the answer that says so is asked, too, in which form it is wanted
    if asked in ("csv", "json"):
        return asked
    offers = request.accept.acceptable_offers(_OFFERS)
    return {"application/json": "json", "text/csv": "csv"}.get(
        offers[0][0] if offers else "text/html", "html"
    )


def csv_response(
    request: Any, name: str, columns: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> Response:
    """Return a table as CSV (RFC 4180, UTF-8) under the file name `name`.

    A text that a spreadsheet would take for a formula is defused with an apostrophe.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([_plain(request, each) for each in columns])
    writer.writerows([_plain(request, each) for each in row] for row in rows)
    response = Response(text.getvalue().encode(), content_type="text/csv", charset="utf-8")
    response.content_disposition = f'attachment; filename="{name}"'
    response.vary = ("Accept", "Cookie")
    return response


def csv_stream(
    request: Any, name: str, columns: Sequence[Any], rows: Iterable[Sequence[Any]]
) -> Response:
    """Return a long table as CSV, written while its rows are read; like `csv_response`.

    `rows` are read after the request's transaction has ended: they need a session of their own.
    """

    def lines() -> Iterator[bytes]:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([_plain(request, each) for each in columns])
        for row in rows:
            writer.writerow([_plain(request, each) for each in row])
            if text.tell() > _CHUNK:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
        yield text.getvalue().encode()

    response = Response(app_iter=lines(), content_type="text/csv", charset="utf-8")
    response.content_disposition = f'attachment; filename="{name}"'
    response.vary = ("Accept", "Cookie")
    return response


def csv_of_session(
    request: Any,
    name: str,
    columns: Sequence[Any],
    read: Callable[[TenantSession], Iterable[Sequence[Any]]],
) -> Response:
    """Return what `read` gives from a session of its own, bound as this request's, as a stream."""
    scope = Scope(request.tenant.id, request.identity.person_id)
    engine = request.registry.engine

    def rows() -> Iterator[Sequence[Any]]:
        with open_session(engine, scope) as session:
            yield from read(session)
            session.rollback()

    return csv_stream(request, name, columns, rows())


def exported(
    request: Any,
    form: str,
    name: str,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> Response:
    """Return rows with these columns as JSON, or as CSV under the file name `name`.

    `form` is what `wanted` gave, and is not `html`. A file without rows still has its columns.
    """
    if form == "json":
        return json_response(rows)
    return csv_response(request, name, columns, ([row[each] for each in columns] for row in rows))


def file_response(name: str, content: bytes) -> Response:
    """Return a file that somebody sent, to be saved and never shown: nobody looked into it."""
    response = Response(content, content_type="application/octet-stream")
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    response.content_disposition = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    )
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Cache-Control"] = "no-store"
    return response


def json_response(content: Any) -> Response:
    """Return plain data as JSON: decimals and ids as text, times in ISO 8601."""
    response = Response(json_body=_jsonable(content), content_type="application/json")
    response.vary = ("Accept", "Cookie")
    return response


def _plain(request: Any, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    text = translated(request, value) if isinstance(value, TranslationString) else str(value)
    return defused(text)


def _jsonable(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _jsonable(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_jsonable(each) for each in value]
        case Decimal():
            return f"{value:f}"
        case UUID():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case TranslationString():
            return value.interpolate()
    return value
