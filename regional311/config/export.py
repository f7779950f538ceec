"""Write the database's configuration as files that plan as *no changes*."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from regional311 import strict
from regional311.config import schema
from regional311.config.files import REGION, SERVICES, SERVICES_FOLDER
from regional311.config.objects import KINDS, BoundaryRecord, Desk
from regional311.config.plan import NOBODY, tenant_ids
from regional311.config.writer import toml_text
from regional311.database.session import acting_for, open_session
from regional311.errors import NotFound
from regional311.tenancy.models import Tenant

Things = Mapping[str, Mapping[str, Any]]
"""Kind to key to model."""


@dataclass(frozen=True)
class Exported:
    """The files that were written, below the directory; `str` is the readable form."""

    directory: Path
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give what was done for programs."""
        return {
            "written": list(self.written),
            "unchanged": list(self.unchanged),
            "removed": list(self.removed),
        }

    def __str__(self) -> str:
        lines = [f"{self.directory / name}" for name in self.written]
        lines += [f"{self.directory / name} removed" for name in self.removed]
        lines.append(f"{len(self.written)} files written, {len(self.unchanged)} as they were.")
        return "\n".join(lines)


def export(
    engine: Engine, directory: Path, *, tenant: str | None = None, now: datetime | None = None
) -> Exported:
    """Write `tenants/` and `policies/` below `directory`, for every partner or for one.

    A file that already says the same is left as it is, with its comments. Services are written to
    one file a bureau; a file that held services and holds none now is removed, so that none is in
    two. Other files of things that are no more are not removed. Raises `NotFound` for an unknown
    partner.
    """
    moment = now or datetime.now(UTC)
    texts: dict[str, str] = {}
    with open_session(engine, NOBODY) as session:
        ids = tenant_ids(session)
        if tenant is not None and tenant not in ids:
            raise NotFound(f"There is no partner {tenant}.")
        zones = {row.slug: row.zone for row in session.execute(select(Tenant.slug, Tenant.zone))}
        for slug in sorted(ids) if tenant is None else [tenant]:
            with acting_for(session, ids[slug]):
                today = moment.astimezone(ZoneInfo(zones[slug])).date()
                desk = Desk(session, ids[slug], ids, moment, today)
                things = _things(desk)
            texts.update(_files(slug, things))
        session.rollback()
    return _write(directory, texts)


def _things(desk: Desk) -> Things:
    return {
        kind.name: {
            key: each.model for key, each in sorted(kind.stored(desk).items()) if not each.gone
        }
        for kind in KINDS
    }


def _files(slug: str, things: Things) -> Iterator[tuple[str, str]]:
    folder = "policies" if slug == REGION else f"tenants/{slug}"
    for name, model in _models(slug, things):
        yield f"{folder}/{name}", toml_text(model)
    for boundary in things["boundary"].values():
        yield f"{folder}/boundaries/{boundary.file}", _geojson(boundary)


