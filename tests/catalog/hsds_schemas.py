"""The specification's own schemas, when they are there; strictly: no key that they do not name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DATA = Path(__file__).resolve().parents[3] / "shared/data/211"
SPECIFICATION = DATA / "hsds-3.2.3"
EXAMPLES = SPECIFICATION / "examples"
ILLINOIS = DATA / "ilao-hsds-1.1"
needs_data = pytest.mark.skipif(
    not SPECIFICATION.is_dir(),
    reason="the specification's files are not at ../shared/data/211 beside the project",
)
NESTED = {"organization": ("services", "service"), "service_at_location": ("service", "service")}
"""What the specification's full examples nest though its plain schemas do not name it."""


def _schemas() -> dict[str, Any]:
    found = {}
    for path in (SPECIFICATION / "schemas").glob("*.json"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        if path.stem == "openapi":
            continue
        schema["additionalProperties"] = False
        if path.stem in NESTED:
            name, inner = NESTED[path.stem]
            ref = {"$ref": f"{inner}.json"}
            schema["properties"][name] = (
                {"type": "array", "items": ref} if name == "services" else ref
            )
        found[path.name] = schema
    return found


def validator(kind: str) -> Draft202012Validator:
    schemas = _schemas()
    registry = Registry().with_resources(
        (name, Resource(contents=schema, specification=DRAFT202012))
        for name, schema in schemas.items()
    )
    return Draft202012Validator(
        schemas[f"{kind}.json"], registry=registry, format_checker=FormatChecker()
    )


def faults(kind: str, document: Any) -> list[str]:
    """Everything that is wrong with a document, nulls and empty lists too."""
    wrong = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in validator(kind).iter_errors(document)
    ]
    return wrong + list(_hollow(document, ""))


def _hollow(value: Any, path: str):
    if value is None or value in ([], {}):
        yield f"{path}: {value!r}"
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _hollow(each, f"{path}.{name}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _hollow(each, f"{path}[{place}]")
