"""Everything published that decisions need, in memory, reloaded when it changes.

A contact is decided without one statement for configuration: partners, lines, boundaries,
services, rules, policies and agreements are read together into :class:`Published`, which is never
changed. Each process keeps one and asks at most once a second whether a newer one exists.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from babel.dates import format_date
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from regional311.calendars import BadHours, BusinessCalendar
from regional311.catalog import queries as catalog
from regional311.catalog.content import Question
from regional311.catalog.directory import Directory, Service
from regional311.catalog.forms import EMPTY, Form, Groups, resolve
from regional311.catalog.taxonomy import Terms
from regional311.cover.emergency import EmergencyKind, InForce, switched
from regional311.cover.queries import emergencies_kept
from regional311.database.session import Scope, open_session
from regional311.errors import NotFound
from regional311.intake.promises import Levels, levels_of, promise
from regional311.locale.sentences import in_language
from regional311.notices.phones import e164
from regional311.notices.wording import Words, own_words
from regional311.referral.acceptance import Acceptance, Progress, Reception, Room
from regional311.referral.capacity import rooms
from regional311.referral.decision import Partner, Region, Sign, rule_name_key
from regional311.referral.models import AcceptancePolicy, ProgressWord
from regional311.referral.models import RuleSet as StoredRuleSet
from regional311.referral.rules import RuleBook, RuleSet, rules_from
from regional311.strict import from_plain
from regional311.tenancy import queries as tenancy
from regional311.tenancy.answering import Answer, AnsweredLine, Step, Surge, step, who_answers
from regional311.tenancy.hours import business_hours, calendar_of
from regional311.tenancy.jurisdiction import (
    NO_PLACE,
    Boundary,
    JurisdictionIndex,
    Located,
    geometry_from,
)
from regional311.tenancy.retention import keep_days

NOBODY: Final = Scope(UUID(int=0))
"""A scope that owns no row: it sees what is published and nothing else."""

CHECK_SECONDS: Final = 1.0
_REGION: Final = "region"
_OUTLINE: Final = "jurisdiction"


@dataclass(frozen=True, slots=True)
class Line:
    """A public line with its hours."""

    tenant: str
    key: str
    name: str
    channel: str
    address: str
    closed_answer: str
    calendar: BusinessCalendar = field(repr=False, compare=False)
    answered: AnsweredLine = field(repr=False, compare=False)
    ended: bool = False
    special_names: tuple[tuple[date, str], ...] = ()
    """Why its special days are special."""

    @property
    def ref(self) -> str:
        """The line as ``partner/line``."""
        return f"{self.tenant}/{self.key}"

    def is_open(self, at: datetime) -> bool:
        """Whether the line answers at a moment."""
        return self.calendar.is_open(at)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one purpose lets cross to one kind of partner."""

    key: str
    purpose: str
    receivers: frozenset[str]
    fields: tuple[str, ...]
    needs_consent: bool
    expires_days: int
    on_paper: bool = False


ENGLISH: Final = "en"
READ_OUT: Final = "{question} With {partner}, until {day}: {fields}."
"""How a consent is read out; the fields are what crosses only with it."""


