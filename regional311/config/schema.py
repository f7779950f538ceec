"""What each configuration file may say, as strict models.

Every file under ``tenants/`` and ``policies/`` has one model here or, for what the catalogue holds,
in ``catalog/content.py``. The descriptions are the reference that ``docs/configuration.md`` is made
from.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from regional311.casework.prepared_texts import AnswerText, ClosingText
from regional311.catalog.articles import Article
from regional311.catalog.content import (
    Crosswalk,
    Disposition,
    Location,
    Organization,
    QuestionGroup,
    Service,
    Synonym,
    Taxonomy,
    TermRef,
    Verb,
)
from regional311.cover.emergency import EmergencyKind
from regional311.errors import InvalidInput, NotFound
from regional311.notices.quiet import check as check_hours
from regional311.notices.service import TO_PEOPLE
from regional311.notices.texts import SHORT
from regional311.notices.wording import Words as MessageWords
from regional311.notices.wording import check as check_words
from regional311.notices.wording_settings import standard
from regional311.referral.acceptance import Acceptance, Progress
from regional311.referral.cases import Case
from regional311.strict import (
    Cents,
    Channel,
    Code,
    Colour,
    Dated,
    Email,
    Expression,
    Host,
    Key,
    Language,
    Model,
    Money,
    Name,
    Party,
    Percent,
    Phone,
    Prose,
    Quantity,
    Reading,
    SignedCents,
    TargetName,
    Urgency,
    WebAddress,
    Week,
    Words,
    Zone,
)
from regional311.tenancy.answering import Fallback, SpecialDay

Outcome = Literal[
    "resolve_here", "open_request", "refer", "warm_transfer", "information", "decline"
]
Activity = Literal[
    "contact_handled",
    "request_taken_in",
    "warm_transfer",
    "referral_closed",
    "after_hours_answer",
    "follow_up",
    "interpreter_minute",
    "lent_minute",
]
PayerRule = Literal["service_owner", "jurisdiction", "referrer", "line_owner"]
TenantKind = Literal["city", "county", "community", "victim_services", "region"]
RoleKey = Literal[
    "specialist",
    "supervisor",
    "coordinator",
    "partner",
    "worker",
    "keeper",
    "editor",
    "finance",
    "approver",
    "administrator",
    "auditor",
]


# --- tenant.toml, policies/region.toml ------------------------------------------------------------


class TenantTable(Model):
    """Who the partner is."""

    kind: TenantKind = Field(
        description="What the partner is; sharing policies are granted by kind."
    )
    name: Words = Field(description="Full name, as the public knows it.")
    short_name: Words = Field(description="Name for narrow places, such as a column.")
    legal_name: Words | None = Field(
        default=None, description="Name on statements; left out: the full name."
    )
    summary: Prose = Field(description="One or two plain sentences for the public door.")
    zone: Zone = Field(description="Time zone in which hours, days and periods are counted.")
    fiscal_year_start_month: int = Field(
        ge=1, le=12, description="Month in which the fiscal year begins; 7 in Oregon."
    )
    languages: tuple[Language, ...] = Field(
        default=("en",), description="Languages offered, the first is the default."
    )
    host: Host | None = Field(
        default=None, description="Host name that opens this partner directly."
    )
    review_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        description="Days after which somebody looks whether a service without days of its own "
        "is still right; left out: 365.",
    )


class ContactTable(Model):
    """How the public reaches the partner's office."""

    phone: Phone = Field(description="Telephone number.")
    email: Email | None = Field(default=None, description="E-mail address.")
    website: WebAddress | None = Field(default=None, description="Web address.")
    address: Words | None = Field(default=None, description="Street address in one line.")


class BrandingTable(Model):
    """How the partner's pages look."""

    colour: Colour = Field(description="Main colour; must be readable under white text.")
    accent: Colour | None = Field(default=None, description="Second colour.")
    tagline: Words | None = Field(default=None, description="Line under the name.")


class Holiday(Model):
    """A day on which the hours of `holiday` hold instead of the weekday's."""

    day: date = Field(description="The day, once.")
    name: Words = Field(description="What is observed.")


class Line(Model):
    """One way in: a telephone number, a desk, a mailbox, a web form."""

    key: Key = Field(description="Key, unique among the partner's lines.")
    name: Words = Field(description="Name shown to staff and the public.")
    channel: Channel = Field(description="Channel its contacts come by.")
    address: Words = Field(description="Number, street, e-mail or web address that people use.")
    hours: Week = Field(description="When it is answered.")
    closed_answer: Key | None = Field(
        default=None,
        description="Partner that answers when it is closed and no fallback holds; left out: "
        "nobody.",
    )
    fallback: tuple[Fallback, ...] = Field(
        default=(), description="Who answers when it is closed; the first row that holds counts."
    )
    special_day: tuple[SpecialDay, ...] = Field(
        default=(), description="Days with hours of their own."
    )


class Queue(Model):
    """A list of work that a team looks at."""

    key: Key = Field(description="Key, unique among the partner's queues.")
    name: Words = Field(description="Name shown to staff.")
    holds: Literal["requests", "referrals", "contacts"] = Field(
        default="requests", description="What lies in it."
    )
    bureau: Key | None = Field(default=None, description="Bureau that works it.")
    unplaced: bool = Field(
        default=False, description="Takes what nothing else places; one such queue at most."
    )


class ServiceLevel(Model):
    """Promise for a priority: where the service has none, and where high or urgent is sooner."""

    priority: Urgency = Field(description="Priority this promise is for.")
    hours: int = Field(ge=1, le=8760, description="Business hours until the work is done.")
    warn_at_percent: int = Field(
        default=75, ge=1, le=99, description="Share of the time after which staff are warned."
    )
    follow_up_days: int = Field(
        default=14, ge=1, le=365, description="Days after which a referral is followed up."
    )


