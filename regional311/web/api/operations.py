"""The register of operations: what each may be asked, and how a call is answered.

A call is checked in this order: key or session, permission (both by the tree and the views'
security), `Accept`, parameters, body, `Idempotency-Key`, `If-Match`; then it is done. Whatever is
refused changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

import orjson
from pydantic import TypeAdapter, ValidationError
from pyramid.csrf import check_csrf_origin, check_csrf_token
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.view import view_config

from regional311.database.session import TenantSession
from regional311.errors import DomainError, KeyReused
from regional311.identity.clients import Program
from regional311.identity.permissions import Permissions
from regional311.tenancy.once import once
from regional311.web.api.cursors import open_cursor, seal
from regional311.web.api.shapes import Nothing, Paged, Shape
from regional311.web.problems import problem
from regional311.web.programs import JSON, secret_key
from regional311.web.telling import Telling, telling

FORMAT: Final = "format"
"""The parameter that asks for JSON instead of `Accept`; every operation that reads takes it."""

LONGEST_KEY: Final = 200
KEY_PATTERN: Final = "^[!-~]+$"
"""What an `Idempotency-Key` is written in: visible ASCII without blanks."""

_VARY: Final = ("Accept", "Authorization", "Cookie")


@dataclass(frozen=True)
class Operation:
    """One thing that a program can ask or do.

    `path` is below a partner's address. `creates` says that doing it twice would make two: it
    needs an `Idempotency-Key`. `changes` says that it is done to a version: it needs `If-Match`.
    `tagged` says that the answer carries an `ETag`.
    """

    id: str
    summary: str
    description: str
    group: str
    path: str
    method: str
    context: type
    name: str
    permission: Permissions
    query: type[Shape]
    body: type[Shape] | None
    answer: Any
    status: int
    creates: bool
    changes: bool
    tagged: bool
    secret: Callable[[Any, Any, str], Any] | None = field(default=None, compare=False)
    """Makes the answer's secret parts from the call, the rest, and the key of what is done once."""

    @property
    def needs_body(self) -> bool:
        """Whether something must be sent."""
        return self.body is not None and any(
            each.is_required() for each in self.body.model_fields.values()
        )


OPERATIONS: Final[dict[str, Operation]] = {}
"""Every operation by id, in the order in which they are told."""


@dataclass(frozen=True)
class Told:
    """An answer beside its plain content: its version, and what else belongs to the head."""

    content: Any
    version: int | None = None
    headers: Mapping[str, str] | None = None


