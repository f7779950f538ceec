"""A package as entities: rows put together, keys followed, every fault named with its row.

Organisations, locations, services and services at locations come out as HSDS documents without
each other, with the ids that they will have here and what they refer to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from regional311.catalog.hsds.faults import Fault, LeftOut, PackageUnreadable
from regional311.catalog.hsds.identifiers import Children, as_uuid, imported_id
from regional311.catalog.hsds.older import is_older, modern
from regional311.catalog.hsds.reading import TABLES, Files, Row
from regional311.catalog.hsds.shapes import NESTED, SHAPES, Shape
from regional311.catalog.hsds.values import clock, email_address, phone_number, web_address

Document = dict[str, Any]
ENTITIES: Final = ("organization", "location", "service", "service_at_location")
"""What has rows of its own here, the ones that others refer to first."""

_SEVERAL: Final = re.compile(r"\s*[,;|\s]\s*")
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_EMPTY_ALLOWED: Final = {
    "metadata": ("field_name", "previous_value", "replacement_value", "updated_by"),
    "address": ("address_1", "city", "state_province", "postal_code"),
}
"""Required texts that may be empty: HSDS wants them there, and nothing is known."""

_NAMED_AFTER: Final = frozenset({"organization", "program", "taxonomy", "taxonomy_term"})
"""Their required description may be missing in a table; the name is all there is then."""

_DEFAULTS: Final = {
    "service": {"status": "active"},
    "location": {"location_type": "physical"},
    "address": {"country": "US", "address_type": "physical"},
}


@dataclass(frozen=True)
class Naming:
    """Whose package it is: what its ids are made from when they are no UUIDs."""

    slug: str
    feed: str

    def id(self, kind: str, source_id: str) -> str:
        """Give the id here of what is called `source_id` there."""
        own = as_uuid(source_id)
        return str(own or imported_id(self.slug, self.feed, kind, source_id))


@dataclass
class Entity:
    """An organisation, a location, a service or a service at a location, as a package has it.

    `said` is its document without other entities; `refs` are the ids here of those it names:
    organization, service, location.
    """

    kind: str
    id: str
    source_id: str
    said: Document
    file: str
    row: int
    refs: dict[str, str] = field(default_factory=dict)


@dataclass
class Package:
    """Everything that a package says.

    Of the kinds in `complete` it names all there are: what is not in it is gone.
    """

    entities: dict[str, dict[str, Entity]]
    faults: list[Fault]
    rows: dict[str, int]
    complete: frozenset[str]
    places: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """Where each object stands in its file, by table and id."""
    terms: dict[str, Document] = field(default_factory=dict)
    """The terms of taxonomies that it has or names, by id."""
    files: dict[str, str] = field(default_factory=dict)
    """The name of each table's file."""


def assemble(files: Files, naming: Naming) -> Package:
    """Put a package together. Raises `PackageUnreadable` when nothing in it is an entity."""
    older = is_older(files)
    files = modern(files)
    package = Package(
        {kind: {} for kind in ENTITIES},
        list(files.faults),
        dict(files.rows),
        frozenset(kind for kind in ENTITIES if kind in files.tables),
    )
    check = _Check(package.faults, naming, older=older)
    if files.tables:
        _Tables(files, package, check).assemble()
    for file, row, kind, document in files.documents:
        _Documents(package, check, file, row).take(kind, document)
    if not any(package.entities.values()) and not package.faults:
        raise PackageUnreadable("There is no organisation, location or service in it.")
    return package