class Loop(Model):
    """Until when the partner lets a loop stay open; days are its working days."""

    attempts: int = Field(
        default=3, ge=1, le=20, description="Tries to reach a person who is followed up, at most."
    )
    retry_days: int = Field(
        default=2, ge=1, le=60, description="Days until the next try when nobody answered."
    )
    remind_days: int = Field(
        default=1,
        ge=0,
        le=60,
        description="Days before an answer is due on which the receiver is reminded.",
    )
    escalate_days: int = Field(
        default=2,
        ge=1,
        le=60,
        description="Days after it was due on which the receiver's supervisors are told.",
    )
    expire_days: int = Field(
        default=10,
        ge=1,
        le=365,
        description="Days of silence after that until a referral fails as expired.",
    )
    outcome_days: int = Field(
        default=30,
        ge=1,
        le=365,
        description="Calendar days after which a need without a recorded outcome is counted as "
        "missed.",
    )


class AppealText(Model):
    """What is said of how to appeal, in another language than the partner's own."""

    language: Language = Field(description="Language of the words.")
    appeal: str = Field(
        min_length=1, max_length=1000, description="What is said of how to appeal a decision."
    )


class Accommodation(Model):
    """Until when accommodation requests and complaints are answered; days are working days."""

    acknowledge_days: int = Field(
        default=2, ge=1, le=60, description="Working days until somebody says that they have it."
    )
    decide_days: int = Field(
        default=15, ge=1, le=365, description="Working days until it is decided."
    )
    appeal_days: int = Field(
        default=15, ge=1, le=365, description="Working days until an appeal is answered."
    )
    keep_days: int = Field(
        default=1095,
        ge=90,
        le=36_500,
        description="Calendar days after its end until everything but what is counted is erased.",
    )
    appeal: str | None = Field(
        default=None,
        max_length=1000,
        description="What is said of how to appeal a decision, in the partner's first language.",
    )
    translation: tuple[AppealText, ...] = Field(
        default=(), description="The same in other languages."
    )


class Coordinator(Model):
    """Who handles accommodation requests and complaints, of a bureau or of the whole partner."""

    key: Key = Field(description="Key, unique among the partner's coordinators.")
    name: Words = Field(description="Name or office, as the person may read it.")
    email: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"[^@\s]+@[^@\s]+",
        description="Where it is told that something came; also the address by which they sign in, "
        "without which they see nothing.",
    )
    phone: str | None = Field(
        default=None, max_length=40, description="Telephone, with TTY if any."
    )
    bureau: Key | None = Field(default=None, description="Bureau whose cases go to them.")
    whole: bool = Field(
        default=False,
        description="Coordinates the whole partner: sees all of its cases, has those of bureaus "
        "without a coordinator of their own, and hears what is overdue. One of `bureau` and "
        "`whole` is said.",
    )


class Worded(Model):
    """What the partner itself says in a message to people, in one language."""

    event: str = Field(description="What the message tells of, such as `request_closed`.")
    language: Language = Field(description="Language of these words.")
    channel: Literal["email", "text"] = Field(
        default="email", description="E-mail, or a text to a telephone, which is short."
    )
    heading: str = Field(
        default="",
        description="Subject; places such as `{number}` are filled in. A text has none.",
    )
    body: str = Field(description="Text; it has the places that the usual text needs.")

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        try:
            usual = standard(self.event, self.channel)
            check_words(MessageWords(self.heading, self.body), usual)
        except NotFound:
            named = ", ".join(sorted(SHORT if self.channel == "text" else TO_PEOPLE))
            raise ValueError(f"event: there is no {self.event!r}; there are {named}") from None
        except InvalidInput as error:
            raise ValueError(f"{error.field}: {error.message}") from None
        return self


class Notices(Model):
    """Within which hours messages to people leave, on the partner's clock."""

    texts: str | None = Field(
        default=None, description="Hours for texts, like `08:00-21:00`; left out: just these."
    )
    mail: str | None = Field(
        default=None, description="Hours for mail, like `07:00-22:00`; left out: at any time."
    )

    @model_validator(mode="after")
    def _hours(self) -> Self:
        for name, said in (("texts", self.texts), ("mail", self.mail)):
            problem = None if said is None else check_hours(said)
            if problem is not None:
                raise ValueError(f"{name}: {problem}")
        return self


class RoleName(Model):
    """What the partner calls one of the roles."""

    key: RoleKey = Field(description="The role; its permissions are the same everywhere.")
    name: Words = Field(description="The partner's own word for it.")


class Account(Model):
    """One account of the partner's chart of accounts."""

    key: Name = Field(description="Key by which the shared core posts to it.")
    name: Words = Field(description="Name of the account.")
    type: Literal["asset", "liability", "equity", "revenue", "expense"] = Field(
        description="Side of the books."
    )
    external_code: Code | None = Field(
        default=None, description="Account number in the partner's own general ledger."
    )
    fund_code: Code | None = Field(default=None, description="Fund in that ledger.")
    cost_centre: Code | None = Field(default=None, description="Cost centre in that ledger.")


class TenantFile(Model):
    """`tenant.toml` (and `policies/region.toml`): who the partner is and how it answers."""

    tenant: TenantTable = Field(description="Who the partner is.")
    contact: ContactTable = Field(description="How the public reaches its office.")
    branding: BrandingTable | None = Field(default=None, description="How its pages look.")
    hours: Week = Field(description="Usual business hours; service levels count in them.")
    holiday: tuple[Holiday, ...] = Field(default=(), description="Days closed.")
    line: tuple[Line, ...] = Field(default=(), description="Ways in.")
    queue: tuple[Queue, ...] = Field(default=(), description="Lists of work.")
    service_level: tuple[ServiceLevel, ...] = Field(default=(), description="Promises by priority.")
    role: tuple[RoleName, ...] = Field(default=(), description="Own words for roles.")
    loop: Loop | None = Field(
        default=None, description="When it asks, reminds and gives up; left out: the usual days."
    )
    accommodation: Accommodation | None = Field(
        default=None, description="Days of accommodation requests; left out: the usual days."
    )
    coordinator: tuple[Coordinator, ...] = Field(
        default=(), description="Who handles accommodation requests and complaints."
    )
    notices: Notices | None = Field(
        default=None, description="When messages leave; left out: the usual hours."
    )
    wording: tuple[Worded, ...] = Field(
        default=(), description="Own words in messages to people; left out: the usual ones."
    )
    account: tuple[Account, ...] = Field(default=(), description="Chart of accounts.")

    @model_validator(mode="after")
    def _worded_once(self) -> Self:
        seen: set[tuple[str, str, str]] = set()
        for each in self.wording:
            key = (each.event, each.language, each.channel)
            if key in seen:
                by = "" if each.channel == "email" else " as a text"
                raise ValueError(f"wording: {each.event} is worded twice in {each.language}{by}")
            seen.add(key)
        return self