@dataclass(frozen=True, slots=True)
class SpokenSharing:
    """How a person is asked in one language: the question, and what fields are called."""

    consent_text: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sharing:
    """The region's sharing policy on a day."""

    grants: tuple[Grant, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    personal: frozenset[str] = frozenset()
    consent_text: str = ""
    paper_kinds: frozenset[str] = frozenset()
    """Kinds of partner that see and show nothing without a consent on paper."""
    translations: Mapping[str, SpokenSharing] = field(default_factory=dict)
    """The question and the names of fields, by other languages."""

    def allowed(
        self, purpose: str, kind: str, *, consent: bool, written: bool = False, sender: str = ""
    ) -> tuple[tuple[str, ...], bool, int]:
        """Give the fields that may cross, whether consent is missing, and days until expiry.

        Consent is missing when something could cross with it and nothing can without. `written`
        tells that it was given on paper, `sender` the kind of the partner that would send.
        """
        fields: dict[str, None] = {}
        missing = False
        days = 365
        strict = not self.paper_kinds.isdisjoint((kind, sender))
        for grant in self.grants:
            if grant.purpose != purpose or kind not in grant.receivers:
                continue
            paper = strict or grant.on_paper
            if (paper and not (consent and written)) or (grant.needs_consent and not consent):
                missing = True
                continue
            fields.update(dict.fromkeys(grant.fields))
            days = min(days, grant.expires_days)
        return tuple(fields), missing and not fields, days

    def needs_paper(self, purpose: str, kind: str, *, sender: str = "") -> bool:
        """Whether a spoken consent lets nothing cross that needs one."""
        if not self.paper_kinds.isdisjoint((kind, sender)):
            return True
        asked = [
            grant
            for grant in self.grants
            if grant.purpose == purpose and kind in grant.receivers and grant.needs_consent
        ]
        return bool(asked) and all(grant.on_paper for grant in asked)

    def asks_in(self, language: str) -> str:
        """Give the language in which the question is asked of who speaks one: theirs, or English.

        >>> Sharing().asks_in("vi")
        'en'
        """
        return language if language in self.translations else ENGLISH

    def question(self, language: str = ENGLISH) -> str:
        """Give the question alone, in a language where it is there."""
        known = self.translations.get(language)
        return known.consent_text if known else self.consent_text

    def words(
        self, fields: Iterable[str], partner: str, until: date, language: str = ENGLISH
    ) -> str:
        """Give what is read out to the person: the question, what, to whom, until when.

        >>> sharing = Sharing(fields={"name": "Name"}, consent_text="May we share this?",
        ...     translations={"es": SpokenSharing("¿Podemos compartirlo?", {"name": "Nombre"})})
        >>> sharing.words(["name"], "211info", date(2027, 5, 4))
        'May we share this? With 211info, until May 4, 2027: Name.'
        >>> sharing.words(["name"], "211info", date(2027, 5, 4), "es").partition("?")[0]
        '¿Podemos compartirlo'
        """
        language = self.asks_in(language)
        known = self.translations.get(language)
        spoken = known.fields if known else {}
        named = ", ".join(spoken.get(name) or self.fields.get(name, name) for name in fields)
        if not named:
            return ""
        if known is None:
            day, pattern = f"{until:%B} {until.day}, {until.year}", READ_OUT
        else:
            day = format_date(until, "long", locale=language.replace("-", "_"))
            pattern = in_language(READ_OUT, language)
        return pattern.format(
            question=self.question(language), partner=partner, day=day, fields=named
        )


@dataclass(frozen=True, slots=True)
class Screen:
    """The region's danger screen on a day: what is asked, and the signs."""

    ask: str = ""
    say: str = ""
    number: str = "911"
    signs: tuple[Sign, ...] = ()
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What is asked and said, by other languages."""

    def spoken(self, language: str) -> Screen:
        """Give the screen in a language, where the region has said it so.

        >>> screen = Screen("Danger?", others={"es": ("¿Peligro?", "Llame al 911.")})
        >>> screen.spoken("es").ask, screen.spoken("ru").ask
        ('¿Peligro?', 'Danger?')
        """
        ask, say = self.others.get(language, (self.ask, self.say))
        signs = tuple(each.spoken(language) for each in self.signs)
        return replace(self, ask=ask, say=say, signs=signs)


@dataclass(frozen=True, slots=True)
class Agency:
    """A body that takes no part but is responsible for something."""

    key: str
    name: str
    phone: str = ""
    website: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class _DatedRules:
    tenant: str
    valid_from: date | None
    valid_to: date | None
    book: RuleBook

    def holds(self, on: date) -> bool:
        return (self.valid_from is None or self.valid_from <= on) and (
            self.valid_to is None or on < self.valid_to
        )


class Published:
    """The region's configuration as it was read at one revision; never changed."""

    def __init__(
        self,
        *,
        revision: int,
        tenants: Iterable[tenancy.TenantRow] = (),
        bureaus: Iterable[tenancy.BureauRow] = (),
        lines: Iterable[tenancy.LineRow] = (),
        boundaries: Iterable[tenancy.BoundaryRow] = (),
        policies: Iterable[tenancy.PolicyRow] = (),
        services: Iterable[Service] = (),
        terms: Terms | None = None,
        groups: Mapping[str, Groups] | None = None,
        rule_sets: Iterable[Mapping[str, Any]] = (),
        agreements: Iterable[tuple[UUID, UUID, date | None, date | None]] = (),
        emergencies: Iterable[InForce] = (),
        policies_of: Iterable[tuple[UUID, Mapping[str, Any]]] = (),
        words_of: Iterable[tuple[UUID, Mapping[str, Any]]] = (),
        rooms_of: Mapping[tuple[UUID, str], tuple[Room, ...]] | None = None,
    ) -> None:
        self.revision = revision
        self.tenants: Mapping[str, tenancy.TenantRow] = {each.slug: each for each in tenants}
        self.ids: Mapping[str, UUID] = {slug: row.id for slug, row in self.tenants.items()}
        self.slugs: Mapping[UUID, str] = {row.id: slug for slug, row in self.tenants.items()}
        outlined = tuple(boundaries)
        outlines = {
            each.tenant_id: each.key
            for each in outlined
            if each.kind == _OUTLINE and each.agency_key is None and each.ended_on is None
        }
        self.partners: Mapping[str, Partner] = {
            slug: Partner(
                slug, row.kind, row.name, f"{slug}/{outlines[row.id]}" if row.id in outlines else ""
            )
            for slug, row in self.tenants.items()
            if row.kind != _REGION
        }
        self.bureaus: Mapping[str, tenancy.BureauRow] = {
            f"{self.slugs[each.tenant_id]}/{each.key}": each
            for each in bureaus
            if each.tenant_id in self.slugs
        }
        self.calendars: Mapping[str, BusinessCalendar] = {
            slug: business_hours(row) for slug, row in self.tenants.items()
        }
        self.levels: Mapping[str, Levels] = {
            slug: levels_of(row.settings) for slug, row in self.tenants.items()
        }
        self.lines: Mapping[str, Line] = {
            f"{line.tenant}/{line.key}": line for line in self._lines(lines)
        }
        self.answered: Mapping[str, AnsweredLine] = {
            ref: line.answered for ref, line in self.lines.items() if not line.ended
        }
        self.emergencies: tuple[InForce, ...] = tuple(emergencies)
        self.surges: tuple[Surge, ...] = switched(self.emergencies)
        self.directory = Directory(services)
        self.reception = self._reception(policies_of, rooms_of or {})
        self.progress: Mapping[str, Mapping[str, Progress]] = self._progress(words_of)
        self.terms = terms or Terms()
        self.groups: Mapping[str, Groups] = groups or {}
        self._forms: dict[str, Form] = {}
        self.boundaries: Mapping[str, tenancy.BoundaryRow] = {}
        self.jurisdictions = self._index(outlined)
        self._policies = tuple(policies)
        self._rules = tuple(self._dated(each) for each in rule_sets)
        self._agreements = tuple(agreements)
        self._regions: dict[date, Region] = {}
        self._sharing: dict[date, Sharing] = {}
        self._screens: dict[date, Screen] = {}
        self.names = self._names()

    @classmethod
    def load(cls, session: Session) -> Published:
        """Read everything published, in a fixed number of statements."""
        rows = tenancy.tenants(session)
        slugs = {row.id: row.slug for row in rows}
        rule_sets = session.execute(
            select(
                StoredRuleSet.tenant_id,
                StoredRuleSet.id,
                StoredRuleSet.version,
                StoredRuleSet.published,
                StoredRuleSet.rules,
            )
            .where(StoredRuleSet.published.is_not(None))
            .order_by(StoredRuleSet.tenant_id, StoredRuleSet.version)
        )
        # agreements belong to a higher floor; only who may hand work to whom is read here
        agreements = session.execute(
            text(
                "SELECT provider_id, payer_id, lower(valid), upper(valid) FROM agreements "
                "WHERE NOT isempty(valid) ORDER BY tenant_id, key, version"
            )
        )
        return cls(
            revision=sum(row.revision for row in rows),
            tenants=rows,
            bureaus=tenancy.bureaus(session),
            lines=tenancy.lines(session),
            boundaries=tenancy.boundaries(session),
            policies=tenancy.policies(session),
            services=catalog.services(session, slugs),
            terms=catalog.terms(session, slugs),
            groups=catalog.groups(session, slugs),
            rule_sets=[row._asdict() for row in rule_sets],
            agreements=[tuple(row) for row in agreements],
            emergencies=emergencies_kept(session, slugs),
            policies_of=[
                (row.tenant_id, row.said)
                for row in session.execute(
                    select(AcceptancePolicy.tenant_id, AcceptancePolicy.said).where(
                        AcceptancePolicy.ended_on.is_(None)
                    )
                )
            ],
            words_of=[
                (row.tenant_id, {"key": row.key, "name": row.name, "state": row.state})
                for row in session.execute(
                    select(
                        ProgressWord.tenant_id,
                        ProgressWord.key,
                        ProgressWord.name,
                        ProgressWord.state,
                    )
                    .where(ProgressWord.ended_on.is_(None))
                    .order_by(ProgressWord.key)
                )
            ],
            rooms_of=rooms(session),
        )

    def tenant(self, slug: str) -> tenancy.TenantRow:
        """Give a partner by slug. Raises :class:`NotFound`."""
        row = self.tenants.get(slug)
        if row is None:
            raise NotFound(f"There is no partner {slug}.")
        return row

    def today(self, slug: str, at: datetime) -> date:
        """Give the local day of a moment at a partner."""
        return self.calendars[slug].local_date(at)

    def promised(
        self, slug: str, service: Service | None, priority: str, at: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """Give by when a partner promises what is opened now, and when its staff are warned."""
        hours = service.target_hours if service is not None else None
        return promise(self.calendars[slug], at, self.levels[slug].level(hours, priority))

    def text_number(self, slug: str) -> str | None:
        """Give the number from which a partner writes texts, as E.164; None: it has no line."""
        numbers = (
            e164(line.address)
            for line in self.lines.values()
            if line.tenant == slug and line.channel == "text" and not line.ended
        )
        return next(filter(None, numbers), None)

    def region(self, on: date) -> Region:
        """Give what decisions of a day read."""
        known = self._regions.get(on)
        if known is None:
            known = self._regions[on] = Region(
                self.partners,
                self.directory,
                {each.tenant: each.book for each in self._rules if each.holds(on)},
                frozenset(
                    frozenset((self.slugs[provider], self.slugs[payer]))
                    for provider, payer, start, end in self._agreements
                    if (start is None or start <= on) and (end is None or on < end)
                ),
                self.screen(on).signs,
                {agency.key: agency.name for agency in self.agencies(on).values()},
                str(self.revision),
                self.reception,
            )
        return known

    def rule_book(self, slug: str, version: int) -> RuleBook | None:
        """Give a version of a partner's rules, to explain an old decision."""
        return next(
            (
                each.book
                for each in self._rules
                if each.tenant == slug and each.book.rule_set.version == version
            ),
            None,
        )

    def who_answers(self, ref: str, at: datetime) -> Answer:
        """Say who answers a line (``partner/line``) at a moment."""
        return who_answers(self.answered, ref, at, self.surges)

    def surges_at(self, at: datetime) -> tuple[Surge, ...]:
        """Give the targets that emergencies put before all fallbacks at a moment."""
        return tuple(each for each in self.surges if each.holds(at))

    def in_branch(self, branch: str) -> frozenset[str]:
        """Give the services of a branch of a taxonomy, as ``partner/key``."""
        refs = self.terms.terms_of(branch)
        return frozenset(
            each.ref
            for each in self.directory.services
            if not refs.isdisjoint(each.details.get("taxonomy") or ())
        )

    def confidential_services(self) -> frozenset[tuple[UUID, str]]:
        """The services that are asked for in confidence, as (owner, key)."""
        return frozenset(
            (self.ids[each.tenant], each.key)
            for each in self.directory.services
            if each.confidential and each.tenant in self.ids
        )

    def compiled(self, slug: str, version: int, contents: Iterable[Mapping[str, Any]]) -> RuleBook:
        """Compile rules of a partner as this region understands them.

        Raises :class:`BadRule` for a rule that cannot be read.
        """
        return RuleBook.of(RuleSet(slug, version, rules_from(contents)), self.in_branch)

    def trying(
        self, slug: str, version: int, contents: Iterable[Mapping[str, Any]], on: date
    ) -> Region:
        """Give the region of a day as it would be if these rules of a partner decided.

        Raises :class:`BadRule`.
        """
        return self.with_book(self.compiled(slug, version, contents), on)

    def with_book(self, book: RuleBook, on: date) -> Region:
        """Give the region of a day with another rule book of a partner."""
        region = self.region(on)
        return replace(region, rulebooks={**region.rulebooks, book.rule_set.tenant: book})

    def people_kept_until(self, slug: str, now: datetime) -> datetime | None:
        """Say until when a partner keeps who asked for something now; None: no policy says so."""
        on = self.today(slug, now)
        days = keep_days(self._policies, "inquirer", slug, on, otherwise=0)
        return now + timedelta(days=days) if days else None

    def policy(self, key: str, on: date) -> Mapping[str, Any]:
        """Give the body of a policy in force on a day; empty when there is none."""
        found: Mapping[str, Any] = {}
        for row in self._policies:
            if (
                row.key == key
                and row.valid_from <= on
                and (row.valid_to is None or on < row.valid_to)
            ):
                found = row.body
        return found

    def screen(self, on: date) -> Screen:
        """Give the danger screen of a day."""
        known = self._screens.get(on)
        if known is None:
            body = self.policy("danger-screen", on)
            table = body.get("screen") or {}
            number = table.get("number") or "911"
            others = {
                each["language"]: (each["ask"], each["say"])
                for each in table.get("translation") or ()
            }
            known = self._screens[on] = Screen(
                table.get("ask") or "",
                table.get("say") or "",
                number,
                tuple(
                    Sign(
                        each["key"],
                        each.get("name") or each["key"],
                        tuple(each.get("words") or ()),
                        each.get("say") or table.get("say") or "",
                        each.get("number") or number,
                        {
                            said["language"]: (
                                said["name"],
                                said.get("say")
                                or others.get(said["language"], ("", each.get("say") or ""))[1],
                            )
                            for said in each.get("translation") or ()
                        },
                        frozenset(said for _ask, said in others.values())
                        | {table.get("say") or ""},
                    )
                    for each in body.get("sign") or body.get("signs") or ()
                ),
                others,
            )
        return known

    def emergency_kinds(self, on: date) -> Mapping[str, EmergencyKind]:
        """Give what is prepared for emergencies, by kind."""
        body = self.policy("emergencies", on)
        return {each["key"]: from_plain(EmergencyKind, each) for each in body.get("kind") or ()}

    def sharing(self, on: date) -> Sharing:
        """Give the sharing policy of a day."""
        known = self._sharing.get(on)
        if known is None:
            body = self.policy("sharing", on)
            fields = body.get("field") or body.get("fields") or ()
            known = self._sharing[on] = Sharing(
                tuple(
                    Grant(
                        each["key"],
                        each["purpose"],
                        frozenset(each.get("receivers") or ()),
                        tuple(each.get("fields") or ()),
                        each.get("consent") in ("asked", "written"),
                        int(each.get("expires_days") or 365),
                        each.get("consent") == "written",
                    )
                    for each in body.get("grant") or body.get("grants") or ()
                ),
                {each["key"]: each.get("name") or each["key"] for each in fields},
                frozenset(each["key"] for each in fields if each.get("personal")),
                (body.get("sharing") or {}).get("consent_text") or "",
                frozenset(
                    each["kind"]
                    for each in body.get("partner_kind") or ()
                    if each.get("consent") == "written"
                ),
                {
                    said["language"]: SpokenSharing(
                        said["consent_text"],
                        {
                            each["key"]: name["name"]
                            for each in fields
                            for name in each.get("translation") or ()
                            if name["language"] == said["language"]
                        },
                    )
                    for said in (body.get("sharing") or {}).get("translation") or ()
                },
            )
        return known

    def agencies(self, on: date) -> Mapping[str, Agency]:
        """Give the outside agencies by key."""
        body = self.policy("agencies", on)
        return {
            each["key"]: Agency(
                each["key"],
                each.get("name") or each["key"],
                each.get("phone") or "",
                each.get("website") or "",
                each.get("summary") or "",
            )
            for each in body.get("agency") or body.get("agencies") or ()
        }

    def locate(
        self, *, longitude: float | None = None, latitude: float | None = None, words: str = ""
    ) -> Located:
        """Find a place by its point, or else by words; nothing given is *no place*."""
        if longitude is not None and latitude is not None:
            return self.jurisdictions.locate(longitude, latitude)
        return self.jurisdictions.locate_words(words) if words.strip() else NO_PLACE

    def form(self, service: Service) -> Form:
        """Give the questions of a service with its groups put in."""
        known = self._forms.get(service.ref)
        if known is None:
            said = service.details.get("question") or ()
            questions = [from_plain(Question, each) for each in said]
            known = self._forms[service.ref] = (
                resolve(questions, self.groups.get(service.tenant, {}), service.tenant)
                if questions
                else EMPTY
            )
        return known

    @property
    def names_of_all(self) -> dict[str, str]:
        """Names of partners by id, and of everything else that has one by its key."""
        return {**self.names, **{str(key): self.names[slug] for key, slug in self.slugs.items()}}

    def wording(self, tenant_id: UUID, event: str, language: str, channel: str) -> Words | None:
        """Give a partner's own words for a message to people; None where it says the usual ones."""
        slug = self.slugs.get(tenant_id)
        if slug is None:
            return None
        rows = self.tenants[slug].settings.get("wording") or ()
        return own_words(rows, event, language, channel)

    def service_name(self, tenant_id: UUID, key: str, language: str) -> str:
        """Give what a partner's service is called in a language, else in the partner's own."""
        slug = self.slugs.get(tenant_id, "")
        service = self.directory.find(f"{slug}/{key}")
        if service is None:
            return self.names.get(f"{slug}/{key}", key)
        translations = service.details.get("translation") or ()
        said = {each["language"]: each.get("name") for each in translations}
        return said.get(language) or service.name

    def queues(self, slug: str) -> Mapping[str, str]:
        """Give a partner's queues: key to name."""
        settings = self.tenant(slug).settings
        found = settings.get("queue") or settings.get("queues") or ()
        return {each["key"]: each.get("name") or each["key"] for each in found}

    def unplaced_queue(self, slug: str) -> str | None:
        """Give the queue that takes what nothing else places."""
        settings = self.tenant(slug).settings
        found = settings.get("queue") or settings.get("queues") or ()
        return next((each["key"] for each in found if each.get("unplaced")), None)

    def _lines(self, rows: Iterable[tenancy.LineRow]) -> Iterable[Line]:
        for row in rows:
            slug = self.slugs.get(row.tenant_id)
            if slug is None:
                continue
            tenant = self.tenants[slug]
            calendar = calendar_of(tenant, row.hours or {}, row.special_days)
            yield Line(
                slug,
                row.key,
                row.name,
                row.channel,
                row.address,
                row.closed_answer or "",
                calendar,
                AnsweredLine(
                    f"{slug}/{row.key}", row.channel, calendar, tuple(_steps(row, calendar))
                ),
                row.ended_on is not None,
                tuple(
                    (date.fromisoformat(each["day"]), each["name"])
                    for each in row.special_days
                    if each.get("name")
                ),
            )

    def _index(self, rows: Iterable[tenancy.BoundaryRow]) -> JurisdictionIndex:
        found = []
        keyed = {}
        for row in rows:
            slug = self.slugs.get(row.tenant_id)
            if slug is None or row.ended_on is not None:
                continue
            key = f"{slug}/{row.key}"
            keyed[key] = row
            found.append(
                Boundary(
                    key,
                    row.agency_key or slug,
                    row.name,
                    geometry_from(row.geometry),
                    float(row.tolerance_m),
                    tuple(row.names or ()),
                    row.illustrative,
                )
            )
        self.boundaries = keyed
        return JurisdictionIndex(found)

    def _dated(self, row: Mapping[str, Any]) -> _DatedRules:
        slug = self.slugs[row["tenant_id"]]
        span = row["published"]
        rule_set = RuleSet(slug, row["version"], rules_from(row["rules"]), str(row["id"]))
        # a version that was replaced on its first day has an empty span: it never decides
        ends = date.min if span.isempty else span.upper
        return _DatedRules(slug, span.lower, ends, RuleBook.of(rule_set, self.in_branch))

    def _reception(
        self,
        said: Iterable[tuple[UUID, Mapping[str, Any]]],
        rooms_of: Mapping[tuple[UUID, str], tuple[Room, ...]],
    ) -> Reception:
        policies: dict[str, list[Acceptance]] = {}
        calendars: dict[str, BusinessCalendar] = {}
        for tenant_id, content in said:
            slug = self.slugs.get(tenant_id)
            if slug is None:
                continue
            policy = from_plain(Acceptance, content)
            policies.setdefault(slug, []).append(policy)
            if policy.hours is not None:
                calendars[f"{slug}/{policy.key}"] = calendar_of(
                    self.tenants[slug], content["hours"]
                )
        return Reception(
            {slug: tuple(each) for slug, each in policies.items()},
            {
                f"{self.slugs[tenant_id]}/{key}": found
                for (tenant_id, key), found in rooms_of.items()
                if tenant_id in self.slugs
            },
            calendars,
        )

    def _progress(
        self, said: Iterable[tuple[UUID, Mapping[str, Any]]]
    ) -> Mapping[str, Mapping[str, Progress]]:
        found: dict[str, dict[str, Progress]] = {}
        for tenant_id, content in said:
            word = from_plain(Progress, content)
            found.setdefault(self.slugs.get(tenant_id, ""), {})[word.key] = word
        return found

    def _names(self) -> Mapping[str, str]:
        names = {slug: row.name for slug, row in self.tenants.items()}
        names.update((each.ref, each.name) for each in self.directory.services)
        names.update((key, row.name) for key, row in self.boundaries.items())
        for row in self._policies:
            if row.key == "agencies":
                for each in row.body.get("agency") or row.body.get("agencies") or ():
                    names[each["key"]] = each.get("name") or each["key"]
        for dated in self._rules:
            for rule in dated.book.rule_set.rules:
                names.setdefault(rule.key, rule.name)
                names[rule_name_key(dated.tenant, dated.book.rule_set.version, rule.key)] = (
                    rule.name
                )
        return names


_lock: Final = threading.Lock()
_kept: dict[str, tuple[float, Published]] = {}


def published(engine: Engine) -> Published:
    """Give this process's snapshot, asking at most once a second whether it is still the newest."""
    key = str(engine.url)
    held = _kept.get(key)
    now = time.monotonic()
    if held is not None and now - held[0] < CHECK_SECONDS:
        return held[1]
    with _lock:
        held = _kept.get(key)
        if held is not None and now - held[0] < CHECK_SECONDS:
            return held[1]
        snapshot = None if held is None else held[1]
        if snapshot is None or snapshot.revision != _newest(engine):
            # everything is read as of one moment: never half of a change
            steady = engine.execution_options(isolation_level="REPEATABLE READ")
            with steady.connect() as connection, open_session(connection, NOBODY) as session:
                snapshot = Published.load(session)
        _kept[key] = (time.monotonic(), snapshot)
        return snapshot


def _newest(engine: Engine) -> int:
    """The newest revision, asked outside transactions.

    At the end of one that is rolled back the driver forgets what it has prepared on the connection,
    and this would happen every second.
    """
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        return tenancy.revision(connection)


def invalidate() -> None:
    """Forget the snapshots of this process, so that the next use reads afresh."""
    with _lock:
        _kept.clear()


def _steps(row: tenancy.LineRow, calendar: BusinessCalendar) -> Iterable[Step]:
    for each in row.fallbacks:
        try:
            yield step(each["answer"], each.get("days") or (), each.get("hours") or (), calendar)
        except BadHours:
            continue
    if row.closed_answer:
        yield Step(row.closed_answer)
