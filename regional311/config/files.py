"""Read `tenants/` and `policies/`, and say everything that is wrong with them at once.

Reading has three steps: each file is decoded and checked against its schema; each partner's files
are checked against one another; then the partners, the agreements and the policies are checked
against one another. Nothing is read from the database and nothing is written.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from importlib import import_module, util
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from regional311 import strict
from regional311.casework.prepared_texts import AnswerText, ClosingText, Purpose, text_faults
from regional311.catalog import content
from regional311.catalog.articles import Article, article_faults
from regional311.catalog.checks import (
    Known,
    group_faults,
    location_faults,
    organization_faults,
    service_faults,
    week_faults,
)
from regional311.catalog.synonyms import synonym_faults
from regional311.catalog.taxonomy import crosswalk_faults, missing_term, term_faults
from regional311.config import schema
from regional311.config.agreements import ALL, wrong_terms
from regional311.config.pools import bearers_of, check_bases, check_pools, check_splits
from regional311.config.rates import rate_said
from regional311.errors import DomainError
from regional311.ledger.books import INTERPARTNER_ACCOUNTS
from regional311.referral.acceptance import Acceptance, Progress, acceptance_faults
from regional311.tenancy.answering import fallback_faults

REGION = "region"
MAX_FILE_BYTES = 2_000_000
MAX_VERTICES = 50_000
LINES = ("road", "bridge")
SERVICES, SERVICES_FOLDER = "services.toml", "services"

M = TypeVar("M", bound=strict.Model)


@dataclass(frozen=True, order=True)
class ConfigError:
    """One thing wrong: the file below its directory, the key in it, and what is wrong."""

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.message}"


class ConfigInvalid(DomainError):
    """The files contradict their schema or one another; one line each, and nothing was changed."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


@dataclass(frozen=True)
class BoundaryShape:
    """A boundary's entry with its geometry, in WGS 84 longitude and latitude."""

    entry: schema.Boundary
    geometry: Mapping[str, Any] = field(hash=False)

    @property
    def key(self) -> str:
        """The boundary's key."""
        return self.entry.key


@dataclass(frozen=True)
class TenantFiles:
    """One partner as its files say it is; a missing optional file reads as an empty one."""

    slug: str
    about: schema.TenantFile
    bureaus: tuple[schema.Bureau, ...] = ()
    organizations: tuple[content.Organization, ...] = ()
    locations: tuple[content.Location, ...] = ()
    taxonomies: tuple[content.Taxonomy, ...] = ()
    groups: tuple[content.QuestionGroup, ...] = ()
    crosswalks: tuple[content.Crosswalk, ...] = ()
    services: tuple[content.Service, ...] = ()
    articles: tuple[Article, ...] = ()
    closing_texts: tuple[ClosingText, ...] = ()
    answer_texts: tuple[AnswerText, ...] = ()
    synonyms: tuple[content.Synonym, ...] = ()
    acceptance: tuple[Acceptance, ...] = ()
    progress: tuple[Progress, ...] = ()
    connection: schema.Connection | None = None
    rules: schema.RulesFile | None = None
    rates: tuple[schema.Rate, ...] = ()
    pools: tuple[schema.Pool, ...] = ()
    bases: tuple[schema.AllocationBase, ...] = ()
    snapshots: tuple[schema.BaseSnapshot, ...] = ()
    splits: tuple[schema.BillSplit, ...] = ()
    mappings: tuple[schema.LedgerMapping, ...] = ()
    boundaries: tuple[BoundaryShape, ...] = ()


@dataclass(frozen=True)
class Policies:
    """What the region agrees on, as its files say it."""

    agencies: schema.AgenciesFile
    danger: schema.DangerFile
    sharing: schema.SharingFile
    retention: schema.RetentionFile
    emergencies: schema.EmergenciesFile | None
    agreements: tuple[schema.AgreementFile, ...]


@dataclass(frozen=True)
class RegionFiles:
    """The whole region as files: its policies, its own tenant, and the partners by slug."""

    region: TenantFiles
    policies: Policies
    tenants: Mapping[str, TenantFiles]

    def __str__(self) -> str:
        services = sum(len(each.services) for each in self.tenants.values())
        rules = sum(len(each.rules.rule) for each in self.tenants.values() if each.rules)
        return (
            f"{len(self.tenants)} partners, {services} services, {rules} rules, "
            f"{len(self.policies.agreements)} agreements: nothing is wrong."
        )

    def every_tenant(self) -> Iterator[TenantFiles]:
        """The region's own tenant, then the partners by slug."""
        yield self.region
        for slug in sorted(self.tenants):
            yield self.tenants[slug]


def load(tenants: Path, policies: Path) -> RegionFiles:
    """Read and check the two directories.

    Raises `ConfigInvalid` with everything that is wrong, sorted by file and key. A file that
    cannot be read does not hide what is wrong in the others; checks between files run over
    those that could be read.
    """
    found: list[ConfigError] = []
    region = _read_policies(policies, found)
    partners = _read_tenants(tenants, found)
    for tenant in ([region.tenant] if region.tenant else []) + partners:
        _check_tenant(tenant, found)
    _check_region(region, {tenant.slug: tenant for tenant in partners}, found)
    if found or region.tenant is None or not region.complete:
        raise ConfigInvalid(sorted(set(found)))
    return RegionFiles(
        region=region.tenant.frozen(),
        policies=region.frozen(),
        tenants=MappingProxyType({tenant.slug: tenant.frozen() for tenant in partners}),
    )


def read_region(root: Path) -> RegionFiles:
    """Read and check `tenants/` and `policies/` below `root`; see `load`."""
    return load(root / "tenants", root / "policies")


# --- reading --------------------------------------------------------------------------------------