# --- bureaus.toml ---------------------------------------------------------------------------------


class Bureau(Model):
    """A part of the partner with its own staff and budget."""

    key: Key = Field(description="Key, unique among the partner's bureaus.")
    name: Words = Field(description="Name as staff and the public know it.")
    kind: Literal["bureau", "department", "office", "program"] = Field(
        default="bureau", description="What it is."
    )
    fund_code: Code | None = Field(default=None, description="Fund that pays for its services.")
    cost_centre: Code | None = Field(default=None, description="Cost centre in its books.")


class BureausFile(Model):
    """`bureaus.toml`: the partner's bureaus or departments."""

    bureau: tuple[Bureau, ...] = Field(default=(), description="Bureaus.")


# --- services.toml --------------------------------------------------------------------------------


class OrganizationsFile(Model):
    """`organizations.toml`: bodies that provide services which the partner lists."""

    organization: tuple[Organization, ...] = Field(default=(), description="Organisations.")


class LocationsFile(Model):
    """`locations.toml`: places where services are given."""

    location: tuple[Location, ...] = Field(default=(), description="Locations.")


class TaxonomiesFile(Model):
    """`taxonomies.toml`: trees of terms that services are sorted by, and ties between them."""

    taxonomy: tuple[Taxonomy, ...] = Field(default=(), description="Taxonomies.")
    crosswalk: tuple[Crosswalk, ...] = Field(
        default=(), description="How terms of different taxonomies relate."
    )


class ServicesFile(Model):
    """`services.toml`: everything that the public may ask of the partner."""

    service: tuple[Service, ...] = Field(default=(), description="Services.")


# --- questions.toml -------------------------------------------------------------------------------


class QuestionsFile(Model):
    """`questions.toml`: groups of questions that several forms share."""

    group: tuple[QuestionGroup, ...] = Field(default=(), description="Groups of questions.")


# --- articles.toml --------------------------------------------------------------------------------


class ArticlesFile(Model):
    """`articles.toml`: questions with answers, scripts for the desk, and pinned notices."""

    article: tuple[Article, ...] = Field(default=(), description="Articles.")


# --- texts.toml -----------------------------------------------------------------------------------


class TextsFile(Model):
    """`texts.toml`: texts that requests are closed with, and templates of answers."""

    closing: tuple[ClosingText, ...] = Field(default=(), description="Texts for closing.")
    answer: tuple[AnswerText, ...] = Field(default=(), description="Templates of answers.")


# --- synonyms.toml --------------------------------------------------------------------------------


class SynonymsFile(Model):
    """`synonyms.toml`: what people say for the words that services are described in."""

    synonym: tuple[Synonym, ...] = Field(default=(), description="Synonyms.")


# --- receiving.toml -------------------------------------------------------------------------------


class ReceivingFile(Model):
    """`receiving.toml`: what the partner takes from others, and its words for how far it is."""

    acceptance: tuple[Acceptance, ...] = Field(default=(), description="Policies.")
    progress: tuple[Progress, ...] = Field(default=(), description="Own words for how far it is.")


# --- connection.toml ------------------------------------------------------------------------------

Named = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
"""What a key, or a partner, is called between two systems."""


class ConnectedService(Model):
    """A service that has another key in the other system."""

    key: Key = Field(description="Key of the partner's service here.")
    known_as: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = (
        Field(description="Its key over there.")
    )


