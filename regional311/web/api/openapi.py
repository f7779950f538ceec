"""The register of operations as an OpenAPI 3.1 document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from regional311 import __version__
from regional311.identity.clients import CONFIDENTIAL, SCOPES
from regional311.web.api.operations import FORMAT, KEY_PATTERN, LONGEST_KEY, OPERATIONS, Operation
from regional311.web.problems import PROBLEM
from regional311.web.programs import JSON

_REF: Final = "#/components/schemas/{model}"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_PATHS: Final[Mapping[str, Mapping[str, Any]]] = {
    "partner": {
        "description": "Slug of a partner, such as city-of-portland.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,99}$"},
    },
    "number": {
        "description": "A public number, such as R-7K3M9-QP4TX.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 40},
    },
    "key": {
        "description": "A configured key.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,99}$"},
    },
}
_PROBLEMS: Final[Mapping[int, str]] = {
    400: "Not readable: no JSON, or a header that is missing.",
    401: "No key, or one that is not good here.",
    403: "The key is not good for this.",
    404: "Nothing is there for you.",
    406: "Only JSON is answered.",
    409: "Not possible as it is now.",
    412: "Somebody else changed it since.",
    413: "The body is too large.",
    415: "Only JSON is taken.",
    422: "Something sent is not as it must be; `errors` name each.",
    428: "If-Match is missing.",
    429: "More calls this minute than agreed.",
    503: "The records cannot be reached right now.",
}
PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "The broken rule's stable name."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "additionalProperties": False,
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "Where in the body, as a JSON pointer (RFC 6901).",
                    },
                    "parameter": {"type": "string"},
                    "header": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
INTRODUCTION: Final = """\
The same resources as the pages, at the same addresses, as JSON: requests, referrals, contacts,
services, lines and statements of one partner. The directory of services of the whole region is
public, at /hsds (HSDS 3.2.3, with a document of its own); Open311 is at /open311/v2.

Send the key of a partner's program as `Authorization: Bearer`. What a key is good for is named as
the permission that a person needs for the same. Lists are walked by `after`: take `next` of one
page to the next. What is read carries an `ETag`; a change names it in `If-Match`. A call that
makes something carries an `Idempotency-Key` of your own: the same key again gives the same answer.
Errors are problem+json (RFC 9457).
"""


def statuses(operation: Operation) -> list[int]:
    """Return the refusals that an operation can answer with."""
    found = {400, 401, 403, 404, 406, 422, 429, 503}
    if operation.method == "POST":
        found |= {409, 413, 415}
    if operation.changes:
        found |= {412, 428}
    return sorted(found)


@cache
def document(url: str) -> dict[str, Any]:
    """Describe the API at this site's address."""
    paths: dict[str, Any] = {}
    for each in OPERATIONS.values():
        path = paths.setdefault("/{partner}" + each.path, {})
        if "parameters" not in path:
            names = _IN_PATH.findall("/{partner}" + each.path)
            path["parameters"] = [
                {"name": name, "in": "path", "required": True, **_PATHS[name]} for name in names
            ]
        path[each.method.lower()] = _described(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Regional311",
            "version": __version__,
            "summary": "One region, many partners: requests, referrals and contacts for programs.",
            "description": INTRODUCTION,
        },
        "servers": [{"url": url}],
        "tags": [{"name": name} for name in dict.fromkeys(e.group for e in OPERATIONS.values())],
        "security": [{"key": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {**_schemas(), "Problem": dict(PROBLEM_SCHEMA)},
            "responses": {
                _name(status): {
                    "description": words,
                    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
                    **_headers(status),
                }
                for status, words in _PROBLEMS.items()
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key of a program. Keys are good for one partner, and for: "
                    + ", ".join(each for each in SCOPES if each.partition(":")[0] not in _OTHERS)
                    + f". {CONFIDENTIAL} adds what is confidential.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-session" if url.startswith("https:") else "session",
                    "description": "A signed-in person; a change also sends X-CSRF-Token.",
                },
            },
        },
        "externalDocs": {
            "description": "The directory of services (HSDS)",
            "url": f"{url}/hsds/openapi.json",
        },
    }


_OTHERS: Final = frozenset({"open311", "911"})


def _name(status: int) -> str:
    return f"Refused{status}"