def _models(slug: str, things: Things) -> Iterator[tuple[str, strict.Model]]:
    record = things["tenant"][slug]
    about = {name: getattr(record, name) for name in schema.TenantFile.model_fields}
    about |= {"line": _all(things, "line"), "account": _all(things, "account")}
    name = "region.toml" if slug == REGION else "tenant.toml"
    yield name, schema.TenantFile.model_construct(**about)
    if things["boundary"]:
        boundaries = tuple(_without_geometry(each) for each in things["boundary"].values())
        yield "boundaries.toml", schema.BoundariesFile(boundary=boundaries)
    if things["article"]:
        yield "articles.toml", schema.ArticlesFile(article=_all(things, "article"))
    if things["closing_text"] or things["answer_text"]:
        yield (
            "texts.toml",
            schema.TextsFile(
                closing=_all(things, "closing_text"), answer=_all(things, "answer_text")
            ),
        )
    if things["taxonomy"] or things["crosswalk"]:
        yield (
            "taxonomies.toml",
            schema.TaxonomiesFile(
                taxonomy=_all(things, "taxonomy"), crosswalk=_all(things, "crosswalk")
            ),
        )
    if things["synonym"]:
        yield "synonyms.toml", schema.SynonymsFile(synonym=_all(things, "synonym"))
    if slug == REGION:
        for key, policy in things["policy"].items():
            yield f"{key}.toml", policy
        for key, agreement in things["agreement"].items():
            yield f"agreements/{key}.toml", agreement
        return
    if things["acceptance"] or things["progress"]:
        yield (
            "receiving.toml",
            schema.ReceivingFile(
                acceptance=_all(things, "acceptance"), progress=_all(things, "progress")
            ),
        )
    for connection in things["connection"].values():
        yield "connection.toml", schema.ConnectionFile(connection=connection)
    yield "bureaus.toml", schema.BureausFile(bureau=_all(things, "bureau"))
    if things["organization"]:
        organizations = _all(things, "organization")
        yield "organizations.toml", schema.OrganizationsFile(organization=organizations)
    if things["location"]:
        yield "locations.toml", schema.LocationsFile(location=_all(things, "location"))
    if things["question_group"]:
        yield "questions.toml", schema.QuestionsFile(group=_all(things, "question_group"))
    services = _all(things, "service")
    for bureau in sorted({each.bureau for each in services}):
        of = tuple(each for each in services if each.bureau == bureau)
        yield f"{SERVICES_FOLDER}/{bureau}.toml", schema.ServicesFile(service=of)
    yield from (("rules.toml", each) for each in things["rules"].values())
    yield "rates.toml", schema.RatesFile(rate=_all(things, "rate"))
    if things["pool"]:
        yield "pools.toml", schema.PoolsFile(pool=_all(things, "pool"))
    if things["base"]:
        snapshots = sorted(_all(things, "base_snapshot"), key=lambda each: (each.base, each.number))
        yield (
            "bases.toml",
            schema.BasesFile(base=_all(things, "base"), snapshot=tuple(snapshots)),
        )
    if things["bill_split"]:
        yield "splits.toml", schema.SplitsFile(split=_all(things, "bill_split"))
    if things["ledger_mapping"]:
        yield "ledger.toml", schema.LedgerFile(mapping=_all(things, "ledger_mapping"))


def _all(things: Things, kind: str) -> tuple[Any, ...]:
    return tuple(things[kind].values())


def _without_geometry(record: BoundaryRecord) -> schema.Boundary:
    content = {name: getattr(record, name) for name in schema.Boundary.model_fields}
    return schema.Boundary.model_construct(**content)


def _geojson(record: BoundaryRecord) -> str:
    geometry = record.geometry
    coordinates = _lines(geometry["coordinates"], "    ")
    return (
        '{\n  "type": "Feature",\n  "properties": {},\n  "geometry": {\n'
        f'    "type": {json.dumps(geometry["type"])},\n'
        f'    "coordinates": {coordinates}\n  }}\n}}\n'
    )


def _lines(value: Any, indent: str) -> str:
    if isinstance(value[0], (int, float)):
        return json.dumps(value)
    inner = f",\n{indent}  ".join(_lines(item, f"{indent}  ") for item in value)
    return f"[\n{indent}  {inner}\n{indent}]"


def _write(directory: Path, texts: Mapping[str, str]) -> Exported:
    written, unchanged = [], []
    for name, text in sorted(texts.items()):
        path = directory / name
        if path.exists() and _says(name, path.read_text(encoding="utf-8")) == _says(name, text):
            unchanged.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(name)
    removed = sorted(_without_services(directory, texts))
    for name in removed:
        (directory / name).unlink()
    return Exported(directory, tuple(written), tuple(unchanged), tuple(removed))


def _without_services(directory: Path, texts: Mapping[str, str]) -> Iterator[str]:
    """Give the files that held services of an exported partner and are none of those written."""
    for folder in {name.rpartition("/")[0] for name in texts if name.endswith("/bureaus.toml")}:
        here = directory / folder
        for path in (here / SERVICES, *(here / SERVICES_FOLDER).glob("*.toml")):
            name = path.relative_to(directory).as_posix()
            if path.exists() and name not in texts:
                yield name


def _says(name: str, text: str) -> Any:
    """Give what a file says, whatever its comments and its order; broken text says itself."""
    try:
        return tomllib.loads(text) if name.endswith(".toml") else json.loads(text)
    except ValueError:
        return text