class Connection(Model):
    """The system of its own in which the partner works; its secret is in no file."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")
    ] = Field(description="What the other system is called.")
    way: Literal["push", "they_poll", "we_poll"] = Field(
        description="Who sends: `push`, each to the other; `they_poll`, it fetches from here; "
        "`we_poll`, it cannot reach us and we fetch from it."
    )
    address: WebAddress | None = Field(
        default=None,
        description="Where its FHIR interface begins; left out only with `they_poll`. The host is "
        "one of `REGIONAL311_EXCHANGE_HOSTS`.",
    )
    key_id: Named = Field(description="Name of the key, the same on both sides.")
    known_as: Named = Field(description="What this partner is called over there.")
    service: tuple[ConnectedService, ...] = Field(
        default=(), description="Services with another key there; others keep theirs."
    )


class ConnectionFile(Model):
    """`connection.toml`: the system of its own in which the partner works."""

    connection: Connection = Field(description="The connection; there is one at a time.")


# --- rules.toml -----------------------------------------------------------------------------------


class RuleSetTable(Model):
    """The rule set as a whole; it is versioned, published and used as one."""

    title: Words | None = Field(
        default=None, description="What this version is about; kept with it, decides nothing."
    )
    valid_from: date | None = Field(
        default=None,
        description="First day on which these rules decide; left out, or past when a changed set "
        "is applied: the day it is applied.",
    )


class Rule(Model):
    """One referral rule; rules are tried from top to bottom and the first that fits decides.

    Every matcher that is given must fit; a matcher left out fits everything.
    """

    key: Key = Field(description="Key, unique in the set; the reason shown years later.")
    name: Words = Field(description="What the rule says, in plain words.")
    valid_from: date | None = Field(
        default=None, description="First day; left out: that of the set."
    )
    valid_to: date | None = Field(default=None, description="First day no more.")
    services: tuple[Words, ...] = Field(
        default=(), description="Service keys; another partner's as `slug/key`."
    )
    verbs: tuple[Verb, ...] = Field(default=(), description="What the person wants to do.")
    terms: tuple[Key, ...] = Field(default=(), description="Kinds of thing.")
    branches: tuple[TermRef, ...] = Field(
        default=(),
        description="Branches of taxonomies, as `taxonomy:code`: the services below them.",
    )
    boundaries: tuple[Words, ...] = Field(
        default=(), description="Boundaries the place lies in; another partner's as `slug/key`."
    )
    channels: tuple[Channel, ...] = Field(default=(), description="Channels of the contact.")
    languages: tuple[Language, ...] = Field(default=(), description="Languages of the contact.")
    hours: Literal["open", "closed"] | None = Field(
        default=None, description="Whether the line that the contact came in on is open."
    )
    confidential: bool | None = Field(
        default=None, description="Whether the service is confidential."
    )
    urgency: tuple[Urgency, ...] = Field(default=(), description="Urgency of the need.")
    dispositions: tuple[Disposition, ...] = Field(
        default=(), description="What the service's disposition is on that day."
    )
    owners: tuple[Words, ...] = Field(
        default=(),
        description="Who is responsible: `self`, `other`, `nobody`, partners and agencies.",
    )
    condition: Expression | None = Field(
        default=None, description="CEL expression over the documented facts; true fits."
    )
    continues: bool = Field(
        default=False,
        description="Only adds (note, follow-up, priority) and lets later rules decide.",
    )
    outcome: Outcome | None = Field(
        default=None, description="What to do; every rule has one, unless it continues."
    )
    target: Words | None = Field(
        default=None,
        description="Who gets it: `owner` (whoever is responsible), `self`, a partner, an agency.",
    )
    queue: Key | None = Field(
        default=None, description="Queue at the target; left out: the service's."
    )
    priority: Urgency | None = Field(default=None, description="Priority to file it with.")
    follow_up_days: int | None = Field(
        default=None, ge=1, le=365, description="Days until someone asks what became of it."
    )
    share: tuple[Name, ...] = Field(
        default=(), description="Fields to share with the target, out of the sharing policy."
    )
    note: Prose | None = Field(default=None, description="What to tell the person.")
    reason: Words | None = Field(default=None, description="Reason, for `decline`.")
    off: bool = Field(
        default=False, description="Switched off: it stays in its place and is not tried."
    )
    group: Words | None = Field(
        default=None, description="Heading that it stands under, with the rules beside it."
    )
    basis: Words | None = Field(
        default=None, description="Agreement or policy that it rests on, for who reads the rules."
    )
    remark: Prose | None = Field(
        default=None, description="Why it is so, for who reads the rules; nobody is told."
    )


class RulesFile(Model):
    """`rules.toml`: the partner's ordered referral rules, published as one set."""

    rule_set: RuleSetTable = Field(description="The set as a whole.")
    rule: tuple[Rule, ...] = Field(min_length=1, description="Rules, first match wins.")
    case: tuple[Case, ...] = Field(
        default=(), description="Tests kept with the rules; publishing runs them."
    )


# --- rates.toml -----------------------------------------------------------------------------------


class RateTier(Model):
    """A stretch of quantities; every tier but the last says where it ends."""

    up_to: Quantity | None = Field(
        default=None, description="Last quantity that belongs to it; left out in the last tier."
    )
    price: Quantity = Field(description='Dollars a unit, as text: `"4.90"`.')
    flat: Quantity | None = Field(
        default=None, description="Dollars added once when the tier is reached."
    )


class RateSurcharge(Model):
    """What is added to the price of some work: a percentage, or dollars a unit."""

    key: Key = Field(description="Key, unique within the rate; statements show it.")
    hours: Literal["business", "after"] | None = Field(
        default=None, description="Only then; left out: at any hour."
    )
    languages: tuple[Language, ...] = Field(
        default=(), description="Only in these languages; left out: in any."
    )
    percent: Quantity | None = Field(
        default=None, description="Percentage of the price before surcharges."
    )
    amount: Money | None = Field(default=None, description="Dollars a unit.")


class RatePhase(Model):
    """The part of the price that is charged from a day on, while it is phased in."""

    percent: Percent = Field(description="Part of the price, surcharges included.")
    valid_from: date = Field(description="First day of this part; it ends where the next begins.")


class Rate(Dated):
    """One price. For one instant no two prices may share all five selectors."""

    key: Key = Field(description="Key, unique among the partner's rates.")
    card: Key = Field(description="Card it stands on; agreements name the card they use.")
    activity: Activity = Field(description="Work that is priced.")
    channel: Channel | None = Field(default=None, description="Channel; left out: any.")
    service: Key | None = Field(
        default=None, description="Service key, of whichever partner owns it; left out: any."
    )
    language: Language | None = Field(default=None, description="Language; left out: any.")
    hours: Literal["any", "business", "after"] = Field(
        default="any", description="During the provider's business hours, after them, or any."
    )
    unit: Literal["each", "minute"] = Field(default="each", description="What is counted.")
    model: Literal["unit", "graduated", "volume", "package", "percentage"] = Field(
        default="unit",
        description="How quantities become dollars: so much a unit; each unit at its tier's price; "
        "all units at the price of the total's tier; packages that were begun; a percentage of an "
        "amount.",
    )
    amount: Money = Field(
        description='Dollars a unit, as text: `"4.90"`. With tiers the price of the first; of a '
        "package its price; of a percentage the percentage."
    )
    package_size: Quantity | None = Field(default=None, description="Units in a package.")
    package_free: Quantity | None = Field(
        default=None, description="Units that are free before the first package."
    )
    floor: Quantity | None = Field(
        default=None, description="Least dollars for a piece of work by percentage."
    )
    cap: Quantity | None = Field(
        default=None, description="Most dollars for a piece of work by percentage."
    )
    source: Words | None = Field(default=None, description="What the price rests on.")
    tier: tuple[RateTier, ...] = Field(default=(), description="Tiers, the lowest first.")
    surcharge: tuple[RateSurcharge, ...] = Field(default=(), description="Surcharges.")
    phase: tuple[RatePhase, ...] = Field(default=(), description="Phases, the first one first.")