@dataclass
class _Tenant:
    """A partner while it is read: what could not be read is None."""

    slug: str
    folder: str
    about_file: str
    about: schema.TenantFile | None = None
    bureaus: schema.BureausFile | None = None
    organizations: schema.OrganizationsFile | None = None
    locations: schema.LocationsFile | None = None
    taxonomies: schema.TaxonomiesFile | None = None
    questions: schema.QuestionsFile | None = None
    services: dict[str, schema.ServicesFile] = field(default_factory=dict)
    """By file: `services.toml`, or one file a bureau below `services/`."""
    articles: schema.ArticlesFile | None = None
    texts: schema.TextsFile | None = None
    synonyms: schema.SynonymsFile | None = None
    receiving: schema.ReceivingFile | None = None
    connection: schema.ConnectionFile | None = None
    rules: schema.RulesFile | None = None
    rates: schema.RatesFile | None = None
    pools: schema.PoolsFile | None = None
    bases: schema.BasesFile | None = None
    splits: schema.SplitsFile | None = None
    ledger: schema.LedgerFile | None = None
    boundaries: schema.BoundariesFile | None = None
    shapes: tuple[BoundaryShape, ...] = ()
    unread: set[str] = field(default_factory=set)
    """Files that are there and could not be read: what they name cannot be missed."""

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def boundary_keys(self) -> set[str]:
        return {entry.key for entry in self.boundaries.boundary} if self.boundaries else set()

    def location_keys(self) -> set[str]:
        return {each.key for each in self.locations.location} if self.locations else set()

    def organization_keys(self) -> set[str]:
        listed = self.organizations.organization if self.organizations else ()
        return {each.key for each in listed}

    def groups(self) -> dict[str, content.QuestionGroup]:
        return {each.key: each for each in self.questions.group} if self.questions else {}

    def every_service(self) -> tuple[content.Service, ...]:
        return tuple(each for file in self.services.values() for each in file.service)

    def service_keys(self) -> set[str]:
        return {each.key for each in self.every_service()}

    def frozen(self) -> TenantFiles:
        assert self.about is not None
        return TenantFiles(
            slug=self.slug,
            about=self.about,
            bureaus=self.bureaus.bureau if self.bureaus else (),
            organizations=self.organizations.organization if self.organizations else (),
            locations=self.locations.location if self.locations else (),
            taxonomies=self.taxonomies.taxonomy if self.taxonomies else (),
            groups=self.questions.group if self.questions else (),
            crosswalks=self.taxonomies.crosswalk if self.taxonomies else (),
            services=self.every_service(),
            articles=self.articles.article if self.articles else (),
            closing_texts=self.texts.closing if self.texts else (),
            answer_texts=self.texts.answer if self.texts else (),
            synonyms=self.synonyms.synonym if self.synonyms else (),
            acceptance=self.receiving.acceptance if self.receiving else (),
            progress=self.receiving.progress if self.receiving else (),
            connection=self.connection.connection if self.connection else None,
            rules=self.rules,
            rates=self.rates.rate if self.rates else (),
            pools=self.pools.pool if self.pools else (),
            bases=self.bases.base if self.bases else (),
            snapshots=self.bases.snapshot if self.bases else (),
            splits=self.splits.split if self.splits else (),
            mappings=self.ledger.mapping if self.ledger else (),
            boundaries=self.shapes,
        )


@dataclass
class _Region:
    """The policies while they are read: what could not be read is None."""

    folder: str
    tenant: _Tenant | None = None
    agencies: schema.AgenciesFile | None = None
    danger: schema.DangerFile | None = None
    sharing: schema.SharingFile | None = None
    retention: schema.RetentionFile | None = None
    emergencies: schema.EmergenciesFile | None = None
    agreements: dict[str, schema.AgreementFile] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return None not in (self.agencies, self.danger, self.sharing, self.retention)

    def frozen(self) -> Policies:
        assert self.agencies is not None
        assert self.danger is not None
        assert self.sharing is not None
        assert self.retention is not None
        return Policies(
            agencies=self.agencies,
            danger=self.danger,
            sharing=self.sharing,
            retention=self.retention,
            emergencies=self.emergencies,
            agreements=tuple(self.agreements[name] for name in sorted(self.agreements)),
        )


def _read_tenants(directory: Path, found: list[ConfigError]) -> list[_Tenant]:
    folder = directory.name
    if not directory.is_dir():
        found.append(ConfigError(folder, "", "no such directory"))
        return []
    partners = []
    for path in sorted(directory.iterdir()):
        if path.name.startswith("."):
            continue
        where = f"{folder}/{path.name}"
        if not path.is_dir():
            found.append(ConfigError(where, "", "a partner is a directory named by its slug"))
            continue
        if path.name == REGION or not _is_key(path.name):
            found.append(ConfigError(where, "", "not a slug: lower case letters, digits, hyphens"))
            continue
        partners.append(_read_tenant(path, where, path.name, "tenant.toml", found))
    if not partners:
        found.append(ConfigError(folder, "", "holds no partner"))
    return partners


def _read_tenant(
    directory: Path, folder: str, slug: str, about_file: str, found: list[ConfigError]
) -> _Tenant:
    tenant = _Tenant(slug, folder, f"{folder}/{about_file}")
    tenant.about = _read_file(directory / about_file, tenant.about_file, schema.TenantFile, found)
    if tenant.about is None and not (directory / about_file).exists():
        found.append(ConfigError(tenant.about_file, "", "is missing"))
    models = schema.POLICY_FILES if slug == REGION else schema.TENANT_FILES
    for name, model in models.items():
        if name in (about_file, SERVICES) or (slug == REGION and name not in schema.TENANT_FILES):
            continue
        value = _read_file(directory / name, f"{folder}/{name}", model, found)
        setattr(tenant, name.removesuffix(".toml"), value)
        if value is None and (directory / name).exists():
            tenant.unread.add(name)
    tenant.shapes = _read_shapes(directory, tenant, found)
    if slug != REGION:
        _read_services(directory, tenant, found)
        known = {*schema.TENANT_FILES, "boundaries", SERVICES_FOLDER}
        _refuse_strangers(directory, folder, known, found)
    return tenant


def _read_services(directory: Path, tenant: _Tenant, found: list[ConfigError]) -> None:
    """Read a partner's services: from one file, or from one file a bureau."""
    folder = directory / SERVICES_FOLDER
    paths = {path.name: path for path in sorted(folder.glob("*")) if path.suffix != ".md"}
    if (directory / SERVICES).exists():
        if paths:
            message = f"keep services here or below {SERVICES_FOLDER}/, not in both"
            found.append(ConfigError(tenant.path(SERVICES), "", message))
        paths = {SERVICES: directory / SERVICES}
    for name, path in paths.items():
        where = tenant.path(path.relative_to(directory).as_posix())
        if path.suffix != ".toml" or not _is_key(path.stem):
            message = "unknown file; a bureau's services are in a .toml file named by its key"
            found.append(ConfigError(where, "", message))
            continue
        read = _read_file(path, where, schema.ServicesFile, found)
        if read is None:
            tenant.unread.add(SERVICES)
            continue
        tenant.services[where] = read
        for each in read.service if name != SERVICES else ():
            if each.bureau != path.stem:
                message = f"is {each.bureau}; this file holds the services of {path.stem}"
                found.append(ConfigError(where, f"service[{each.key}].bureau", message))


def _read_policies(directory: Path, found: list[ConfigError]) -> _Region:
    folder = directory.name
    region = _Region(folder)
    if not directory.is_dir():
        found.append(ConfigError(folder, "", "no such directory"))
        return region
    region.tenant = _read_tenant(directory, folder, REGION, "region.toml", found)
    for name in ("agencies", "danger", "sharing", "retention"):
        file = "danger-screen.toml" if name == "danger" else f"{name}.toml"
        value = _read_file(directory / file, f"{folder}/{file}", schema.POLICY_FILES[file], found)
        setattr(region, name, value)
        if not (directory / file).exists():
            found.append(ConfigError(f"{folder}/{file}", "", "is missing"))
    if (directory / "emergencies.toml").exists():
        region.emergencies = _read_file(
            directory / "emergencies.toml",
            f"{folder}/emergencies.toml",
            schema.EmergenciesFile,
            found,
        )
    for path in sorted((directory / "agreements").glob("*")):
        where = f"{folder}/agreements/{path.name}"
        if path.suffix != ".toml":
            found.append(ConfigError(where, "", "unknown file; an agreement is a .toml file"))
            continue
        agreement = _read_file(path, where, schema.AgreementFile, found)
        if agreement is not None:
            region.agreements[path.name] = agreement
    _refuse_strangers(directory, folder, {*schema.POLICY_FILES, "agreements", "boundaries"}, found)
    return region