class Refused(Exception):
    """A call that is refused before anything is tried."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.response = problem(status, title, detail, code=code, errors=errors, headers=headers)


Query = TypeVar("Query", bound=Shape)
Body = TypeVar("Body")


class Call(Generic[Query, Body]):
    """One call: who asks, of what, with which parameters and body, all checked."""

    def __init__(self, operation: Operation, context: Any, request: Any) -> None:
        self.operation = operation
        self.context = context
        self.request = request
        self.query: Any = None
        self.body: Any = None
        self.version = 0
        """The version to which a change is done."""

    @property
    def session(self) -> TenantSession:
        """The database, as this partner sees it."""
        return self.request.dbsession

    @property
    def tell(self) -> Telling:
        """Names and times of what is published."""
        return telling(self.request)

    @property
    def record(self) -> Any:
        """The row that the address names."""
        return self.context.record

    @property
    def here(self) -> str:
        """The partner's address."""
        return f"{self.request.registry.configured.url.rstrip('/')}/{self.request.tenant.slug}"

    @property
    def cleared(self) -> bool:
        """Whether who asks may see what is confidential."""
        return bool(self.request.identity.cleared(self.request.tenant.id))

    def may(self, permission: Permissions) -> bool:
        """Whether who asks may do this, too."""
        return bool(self.request.has_permission(permission))

    def after(self) -> str | None:
        """Return where the list goes on; None at its beginning. Raises `BadCursor`."""
        sent = self.query.after
        if sent is None:
            return None
        return open_cursor(self._secret, self._walk, sent)

    def page(self, items: Sequence[Any], after: str | None) -> dict[str, Any]:
        """Return a page whose next one begins after this place."""
        following = None if after is None else seal(self._secret, self._walk, after)
        return {"items": items, "next": following}

    def part(self, items: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
        """Return a page of a list that is there whole; `key` names what tells one from others.

        What a cursor stands for may be gone by then: the walk begins anew.
        """
        after, limit = self.after(), self.query.limit
        keys = [str(each[key]) for each in items]
        begin = keys.index(after) + 1 if after in keys else 0
        shown = items[begin : begin + limit]
        more = begin + limit < len(items)
        return self.page(shown, str(shown[-1][key]) if more else None)

    @property
    def _secret(self) -> str:
        return str(self.request.registry.configured.secret)

    @property
    def _walk(self) -> str:
        asked = self.query.model_dump(mode="json", exclude={"after", "limit"})
        return f"{self.request.path}?{orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()}"


def operation(
    *,
    group: str,
    path: str,
    context: type,
    permission: Permissions,
    answer: Any,
    method: str = "GET",
    name: str = "",
    query: type[Shape] = Nothing,
    body: type[Shape] | None = None,
    status: int = 200,
    creates: bool = False,
    changes: bool = False,
    tagged: bool = False,
    secret: Callable[[Any, Any, str], Any] | None = None,
) -> Callable[[Any], Any]:
    """Register a function `(call) -> answer` as an operation, and as the view that does it.

    ``secret`` makes what of an answer is for who asked only, such as a link that opens something:
    it is made again when the call comes again, and stored nowhere.

    The function's name in camel case is the operation's id; the first line of its docstring is
    what people read in lists, the rest explains.
    """

    def register(function: Callable[[Call[Any, Any]], Any]) -> Any:
        first, _blank, more = (function.__doc__ or "").strip().partition("\n")
        words = function.__name__.strip("_").split("_")
        known = Operation(
            id=words[0] + "".join(each.title() for each in words[1:]),
            summary=first,
            description=" ".join(more.split()),
            group=group,
            path=path,
            method=method,
            context=context,
            name=name,
            permission=permission,
            query=query,
            body=body,
            answer=answer,
            status=status,
            creates=creates,
            changes=changes,
            tagged=tagged or changes,
            secret=secret,
        )
        if known.id in OPERATIONS and OPERATIONS[known.id] != known:
            raise ValueError(known.id)
        OPERATIONS[known.id] = known

        def view(context: Any, request: Any) -> Response:
            return _answered(known, function, context, request)

        view.__name__, view.__doc__ = function.__name__, function.__doc__
        view.__qualname__, view.__module__ = function.__qualname__, function.__module__
        view.operation = known  # type: ignore[attr-defined]
        return view_config(
            context=context,
            name=name,
            permission=permission,
            request_method=method,
            api=True,
            require_csrf=False,  # a key is no cookie; a session's secret is asked for below
            _depth=1,  # it belongs to the module of the function
        )(view)

    return register


# --- a call ---------------------------------------------------------------------------------------


def _answered(
    operation: Operation, function: Callable[[Call[Any, Any]], Any], context: Any, request: Any
) -> Response:
    request.operation = operation
    call: Call[Any, Any] = Call(operation, context, request)
    try:
        _check_secret(request)
        _check_accept(request)
        call.query = _query(operation, request)
        call.body = _body(operation, request)
        key = _idempotency_key(operation, request)
        _check_version_said(operation, request)
        if key is None:
            told = _done(call, function)
            if isinstance(told.content, Response):
                return told.content
            return _response(call, _plain(operation, told))
        return _once(call, function, key)
    except Refused as error:
        return error.response


def _check_secret(request: Any) -> None:
    if request.method in ("GET", "HEAD") or isinstance(request.identity, Program):
        return
    check_csrf_origin(request)
    check_csrf_token(request, header="X-CSRF-Token")


def _check_accept(request: Any) -> None:
    asked = request.headers.get("Accept")
    if not asked or request.GET.get(FORMAT) == "json":
        return
    if not request.accept.acceptable_offers([JSON]):
        raise Refused(
            406,
            "Only JSON is answered here",
            f"Send Accept: {JSON}.",
            errors=[{"header": "Accept", "detail": f"Must allow {JSON}."}],
        )


def _query(operation: Operation, request: Any) -> Shape:
    sent: dict[str, str] = {}
    for name, value in request.GET.items():
        if name == FORMAT and operation.method == "GET":
            if value != "json":
                raise _unfit([{"parameter": FORMAT, "detail": "Must be json."}])
            continue
        if name in sent:
            raise _unfit([{"parameter": name[:100], "detail": "Is given twice."}])
        sent[name] = value
    try:
        return operation.query.model_validate(sent)
    except ValidationError as error:
        raise _unfit(
            [
                {"parameter": str((*each["loc"], "")[0])[:100], "detail": _said(each)}
                for each in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def _body(operation: Operation, request: Any) -> Shape | None:
    if operation.method == "GET":
        return None
    sent = request.body
    if sent and request.content_type != JSON:
        raise Refused(
            415,
            "Only JSON is taken here",
            f"Send the body as {JSON}.",
            errors=[{"header": "Content-Type", "detail": f"Must be {JSON}."}],
            headers={"Accept": JSON},
        )
    try:
        return (operation.body or Nothing).model_validate_json(sent or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        if any(each["type"] == "json_invalid" for each in found):
            raise Refused(
                400, "This is no JSON", "The body must be one JSON object in UTF-8.", code="NoJson"
            ) from None
        raise _unfit(
            [{"pointer": _pointer(each["loc"]), "detail": _said(each)} for each in found]
        ) from None


def _pointer(place: Sequence[Any]) -> str:
    """Return where in a body something is, as RFC 6901 writes it in the part of an address."""
    parts = (str(each).replace("~", "~0").replace("/", "~1")[:100] for each in place)
    return "#" + "".join(f"/{each}" for each in parts)


_WORDS: Final = {
    "missing": "Is missing.",
    "extra_forbidden": "Is not known here.",
}


def _said(error: Any) -> str:
    return _WORDS.get(error["type"], f"{error['msg']}.")


def _unfit(errors: Sequence[Mapping[str, str]]) -> Refused:
    first = errors[0]
    where = first.get("parameter") or first.get("pointer") or first.get("header") or ""
    more = f" {len(errors) - 1} more are wrong, too." if len(errors) > 1 else ""
    return Refused(
        422,
        "Something sent is not as it must be",
        f"{where}: {first['detail']}{more} Nothing was changed.",
        code="InvalidInput",
        errors=errors,
    )


def _idempotency_key(operation: Operation, request: Any) -> str | None:
    if operation.method != "POST":
        return None
    sent = request.headers.get("Idempotency-Key", "").strip()
    fault = None
    if not sent and operation.creates:
        fault = "Is missing: it keeps a call that is sent again from being done twice."
    elif not sent and "Idempotency-Key" in request.headers:
        fault = "Is empty."
    elif len(sent) > LONGEST_KEY or (sent and re.fullmatch(KEY_PATTERN, sent) is None):
        fault = f"Must be at most {LONGEST_KEY} visible characters of ASCII, without blanks."
    if fault is not None:
        raise Refused(
            400,
            "Say which call this is",
            f"Idempotency-Key: {fault}",
            code="IdempotencyKey",
            errors=[{"header": "Idempotency-Key", "detail": fault}],
        )
    return sent or None


def _check_version_said(operation: Operation, request: Any) -> None:
    if operation.changes and not request.headers.get("If-Match", "").strip():
        raise Refused(
            428,
            "Say which version",
            "Send the ETag of the version that you saw as If-Match.",
            code="VersionMissing",
            errors=[{"header": "If-Match", "detail": "Is missing."}],
        )


def _done(call: Call[Any, Any], function: Callable[[Call[Any, Any]], Any]) -> Told:
    """Do what is asked, at the version that the caller saw."""
    if call.operation.changes:
        call.version = _seen_version(call)
    found = function(call)
    return found if isinstance(found, Told) else Told(found)


def _seen_version(call: Call[Any, Any]) -> int:
    """Return the version of `If-Match` when it is the current one. Raises `Refused`: 412."""
    current: int | None = getattr(call.record, "version", None)
    if current is None:
        raise HTTPNotFound
    sent = call.request.headers["If-Match"].strip()
    if sent == "*" or current in {_version(each) for each in sent.split(",")}:
        return current
    raise Refused(
        412,
        "Somebody else saved first",
        f"The current version is {current}. Read it again, then decide again.",
        code="Stale",
        errors=[{"header": "If-Match", "detail": f"The current version is {current}."}],
        headers={"ETag": f'"{current}"'},
    )


def _version(tag: str) -> int | None:
    """Return the version in a strong tag: `"7"` or `"7-3f2a..."`."""
    number, _dash, _digest = tag.strip().strip('"').partition("-")
    whole = tag.strip().startswith('"') and number.isascii() and number.isdecimal()
    return int(number) if whole and len(number) < 12 else None


def _once(call: Call[Any, Any], function: Callable[[Call[Any, Any]], Any], key: str) -> Response:
    """Do it the first time that its key comes.

    The key is kept as a keyed digest, and what is secret in an answer not at all: it is made again
    from the call.
    """
    fresh = []

    def do() -> dict[str, Any]:
        told = _plain(call.operation, _done(call, function))
        fresh.append(told)
        return asdict(told)

    request = call.request
    key = secret_key(request, request.identity.person_id, key)
    body = call.body.model_dump(mode="json") if call.body is not None else None
    content = {"operation": call.operation.id, "path": request.path, "body": body}
    try:
        kept = once(call.session, f"call:{key}", content, do)
    except KeyReused:
        raise Refused(
            422,
            "This key came with another call",
            "The same Idempotency-Key came before with another address or body.",
            code="KeyReused",
            errors=[{"header": "Idempotency-Key", "detail": "Was used for another call."}],
        ) from None
    if call.operation.secret is not None:
        kept["content"] = {**kept["content"], **call.operation.secret(call, kept["content"], key)}
    return _response(call, Told(**kept), replayed=not fresh)


def _plain(operation: Operation, told: Told) -> Told:
    """Check an answer against its shape, and give it as it is written."""
    adapter = _ADAPTERS.get(operation.id)
    if adapter is None:
        adapter = _ADAPTERS[operation.id] = TypeAdapter(operation.answer)
    checked = adapter.validate_python(told.content)
    return replace(told, content=adapter.dump_python(checked, mode="json"))


_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {}


def _response(call: Call[Any, Any], told: Told, *, replayed: bool = False) -> Response:
    operation, request = call.operation, call.request
    body = orjson.dumps(told.content)
    answer = Response(body, status=operation.status, content_type=JSON, charset=None)
    answer.vary = _VARY
    answer.headers.update(told.headers or {})
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    if operation.tagged:
        tag = hashlib.sha256(body).hexdigest()[:12]
        if told.version is not None:
            tag = str(told.version) if operation.changes else f"{told.version}-{tag}"
        answer.etag = (tag, True)
        answer.headers["Cache-Control"] = "private, no-cache"
        if request.method in ("GET", "HEAD") and tag in request.if_none_match:
            answer.status_int = 304
            answer.body = b""
            del answer.headers["Content-Type"]
    if issubclass(operation.query, Paged) and told.content["next"]:
        asked = {**dict(request.GET.items()), "after": told.content["next"]}
        answer.headers["Link"] = f'<{request.path_url}?{urlencode(asked)}>; rel="next"'
    return answer


def refusal_of(error: DomainError) -> list[dict[str, str]]:
    """Name the field of what was sent that a broken rule is about."""
    if not error.field:
        return []
    return [{"pointer": _pointer(error.field.split("/")), "detail": error.message}]