class RatesFile(Model):
    """`rates.toml`: what the partner's work costs others."""

    rate: tuple[Rate, ...] = Field(default=(), description="Prices.")


# --- pools.toml -----------------------------------------------------------------------------------


class Share(Model):
    """One target's part of a pool; the provider's own part is billed to nobody."""

    payer: TargetName = Field(
        description="Who bears it: a partner's slug, `bureau:<key>`, `outside:<key>`, or "
        "`pool:<key>` for a pool that this one serves."
    )
    percent: Percent = Field(description='Per cent, as text: `"50"` or `"33.333"`.')


class PoolAccount(Model):
    """An account that a pool is made of."""

    name: Words = Field(description="What it pays for.")
    account: Code | None = Field(default=None, description="Account in the general ledger.")
    amount: SignedCents = Field(description='Dollars of the year, as text: `"2800000.00"`.')


class PoolPart(Model):
    """An amount that is taken off a pool."""

    name: Words = Field(description="What it is.")
    amount: SignedCents = Field(description='Dollars of the year, as text: `"300000.00"`.')


class Pool(Model):
    """The cost of a year that is divided by a base, or by shares of exactly 100 per cent."""

    key: Key = Field(description="Key of the pool; the same in every year.")
    fiscal_year: int = Field(
        ge=2000,
        le=2100,
        description="Year in which the fiscal year ends: 2027 is July 2026 to June 2027.",
    )
    name: Words = Field(description="Name on statements.")
    amount: SignedCents = Field(
        description='Dollars to divide for the whole year, as text: `"600000.00"`. A negative '
        "amount is a credit that is divided the same way."
    )
    source: Words = Field(description="What the amount rests on.")
    note: Words | None = Field(default=None, description="Anything else worth knowing.")
    base: Key | None = Field(
        default=None, description="Base it is divided by; left out: by its shares."
    )
    method: Literal["direct", "step_down", "double_step_down", "reciprocal"] = Field(
        default="step_down",
        description="How pools that serve one another are divided; all of them need the same.",
    )
    step_order: int = Field(
        default=0, ge=0, le=999, description="Place in which it steps down, lowest first."
    )
    actual_amount: SignedCents | None = Field(
        default=None, description="What it cost in the end, in the sense of `amount`."
    )
    actual_source: Words | None = Field(default=None, description="What that rests on.")
    account: tuple[PoolAccount, ...] = Field(
        default=(),
        description="Accounts it is made of; less revenues and non-allocable parts they make the "
        "amount.",
    )
    revenue: tuple[PoolPart, ...] = Field(default=(), description="Revenues, taken off first.")
    non_allocable: tuple[PoolPart, ...] = Field(
        default=(), description="Parts that stay with the general fund."
    )
    share: tuple[Share, ...] = Field(
        default=(), description="Who bears which part; needed without a base."
    )


class PoolsFile(Model):
    """`pools.toml`: costs by the year and who shares them."""

    pool: tuple[Pool, ...] = Field(default=(), description="Cost pools.")


# --- bases.toml -----------------------------------------------------------------------------------


class BasePart(Model):
    """One of the bases that a mix is made of."""

    base: Key = Field(description="Key of the other base.")
    percent: Percent = Field(description='Its part of the mix, as text: `"54"`.')


class AllocationBase(Model):
    """What costs are divided by."""

    key: Key = Field(description="Key, unique among the partner's bases.")
    name: Words = Field(description="Name on statements and pages.")
    kind: Literal[
        "fixed",
        "equal",
        "fte",
        "budget",
        "population",
        "assessed_value",
        "contact_count",
        "handle_minutes",
        "mix",
    ] = Field(
        description="What is read. `contact_count` and `handle_minutes` can be counted from "
        "recorded work; a `mix` is made of other bases."
    )
    counts: Literal["bureaus", "partners", "all"] | None = Field(
        default=None, description="Whose contacts are counted; for counted kinds."
    )
    rolling_quarters: int | None = Field(
        default=None,
        ge=1,
        le=40,
        description="Quarters whose snapshots are averaged; left out: the newest alone.",
    )
    note: Words | None = Field(default=None, description="Anything else worth knowing.")
    valid_from: date | None = Field(
        default=None,
        description="Months that end on this day or later are divided by what is said here, "
        "earlier ones by the version before. Left out: every month.",
    )
    part: tuple[BasePart, ...] = Field(
        default=(), description="Bases of a mix; they make exactly 100 per cent."
    )


class BaseSnapshot(Model):
    """Readings of a base as they were known once; a correction is another snapshot."""

    base: Key = Field(description="Key of the base.")
    number: int = Field(ge=1, le=100_000, description="1, 2, 3 and so on for each base.")
    as_of: date = Field(description="Last day that the readings tell of.")
    source: Words = Field(description="Where they come from.")
    readings: dict[TargetName, Reading] = Field(
        min_length=1, description='Target to reading, as text: `"bureau:water" = "340000"`.'
    )


class BasesFile(Model):
    """`bases.toml`: what costs are divided by, with dated readings."""

    base: tuple[AllocationBase, ...] = Field(default=(), description="Bases.")
    snapshot: tuple[BaseSnapshot, ...] = Field(default=(), description="Readings.")


# --- ledger.toml ----------------------------------------------------------------------------------


