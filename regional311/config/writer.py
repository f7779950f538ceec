"""Write a configuration file from its model: the same model gives the same text, to the byte.

Keys come in the schema's order, a value equal to its default is left out, money stays text. What is
written reads back as the same model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from regional311.strict import Model

LINE_LENGTH = 100
_BARE = re.compile(r"[A-Za-z0-9_-]+")
DATES = ("valid_from", "valid_to")
"""Written after everything else of their table."""


def toml_text(model: Model) -> str:
    """Return the file's text; it ends with a line break and has no comments."""
    return "\n".join(_table(model, "", top=True)).strip("\n") + "\n"


def _table(model: Model, path: str, *, top: bool = False) -> Iterator[str]:
    below: list[tuple[str, Any]] = []
    for name, value in _said(model):
        if isinstance(value, Model):
            if top:
                below.append((name, value))
            else:
                yield from _dotted(name, value)
        elif isinstance(value, Mapping) or (
            isinstance(value, tuple) and value and isinstance(value[0], Model)
        ):
            below.append((name, value))
        else:
            yield from _pair(name, value)
    for name, value in below:
        inner = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield f"[{inner}]"
            for key in sorted(value):
                yield from _pair(key if _BARE.fullmatch(key) else json.dumps(key), value[key])
            continue
        for item in value if isinstance(value, tuple) else (value,):
            yield ""
            yield f"[[{inner}]]" if isinstance(value, tuple) else f"[{inner}]"
            yield from _table(item, inner)


def _said(model: Model) -> Iterator[tuple[str, Any]]:
    fields = type(model).model_fields
    for name in sorted(fields, key=lambda each: each in DATES):
        info = fields[name]
        value = getattr(model, name)
        if value is None or (not info.is_required() and value == info.default):
            continue
        yield name, value


def _dotted(prefix: str, model: Model) -> Iterator[str]:
    for name, value in _said(model):
        yield from _pair(f"{prefix}.{name}", value)


def _pair(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, tuple):
        items = [_scalar(item) for item in value]
        line = f"{name} = [{', '.join(items)}]"
        if len(line) <= LINE_LENGTH:
            yield line
            return
        yield f"{name} = ["
        yield from _wrapped(items)
        yield "]"
        return
    yield f"{name} = {_scalar(value)}"


def _wrapped(items: list[str]) -> Iterator[str]:
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > LINE_LENGTH and line.strip():
            yield line
            line = "   "
        line += f" {item},"
    yield line


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f'"{value:f}"'
    return _text(str(value))


def _text(value: str) -> str:
    """Write text on one line, or as it stands when it has several."""
    line = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if "\n" not in value.strip("\n"):
        return line
    plain = line[1:-1].replace("\\\\", "\0").replace("\\n", "\n").replace('\\"', '"')
    lines = plain.replace('""', '"\\"').replace("\0", "\\\\")
    if lines.endswith('"') and not lines.endswith('\\"'):
        lines = f'{lines[:-1]}\\"'
    return f'"""\n{lines}"""'
