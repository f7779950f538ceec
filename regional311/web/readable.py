"""What no record can keep is refused at the edge: NUL, half of a surrogate pair, what is no UTF-8.

PostgreSQL has no text with a NUL, and UTF-8 none with a lone surrogate. They come only from broken
or hostile programs. Every address, parameter, form and JSON body is looked at once, before anything
else, so that no view has to think of it. What is in an uploaded file is its reader's business. A
name that a JSON object has twice is refused, too: two readers would take two different values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.tweens import EXCVIEW, MAIN

from regional311.errors import InvalidInput
from regional311.web.i18n import _

FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
WITH_BODY: Final = ("POST", "PUT", "PATCH")
INSTEAD: Final = "\ufffd"
"""What a reader of forms puts for bytes that are no UTF-8."""


class Unreadable(InvalidInput):
    """A text has a character that no record can keep; `field` says where."""


def keepable(text: str) -> bool:
    r"""Whether a text can be kept.

    >>> keepable("Ñandú 🚲"), keepable("a\0b"), keepable("\ud83d")
    (True, False, False)
    """
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unkeepable(value: Any, path: str = "") -> str | None:
    r"""Give where in plain data the first text stands that cannot be kept, or nothing.

    >>> unkeepable({"entry": [{"id": "1"}, {"note": "a\0"}]})
    'entry[1].note'
    """
    waiting: list[tuple[str, Any]] = [(path, value)]
    while waiting:
        where, found = waiting.pop()
        if isinstance(found, str):
            if not keepable(found):
                return where
        elif isinstance(found, dict | list):
            parts = _parts(found, where)
            wrong = next((inside for inside, _each, name in parts if not keepable(name)), None)
            if wrong is not None:
                return wrong
            waiting.extend((inside, each) for inside, each, _name in reversed(parts))
    return None


def _parts(found: Any, where: str) -> list[tuple[str, Any, str]]:
    if isinstance(found, list):
        return [(f"{where}[{place}]", each, "") for place, each in enumerate(found)]
    before = f"{where}." if where else ""
    return [(f"{before}{name}", each, name) for name, each in found.items()]


def readable_factory(handler: Any, _registry: Any) -> Any:
    """Refuse a request with text that cannot be kept: one 400 that names the field."""

    def readable(request: Any) -> Any:
        for name, text in _texts(request):
            if not keepable(text):
                raise _refused(name)
        if request.method in WITH_BODY and request.content_type not in FORMS:
            where = _in_body(request)
            if where is not None:
                raise _refused(where)
        return handler(request)

    return readable


def _texts(request: Any) -> Iterator[tuple[str, str]]:
    yield "address", request.path_info
    for name, value in request.GET.items():
        yield name, name
        yield name, value
    if request.method not in WITH_BODY or request.content_type not in FORMS:
        return
    try:
        sent = request.POST
    except UnicodeDecodeError:
        raise
    except (ValueError, DeprecationWarning):  # the latter for what says that it is no UTF-8
        raise HTTPBadRequest(_("The form cannot be read. Nothing was saved.")) from None
    for name, value in sent.items():
        if name is None or value is None:
            raise HTTPBadRequest(_("The form cannot be read. Nothing was saved."))
        said = value if isinstance(value, str) else str(getattr(value, "filename", ""))
        if INSTEAD in f"{name}{said}" and not _sent_so(request):
            raise _refused(name)
        yield name, name
        yield name, said


def _sent_so(request: Any) -> bool:
    """Whether the mark for what could not be read was sent itself, as somebody may have copied."""
    mark: bytes = INSTEAD.encode()
    body: bytes = request.body
    return mark in body or mark in unquote_to_bytes(body)


def _in_body(request: Any) -> str | None:
    """Where the body, if it is JSON, has such a text; whatever reads it says when it is none."""
    try:
        sent = json.loads(request.body, object_pairs_hook=_object)
    except _Twice as error:
        raise InvalidInput(
            _("“${field}” is there twice. Nothing was saved.", mapping={"field": error.name}),
            field=error.name,
        ) from None
    except (ValueError, RecursionError):
        return None
    return unkeepable(sent)


class _Twice(Exception):
    """A JSON object that has a name twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name.encode("utf-8", "replace").decode().replace("\0", "?")[:100]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


def _refused(name: str) -> Unreadable:
    shown = name.encode("utf-8", "replace").decode().replace("\0", "?")[:100]
    return Unreadable(
        _(
            "“${field}” has a character that no text has, such as NUL. Nothing was saved.",
            mapping={"field": shown or "body"},
        ),
        field=shown,
    )


def includeme(config: Any) -> None:
    config.add_tween("regional311.web.readable.readable_factory", under=EXCVIEW, over=MAIN)