class LedgerMapping(Model):
    """Where the partner's own general ledger has postings of an account, party or agreement.

    Of several that fit, the one that says most counts: a party says more than a family, a family
    more than an account. What it leaves out is the account's own.
    """

    key: Key = Field(description="Key of the mapping.")
    account: Name | None = Field(default=None, description="Account; left out: any.")
    party: Party | None = Field(
        default=None, description="Partner, `bureau:<key>` or `outside:<key>`; left out: any."
    )
    family: Key | None = Field(
        default=None, description="Key of the agreement that the amount is under; left out: any."
    )
    external_code: Code | None = Field(default=None, description="Account number there.")
    fund_code: Code | None = Field(default=None, description="Fund there.")
    cost_centre: Code | None = Field(default=None, description="Cost centre there.")


class LedgerFile(Model):
    """`ledger.toml`: how the books map to the partner's own general ledger."""

    mapping: tuple[LedgerMapping, ...] = Field(default=(), description="Mappings.")


# --- splits.toml ----------------------------------------------------------------------------------


class SplitPart(Model):
    """Where a part of a bill goes."""

    percent: Percent = Field(description='Per cent of each line, as text: `"60"`.')
    bureau: Key | None = Field(default=None, description="Bureau that bears it.")
    fund_code: Code | None = Field(default=None, description="Fund that pays.")
    cost_centre: Code | None = Field(default=None, description="Cost centre in its books.")


class BillSplit(Model):
    """How the partner divides its own bill further."""

    key: Key = Field(description="Key, unique among the partner's rules.")
    name: Words = Field(description="Name shown beside the parts.")
    agreement: Key | None = Field(
        default=None, description="Agreement whose lines it divides; left out: all others."
    )
    base: Key | None = Field(
        default=None, description="Base whose bureaus divide the bill; left out: by its parts."
    )
    part: tuple[SplitPart, ...] = Field(
        default=(), description="Parts of exactly 100 per cent; needed without a base."
    )


class SplitsFile(Model):
    """`splits.toml`: how the partner divides what it is billed."""

    split: tuple[BillSplit, ...] = Field(default=(), description="Rules.")


# --- boundaries.toml ------------------------------------------------------------------------------


class Boundary(Model):
    """An area or a line on the map, with its geometry in a GeoJSON file beside."""

    key: Key = Field(description="Key, unique among the partner's boundaries.")
    name: Words = Field(description="Name shown as the reason.")
    kind: Literal["jurisdiction", "district", "neighbourhood", "road", "bridge"] = Field(
        description="`jurisdiction` is the partner's own outline, one at most; roads and bridges "
        "are lines, the others areas."
    )
    file: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*\.geojson$")] = Field(
        description="File in `boundaries/`, in WGS 84 longitude and latitude."
    )
    tolerance_m: int = Field(
        default=0, ge=0, le=500, description="Metres from a line that still count as on it."
    )
    agency: Key | None = Field(
        default=None, description="Outside agency responsible there, instead of the partner."
    )
    names: tuple[Words, ...] = Field(
        default=(), description="Names callers use for it and for places inside, lower case."
    )
    source: Words = Field(description="Where the geometry comes from.")
    illustrative: bool = Field(
        default=False, description="Drawn for the example; must not decide real cases."
    )


class BoundariesFile(Model):
    """`boundaries.toml`: where the partner, or one of its services, is responsible."""

    boundary: tuple[Boundary, ...] = Field(default=(), description="Boundaries.")


# --- policies/ ------------------------------------------------------------------------------------


class PolicyTable(Dated):
    """The policy as a whole; a change makes a new version from a date on."""

    name: Words = Field(description="Name of the policy.")


class ScreenWords(Model):
    """The question that comes first, in another language."""

    language: Language = Field(description="Language of the words.")
    ask: Prose = Field(description="What is asked first.")
    say: Prose = Field(description="What is said when a sign has no words of its own.")


class Screen(Model):
    """The question that comes before everything else."""

    ask: Prose = Field(description="What is asked first on every contact.")
    number: Phone = Field(description="Number to call when any sign is there.")
    say: Prose = Field(description="What is said when a sign has no words of its own.")
    translation: tuple[ScreenWords, ...] = Field(
        default=(), description="The same in other languages, for pages for everybody."
    )


class SignWords(Model):
    """A sign in another language."""

    language: Language = Field(description="Language of the words.")
    name: Words = Field(description="The sign.")
    say: Prose | None = Field(default=None, description="What to say first.")


class Sign(Model):
    """One sign of danger to life."""

    key: Key = Field(description="Key, unique in the screen.")
    name: Words = Field(description="The sign, as shown to staff and the public.")
    words: tuple[Words, ...] = Field(
        min_length=1, description="Callers' words that point at it, lower case."
    )
    say: Prose | None = Field(default=None, description="What to say first.")
    number: Phone | None = Field(default=None, description="Another number than the screen's.")
    translation: tuple[SignWords, ...] = Field(
        default=(), description="The same in other languages, for pages for everybody."
    )


class DangerFile(Model):
    """`policies/danger-screen.toml`: signs of danger; no partner's rule can switch it off."""

    policy: PolicyTable = Field(description="The policy as a whole.")
    screen: Screen = Field(description="The question and the answer.")
    sign: tuple[Sign, ...] = Field(min_length=1, description="Signs, in the order asked.")


class EmergenciesFile(Model):
    """`policies/emergencies.toml`: what is prepared for emergencies; left out: nothing is."""

    policy: PolicyTable = Field(description="The policy as a whole.")
    kind: tuple[EmergencyKind, ...] = Field(min_length=1, description="Kinds of emergencies.")


class ConsentWords(Model):
    """How the person is asked, in another language."""

    language: Language = Field(description="Language of the words.")
    consent_text: Prose = Field(description="What the person is asked.")


class SharingTable(Model):
    """How the person is asked."""

    consent_text: Prose = Field(
        description="What the person is asked before anything personal crosses."
    )
    translation: tuple[ConsentWords, ...] = Field(
        default=(), description="The same in other languages, read out to who speaks them."
    )
    small_counts: int = Field(
        default=5,
        ge=3,
        le=100,
        description="Counts of people below this are not published, only that they are few.",
    )