def _refuse_strangers(
    directory: Path, folder: str, known: set[str], found: list[ConfigError]
) -> None:
    for path in sorted(directory.iterdir()):
        if path.name in known or path.name.startswith(".") or path.suffix == ".md":
            continue
        close = get_close_matches(path.name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        found.append(ConfigError(f"{folder}/{path.name}", "", f"unknown file{hint}"))


def _read_text(path: Path, where: str, found: list[ConfigError]) -> str | None:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            found.append(ConfigError(where, "", f"is larger than {MAX_FILE_BYTES:,} bytes"))
            return None
        content = path.read_bytes()
    except OSError as error:
        found.append(ConfigError(where, "", f"cannot be read: {error.strerror}"))
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found.append(
            ConfigError(where, "", f"line {line} is not UTF-8 text; save the file as UTF-8")
        )
        return None


def _read_file(path: Path, where: str, model: type[M], found: list[ConfigError]) -> M | None:
    if not path.exists():
        return None
    text = _read_text(path, where, found)
    if text is None:
        return None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found.append(ConfigError(where, "", f"is not TOML: {error}"))
        return None
    try:
        return model.model_validate(_as_tuples(content))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            location = problem["loc"]
            found.append(
                ConfigError(where, _key_path(content, location), _in_words(problem, model))
            )
        return None


def _as_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_as_tuples(item) for item in value)
    return value


def _key_path(content: Any, location: Iterable[str | int]) -> str:
    path = ""
    here = content
    for part in location:
        if isinstance(part, int):
            here = here[part] if isinstance(here, (list, tuple)) and part < len(here) else None
            path += f"[{_own_key(here, part)}]"
        else:
            here = here.get(part) if isinstance(here, dict) else None
            path += f".{part}" if path else str(part)
    return path


def _own_key(item: Any, index: int) -> str:
    if isinstance(item, dict):
        for name in ("key", "code", "payer", "day", "priority", "valid_from"):
            own = item.get(name)
            if isinstance(own, (str, date)) and own:
                return str(own)
    return str(index + 1)


def _in_words(problem: Any, model: type[strict.Model]) -> str:
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, problem["loc"])
        close = get_close_matches(str(problem["loc"][-1]), known, 1)
        if close:
            return f"unknown key; did you mean {close[0]}?"
        return f"unknown key; known here: {', '.join(sorted(known))}" if known else "unknown key"
    return strict.in_words(problem)


def _known_keys(model: type[strict.Model], location: Sequence[str | int]) -> list[str]:
    here: type[strict.Model] | None = model
    for part in location[:-1]:
        if isinstance(part, int) or here is None:
            continue
        here = table_of(here, part)
    return sorted(here.model_fields) if here else []


def table_of(model: type[strict.Model], name: str) -> type[strict.Model] | None:
    """The model of the table, or of each table in the list, that key `name` holds, if any."""
    info = model.model_fields.get(name)
    if info is None:
        return None
    waiting: list[Any] = [info.annotation]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, strict.Model):
            return kind
        waiting.extend(getattr(kind, "__args__", ()))
    return None


def _is_key(text: str) -> bool:
    return text.replace("-", "").isalnum() and text.islower() and text.isascii()


# --- geometry -------------------------------------------------------------------------------------


def _read_shapes(
    directory: Path, tenant: _Tenant, found: list[ConfigError]
) -> tuple[BoundaryShape, ...]:
    shapes = []
    named = set()
    for entry in tenant.boundaries.boundary if tenant.boundaries else ():
        path = directory / "boundaries" / entry.file
        where = tenant.path(f"boundaries/{entry.file}")
        named.add(entry.file)
        if not path.exists():
            found.append(
                ConfigError(
                    tenant.path("boundaries.toml"),
                    f"boundary[{entry.key}].file",
                    f"there is no boundaries/{entry.file}",
                )
            )
            continue
        text = _read_text(path, where, found)
        geometry = None if text is None else _geometry(text, entry, where, found)
        if geometry is not None:
            shapes.append(BoundaryShape(entry, MappingProxyType(geometry)))
    for path in sorted((directory / "boundaries").glob("*.geojson")):
        if path.name not in named:
            where = tenant.path(f"boundaries/{path.name}")
            found.append(ConfigError(where, "", "no boundary in boundaries.toml names this file"))
    return tuple(shapes)


def _geometry(
    text: str, entry: schema.Boundary, where: str, found: list[ConfigError]
) -> dict[str, Any] | None:
    def wrong(key: str, message: str) -> None:
        found.append(ConfigError(where, key, message))

    try:
        content = json.loads(text)
    except ValueError as error:
        wrong("", f"is not JSON: {error}")
        return None
    try:
        raw = _only_geometry(content)
        figure = shape(raw)
        points = [(float(x), float(y)) for x, y in _points(raw["coordinates"])]
    except (KeyError, TypeError, ValueError, AttributeError, ShapelyError) as error:
        wrong("geometry", f"is not a GeoJSON geometry: {error}")
        return None
    lines = entry.kind in LINES
    allowed = ("LineString", "MultiLineString") if lines else ("Polygon", "MultiPolygon")
    if figure.geom_type not in allowed:
        wrong("geometry.type", f"{figure.geom_type} is not {' or '.join(allowed)}")
        return None
    if len(points) > MAX_VERTICES:
        wrong("geometry", f"has {len(points):,} points, at most {MAX_VERTICES:,} are allowed")
        return None
    for longitude, latitude in points:
        if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
            wrong("geometry", f"{longitude}, {latitude} is not a longitude and a latitude")
            return None
    if not _is_sound(figure, wrong):
        return None
    return {"type": raw["type"], "coordinates": raw["coordinates"]}


def _is_sound(figure: BaseGeometry, wrong: Callable[[str, str], None]) -> bool:
    if figure.is_empty:
        wrong("geometry", "is empty")
        return False
    reason = explain_validity(figure)
    if reason == "Valid Geometry":
        return True
    kind, _, place = reason.partition("[")
    at = f" at {place.rstrip(']')}" if place else ""
    words = "crosses itself" if kind == "Self-intersection" else f"is not sound: {kind}"
    wrong("geometry", f"{words}{at}")
    return False


def _only_geometry(content: Any) -> dict[str, Any]:
    if content["type"] == "FeatureCollection":
        features = content["features"]
        if len(features) != 1:
            raise ValueError(f"must hold one feature, holds {len(features)}")
        content = features[0]
    if content["type"] == "Feature":
        content = content["geometry"]
    if not isinstance(content, dict):
        raise TypeError("no geometry")
    return content


def _points(value: Any) -> Iterator[tuple[float, float]]:
    if value and isinstance(value[0], (int, float)):
        yield value[0], value[1]
        return
    for item in value:
        yield from _points(item)


# --- checks inside one partner --------------------------------------------------------------------