class _Check:
    """Looks at plain values: what they must be, and what becomes of those that are not."""

    def __init__(self, faults: list[Fault], naming: Naming, *, older: bool) -> None:
        self.faults, self.naming, self.older = faults, naming, older
        self._unknown: set[tuple[str, str]] = set()

    def fault(
        self, where: tuple[str, int], column: str, reason: str, left_out: LeftOut = LeftOut.VALUE
    ) -> None:
        """Note something that is wrong."""
        self.faults.append(Fault(where[0], where[1], column, reason, left_out))

    def plain(
        self, shape: Shape, values: Mapping[str, Any], where: tuple[str, int], path: str = ""
    ) -> Document | None:
        """Give the plain fields of an object without its id; None when it must be left out."""
        found: Document = {}
        for name, value in values.items():
            kind = shape.fields.get(name)
            if kind is None:
                if name not in shape.known:
                    self._unknown_field(where[0], path + name)
            elif value is not None and name != "id":
                read = self._value(shape, name, kind, value, where, path)
                if read is not None:
                    found[name] = read
        return self._complete(shape, found, where, path)

    def _unknown_field(self, file: str, path: str) -> None:
        if (file, path) not in self._unknown:
            self._unknown.add((file, path))
            self.fault((file, 0), path, "is not HSDS; not kept", LeftOut.NOTHING)

    def _value(
        self, shape: Shape, name: str, kind: str, value: Any, where: tuple[str, int], path: str
    ) -> Any:
        if kind == "number":
            return self._number(value, where, path + name)
        if not isinstance(value, str):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                self.fault(where, path + name, "is no text")
                return None
            value = str(value)
        if name in shape.choices:
            return self._choice(shape.choices[name], value, where, path + name)
        if kind == "uuid":
            return self.naming.id(shape.name, value.strip())
        reader = _READERS.get(kind)
        if reader is None:
            return value
        read = reader(value.strip())
        if read is None:
            self.fault(where, path + name, f"{_short(value)} is no {_SAMPLES[kind]}")
        return read

    def _number(self, value: Any, where: tuple[str, int], column: str) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        text = str(value).strip()
        if _NUMBER.fullmatch(text) is None:
            self.fault(where, column, f"{_short(text)} is no number")
            return None
        found = float(text)
        return int(text) if "." not in text else found

    def _choice(
        self, choices: tuple[str, ...], value: str, where: tuple[str, int], column: str
    ) -> str | None:
        found = next(
            (each for each in choices if each.casefold() == value.strip().casefold()), None
        )
        if found is None:
            self.fault(where, column, f"{_short(value)} is none of {', '.join(choices)}")
        return found

    def _complete(
        self, shape: Shape, found: Document, where: tuple[str, int], path: str
    ) -> Document | None:
        for name, value in _DEFAULTS.get(shape.name, {}).items():
            found.setdefault(name, value)
        for name in _EMPTY_ALLOWED.get(shape.name, ()):
            found.setdefault(name, "")
        if shape.name in _NAMED_AFTER and "name" in found:
            found.setdefault("description", found["name"])
        missing = sorted(shape.required - found.keys() - {"id"})
        if missing:
            self.fault(where, path + missing[0], "is missing", LeftOut.ROW)
            return None
        wrong = self._broken(shape.name, found)
        if wrong is not None:
            column, reason, left_out = wrong
            self.fault(where, path + column, reason, left_out)
            if left_out is LeftOut.ROW:
                return None
        return found

    def _broken(self, name: str, found: Document) -> tuple[str, str, LeftOut] | None:
        if name == "schedule":
            return _broken_schedule(found)
        if name == "location":
            return _broken_point(found)
        if name == "phone":
            text = found["number"]
            if phone_number(text)[0] is None:
                return "number", f"{_short(text)} is no telephone number", LeftOut.ROW
            if len(re.findall(r"\d{3}\D{0,3}\d{4}", text)) > 1:
                return (
                    "number",
                    f"{_short(text)} holds several numbers; the first is used here",
                    LeftOut.NOTHING,
                )
        return None


def _broken_schedule(found: Document) -> tuple[str, str, LeftOut] | None:
    opens, closes = clock(found.get("opens_at")), clock(found.get("closes_at"))
    if opens is not None and closes is not None and closes < opens and closes != "00:00":
        return (
            "closes_at",
            f"closes at {closes}, before it opens at {opens}; write a night as two schedules",
            LeftOut.ROW,
        )
    for first, last in (("valid_from", "valid_to"), ("dtstart", "until")):
        if str(found.get(last, "9")) < str(found.get(first, "")):
            return last, f"ends on {found[last]}, before it starts on {found[first]}", LeftOut.ROW
    return None


def _broken_point(found: Document) -> tuple[str, str, LeftOut] | None:
    latitude, longitude = found.get("latitude"), found.get("longitude")
    if (latitude is None) != (longitude is None):
        missing = "latitude" if latitude is None else "longitude"
        return missing, "is missing: a point has both; not used here", LeftOut.NOTHING
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if value is not None and not -limit <= value <= limit:
            return (
                name,
                f"{value} is not between -{limit} and {limit}; the point is not used here",
                LeftOut.NOTHING,
            )
    return None


def _read_moment(text: str) -> str | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) < 11:
        return f"{text}T00:00:00Z"
    return text if found.tzinfo is not None else f"{text}Z"