class FieldWords(Model):
    """What a field is called in another language."""

    language: Language = Field(description="Language of the words.")
    name: Words = Field(description="What the person is told is shared.")


class SharedField(Model):
    """A field that may cross between partners."""

    key: Name = Field(description="The field.")
    name: Words = Field(description="What the person is told is shared.")
    personal: bool = Field(description="Tells who the person is.")
    translation: tuple[FieldWords, ...] = Field(
        default=(), description="The name in other languages."
    )


class Grant(Model):
    """What one purpose lets cross to one kind of partner."""

    key: Key = Field(description="Key, unique in the policy.")
    purpose: Literal["referral", "request", "transfer"] = Field(description="What it is for.")
    receivers: tuple[TenantKind, ...] = Field(
        min_length=1, description="Kinds of partner that may receive."
    )
    fields: tuple[Name, ...] = Field(min_length=1, description="Fields that may cross.")
    consent: Literal["asked", "written", "not_needed"] = Field(
        description="Whether the person must agree first, aloud or on paper; personal fields need "
        "it."
    )
    expires_days: int = Field(
        default=365, ge=1, le=3650, description="Days after which the receiver's copy goes."
    )


class PartnerKind(Model):
    """What holds for all that goes to and from one kind of partner."""

    kind: TenantKind = Field(description="Kind of partner.")
    consent: Literal["written"] = Field(
        description="Nothing is seen or shown by such a partner without a consent on paper."
    )


class SharingFile(Model):
    """`policies/sharing.toml`: which fields may cross to which kind of partner."""

    policy: PolicyTable = Field(description="The policy as a whole.")
    sharing: SharingTable = Field(description="How the person is asked.")
    field: tuple[SharedField, ...] = Field(min_length=1, description="Fields that may cross.")
    partner_kind: tuple[PartnerKind, ...] = Field(
        default=(), description="Kinds of partner with a stricter rule."
    )
    grant: tuple[Grant, ...] = Field(min_length=1, description="What is allowed.")


class Retention(Model):
    """How long one kind of record keeps personal values."""

    key: Key = Field(description="Key, unique in the policy.")
    kind: Literal[
        "contact",
        "inquirer",
        "request",
        "referral",
        "envelope",
        "message",
        "session",
        "search",
        "conversation",
        "answer",
    ] = Field(description="Kind of record.")
    tenant: Key | None = Field(
        default=None, description="For one partner only, in place of everybody's period."
    )
    keep_days: int = Field(ge=1, le=36525, description="Days after closing.")
    then: Literal["redact", "delete"] = Field(
        description="Redacting keeps counts and amounts, deleting keeps nothing."
    )
    basis: Words = Field(description="Law or decision it rests on.")


class RetentionFile(Model):
    """`policies/retention.toml`: how long personal values are kept."""

    policy: PolicyTable = Field(description="The policy as a whole.")
    retention: tuple[Retention, ...] = Field(min_length=1, description="Periods.")


class Agency(Model):
    """A body without a tenant of its own that people are referred out to."""

    key: Key = Field(description="Key; may not be a partner's.")
    name: Words = Field(description="Full name.")
    phone: Phone | None = Field(default=None, description="Number for the public.")
    website: WebAddress | None = Field(default=None, description="Web address.")
    summary: Prose = Field(description="What it is responsible for.")


class AgenciesFile(Model):
    """`policies/agencies.toml`: bodies that take no part but are referred to."""

    policy: PolicyTable = Field(description="The list as a whole.")
    agency: tuple[Agency, ...] = Field(default=(), description="Agencies.")


class AgreementOutside(Model):
    """A payer that takes no part here: a body without a tenant, billed by letter or e-mail."""

    key: Key = Field(description="Key of the body; may not be a partner's.")
    name: Words = Field(description="Name on its statements.")
    address: Words | None = Field(default=None, description="Where its statements go.")
    email: Email | None = Field(default=None, description="Where they go by e-mail.")


class AgreementBilling(Model):
    """How often it is billed."""

    every: Literal["month", "quarter", "year"] = Field(
        default="month", description="Period of a statement, in the provider's fiscal year."
    )
    submit_days: int = Field(
        default=15, ge=0, le=365, description="Days after a period in which it must be billed."
    )


class AgreementReference(Model):
    """The payer's own names for what it pays; they are printed on its statements."""

    purchase_order: Words | None = Field(default=None, description="Its purchase order.")
    cost_center: Words | None = Field(default=None, description="Its cost center.")
    fund: Words | None = Field(default=None, description="Its fund.")
    account: Words | None = Field(default=None, description="Its account.")
    project: Words | None = Field(default=None, description="Its project.")
    grant: Words | None = Field(default=None, description="Its grant.")
    attention: Words | None = Field(default=None, description="Whose desk it goes to.")


