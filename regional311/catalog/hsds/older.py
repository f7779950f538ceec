"""Packages of HSDS 1 and 2 as tables of HSDS 3: columns renamed, tables merged, nothing dropped.

Source: the tabular packages of HSDS 1.1 and 2.0, and the specification's list of changes to 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from regional311.catalog.hsds.faults import Fault, LeftOut
from regional311.catalog.hsds.reading import Files, Row
from regional311.catalog.hsds.shapes import WEEKDAYS
from regional311.catalog.hsds.values import clock

_DAYS: Final = {
    **{code.casefold(): code for code in WEEKDAYS},
    **{str(number): code for number, code in enumerate(WEEKDAYS, 1)},
    **dict(
        zip(
            ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
            WEEKDAYS,
            strict=True,
        )
    ),
    **dict(zip(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), WEEKDAYS, strict=True)),
    "0": "SU",
}
_RENAMED: Final[dict[str, dict[str, str]]] = {
    "organization": {"url": "website"},
    "service_area": {"service_area": "name"},
    "language": {"language": "name"},
    "accessibility": {"accessibility": "description"},
    "required_document": {"required_document": "document"},
    "taxonomy_term": {"term": "name", "vocabulary": "taxonomy"},
}
"""Columns that have another name in HSDS 3."""

_TABLES: Final = frozenset(
    {
        *("physical_address", "postal_address", "regular_schedule", "holiday_schedule"),
        *("service_taxonomy", "service_attribute", "other_attribute", "eligibility"),
        "payment_accepted",
    }
)


def is_older(files: Files) -> bool:
    """Whether the tables are those of HSDS 1 or 2."""
    columns = {
        table: {column for row in rows[:50] for column in row.values}
        for table, rows in files.tables.items()
    }
    return (
        bool(_TABLES & files.tables.keys())
        or "vocabulary" in columns.get("taxonomy", ())
        or any(
            set(names) & columns.get(table, set())
            for table, names in _RENAMED.items()
            if table != "organization"
        )
        or ("url" in columns.get("organization", ()) and "website" not in columns["organization"])
    )


def modern(files: Files) -> Files:
    """Give a package of HSDS 1 or 2 in the tables of HSDS 3; others as they are."""
    if not is_older(files):
        return files
    result = replace(files, tables={}, faults=list(files.faults))
    for table, rows in files.tables.items():
        convert = _CONVERTED.get(table)
        if table == "taxonomy" and any("vocabulary" in row.values for row in rows):
            table, convert = "taxonomy_term", None  # noqa: PLW2901
        for row in rows:
            if convert is None:
                _add(result, table, _renamed(table, row))
                continue
            for to, values in convert(row, result.faults):
                _add(result, to, Row(row.file, row.number, values))
    _fold(result, "eligibility", "eligibility_description", "{}")
    _fold(result, "payment_accepted", "fees_description", "Payment accepted: {}")
    for row in result.tables.get("location", ()):
        row.values.setdefault("location_type", "physical")
    for row in result.tables.get("service", ()):
        row.values.setdefault("status", "active")
    return result


def _add(files: Files, table: str, row: Row) -> None:
    files.tables.setdefault(table, []).append(row)


def _renamed(table: str, row: Row) -> Row:
    names = _RENAMED.get(table, {})
    values = {}
    for column, value in row.values.items():
        new = names.get(column, column)
        values[column if new in row.values else new] = value
    if table == "taxonomy_term":
        values.pop("parent_name", None)
    return Row(row.file, row.number, values)


Converted = Iterator[tuple[str, dict[str, Any]]]


def _address(kind: str) -> Callable[[Row, list[Fault]], Converted]:
    def convert(row: Row, faults: list[Fault]) -> Converted:  # noqa: ARG001
        values = dict(row.values)
        rest = [values.pop(name, None) for name in ("address_2", "address_3", "address_4")]
        more = ", ".join(filter(None, rest))
        organization = values.pop("organization_id", None)
        if organization is not None and "location_id" not in values:
            # HSDS 3 has addresses of locations only: the body gets a mailbox of its own
            values["location_id"] = f"{kind} address of {organization}"
            lines = (values.get("attention"), values.get("address_1"))
            yield (
                "location",
                {
                    "id": values["location_id"],
                    "organization_id": organization,
                    "location_type": kind,
                    "name": next(filter(None, lines), "Address"),
                },
            )
        yield "address", values | ({"address_2": more} if more else {}) | {"address_type": kind}

    return convert


def _regular(row: Row, faults: list[Fault]) -> Converted:
    values = dict(row.values)
    day = str(values.pop("weekday", "")).strip()
    opens, closes = values.pop("opens_at", None), values.pop("closes_at", None)
    if opens is None and closes is None:
        return
    code = _DAYS.get(day.casefold())
    if code is None:
        reason = f"{day!r} is no weekday, such as Monday or 1"
        faults.append(Fault(row.file, row.number, "weekday", reason, LeftOut.ROW))
        return
    times = {"opens_at": opens, "closes_at": closes}
    yield (
        "schedule",
        {
            **values,
            "freq": "WEEKLY",
            "byday": code,
            **{name: clock(text) or text for name, text in times.items() if text is not None},
        },
    )


def _holiday(row: Row, faults: list[Fault]) -> Converted:  # noqa: ARG001
    values = dict(row.values)
    closed = str(values.pop("closed", "")).strip().casefold() in ("true", "yes", "1", "t", "y")
    dates = {"valid_from": values.pop("start_date", None), "valid_to": values.pop("end_date", None)}
    values |= {name: day for name, day in dates.items() if day is not None}
    if closed:
        values = {n: v for n, v in values.items() if n not in ("opens_at", "closes_at")}
        values["description"] = "Closed."
    yield "schedule", values


def _phone(row: Row, faults: list[Fault]) -> Converted:  # noqa: ARG001
    values = dict(row.values)
    spoken = values.pop("language", None)
    if spoken is not None:
        values.setdefault("id", f"phone in row {row.number}")
    yield "phone", values
    for name in str(spoken or "").split(","):
        if name.strip():
            yield "language", {"phone_id": values["id"], "name": name.strip()}


def _service_taxonomy(row: Row, faults: list[Fault]) -> Converted:  # noqa: ARG001
    values = dict(row.values)
    found = {
        "id": values.get("id"),
        "link_id": values.get("service_id"),
        "link_entity": "service",
        "link_type": "taxonomy",
        "taxonomy_term_id": values.get("taxonomy_term_id") or values.get("taxonomy_id"),
        "value": values.get("taxonomy_detail"),
    }
    yield "attribute", {name: value for name, value in found.items() if value is not None}


def _other_attribute(row: Row, faults: list[Fault]) -> Converted:  # noqa: ARG001
    values = dict(row.values)
    if "link_type" in values:
        values["link_entity"] = values.pop("link_type")
    yield "attribute", values


_CONVERTED: Final[dict[str, Callable[[Row, list[Fault]], Converted]]] = {
    "physical_address": _address("physical"),
    "postal_address": _address("postal"),
    "regular_schedule": _regular,
    "holiday_schedule": _holiday,
    "phone": _phone,
    "service_taxonomy": _service_taxonomy,
    "service_attribute": _service_taxonomy,
    "other_attribute": _other_attribute,
}


def _fold(files: Files, table: str, column: str, words: str) -> None:
    """Put the rows of a table that HSDS 3 has no more into a field of their service."""
    services = {row.values.get("id"): row for row in files.tables.get("service", ())}
    for row in files.tables.pop(table, ()):
        text = row.values.get(table) or row.values.get("payment")
        service = services.get(row.values.get("service_id"))
        if service is None or text is None:
            reason = f"belongs to no service: {row.values.get('service_id', 'none named')}"
            files.faults.append(Fault(row.file, row.number, "service_id", reason, LeftOut.ROW))
            continue
        said = [service.values.get(column), words.format(text)]
        service.values[column] = "\n".join(filter(None, said))