def _read_uri(text: str) -> str | None:
    if text.casefold().startswith("www."):
        return web_address(text)
    return text if _URI.fullmatch(text) else None


_READERS: Final = {
    "date": lambda text: text if _DATE.fullmatch(text[:10]) else None,
    "time": lambda text: text if clock(text) else None,
    "moment": _read_moment,
    "uri": _read_uri,
    "email": email_address,
}
_SAMPLES: Final = {
    "date": "date, such as 2026-07-01",
    "time": "time of day, such as 17:00",
    "moment": "moment, such as 2026-07-01T12:00:00Z",
    "uri": "web address, such as https://example.org",
    "email": "e-mail address, such as name@example.org",
}


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


# --- tables --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Read:
    """A row that was read: its document, and the ids of others that it names."""

    row: Row
    document: Document
    source_id: str


class _Tables:
    """Puts the tables of a package together."""

    def __init__(self, files: Files, package: Package, check: _Check) -> None:
        self.files, self.package, self.check = files, package, check
        self.read: dict[str, dict[str, _Read]] = {}
        self.rows: dict[str, list[_Read]] = {}
        self.left_out: dict[str, dict[str, Row]] = {}
        self.pairs: dict[tuple[str, str], int] = {}

    def assemble(self) -> None:
        """Read every row, then follow every key."""
        for table in SHAPES:
            self.read[table], self.rows[table], self.left_out[table] = {}, [], {}
            rows = self.files.tables.get(table, [])
            if rows:
                self.package.files[table] = rows[0].file
            for row in rows:
                self._read(SHAPES[table], row)
        self._hold("taxonomy_term", "taxonomy_id", "taxonomy", "taxonomy_detail")
        self._hold("attribute", "taxonomy_term_id", "taxonomy_term", "taxonomy_term")
        self._hold("service_capacity", "unit_id", "unit", "unit")
        self._hold("service", "program_id", "program", "program")
        for table in ("service_capacity", "attribute"):
            needed = next(iter(SHAPES[table].objects))
            self.rows[table] = [each for each in self.rows[table] if needed in each.document]
        for each in self.rows["taxonomy_term"]:
            term_id = each.document["id"]
            self.package.terms[term_id] = each.document
            self.package.places["taxonomy_term", term_id] = (each.row.file, each.row.number)
        for table, shape in SHAPES.items():
            if table in ENTITIES or table in ("taxonomy", "taxonomy_term", "unit"):
                continue
            for each in self.rows[table]:
                self._give(shape, each)
        for kind in ENTITIES:
            for each in self.rows[kind]:
                self._entity(kind, each)

    def _read(self, shape: Shape, row: Row) -> None:
        where = (row.file, row.number)
        source_id = str(row.values.get("id", "")).strip()
        if source_id and self._several("id", source_id, where, LeftOut.ROW):
            return
        if not source_id and (shape.name in ENTITIES or shape.name in _KEYED):
            self.check.fault(where, "id", "is missing", LeftOut.ROW)
            return
        if source_id in self.read[shape.name]:
            first = self.read[shape.name][source_id].row
            same = first.values == row.values
            self.check.fault(
                where,
                "id",
                f"{_short(source_id)} is that of row {first.number}"
                + (" too, with the same content" if same else " already"),
                LeftOut.NOTHING if same else LeftOut.ROW,
            )
            return
        document = self.check.plain(shape, row.values, where)
        if document is None:
            if source_id:
                self.left_out[shape.name][source_id] = row
            return
        if source_id:
            document = {"id": self.check.naming.id(shape.name, source_id), **document}
        found = _Read(row, document, source_id)
        if source_id:
            self.read[shape.name][source_id] = found
        self.rows[shape.name].append(found)

    def _several(self, column: str, value: str, where: tuple[str, int], left_out: LeftOut) -> bool:
        parts = [each for each in _SEVERAL.split(value) if each]
        if len(parts) < 2 or (column == "id" and not all(as_uuid(e) or e.isdigit() for e in parts)):
            return False
        self.check.fault(where, column, f"holds several ids: {_short(value)}", left_out)
        return True

    def _named(self, each: _Read, column: str, table: str) -> _Read | None:
        """Follow a key to the row that it names; a fault when there is none."""
        value = str(each.row.values.get(column, "")).strip()
        if not value:
            return None
        found = self.read[table].get(value)
        if found is not None:
            return found
        where = (each.row.file, each.row.number)
        if self._several(column, value, where, LeftOut.VALUE):
            return None
        gone = self.left_out[table].get(value)
        reason = (
            f"names {_short(value)}, which is left out ({gone.file} row {gone.number})"
            if gone is not None
            else f"names {_short(value)}, which is not in {_file_of(self.files, table)}"
        )
        self.check.fault(where, column, reason)
        return None

    def _hold(self, table: str, column: str, other: str, name: str) -> None:
        for each in self.rows[table]:
            held = self._named(each, column, other)
            if held is not None:
                each.document[name] = held.document
            elif table in ("attribute", "service_capacity"):
                where = (each.row.file, each.row.number)
                self.check.fault(where, column, "is needed to say what it is", LeftOut.ROW)

    def _give(self, shape: Shape, each: _Read) -> None:
        """Put a row's document into everything that it belongs to."""
        owners = list(self._owners(shape, each))
        if not owners:
            where = (each.row.file, each.row.number)
            self.check.fault(where, "", "belongs to nothing in the package", LeftOut.ROW)
            return
        for position, (name, owner) in enumerate(owners):
            if "id" not in each.document:
                children = Children(owner.document.get("id") or _made_up(owner.row))
                each.document = children.named(shape.name, each.document)
                each.document["id"] = self._fresh(shape.name, each.document["id"])
            if position == 0:
                place = (each.row.file, each.row.number)
                self.package.places[shape.name, each.document["id"]] = place
            owner.document.setdefault(name, []).append(each.document)

    def _fresh(self, table: str, made: str) -> str:
        """Give another id to a second child that says the same as the first."""
        while (table, made) in self.package.places:
            made = Children(made).id(table, "again")
        return made

    def _owners(self, shape: Shape, each: _Read) -> Iterator[tuple[str, _Read]]:
        if shape.name in ("attribute", "metadata"):
            yield from self._linked(shape, each)
            return
        for column in shape.columns:
            kind = column.removesuffix("_id")
            if column == "id" or kind not in SHAPES or kind in (column, "unit"):
                continue
            name = next((n for n, inner in SHAPES[kind].lists.items() if inner == shape.name), None)
            owner = self._named(each, column, kind) if name is not None else None
            if owner is not None and name is not None:
                yield name, owner

    def _linked(self, shape: Shape, each: _Read) -> Iterator[tuple[str, _Read]]:
        attribute = shape.name == "attribute"
        link, entity = ("link_id", "link_entity") if attribute else ("resource_id", "resource_type")
        said = str(each.row.values.get(entity, "")).strip().casefold()
        value = str(each.row.values.get(link, "")).strip()
        kind = TABLES.get(said)
        kinds = [kind] if kind is not None else [k for k in ENTITIES if value in self.read[k]]
        for table in kinds or ["service"]:
            owner = self._named(each, link, table)
            if owner is not None:
                yield ("attributes" if attribute else "metadata"), owner

    def _entity(self, kind: str, each: _Read) -> None:
        refs = {}
        for other in ("organization", "service", "location"):
            column = f"{other}_id"
            if column in SHAPES[kind].columns:
                named = self._named(each, column, other)
                if named is not None:
                    refs[other] = named.document["id"]
        where = (each.row.file, each.row.number)
        if kind == "service_at_location" and len(refs) < 2:
            self.check.fault(where, "", "names no service and location", LeftOut.ROW)
            return
        if kind == "service_at_location":
            first = self.pairs.setdefault((refs["service"], refs["location"]), each.row.number)
            if first != each.row.number:
                reason = f"is the same service at the same location as row {first}"
                self.check.fault(where, "location_id", reason, LeftOut.ROW)
                return
        entity = Entity(kind, each.document["id"], each.source_id, each.document, *where, refs)
        self.package.entities[kind][entity.id] = entity
        self.package.places[kind, entity.id] = where