class AgreementTable(Dated):
    """Who works for whom, for what price, on which terms."""

    key: Key = Field(description="Key; the file has the same name.")
    name: Words = Field(description="Name on statements.")
    kind: Literal["iga", "sla", "mou"] = Field(
        description="Intergovernmental agreement, service level agreement or memorandum."
    )
    reference: Words = Field(description="Number under which it was signed.")
    provider: Key = Field(description="Partner that does the work and bills.")
    payer: Key | None = Field(
        default=None,
        description="Partner that is billed; exactly one of `payer`, `payer_bureau` and `outside`.",
    )
    payer_bureau: Key | None = Field(
        default=None,
        description="Bureau of the provider that is billed inside its own books, or `all` of them.",
    )
    outside: AgreementOutside | None = Field(
        default=None, description="Body that is billed though it takes no part here."
    )
    activities: tuple[Activity, ...] = Field(
        default=(), description="Work that is billed by use; left out: the pool only."
    )
    services: tuple[Key, ...] = Field(
        default=(), description="Only contacts about these services of the provider; left out: all."
    )
    payer_rule: PayerRule = Field(
        default="service_owner",
        description="Which partner pays for one event: the service's owner, the one whose "
        "jurisdiction the place lies in, the one that referred, or the one whose line was "
        "answered.",
    )
    rate_card: Key | None = Field(default=None, description="The provider's card.")
    pool: Key | None = Field(
        default=None, description="The provider's pool that is shared under it."
    )
    due_days: int = Field(ge=1, le=365, description="Days from issue to payment.")
    notice_days: int = Field(default=90, ge=0, le=3650, description="Days' notice to end it.")
    dispute_days: int = Field(default=30, ge=1, le=365, description="Days to dispute a line.")
    late_event_days: int = Field(
        default=10, ge=0, le=365, description="Days after the month in which late work still joins."
    )
    rounding: Literal["line", "item"] = Field(
        default="line",
        description="Where cents are made, half away from zero: once a statement line, or once a "
        "piece of work.",
    )
    year_end: Literal["settle", "carry", "keep"] | None = Field(
        default=None,
        description="What becomes of a fiscal year's balance: a statement, a line of the next "
        "bill, or the opening of the next year; left out, it is decided year by year.",
    )
    billing: AgreementBilling = Field(
        default=AgreementBilling(), description="How often it is billed."
    )
    interest_percent: Percent | None = Field(
        default=None, description="Simple interest a year on what is overdue."
    )
    minimum: Cents | None = Field(
        default=None, description="Dollars that the payer pays at least for a period."
    )
    not_to_exceed: Cents | None = Field(
        default=None, description="Dollars that the payer pays at most in a fiscal year."
    )
    overhead_percent: Percent | None = Field(
        default=None, description="Added for administration, after the funding."
    )
    prepay: Cents | None = Field(
        default=None, description="Dollars paid in advance of each period."
    )
    payer_reference: AgreementReference | None = Field(
        default=None, description="The payer's own names, printed on its statements."
    )
    supersedes: Key | None = Field(default=None, description="Agreement that this one replaces.")
    ends_notice_days: int | None = Field(
        default=None,
        ge=0,
        le=3650,
        description="Days before its end by which either side says whether it goes on; left out: "
        "the notice.",
    )
    expiry_reminder_days: tuple[int, ...] = Field(
        default=(180, 90, 30), description="Days before that on which both sides are reminded."
    )
    number_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{1,7}$")] = Field(
        description="Prefix of the provider's statement numbers, the same in all its agreements."
    )
    purpose: Prose = Field(description="What was agreed, in plain words.")


class AgreementTarget(Model):
    """A level of service that the provider promises."""

    key: Key = Field(description="Key, unique in the agreement.")
    name: Words = Field(description="The promise, in plain words.")
    measure: Literal["answer_seconds", "first_contact_percent", "accept_hours", "close_days"] = (
        Field(description="What is measured.")
    )
    goal: int = Field(ge=1, description="The figure promised.")
    credit_percent: Percent | None = Field(
        default=None, description="Part of the period's gross that a missed promise gives back."
    )


class AgreementFunding(Model):
    """A source that takes part of the gross amount off the payer."""

    key: Key = Field(description="Key, unique in the agreement.")
    name: Words = Field(description="Name on statements.")
    kind: Literal["grant", "levy", "subsidy"] = Field(
        description="A grant, a levy, or a subsidy from the provider's general fund."
    )
    percent: Percent = Field(description="Part of the gross amount, at most 100 all together.")
    authorised: Cents | None = Field(
        default=None, description="Dollars it may give in a fiscal year; left out: no limit."
    )


class AgreementDiscount(Model):
    """A part taken off what the payer would pay."""

    name: Words = Field(description="Name on statements, unique in the agreement.")
    percent: Percent = Field(description="Part that is taken off.")
    from_amount: Cents | None = Field(
        default=None, description="Only when the period's gross reaches these dollars."
    )


class AgreementSignature(Model):
    """Who signed for one of the parties."""

    partner: Key = Field(description="The party: provider, payer or the outside body.")
    name: Words = Field(description="Who signed.")
    title: Words = Field(description="As what.")
    on: date = Field(description="On which day.")


class AgreementFile(Model):
    """`policies/agreements/<key>.toml`: one agreement between partners."""

    agreement: AgreementTable = Field(description="The agreement.")
    target: tuple[AgreementTarget, ...] = Field(default=(), description="Service levels.")
    funding: tuple[AgreementFunding, ...] = Field(default=(), description="Sources of funding.")
    discount: tuple[AgreementDiscount, ...] = Field(default=(), description="Discounts.")
    signature: tuple[AgreementSignature, ...] = Field(default=(), description="Signatures.")


TENANT_FILES: dict[str, type[Model]] = {
    "tenant.toml": TenantFile,
    "bureaus.toml": BureausFile,
    "organizations.toml": OrganizationsFile,
    "locations.toml": LocationsFile,
    "taxonomies.toml": TaxonomiesFile,
    "questions.toml": QuestionsFile,
    "services.toml": ServicesFile,
    "synonyms.toml": SynonymsFile,
    "articles.toml": ArticlesFile,
    "texts.toml": TextsFile,
    "receiving.toml": ReceivingFile,
    "connection.toml": ConnectionFile,
    "rules.toml": RulesFile,
    "rates.toml": RatesFile,
    "pools.toml": PoolsFile,
    "bases.toml": BasesFile,
    "splits.toml": SplitsFile,
    "ledger.toml": LedgerFile,
    "boundaries.toml": BoundariesFile,
}
POLICY_FILES: dict[str, type[Model]] = {
    "region.toml": TenantFile,
    "boundaries.toml": BoundariesFile,
    "articles.toml": ArticlesFile,
    "texts.toml": TextsFile,
    "taxonomies.toml": TaxonomiesFile,
    "agencies.toml": AgenciesFile,
    "danger-screen.toml": DangerFile,
    "emergencies.toml": EmergenciesFile,
    "sharing.toml": SharingFile,
    "retention.toml": RetentionFile,
    "synonyms.toml": SynonymsFile,
}