class _Marks:
    """Adds errors about one file, with keys made of tables and their own keys."""

    def __init__(self, file: str, found: list[ConfigError]) -> None:
        self.file = file
        self.found = found

    def __call__(self, key: str, message: str) -> None:
        self.found.append(ConfigError(self.file, key, message))

    def unique(self, table: str, keys: Iterable[object], what: str = "key") -> None:
        seen: set[object] = set()
        for position, key in enumerate(keys, 1):
            if key in seen:
                self(f"{table}[{key}].{what}", f"{key} is used twice (entry {position})")
            seen.add(key)

    def dates(self, path: str, valid_from: date | None, valid_to: date | None) -> None:
        if valid_from and valid_to and valid_to <= valid_from:
            self(f"{path}.valid_to", f"{valid_to} is not after {valid_from}")

    def known(
        self, path: str, value: str | None, allowed: Iterable[str], what: str, of: str = ""
    ) -> None:
        if value is None:
            return
        names = set(allowed)
        if value in names:
            return
        close = get_close_matches(value, names, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        self(path, f"there is no {what} {value}{of}{hint}")


def _overlap(one: tuple[date, date | None], two: tuple[date, date | None]) -> bool:
    return (one[1] is None or two[0] < one[1]) and (two[1] is None or one[0] < two[1])


def _check_tenant(tenant: _Tenant, found: list[ConfigError]) -> None:
    if tenant.about is not None:
        _check_about(tenant, tenant.about, _Marks(tenant.about_file, found))
    if tenant.bureaus is not None:
        _check_bureaus(tenant.bureaus, _Marks(tenant.path("bureaus.toml"), found))
    if tenant.boundaries is not None:
        _check_boundaries(tenant.boundaries, _Marks(tenant.path("boundaries.toml"), found))
    if tenant.organizations is not None:
        mark = _Marks(tenant.path("organizations.toml"), found)
        _check_organizations(tenant, tenant.organizations, mark)
    if tenant.locations is not None:
        mark = _Marks(tenant.path("locations.toml"), found)
        _check_locations(tenant, tenant.locations, mark)
    if tenant.questions is not None:
        _check_groups(tenant, tenant.questions, _Marks(tenant.path("questions.toml"), found))
    if tenant.taxonomies is not None:
        _check_taxonomies(tenant.taxonomies, _Marks(tenant.path("taxonomies.toml"), found))
    _check_services(tenant, found)
    if tenant.texts is not None:
        _check_texts(tenant, tenant.texts, _Marks(tenant.path("texts.toml"), found))
    if tenant.synonyms is not None:
        _check_synonyms(tenant.synonyms, _Marks(tenant.path("synonyms.toml"), found))
    if tenant.rates is not None:
        _check_rates(tenant.rates, _Marks(tenant.path("rates.toml"), found))
    if tenant.pools is not None:
        _check_pools(tenant, tenant.pools, _Marks(tenant.path("pools.toml"), found))
    if tenant.bases is not None:
        check_bases(tenant.bases, _Marks(tenant.path("bases.toml"), found))
    if tenant.splits is not None:
        bases = None if "bases.toml" in tenant.unread else _base_keys(tenant)
        bureaus = None if "bureaus.toml" in tenant.unread else _bureau_keys(tenant)
        check_splits(tenant.splits, bases, bureaus, _Marks(tenant.path("splits.toml"), found))
    if tenant.ledger is not None:
        _check_ledger(tenant, tenant.ledger, _Marks(tenant.path("ledger.toml"), found))
    if tenant.rules is not None:
        _check_rules(tenant.rules, _Marks(tenant.path("rules.toml"), found))


def _check_texts(tenant: _Tenant, texts: schema.TextsFile, mark: _Marks) -> None:
    mark.unique("closing", [each.key for each in texts.closing])
    mark.unique("answer", [each.key for each in texts.answer])
    services = None if SERVICES in tenant.unread else tenant.service_keys()
    for each in texts.closing:
        if services is not None:
            mark.known(f"closing[{each.key}].service", each.service, services, "service")
        _check_words(each, "closing", mark)
    for answer in texts.answer:
        _check_words(answer, "answer", mark)


def _check_words(text: AnswerText | ClosingText, purpose: Purpose, mark: _Marks) -> None:
    path = f"{purpose}[{text.key}]"
    mark.unique(f"{path}.words", [each.language for each in text.words], "language")
    said = [(each.language, each.text) for each in text.words]
    for where, fault in text_faults(purpose, text.name, said):
        of = f"words[{where.removeprefix('text_')}].text" if text.words else "words"
        mark(f"{path}.{'name' if where == 'name' else of}", fault)


def _check_ledger(tenant: _Tenant, ledger: schema.LedgerFile, mark: _Marks) -> None:
    mark.unique("mapping", [each.key for each in ledger.mapping])
    about = [(each.account, each.party, each.family) for each in ledger.mapping]
    for place, each in enumerate(ledger.mapping):
        path = f"mapping[{each.key}]"
        if not any(about[place]):
            mark(path, "name an account, a party or a family")
        elif not (each.external_code or each.fund_code or each.cost_centre):
            mark(path, "give an external_code, a fund_code or a cost_centre")
        elif about[place] in about[:place]:
            mark(
                path, f"is for the same as mapping {ledger.mapping[about.index(about[place])].key}"
            )
        if tenant.about is not None:
            chart = {account.key for account in tenant.about.account} | INTERPARTNER_ACCOUNTS.keys()
            mark.known(f"{path}.account", each.account, chart, "account")
        kind, _, bureau = (each.party or "").partition(":")
        if kind == "bureau" and "bureaus.toml" not in tenant.unread:
            mark.known(f"{path}.party", bureau, _bureau_keys(tenant), "bureau")


def _bureau_keys(tenant: _Tenant) -> set[str]:
    return {bureau.key for bureau in tenant.bureaus.bureau} if tenant.bureaus else set()


def _queue_keys(tenant: _Tenant) -> set[str]:
    return {queue.key for queue in tenant.about.queue} if tenant.about else set()


def _check_about(tenant: _Tenant, about: schema.TenantFile, mark: _Marks) -> None:
    for table, keys in (
        ("line", [item.key for item in about.line]),
        ("queue", [item.key for item in about.queue]),
        ("role", [item.key for item in about.role]),
        ("account", [item.key for item in about.account]),
        ("coordinator", [item.key for item in about.coordinator]),
    ):
        mark.unique(table, keys)
    if about.accommodation is not None:
        translations = about.accommodation.translation
        mark.unique(
            "accommodation.translation", [each.language for each in translations], "language"
        )
        if translations and about.accommodation.appeal is None:
            mark("accommodation.appeal", "say it in the partner's first language, too")
        for each in translations:
            if each.language == about.tenant.languages[0]:
                where = f"accommodation.translation[{each.language}].language"
                mark(where, "is the partner's first language; write it in accommodation.appeal")
    mark.unique("holiday", [item.day for item in about.holiday], "day")
    mark.unique("service_level", [item.priority for item in about.service_level], "priority")
    if (about.tenant.kind == "region") != (tenant.slug == REGION):
        mark("tenant.kind", "the region, and only the region, is of kind region")
    _check_week(about.hours, "hours", mark)
    for line in about.line:
        _check_week(line.hours, f"line[{line.key}].hours", mark)
    if "bureaus.toml" not in tenant.unread:
        for queue in about.queue:
            path = f"queue[{queue.key}].bureau"
            mark.known(path, queue.bureau, _bureau_keys(tenant), "bureau")
    if sum(queue.unplaced for queue in about.queue) > 1:
        mark("queue", "more than one queue is marked unplaced")
    _check_coordinators(tenant, about.coordinator, mark)


def _check_coordinators(
    tenant: _Tenant, coordinators: tuple[schema.Coordinator, ...], mark: _Marks
) -> None:
    taken: dict[str | None, str] = {}
    for each in coordinators:
        path = f"coordinator[{each.key}]"
        if each.whole == (each.bureau is not None):
            mark(path, "give a bureau, or say whole = true: one of the two")
            continue
        if "bureaus.toml" not in tenant.unread:
            mark.known(f"{path}.bureau", each.bureau, _bureau_keys(tenant), "bureau")
        if each.bureau in taken:
            what = f"bureau {each.bureau}" if each.bureau else "the whole partner"
            mark(path, f"{what} is coordinated by {taken[each.bureau]} already")
        taken.setdefault(each.bureau, each.key)
    if coordinators and not any(each.whole for each in coordinators):
        mark("coordinator", "one of them coordinates the whole partner: say whole = true")


def _check_week(week: strict.Week, path: str, mark: _Marks) -> None:
    for where, message in week_faults(week, path):
        mark(where, message)


def _check_bureaus(bureaus: schema.BureausFile, mark: _Marks) -> None:
    mark.unique("bureau", [item.key for item in bureaus.bureau])


def _check_boundaries(boundaries: schema.BoundariesFile, mark: _Marks) -> None:
    mark.unique("boundary", [item.key for item in boundaries.boundary])
    for entry in boundaries.boundary:
        if (entry.kind in LINES) != (entry.tolerance_m > 0):
            path = f"boundary[{entry.key}].tolerance_m"
            mark(path, "roads and bridges, and only these, have a tolerance of a metre or more")
    outlines = [entry.key for entry in boundaries.boundary if entry.kind == "jurisdiction"]
    for key in outlines[1:]:
        mark(f"boundary[{key}].kind", f"the partner's outline is {outlines[0]} already")


def _check_organizations(
    tenant: _Tenant, organizations: schema.OrganizationsFile, mark: _Marks
) -> None:
    mark.unique("organization", [item.key for item in organizations.organization])
    known = _known(tenant)
    for each in organizations.organization:
        for where, message in organization_faults(each, known):
            mark(f"organization[{each.key}].{where}", message)


def _check_locations(tenant: _Tenant, locations: schema.LocationsFile, mark: _Marks) -> None:
    mark.unique("location", [item.key for item in locations.location])
    known = _known(tenant)
    for each in locations.location:
        for where, message in location_faults(each, known):
            mark(f"location[{each.key}].{where}", message)


def _check_taxonomies(file: schema.TaxonomiesFile, mark: _Marks) -> None:
    mark.unique("taxonomy", [each.key for each in file.taxonomy])
    for taxonomy in file.taxonomy:
        for where, message in term_faults(taxonomy.term):
            mark(f"taxonomy[{taxonomy.key}].{where}", message)
        for term in taxonomy.term:
            path = f"taxonomy[{taxonomy.key}].term[{term.code}].translation"
            mark.unique(path, [each.language for each in term.translation], "language")


def _check_services(tenant: _Tenant, found: list[ConfigError]) -> None:
    known = _known(tenant)
    holder: dict[str, str] = {}
    for file, services in tenant.services.items():
        mark = _Marks(file, found)
        mark.unique("service", [each.key for each in services.service])
        for service in services.service:
            if holder.setdefault(service.key, file) != file:
                mark(f"service[{service.key}].key", f"{service.key} is in {holder[service.key]}")
            for where, message in service_faults(service, known):
                mark(f"service[{service.key}].{where}", message)


def _check_groups(tenant: _Tenant, questions: schema.QuestionsFile, mark: _Marks) -> None:
    mark.unique("group", [item.key for item in questions.group])
    known = _known(tenant)
    for group in questions.group:
        for where, message in group_faults(group, known):
            mark(f"group[{group.key}].{where}", message)


def _known(tenant: _Tenant) -> Known:
    read = {name.removesuffix(".toml") for name in schema.TENANT_FILES if name not in tenant.unread}
    return Known(
        bureaus=_bureau_keys(tenant) if "bureaus" in read else None,
        queues=_queue_keys(tenant) if tenant.about is not None else None,
        boundaries=tenant.boundary_keys() if "boundaries" in read else None,
        locations=tenant.location_keys() if "locations" in read else None,
        organizations=tenant.organization_keys() if "organizations" in read else None,
        groups=tenant.groups() if "questions" in read else None,
    )


def _check_synonyms(synonyms: schema.SynonymsFile, mark: _Marks) -> None:
    mark.unique("synonym", [each.key for each in synonyms.synonym])
    for each in synonyms.synonym:
        for where, message in synonym_faults(each):
            mark(f"synonym[{each.key}].{where}", message)


def _check_rates(rates: schema.RatesFile, mark: _Marks) -> None:
    mark.unique("rate", [item.key for item in rates.rate])
    for rate in rates.rate:
        mark.dates(f"rate[{rate.key}]", rate.valid_from, rate.valid_to)
        try:
            rate_said(rate).check()
        except DomainError as error:
            if error.field != "valid_to":
                mark(f"rate[{rate.key}].{error.field}", error.message)
    for one, two in combinations(rates.rate, 2):
        same = (
            one.card == two.card
            and one.activity == two.activity
            and one.channel == two.channel
            and one.service == two.service
            and one.language == two.language
            and one.hours == two.hours
        )
        if same and _overlap((one.valid_from, one.valid_to), (two.valid_from, two.valid_to)):
            last = min((day for day in (one.valid_to, two.valid_to) if day), default=None)
            until = f" to {last}" if last else " on"
            mark(
                f"rate[{two.key}].valid_from",
                f"overlaps rate {one.key}: both give a price from "
                f"{max(one.valid_from, two.valid_from)}{until}",
            )


def _check_pools(tenant: _Tenant, pools: schema.PoolsFile, mark: _Marks) -> None:
    bases = None if "bases.toml" in tenant.unread else (tenant.bases or schema.BasesFile())
    check_pools(pools, bases, mark)
    if "bureaus.toml" not in tenant.unread:
        for pool in pools.pool:
            for share in pool.share:
                kind, _, bureau = share.payer.partition(":")
                if kind == "bureau":
                    path = f"pool[{pool.key} {pool.fiscal_year}].share[{share.payer}].payer"
                    mark.known(path, bureau, _bureau_keys(tenant), "bureau")


def _base_keys(tenant: _Tenant) -> set[str]:
    return {base.key for base in tenant.bases.base} if tenant.bases else set()


def rule_faults(rules: schema.RulesFile) -> list[ConfigError]:
    """Give what is wrong with a partner's rules beyond their shape."""
    found: list[ConfigError] = []
    _check_rules(rules, _Marks("rules.toml", found))
    return found


def _check_rules(rules: schema.RulesFile, mark: _Marks) -> None:
    mark.unique("rule", [item.key for item in rules.rule])
    mark.unique("case", [item.key for item in rules.case])
    compile_condition = _condition_compiler()
    for rule in rules.rule:
        path = f"rule[{rule.key}]"
        mark.dates(path, rule.valid_from or rules.rule_set.valid_from, rule.valid_to)
        if rule.condition is not None and compile_condition is not None:
            try:
                compile_condition(rule.condition)
            except DomainError as error:
                mark(f"{path}.condition", error.message)
        if rule.continues:
            if rule.outcome or rule.target or rule.queue:
                mark(path, "a rule that continues has no outcome, target or queue")
            continue
        if rule.outcome is None:
            mark(f"{path}.outcome", "is missing")
        crossing = rule.outcome in ("open_request", "refer", "warm_transfer")
        if rule.outcome in ("refer", "warm_transfer") and rule.target is None:
            mark(f"{path}.target", f"is missing: {rule.outcome} needs a target")
        if rule.target is not None and not crossing:
            mark(f"{path}.target", f"{rule.outcome} has no target")
        if rule.share and not crossing:
            mark(f"{path}.share", f"{rule.outcome} shares nothing")
        if rule.outcome == "decline" and rule.reason is None:
            mark(f"{path}.reason", "is missing: decline needs a reason")


def _condition_compiler() -> Callable[[str], object] | None:
    """`compile_condition` of the referral slice, which knows the facts and their types."""
    name = "regional311.referral.conditions"
    if util.find_spec("regional311.referral") is None or util.find_spec(name) is None:
        return None
    compiler: Callable[[str], object] = import_module(name).compile_condition
    return compiler


# --- checks across the region ---------------------------------------------------------------------


def _check_region(region: _Region, partners: dict[str, _Tenant], found: list[ConfigError]) -> None:
    agencies = {item.key for item in region.agencies.agency} if region.agencies else set()
    policy = region.folder
    if region.agencies is not None:
        mark = _Marks(f"{policy}/agencies.toml", found)
        mark.dates("policy", region.agencies.policy.valid_from, region.agencies.policy.valid_to)
        mark.unique("agency", [item.key for item in region.agencies.agency])
        for key in sorted(agencies & {*partners, REGION}):
            mark(f"agency[{key}].key", "is the slug of a partner")
    every = [*([region.tenant] if region.tenant else []), *partners.values()]
    _check_hosts(every, found)
    _check_articles(every, found)
    _check_terms_across(every, found)
    for tenant in every:
        _check_lines_across(tenant, partners, found)
        if tenant.boundaries is not None and region.agencies is not None:
            mark = _Marks(tenant.path("boundaries.toml"), found)
            for entry in tenant.boundaries.boundary:
                mark.known(f"boundary[{entry.key}].agency", entry.agency, agencies, "agency")
        if tenant.rules is not None:
            _check_rules_across(tenant, tenant.rules, region, partners, agencies, found)
        if tenant.receiving is not None:
            _check_receiving(tenant, tenant.receiving, partners, found)
        if tenant.connection is not None:
            _check_connection(tenant, tenant.connection.connection, found)
        _check_money_across(tenant, partners, found)
    if region.danger is not None:
        mark = _Marks(f"{policy}/danger-screen.toml", found)
        mark.dates("policy", region.danger.policy.valid_from, region.danger.policy.valid_to)
        mark.unique("screen.translation", [e.language for e in region.danger.screen.translation])
        for sign in region.danger.sign:
            mark.unique(f"sign[{sign.key}].translation", [e.language for e in sign.translation])
        mark.unique("sign", [item.key for item in region.danger.sign])
    if region.emergencies is not None:
        _check_emergencies(
            region.emergencies, partners, _Marks(f"{policy}/emergencies.toml", found)
        )
    if region.sharing is not None:
        _check_sharing(region.sharing, _Marks(f"{policy}/sharing.toml", found))
    if region.retention is not None:
        _check_retention(region.retention, partners, _Marks(f"{policy}/retention.toml", found))
    _check_agreements(region, partners, found)


def _check_hosts(every: list[_Tenant], found: list[ConfigError]) -> None:
    owners: dict[str, str] = {}
    for tenant in every:
        host = tenant.about.tenant.host if tenant.about else None
        if host is None:
            continue
        if host in owners:
            message = f"{host} already opens {owners[host]}"
            found.append(ConfigError(tenant.about_file, "tenant.host", message))
        owners[host] = tenant.slug


def _check_articles(every: list[_Tenant], found: list[ConfigError]) -> None:
    """An article may be about any partner's service, so articles are checked across the region."""
    readable = not any("services.toml" in tenant.unread for tenant in every)
    services = {f"{tenant.slug}/{key}" for tenant in every for key in tenant.service_keys()}
    for tenant in every:
        if tenant.articles is None:
            continue
        mark = _Marks(tenant.path("articles.toml"), found)
        mark.unique("article", [each.key for each in tenant.articles.article])
        for each in tenant.articles.article:
            for where, message in article_faults(
                each,
                tenant.slug,
                bureaus=None if "bureaus.toml" in tenant.unread else _bureau_keys(tenant),
                services=services if readable else None,
            ):
                mark(f"article[{each.key}].{where}", message)


def _check_terms_across(every: list[_Tenant], found: list[ConfigError]) -> None:
    """Keys are one of a kind in the region; terms exist where their taxonomy is in a file."""
    keepers: dict[str, str] = {}
    codes: dict[str, frozenset[str]] = {}
    for tenant in every:
        for taxonomy in tenant.taxonomies.taxonomy if tenant.taxonomies else ():
            keeper = keepers.setdefault(taxonomy.key, tenant.slug)
            if keeper != tenant.slug:
                mark = _Marks(tenant.path("taxonomies.toml"), found)
                mark(f"taxonomy[{taxonomy.key}].key", f"is the key of a taxonomy of {keeper}")
            codes.setdefault(taxonomy.key, frozenset(each.code for each in taxonomy.term))
    for tenant in every:
        if tenant.taxonomies is not None:
            mark = _Marks(tenant.path("taxonomies.toml"), found)
            for where, message in crosswalk_faults(tenant.taxonomies.crosswalk, codes):
                mark(where, message)
        for file, services in tenant.services.items():
            mark = _Marks(file, found)
            for service in services.service:
                for ref in service.taxonomy:
                    if fault := missing_term(ref, codes):
                        mark(f"service[{service.key}].taxonomy", fault)


def _check_lines_across(
    tenant: _Tenant, partners: dict[str, _Tenant], found: list[ConfigError]
) -> None:
    mark = _Marks(tenant.about_file, found)
    for line in tenant.about.line if tenant.about else ():
        path = f"line[{line.key}].closed_answer"
        mark.known(path, line.closed_answer, partners, "partner")
        if line.closed_answer == tenant.slug:
            mark(path, "a closed partner does not answer for itself")
        every = {
            f"{partner.slug}/{each.key}"
            for partner in partners.values()
            for each in (partner.about.line if partner.about else ())
        }
        readable = all(partner.about for partner in partners.values())
        for place, row in enumerate(line.fallback if readable else (), 1):
            where = f"line[{line.key}].fallback[{place}]"
            for message in fallback_faults(
                row, own=f"{tenant.slug}/{line.key}", partners=partners, lines=every
            ):
                mark(where, message)
        days = [each.day for each in line.special_day]
        for day in sorted({each for each in days if days.count(each) > 1}):
            mark(f"line[{line.key}].special_day", f"{day} is said twice")


def _check_emergencies(
    emergencies: schema.EmergenciesFile, partners: dict[str, _Tenant], mark: _Marks
) -> None:
    mark.dates("policy", emergencies.policy.valid_from, emergencies.policy.valid_to)
    mark.unique("kind", [each.key for each in emergencies.kind])
    lines = {
        f"{partner.slug}/{line.key}"
        for partner in partners.values()
        for line in (partner.about.line if partner.about else ())
    }
    answered = all(partner.about for partner in partners.values())
    readable = not any(SERVICES in partner.unread for partner in partners.values())
    services = {
        f"{partner.slug}/{service.key}"
        for partner in partners.values()
        for service in partner.every_service()
    }
    locations = {
        f"{partner.slug}/{key}" for partner in partners.values() for key in partner.location_keys()
    }
    for kind in emergencies.kind:
        path = f"kind[{kind.key}]"
        mark.unique(f"{path}.text", [each.language for each in kind.text])
        for ref in kind.services if readable else ():
            mark.known(f"{path}.services", ref, services, "service")
        for place, each in enumerate(kind.place, 1):
            where = f"{path}.place[{place}]"
            if not each.name and not each.service:
                mark(f"{where}.name", "say the name, or the service whose name it has")
            if each.service and readable:
                mark.known(f"{where}.service", each.service, services, "service")
            if each.location:
                mark.known(f"{where}.location", each.location, locations, "location")
        for place, row in enumerate(kind.surge if answered else (), 1):
            where = f"{path}.surge[{place}]"
            mark.known(f"{where}.line", row.line, lines, "line")
            if row.answer != "voicemail":
                mark.known(f"{where}.answer", row.answer, {*lines, *partners}, "line or partner")


def _check_rules_across(
    tenant: _Tenant,
    rules: schema.RulesFile,
    region: _Region,
    partners: dict[str, _Tenant],
    agencies: set[str],
    found: list[ConfigError],
) -> None:
    mark = _Marks(tenant.path("rules.toml"), found)
    terms = {service.term for partner in partners.values() for service in partner.every_service()}
    fields = {item.key for item in region.sharing.field} if region.sharing else set()
    everybody = {*partners, *agencies}
    readable = not any(SERVICES in partner.unread for partner in partners.values())
    for rule in rules.rule:
        path = f"rule[{rule.key}]"
        for key in rule.services:
            _known_elsewhere(f"{path}.services", key, tenant, partners, "service", mark)
        for key in rule.boundaries:
            _known_elsewhere(f"{path}.boundaries", key, tenant, partners, "boundary", mark)
        if readable:
            for key in rule.terms:
                mark.known(f"{path}.terms", key, terms, "service with the term")
        owners = {*everybody, "self", "other", "nobody"}
        if region.agencies is not None:
            for key in rule.owners:
                mark.known(f"{path}.owners", key, owners, "partner or agency")
            mark.known(f"{path}.target", rule.target, {*everybody, "owner", "self"}, "target")
        if rule.target in agencies and rule.outcome == "open_request":
            mark(f"{path}.target", "an agency has no queue here; refer, transfer or inform")
        if region.sharing is not None:
            for key in rule.share:
                mark.known(f"{path}.share", key, fields, "field in the sharing policy")
        holder = (
            tenant
            if rule.target in (None, "self", tenant.slug)
            else partners.get(rule.target or "")
        )
        if rule.queue is not None and rule.target == "owner":
            mark(f"{path}.queue", "the owner is not known beforehand; its service names the queue")
        elif holder is not None and holder.about is not None:
            mark.known(
                f"{path}.queue", rule.queue, _queue_keys(holder), "queue", f" at {holder.slug}"
            )


def _check_receiving(
    tenant: _Tenant,
    receiving: schema.ReceivingFile,
    partners: dict[str, _Tenant],
    found: list[ConfigError],
) -> None:
    mark = _Marks(tenant.path("receiving.toml"), found)
    mark.unique("acceptance", [each.key for each in receiving.acceptance])
    mark.unique("progress", [each.key for each in receiving.progress])
    for policy in receiving.acceptance:
        path = f"acceptance[{policy.key}]"
        for where, message in acceptance_faults(policy):
            mark(f"{path}.{where}", message)
        if policy.hours is not None:
            _check_week(policy.hours, f"{path}.hours", mark)
        for key in policy.services:
            _known_elsewhere(f"{path}.services", key, tenant, partners, "service", mark)
        for key in policy.areas:
            _known_elsewhere(f"{path}.areas", key, tenant, partners, "boundary", mark)
        for key in policy.senders:
            mark.known(f"{path}.senders", key, partners, "partner")
            if key == tenant.slug:
                mark(f"{path}.senders", "a partner does not refer to itself")


def _check_connection(
    tenant: _Tenant, connection: schema.Connection, found: list[ConfigError]
) -> None:
    mark = _Marks(tenant.path("connection.toml"), found)
    asked = connection.way != "they_poll"
    if asked and connection.address is None:
        mark("connection.address", "is missing: with this way the other system is asked")
    if not asked and connection.address is not None:
        mark("connection.address", "is left out with they_poll: that system is never asked")
    mark.unique("connection.service", [each.key for each in connection.service])


def _known_elsewhere(
    path: str,
    key: str,
    tenant: _Tenant,
    partners: dict[str, _Tenant],
    what: str,
    mark: _Marks,
) -> None:
    slug, _, own = key.rpartition("/")
    holder = partners.get(slug) if slug else tenant
    if holder is None:
        mark.known(path, slug, partners, "partner")
        return
    keys = holder.service_keys() if what == "service" else holder.boundary_keys()
    file = SERVICES if what == "service" else "boundaries.toml"
    if file not in holder.unread:
        mark.known(path, own, keys, what, f" of {holder.slug}" if slug else "")


def _check_money_across(
    tenant: _Tenant, partners: dict[str, _Tenant], found: list[ConfigError]
) -> None:
    services = {key for partner in partners.values() for key in partner.service_keys()}
    readable = not any(SERVICES in partner.unread for partner in partners.values())
    if tenant.rates is not None:
        mark = _Marks(tenant.path("rates.toml"), found)
        for rate in tenant.rates.rate:
            if readable:
                mark.known(f"rate[{rate.key}].service", rate.service, services, "service")
    if tenant.pools is not None:
        mark = _Marks(tenant.path("pools.toml"), found)
        for pool in tenant.pools.pool:
            for share in pool.share:
                path = f"pool[{pool.key} {pool.fiscal_year}].share[{share.payer}].payer"
                if ":" not in share.payer:
                    mark.known(path, share.payer, partners, "partner")
    if tenant.ledger is not None:
        mark = _Marks(tenant.path("ledger.toml"), found)
        for each in tenant.ledger.mapping:
            if each.party and ":" not in each.party:
                mark.known(f"mapping[{each.key}].party", each.party, partners, "partner")


def _check_sharing(sharing: schema.SharingFile, mark: _Marks) -> None:
    mark.dates("policy", sharing.policy.valid_from, sharing.policy.valid_to)
    mark.unique("field", [item.key for item in sharing.field])
    mark.unique("sharing.translation", [each.language for each in sharing.sharing.translation])
    for item in sharing.field:
        mark.unique(f"field[{item.key}].translation", [each.language for each in item.translation])
    mark.unique("grant", [item.key for item in sharing.grant])
    fields = {item.key for item in sharing.field}
    personal = {item.key for item in sharing.field if item.personal}
    for grant in sharing.grant:
        for key in grant.fields:
            mark.known(f"grant[{grant.key}].fields", key, fields, "field")
        if grant.consent == "not_needed" and personal & set(grant.fields):
            names = ", ".join(sorted(personal & set(grant.fields)))
            mark(f"grant[{grant.key}].consent", f"must be asked: {names} tell who the person is")


def _check_retention(
    retention: schema.RetentionFile, partners: dict[str, _Tenant], mark: _Marks
) -> None:
    mark.unique("retention", [item.key for item in retention.retention])
    mark.dates("policy", retention.policy.valid_from, retention.policy.valid_to)
    for entry in retention.retention:
        path = f"retention[{entry.key}]"
        mark.known(f"{path}.tenant", entry.tenant, partners, "partner")
    for one, two in combinations(retention.retention, 2):
        if (one.kind, one.tenant) == (two.kind, two.tenant):
            mark(f"retention[{two.key}].kind", f"{two.kind} is ruled by {one.key} already")


def _check_agreements(
    region: _Region, partners: dict[str, _Tenant], found: list[ConfigError]
) -> None:
    prefixes: dict[str, str] = {}
    for name, file in sorted(region.agreements.items()):
        mark = _Marks(f"{region.folder}/agreements/{name}", found)
        terms = file.agreement
        mark.dates("agreement", terms.valid_from, terms.valid_to)
        if f"{terms.key}.toml" != name:
            mark("agreement.key", f"{terms.key} is not the name of the file")
        mark.known("agreement.provider", terms.provider, partners, "partner")
        _check_payer(terms, partners, mark)
        if not terms.activities and terms.pool is None:
            mark("agreement", "bills nothing: name activities or a pool")
        if bool(terms.activities) != (terms.rate_card is not None):
            mark("agreement.rate_card", "activities, and only these, need a rate card")
        _check_agreement_prices(terms, partners.get(terms.provider), mark)
        for key, message in wrong_terms(file):
            mark(key, message)
        _check_signatures(file, mark)
        taken = prefixes.setdefault(terms.number_prefix, terms.provider)
        if taken != terms.provider:
            mark("agreement.number_prefix", f"{terms.number_prefix} is that of {taken}")
    _check_one_prefix(region, found)
    _check_one_agreement(region, found)


def _payer_named(terms: schema.AgreementTable) -> str:
    """The payer as pools name it: a partner's slug, `bureau:<key>` or `outside:<key>`."""
    if terms.outside is not None:
        return f"outside:{terms.outside.key}"
    return terms.payer or f"bureau:{terms.payer_bureau}"


def _check_payer(terms: schema.AgreementTable, partners: dict[str, _Tenant], mark: _Marks) -> None:
    named = [each for each in (terms.payer, terms.payer_bureau, terms.outside) if each is not None]
    if len(named) != 1:
        mark("agreement.payer", "name one payer: payer, payer_bureau or outside")
    mark.known("agreement.payer", terms.payer, partners, "partner")
    if terms.payer == terms.provider:
        mark("agreement.payer", "is the provider; its own bureaus pay by payer_bureau")
    if terms.outside is not None and terms.outside.key in {*partners, REGION}:
        mark("agreement.outside.key", f"{terms.outside.key} is the slug of a partner")
    if terms.supersedes == terms.key:
        mark("agreement.supersedes", "is this agreement itself")
    provider = partners.get(terms.provider)
    if provider is None:
        return
    of = f" of {terms.provider}"
    if terms.payer_bureau not in (None, ALL) and "bureaus.toml" not in provider.unread:
        bureaus = {item.key for item in provider.bureaus.bureau} if provider.bureaus else set()
        mark.known("agreement.payer_bureau", terms.payer_bureau, bureaus, "bureau", of)
    if SERVICES not in provider.unread:
        for key in terms.services:
            mark.known("agreement.services", key, provider.service_keys(), "service", of)
    mark.unique("agreement.services", list(terms.services))


def _check_signatures(file: schema.AgreementFile, mark: _Marks) -> None:
    terms = file.agreement
    outside = terms.outside.key if terms.outside is not None else None
    parties = {each for each in (terms.provider, terms.payer, outside) if each is not None}
    for item in file.signature:
        mark.known(f"signature[{item.partner}].partner", item.partner, parties, "party")


def _check_agreement_prices(
    terms: schema.AgreementTable, provider: _Tenant | None, mark: _Marks
) -> None:
    if provider is None:
        return
    of = f" of {terms.provider}"
    if "rates.toml" not in provider.unread:
        cards = {rate.card for rate in provider.rates.rate} if provider.rates else set()
        mark.known("agreement.rate_card", terms.rate_card, cards, "rate card", of)
    if "pools.toml" not in provider.unread:
        every = provider.pools.pool if provider.pools else ()
        pools = {pool.key for pool in every}
        mark.known("agreement.pool", terms.pool, pools, "pool", of)
        bearers = bearers_of(terms.pool, every, provider.bases)
        bears = (
            any(each.startswith("bureau:") for each in bearers or ())
            if terms.payer_bureau == ALL
            else _payer_named(terms) in (bearers or ())
        )
        if terms.pool in pools and bearers is not None and not bears:
            who = "no bureau" if terms.payer_bureau == ALL else _payer_named(terms)
            has = "has a share" if terms.payer_bureau == ALL else "has no share"
            mark("agreement.pool", f"{who} {has} in {terms.pool}")


def _check_one_prefix(region: _Region, found: list[ConfigError]) -> None:
    first: dict[str, schema.AgreementTable] = {}
    for name, file in sorted(region.agreements.items()):
        terms = file.agreement
        known = first.setdefault(terms.provider, terms)
        if known.number_prefix != terms.number_prefix:
            mark = _Marks(f"{region.folder}/agreements/{name}", found)
            mark(
                "agreement.number_prefix",
                f"{terms.provider} numbers with {known.number_prefix} in {known.key}",
            )


def _check_one_agreement(region: _Region, found: list[ConfigError]) -> None:
    """No piece of work may be billed to one payer under two agreements."""
    for (_, one), (name, two) in combinations(sorted(region.agreements.items()), 2):
        first, second = one.agreement, two.agreement
        if first.provider != second.provider:
            continue
        if not _overlap((first.valid_from, first.valid_to), (second.valid_from, second.valid_to)):
            continue
        both: list[str] = sorted(set(first.activities) & set(second.activities))
        if first.pool is not None and first.pool == second.pool:
            both.append(first.pool)
        if both and _same_payer(first, second) and _same_services(first, second):
            _Marks(f"{region.folder}/agreements/{name}", found)(
                "agreement",
                f"bills {_payer_named(second)} for {', '.join(both)}, as {first.key} does already",
            )


def _same_payer(one: schema.AgreementTable, two: schema.AgreementTable) -> bool:
    every = ALL in (one.payer_bureau, two.payer_bureau)
    if every and one.payer_bureau is not None and two.payer_bureau is not None:
        return True
    return _payer_named(one) == _payer_named(two)


def _same_services(one: schema.AgreementTable, two: schema.AgreementTable) -> bool:
    if not one.services or not two.services:
        return True
    return bool(set(one.services) & set(two.services))