_RETRY: Final = {
    "Retry-After": {
        "required": True,
        "description": "Seconds until it is worth another try.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_TAG: Final = {"type": "string", "pattern": '^"[0-9a-f-]+"$'}
_HEADERS: Final[Mapping[int, Mapping[str, Any]]] = {
    401: {
        "WWW-Authenticate": {
            "required": True,
            "description": "How a key is sent.",
            "schema": {"type": "string", "pattern": "^Bearer "},
        }
    },
    412: {"ETag": {"required": True, "description": "The current version.", "schema": _TAG}},
    429: _RETRY,
    503: _RETRY,
}
"""What belongs to the head of a refusal."""


def _headers(status: int) -> dict[str, Any]:
    return {"headers": _HEADERS[status]} if status in _HEADERS else {}


def _described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.group],
        "summary": operation.summary,
        "description": f"{operation.description} Needs `{operation.permission}`.".strip(),
        "parameters": [*_asked(operation), *_sent(operation)],
        "responses": {
            str(operation.status): _answered(operation),
            **(
                {"304": {"description": "It is still what If-None-Match says."}}
                if operation.tagged and operation.method == "GET"
                else {}
            ),
            **{
                str(status): {"$ref": f"#/components/responses/{_name(status)}"}
                for status in statuses(operation)
            },
        },
    }
    if operation.body is not None:
        found["requestBody"] = {
            "required": operation.needs_body,
            "content": {JSON: {"schema": _of(operation.body)}},
        }
    return found


def _asked(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.query.model_json_schema()
    required = schema.get("required", ())
    found = []
    for name, each in schema.get("properties", {}).items():
        words = each.pop("description", None)
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                **({"description": words} if words else {}),
                "schema": _without_null(each),
            }
        )
    if operation.method == "GET":
        found.append(
            {
                "name": FORMAT,
                "in": "query",
                "required": False,
                "description": "Instead of Accept: application/json.",
                "schema": {"type": "string", "enum": ["json"]},
            }
        )
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An address has no null: what may be null may be left out."""
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "default")}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    several = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(several) == 1:
        return kept | several[0]
    return kept | ({"anyOf": several} if several else {})


def _sent(operation: Operation) -> list[dict[str, Any]]:
    found = []
    if operation.method == "POST":
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": operation.creates,
                "description": "Yours: the same key with the same call gives the same answer.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": LONGEST_KEY,
                    "pattern": KEY_PATTERN,
                },
            }
        )
    if operation.changes:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": True,
                "description": "The ETag that you saw.",
                "schema": {"type": "string"},
            }
        )
    elif operation.tagged:
        found.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "The ETag that you have: unchanged is 304, without a body.",
                "schema": {"type": "string"},
            }
        )
    return found


def _answered(operation: Operation) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if operation.tagged:
        headers["ETag"] = {"required": True, "description": "The version.", "schema": _TAG}
    if "after" in operation.query.model_fields:
        headers["Link"] = {
            "description": "The next page; left out on the last.",
            "schema": {"type": "string", "pattern": '^<https?://.+>; rel="next"$'},
        }
    if operation.method == "POST":
        headers["Idempotent-Replayed"] = {
            "description": "The first answer to this Idempotency-Key, given again.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    links = _links(operation)
    return {
        "description": "Done." if operation.method == "POST" else "As it is.",
        **({"headers": headers} if headers else {}),
        "content": {JSON: {"schema": _of(operation.answer, "serialization")}},
        **({"links": links} if links else {}),
    }


_MADE: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "fileRequest": (("/request", "readRequest"), ("/contact", "readContact")),
    "logContact": (("/number", "readContact"),),
    "listRequests": (("/items/0/number", "readRequest"),),
    "listContacts": (("/items/0/number", "readContact"),),
    "listReferrals": (("/items/0/number", "readReferral"),),
}
"""Where an answer names what another operation reads: operation, place in the answer, reader."""


def _links(operation: Operation) -> dict[str, Any]:
    """Say what can be read next, and what a list goes on with."""
    found: dict[str, Any] = {
        reader: {
            "operationId": reader,
            "parameters": {
                "partner": "$request.path.partner",
                "number": f"$response.body#{place}",
            },
        }
        for place, reader in _MADE.get(operation.id, ())
    }
    if "after" in operation.query.model_fields:
        names = _IN_PATH.findall("/{partner}" + operation.path)
        found["next"] = {
            "operationId": operation.id,
            "description": "The next page, with the same filters.",
            "parameters": {
                **{name: f"$request.path.{name}" for name in names},
                "after": "$response.body#/next",
            },
        }
    return found


def _of(shape: Any, mode: Any = "validation") -> dict[str, Any]:
    """Refer to a shape; what it is made of is among the components."""
    schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode=mode)
    schema.pop("$defs", None)
    if schema.get("type") == "object" and "title" in schema:
        return {"$ref": _REF.format(model=_model_name(shape))}
    return schema


def _model_name(shape: Any) -> str:
    return re.sub(r"\W+", "_", shape.__name__).strip("_")


def _schemas() -> dict[str, Any]:
    """Every shape that is sent or answered, by name."""
    found: dict[str, Any] = {}
    for each in OPERATIONS.values():
        for shape, mode in ((each.body, "validation"), (each.answer, "serialization")):
            if shape is None:
                continue
            schema = TypeAdapter(shape).json_schema(ref_template=_REF, mode=mode)  # type: ignore[arg-type]
            found |= schema.pop("$defs", {})
            if schema.get("type") == "object" and "title" in schema:
                found[_model_name(shape)] = schema
    return found