_KEYED: Final = frozenset({"program", "unit", "taxonomy", "taxonomy_term"})
"""Tables that others name: a row without an id is of no use there."""


def _made_up(row: Row) -> str:
    return str(imported_id("", row.file, "row", str(row.number)))


def _file_of(files: Files, table: str) -> str:
    rows = files.tables.get(table)
    return rows[0].file if rows else SHAPES[table].file


# --- documents -----------------------------------------------------------------------------------


class _Documents:
    """Takes a JSON document apart into entities."""

    def __init__(self, package: Package, check: _Check, file: str, row: int) -> None:
        self.package, self.check, self.where = package, check, (file, row)

    def take(self, kind: str | None, document: Any) -> None:
        """Take one document; one that is no entity is named and left aside."""
        kind = kind if kind in SHAPES else kind_of(document)
        if kind in ENTITIES:
            assert kind is not None
            self._entity(kind, document, "")
        elif kind == "taxonomy_term":
            self._held(kind, document, "")
        elif kind is None:
            self.check.fault(self.where, "", "is no object of HSDS", LeftOut.ROW)

    def _entity(self, kind: str, document: Any, path: str) -> str | None:
        if not isinstance(document, Mapping):
            self.check.fault(self.where, path.rstrip("."), "is no object", LeftOut.ROW)
            return None
        said = self._object(kind, document, path, NESTED[kind])
        if said is None:
            return None
        entity = Entity(kind, said["id"], str(document["id"]).strip(), said, *self.where)
        known = self.package.entities[kind].setdefault(entity.id, entity)
        # the same thing may stand in several documents, here in full and there in part
        known.said = {**said, **known.said}
        self.package.places.setdefault((kind, entity.id), self.where)
        self._refer(known, document, path)
        return entity.id

    def _refer(self, entity: Entity, document: Mapping[str, Any], path: str) -> None:
        for name in ("organization", "service", "location"):
            if name in SHAPES[entity.kind].objects and name in document:
                other = self._entity(name, document[name], f"{path}{name}.")
            elif isinstance(document.get(f"{name}_id"), str):
                other = self.check.naming.id(name, document[f"{name}_id"].strip())
            else:
                continue
            if other is not None:
                entity.refs.setdefault(name, other)
        for name in ("services", "locations", "service_at_locations"):
            inner = SHAPES[entity.kind].lists.get(name)
            listed = document.get(name) if inner else None
            if listed and not isinstance(listed, list):
                self.check.fault(self.where, path + name, "is no list")
                continue
            for position, each in enumerate(listed or ()):
                assert inner is not None
                other = self._entity(inner, each, f"{path}{name}[{position}].")
                if other is not None:
                    self.package.entities[inner][other].refs.setdefault(entity.kind, entity.id)

    def _object(
        self, kind: str, document: Mapping[str, Any], path: str, apart: frozenset[str]
    ) -> Document | None:
        shape = SHAPES[kind]
        source_id = document.get("id")
        if not isinstance(source_id, (str, int)) or not str(source_id).strip():
            self.check.fault(self.where, f"{path}id", "is missing", LeftOut.ROW)
            return None
        plain = self.check.plain(shape, document, self.where, path)
        if plain is None:
            return None
        found = {"id": self.check.naming.id(kind, str(source_id).strip()), **plain}
        self.package.places.setdefault((kind, found["id"]), self.where)
        for name, inner in shape.lists.items():
            if name in apart or not document.get(name):
                continue
            if not isinstance(document[name], list):
                self.check.fault(self.where, path + name, "is no list")
                continue
            held = [
                self._held(inner, each, f"{path}{name}[{position}].")
                for position, each in enumerate(document[name])
            ]
            if kept := [each for each in held if each is not None]:
                found[name] = kept
        for name, inner in shape.objects.items():
            if name in apart or not document.get(name):
                continue
            one = self._held(inner, document[name], f"{path}{name}.")
            if one is not None:
                found[name] = one
        if kind == "taxonomy_term":
            self.package.terms.setdefault(found["id"], found)
        if kind == "service_capacity" and "unit" not in found:
            self.check.fault(self.where, f"{path}unit", "is missing", LeftOut.ROW)
            return None
        return found

    def _held(self, kind: str, document: Any, path: str) -> Document | None:
        if not isinstance(document, Mapping):
            self.check.fault(self.where, path.rstrip("."), "is no object", LeftOut.ROW)
            return None
        return self._object(kind, document, path, frozenset())


def kind_of(document: Any) -> str | None:
    """Tell what kind of object a JSON document is by what only that kind has."""
    if not isinstance(document, Mapping):
        return None
    keys = set(document)
    if "location_type" in keys:
        return "location"
    if {"location", "service", "location_id", "service_id"} & keys and "name" not in keys:
        return "service_at_location"
    if "status" in keys and "name" in keys:
        return "service"
    if {"taxonomy", "taxonomy_detail", "taxonomy_id", "parent_id", "term_uri", "code"} & keys:
        return "taxonomy_term"
    if "version" in keys and "name" in keys:
        return "taxonomy"
    return "organization" if {"name", "description"} <= keys else None
