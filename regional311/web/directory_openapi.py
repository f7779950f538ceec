"""The directory API described as OpenAPI 3.1, for tools that make clients or try every path."""

from __future__ import annotations

from typing import Any, Final

from regional311.catalog.hsds.shapes import SHAPES, VERSION, Shape
from regional311.web.directory import EVERYTHING, LARGEST_PAGE

_UUID: Final = {"type": "string", "format": "uuid"}
_FLAG: Final = {"type": "boolean", "default": False}
_WORDS: Final = {"type": "string", "maxLength": 200}
PARAMETERS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "search": (_WORDS, "Words to look for."),
    "page": ({"type": "integer", "minimum": 1, "maximum": 10_000_000, "default": 1}, "Page."),
    "per_page": (
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE},
        f"Entries of a page; with minimal up to {EVERYTHING}, and all when it is left out.",
    ),
    "format": (
        {"type": "string", "enum": ["json", "ndjson"], "default": "json"},
        "ndjson gives every entry, one a line, without pages.",
    ),
    "taxonomy_term_id": (_UUID, "Only what has this term."),
    "taxonomy_id": (_UUID, "Only what has a term of this taxonomy."),
    "organization_id": (_UUID, "Only what this organization provides."),
    "modified_after": (
        {"type": "string", "format": "date-time"},
        "Only what changed at this moment or later.",
    ),
    "minimal": (_FLAG, "Only id and last_modified of each."),
    "full": (_FLAG, "Each with everything in it."),
    "full_service": (_FLAG, "Organizations with their services in full."),
    "postcode": (
        {"type": "string", "maxLength": 20},
        "Only what serves this postcode or, with proximity, what is near it.",
    ),
    "proximity": (
        {"type": "number", "exclusiveMinimum": 0, "maximum": 20_037_508},
        "Metres from the middle of the postcode.",
    ),
    "top_only": (_FLAG, "Only terms that are below no other."),
    "parent_id": (_UUID, "Only terms right below this one."),
}
_PAGED: Final = ("search", "page", "per_page", "format")
_BY_TERM: Final = ("taxonomy_term_id", "taxonomy_id")
LISTS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "services": (
        "service",
        (*_PAGED, *_BY_TERM, "organization_id", "modified_after", "minimal", "full"),
        (),
    ),
    "organizations": (
        "organization",
        (*_PAGED, *_BY_TERM, "full", "full_service"),
        ("full_service",),
    ),
    "service_at_locations": (
        "service_at_location",
        (
            *(*_PAGED, *_BY_TERM, "organization_id", "modified_after", "full"),
            *("postcode", "proximity"),
        ),
        (),
    ),
    "taxonomies": ("taxonomy", _PAGED, ()),
    "taxonomy_terms": ("taxonomy_term", (*_PAGED, "taxonomy_id", "top_only", "parent_id"), ()),
}
"""Each list with the shape of its entries, its parameters, and those of a single entry."""


def openapi(url: str, publisher: str) -> dict[str, Any]:
    """Describe the API whose address is `url`."""
    paths: dict[str, Any] = {
        "/": {"get": _read("about", "What this API is.", [], {"type": "object"})},
    }
    for name, (shape, parameters, of_entry) in LISTS.items():
        page = {
            "allOf": [
                {"$ref": "#/components/schemas/Page"},
                {"properties": {"contents": {"type": "array", "items": _ref(shape, partial=True)}}},
            ]
        }
        given = [_parameter(each) for each in parameters]
        paths[f"/{name}"] = {
            "get": _list(f"list_{name}", f"A page of {_spoken(name)}.", given, page),
            "post": _list(f"post_{name}", f"The same read of {_spoken(name)}.", given, page),
        }
        paths[f"/{name}/{{id}}"] = {
            "get": _entry(f"get_{name}", [_parameter(each) for each in of_entry], _ref(shape))
        }
    feature = {"type": "object", "required": ["type", "geometry"]}
    paths["/areas/{id}"] = {"get": _entry("get_area", [], feature)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Directory of services: {publisher}",
            "version": VERSION,
            "description": "Read-only, for everybody, in the Human Services Data Specification.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": {
                "Page": _PAGE,
                "Problem": _PROBLEM,
                **{name: _schema(shape) for name, shape in SHAPES.items()},
                **{
                    f"{name}_entry": _schema(SHAPES[name], partial=True)
                    for name, _, _ in LISTS.values()
                },
            }
        },
    }


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _parameter(name: str) -> dict[str, Any]:
    schema, description = PARAMETERS[name]
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": description,
    }


def _read(
    operation: str, summary: str, parameters: list[Any], schema: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "What was asked for.",
                "content": {"application/json": {"schema": schema}},
            },
            "400": _problem("A parameter has a value that is not allowed."),
        },
    }


def _list(
    operation: str, summary: str, parameters: list[Any], schema: dict[str, Any]
) -> dict[str, Any]:
    found = _read(operation, summary, parameters, schema)
    found["responses"]["200"]["content"]["application/x-ndjson"] = {"schema": {"type": "string"}}
    found["responses"]["503"] = _problem("Too many are reading the whole directory just now.")
    return found


def _entry(operation: str, parameters: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
    own = {"name": "id", "in": "path", "required": True, "schema": _UUID}
    found = _read(operation, "One entry, with everything in it.", [own, *parameters], schema)
    found["responses"]["404"] = _problem("There is no such entry.")
    return found


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def _ref(shape: str, *, partial: bool = False) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{shape}{'_entry' if partial else ''}"}


_TYPES: Final = {
    "number": {"type": "number"},
    "uuid": _UUID,
    "uri": {"type": "string", "format": "uri"},
    "email": {"type": "string", "format": "email"},
    "moment": {"type": "string", "format": "date-time"},
}


def _schema(shape: Shape, *, partial: bool = False) -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: (
            {"type": "string", "enum": list(shape.choices[name])}
            if name in shape.choices
            else _TYPES.get(kind, {"type": "string"})
        )
        for name, kind in shape.fields.items()
    }
    for name, inner in shape.lists.items():
        properties[name] = {"type": "array", "items": _ref(inner)}
    for name, inner in shape.objects.items():
        properties[name] = _ref(inner)
    properties |= {
        column: _UUID
        for column in shape.columns
        if column not in properties and column.endswith("_id")
    }
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    # `minimal` entries have no more than an id and a date
    return found | {"required": ["id"] if partial else sorted(shape.required)}


_PAGE: Final = {
    "type": "object",
    "properties": {
        "total_items": {"type": "integer"},
        "total_pages": {"type": "integer"},
        "page_number": {"type": "integer"},
        "size": {"type": "integer"},
        "first_page": {"type": "boolean"},
        "last_page": {"type": "boolean"},
        "empty": {"type": "boolean"},
        "contents": {"type": "array"},
    },
    "required": ["empty", "contents"],
}
_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
    },
    "required": ["title", "status", "detail"],
}
