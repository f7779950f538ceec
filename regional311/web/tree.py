"""The one resource tree: what there is at which address, and whose it is.

    /                       Root: the public door
    /auth                   Auth: sign in, sign out, language
    /track/<token>          TrackedRequest: one request, for whoever holds its link
    /answer/<token>         AnswerLink: one referral, answered once without an account
    /mine/<code>            PersonPage: what was asked for a person, for whoever holds the code
    /accommodation          AccommodationDoor: accommodation requests, complaints of treatment
    /partners/<slug>        PublicPartner: a partner's home for everybody
    /services/<slug>/<key>  PublicService: one service, for everybody
    /articles/<slug>/<key>  PublicArticle: one article's public part
    /hsds/<list>/<id>       DirectoryEntry: the directory as an HSDS API; /hsds/<slug>/... of one
    /open311/v2/...         Open311 GeoReport of the jurisdiction that the call names
    /<slug>                 TenantNode: a partner; /region is the region itself (RegionNode)
    /<slug>/open311/v2/...  Open311 GeoReport of that partner
    /api                    ApiNode: the JSON API of all that is below the partners, described
    /<slug>/fhir/Task/<id>  referrals as FHIR, for the system in which that partner works
    /<slug>/911             EmergencyCenter: calls that a 911 center hands over
    /<slug>/<collection>    Desk, Contacts, Requests, ...
    /<slug>/<collection>/<id>   one record

Entering a partner puts it on the request and binds the request's database session to it; nothing
of another partner can be reached below. A collection is a class with a name, the permission that
lists it, and how a child's id is looked up: at most one statement, None when there is none.

To add one: a subclass of `Collection` with `@collection("name")`, a subclass of `Record` for its
children, an entry in `navigation.MENU`.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, or_, select

from regional311.allocation.models import (
    AllocationBase,
    BaseProposal,
    BillSplit,
    CostPool,
    PoolProposal,
)
from regional311.casework.accommodations import by_token
from regional311.casework.coordinators import terms_of
from regional311.casework.models import Accommodation, BulkChange, PreparedText
from regional311.casework.prepared_texts import Purpose
from regional311.catalog.article_queries import Shelved, article
from regional311.catalog.directory import Service as PublishedService
from regional311.catalog.models import (
    AlikePair,
    Article,
    ContentVersion,
    Location,
    Organization,
    PackageImport,
    QuestionGroup,
    Service,
    Synonym,
    Taxonomy,
)
from regional311.chargeback import rate_uploads
from regional311.chargeback.collecting import NoBillingPeriod, billing_period
from regional311.chargeback.models import (
    Agreement,
    AgreementProposal,
    Rate,
    RateProposal,
    Statement,
    StatementItem,
    StatementLine,
)
from regional311.cover.models import Emergency
from regional311.database import ids
from regional311.database.base import Base
from regional311.database.session import open_session
from regional311.exchange.models import ExternalSystem
from regional311.floor.watching import contact_is_confidential
from regional311.forecast.models import Budget, Scenario
from regional311.identity import attempts, expiring_links
from regional311.identity.expiring_links import Expiring
from regional311.identity.members import find_member
from regional311.identity.models import ApiClient, Membership
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import Identity, Tracked, tracked
from regional311.inbox import chatting
from regional311.inbox.models import Thread
from regional311.inbox.queries import Viewer
from regional311.insight.figures import FIGURES
from regional311.intake.models import Contact, FollowedRequest, ServiceRequest
from regional311.keeping.models import Suggestion
from regional311.ledger.exports import batch_numbered
from regional311.ledger.models import Account, JournalEntry, LedgerPeriod
from regional311.metering.models import UsageEvent
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.service import TO_PEOPLE
from regional311.notices.texts import SHORT
from regional311.notices.ways_out import read_token as read_stop
from regional311.notices.wording import LANGUAGES as WORDED_IN
from regional311.referral import person_links
from regional311.referral.lifecycle import SENDER
from regional311.referral.models import AcceptancePolicy, Backtest, FollowUp, Referral, RuleSet
from regional311.referral.snapshot import NOBODY
from regional311.settlement.models import BalanceConfirmation, Dispute, NettingSet, Payment
from regional311.tenancy.models import Line
from regional311.web.answer_links import PURPOSE as ANSWER
from regional311.web.partners import REGION, Partner
from regional311.web.programs import program_asking, sent_key
from regional311.web.security import SignInNeeded, tenant_acl
from regional311.web.telling import telling

RESERVED = frozenset({"new", "edit", "export", "search", "csv", "preview"})
"""Names of views: a configured key that is one of these has no address of its own."""

CATALOGUE_VIEWS = frozenset({"bulk", "changes", "drafts", "read", "sheet"})
"""Names of views of the collections of the catalogue, beside the reserved ones."""

MAILBOX, REPORTED = "what was reported", "one report"
"""What links are made for that whoever can open a mailbox gets: its list, and one of the list."""

PUBLIC_VIEWS = frozenset(
    {
        "calls",
        "data-guide",
        "emergency",
        "found",
        "healthz",
        "metrics",
        "report",
        "reported",
        "robots.txt",
        "search",
        "service",
        "sitemap.xml",
        "where",
        "suggest",
        "texts",
    }
)
"""Names of views of the root that must be found without asking the database."""

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,99}", re.ASCII)
_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_SPAN = re.compile(r"\d{4}-\d{2}-\d{2}\.\.\d{4}-\d{2}-\d{2}", re.ASCII)
_YEAR = re.compile(r"(19|20|21)\d{2}", re.ASCII)
_NUMBER = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}", re.ASCII)


class Resource:
    """A place in the tree. Children come from `child`, which returns a resource or None."""

    def __init__(self, request: Any, name: str = "", parent: Resource | None = None) -> None:
        self.request = request
        self.__name__ = name
        self.__parent__ = parent

    def child(self, name: str) -> Resource | None:
        return None

    def __getitem__(self, name: str) -> Resource:
        try:
            found = self.child(name)
        except KeyError as error:
            # Pyramid takes a KeyError for "no such child"; a mistake must not look like a 404.
            raise RuntimeError(f"looking up a child failed with {error!r}") from error
        if found is None:
            raise KeyError(name)
        return found


class Root(Resource):
    """The region's public door."""

    def child(self, name: str) -> Resource | None:
        if name == "auth":
            return Auth(self.request, name, self)
        if name == "track":
            return Track(self.request, name, self)
        if name == "answer":
            return AnswerLinks(self.request, name, self)
        if name == "letters":
            return LetterLinks(self.request, name, self)
        if name == "mine":
            return Mine(self.request, name, self)
        if name == "partners":
            return PublicPartners(self.request, name, self)
        if name == "services":
            return PublicServices(self.request, name, self)
        if name in ("accommodation", "a"):
            # the short one is for messages: it says nothing of what they are about
            return AccommodationDoor(self.request, name, self)
        if name == "articles":
            return PublicArticles(self.request, name, self)
        if name == "waiting":
            return WaitingRooms(self.request, name, self)
        if name == "chat":
            return ChatRooms(self.request, name, self)
        if name == "hsds":
            return DirectoryApi(self.request, name, self)
        if name == "open311":
            return Open311(self.request, name, self)
        if name == "api":
            return ApiNode(self.request, name, self)
        if name in PUBLIC_VIEWS:
            return None
        partner = self.request.registry.partners.by_slug(name)
        if partner is None:
            return None
        kind = RegionNode if partner.slug == REGION else TenantNode
        return kind(self.request, name, self, partner)


class Auth(Resource):
    """Signing in and out."""


class ApiNode(Resource):
    """What programs may ask and do, described; the operations are where the pages are."""


class Track(Resource):
    """Where tracking links lead."""

    def child(self, name: str) -> Resource | None:
        if not 20 <= len(name) <= 100 or not name.isascii():
            return None
        found = self._from_mailbox(name)
        if found is None:
            with self.request.registry.autocommit_engine.connect() as connection:
                found = tracked(connection, name)
        if found is None:
            return None
        partner = self.request.registry.partners.by_id(found.tenant_id)
        if partner is None:
            return None
        enter(self.request, partner)
        return TrackedRequest(self.request, name, self, partner, found)

    def _from_mailbox(self, name: str) -> Tracked | None:
        """What a link in a mailbox's list opens, for as long as the list itself."""
        link = expiring_links.read_token(self.request.registry.configured.secret, REPORTED, name)
        if link is None or link.expires_at <= self.request.now:
            return None
        return Tracked(link.tenant_id, link.subject_id, None)


class TrackedRequest(Resource):
    """One request as its tracking link shows it."""

    def __init__(
        self, request: Any, name: str, parent: Resource, partner: Partner, found: Tracked
    ) -> None:
        super().__init__(request, name, parent)
        self.partner = partner
        self.request_id = found.request_id
        self.me_too_id = found.me_too_id


class LetterLinks(Resource):
    """Where the links in messages lead by which people stop them."""

    def child(self, name: str) -> Resource | None:
        found = read_stop(self.request.registry.configured.secret, name)
        partner = None if found is None else self.request.registry.partners.by_id(found[0])
        if found is None or partner is None:
            return None
        enter(self.request, partner)
        return LetterLink(self.request, name, self, partner, found[1])


class LetterLink(Resource):
    """What somebody gets who was sent a message, for whoever holds the link in it."""

    def __init__(
        self, request: Any, name: str, parent: Resource, partner: Partner, message_id: UUID
    ) -> None:
        super().__init__(request, name, parent)
        self.partner = partner
        self.message_id = message_id


class AnswerLinks(Resource):
    """Where the links in messages about new referrals lead."""

    def child(self, name: str) -> Resource | None:
        request, registry = self.request, self.request.registry
        secret, address = registry.configured.secret, request.client_addr or "unknown"
        asked = (registry.engine, secret, "answer-link", address, request.now)
        attempts.check(*asked)
        found = expiring_links.read_token(secret, ANSWER, name)
        partner = None if found is None else registry.partners.by_id(found.tenant_id)
        if found is None or partner is None:
            attempts.note_wrong(*asked)
            return None
        enter(self.request, partner)
        return AnswerLink(self.request, name, self, partner, found)


class AnswerLink(Resource):
    """One referral, for whoever holds its link, until it is answered."""

    def __init__(
        self,
        request: Any,
        name: str,
        parent: Resource,
        partner: Partner,
        answering: Expiring,
    ) -> None:
        super().__init__(request, name, parent)
        self.partner = partner
        self.answering = answering


class Mine(Resource):
    """Where people's own codes lead; unknown ones count against the address they come from."""

    def child(self, name: str) -> Resource | None:
        request, registry = self.request, self.request.registry
        secret, address = registry.configured.secret, request.client_addr or "unknown"
        if (link := expiring_links.read_token(secret, MAILBOX, name)) is not None:
            return Mailbox(request, name, self, link)
        code = person_links.code_from(name[:40])
        if code is None:
            return None
        asked = (registry.engine, secret, "person-code", address, request.now)
        attempts.check(*asked)
        with request.registry.autocommit_engine.connect() as connection:
            found = person_links.find(connection, code)
        partner = request.registry.partners.by_id(found.tenant_id) if found else None
        if found is None or partner is None:
            attempts.note_wrong(*asked)
            return None
        enter(request, partner)
        return PersonPage(request, name, self, partner, found.contact_id, code)


class Mailbox(Resource):
    """What was reported with an e-mail address, for whoever can open its mailbox."""

    def __init__(self, request: Any, name: str, parent: Resource, link: Expiring) -> None:
        super().__init__(request, name, parent)
        self.link = link


class PersonPage(Resource):
    """What was asked of whom for a person, as they see it themselves."""

    def __init__(
        self,
        request: Any,
        name: str,
        parent: Resource,
        partner: Partner,
        contact_id: UUID,
        code: str,
    ) -> None:
        super().__init__(request, name, parent)
        self.partner = partner
        self.contact_id = contact_id
        self.code = code


class PublicPlace(Resource):
    """What a partner shows to everybody, below one of the region's public collections."""

    def __init__(self, request: Any, name: str, parent: Resource, partner: Partner) -> None:
        super().__init__(request, name, parent)
        self.partner = partner


class PublicPartners(Resource):
    """/partners/<slug>: the partners as everybody sees them."""

    def child(self, name: str) -> Resource | None:
        partner = self.request.registry.partners.by_slug(name)
        if partner is None or partner.slug == REGION:
            return None
        return PublicPartner(self.request, name, self, partner)


class PublicPartner(PublicPlace):
    """A partner's home for everybody; the one for who works there is at /<slug>."""


class AccommodationDoor(Resource):
    """/accommodation: where accommodation requests and complaints come in, for every partner."""

    def child(self, name: str) -> Resource | None:
        partner = self.request.registry.partners.by_slug(name)
        if partner is None or partner.slug == REGION:
            return None
        return AccommodationsOf(self.request, name, self, partner)


class AccommodationsOf(PublicPlace):
    """/accommodation/<slug>/<token>: one of them, for whoever holds its link."""

    def child(self, name: str) -> Resource | None:
        request = self.request
        if not 20 <= len(name) <= 100 or not name.isascii():
            return None
        enter(request, self.partner)
        row = by_token(request.dbsession, name)
        return None if row is None else AccommodationLink(request, name, self, self.partner, row)


class AccommodationLink(PublicPlace):
    """One accommodation request or complaint, as the person sees it."""

    def __init__(
        self, request: Any, name: str, parent: Resource, partner: Partner, record: Any
    ) -> None:
        super().__init__(request, name, parent, partner)
        self.record = record


class WaitingRooms(Resource):
    """/waiting/<slug>: who is called at a partner's front desk, for its screen."""

    def child(self, name: str) -> Resource | None:
        partner = self.request.registry.partners.by_slug(name)
        return None if partner is None else WaitingRoom(self.request, name, self, partner)


class WaitingRoom(PublicPlace):
    """What the screen of a waiting room shows: numbers, and no names."""


class ChatRooms(Resource):
    """/chat/<slug>: where everybody may write to a partner."""

    def child(self, name: str) -> Resource | None:
        partner = self.request.registry.partners.by_slug(name)
        return None if partner is None else ChatRoom(self.request, name, self, partner)


class ChatRoom(PublicPlace):
    """/chat/<slug>/<secret>: chats of a partner, each for whoever holds its link."""

    def child(self, name: str) -> Resource | None:
        if not 20 <= len(name) <= 100 or not name.isascii():
            return None
        enter(self.request, self.partner)
        found = chatting.find(self.request.dbsession, name)
        if found is None:
            return None
        return ChatThread(self.request, name, self, self.partner, found)


class ChatThread(PublicPlace):
    """One chat, for whoever holds its link."""

    def __init__(
        self, request: Any, name: str, parent: Resource, partner: Partner, chat: chatting.Chat
    ) -> None:
        super().__init__(request, name, parent, partner)
        self.chat = chat


class PublicServices(Resource):
    """/services/<slug>: what everybody may ask for, by partner."""

    def child(self, name: str) -> Resource | None:
        partner = self.request.registry.partners.by_slug(name)
        if partner is None or partner.slug == REGION:
            return None
        return PublicServicesOf(self.request, name, self, partner)


class PublicServicesOf(PublicPlace):
    """/services/<slug>/<key>: one partner's services."""

    def child(self, name: str) -> Resource | None:
        found = telling(self.request).published.directory.find(f"{self.partner.slug}/{name}")
        if found is None:
            return None
        return PublicService(self.request, name, self, found)


class PublicService(Resource):
    """One service, as everybody may see it, also when it has ended."""

    def __init__(
        self, request: Any, name: str, parent: Resource, service: PublishedService
    ) -> None:
        super().__init__(request, name, parent)
        self.service = service


class PublicArticles(Resource):
    """/articles/<slug>: what the partners answer to everybody."""

    def child(self, name: str) -> Resource | None:
        partner = self.request.registry.partners.by_slug(name)
        return None if partner is None else PublicArticlesOf(self.request, name, self, partner)


class PublicArticlesOf(PublicPlace):
    """/articles/<slug>/<key>: one partner's articles that have a public part."""

    def child(self, name: str) -> Resource | None:
        if _KEY.fullmatch(name) is None:
            return None
        with open_session(self.request.registry.engine, NOBODY) as session:
            found = article(session, self.partner.id, name)
        if found is None or not found.said.public:
            return None
        return PublicArticle(self.request, name, self, self.partner, found)


class PublicArticle(PublicPlace):
    """The public part of one article, also when it is over."""

    def __init__(
        self, request: Any, name: str, parent: Resource, partner: Partner, found: Shelved
    ) -> None:
        super().__init__(request, name, parent, partner)
        self.article = found


class DirectoryApi(Resource):
    """/hsds: the directory for programs (HSDS), of all partners or, as /hsds/<slug>, of one."""

    LISTS = frozenset(
        {
            *("services", "organizations", "service_at_locations", "taxonomies"),
            *("taxonomy_terms", "areas"),
        }
    )

    def __init__(
        self, request: Any, name: str, parent: Resource, partner: Partner | None = None
    ) -> None:
        super().__init__(request, name, parent)
        self.partner = partner

    def child(self, name: str) -> Resource | None:
        if name in self.LISTS:
            return DirectoryList(self.request, name, self)
        if self.partner is not None:
            return None
        partner = self.request.registry.partners.by_slug(name)
        return None if partner is None else DirectoryApi(self.request, name, self, partner)


class DirectoryList(Resource):
    """One list of the directory; its children are entries by UUID, looked up by their view."""

    @property
    def api(self) -> DirectoryApi:
        """The directory that it is a list of."""
        assert isinstance(self.__parent__, DirectoryApi)
        return self.__parent__

    def child(self, name: str) -> Resource | None:
        entry_id = _as_id(name.lower())
        return None if entry_id is None else DirectoryEntry(self.request, name, self, entry_id)


class DirectoryEntry(Resource):
    """One entry of the directory, by its UUID."""

    def __init__(self, request: Any, name: str, parent: DirectoryList, entry_id: UUID) -> None:
        super().__init__(request, name, parent)
        self.id = entry_id

    @property
    def list(self) -> DirectoryList:
        """The list that it is on."""
        assert isinstance(self.__parent__, DirectoryList)
        return self.__parent__


class TenantNode(Resource):
    """A partner: everything below is theirs."""

    for_staff = True

    def __init__(self, request: Any, name: str, parent: Resource, partner: Partner) -> None:
        super().__init__(request, name, parent)
        self.partner = partner
        enter(request, partner)

    @property
    def __acl__(self) -> list[Any]:
        return tenant_acl(self.partner.id)

    def child(self, name: str) -> Resource | None:
        if name == "open311":
            return Open311(self.request, name, self)
        if name == "fhir":
            return Fhir(self.request, name, self)
        if name == "911":
            return EmergencyCenter(self.request, name, self)
        kind = COLLECTIONS.get(name)
        if kind is None:
            return None
        require_member(self.request)
        return kind(self.request, name, self)


class RegionNode(TenantNode):
    """The region seen whole, a partner of its own."""

    def child(self, name: str) -> Resource | None:
        if name == "settlement":
            require_member(self.request)
            return RegionSettlement(self.request, name, self)
        return super().child(name)


class Fhir(Resource):
    """/<slug>/fhir: referrals of a partner that works in a system of its own."""

    def child(self, name: str) -> Resource | None:
        return FhirTasks(self.request, name, self) if name == "Task" else None


class FhirTasks(Resource):
    """fhir/Task: the referrals that its system knows."""

    def child(self, name: str) -> Resource | None:
        task_id = _as_id(name.lower())
        return None if task_id is None else FhirTask(self.request, name, self, task_id)


class FhirTask(Resource):
    """fhir/Task/<id>: one of them, looked up by its view."""

    def __init__(self, request: Any, name: str, parent: Resource, task_id: UUID) -> None:
        super().__init__(request, name, parent)
        self.id = task_id


class EmergencyCenter(Resource):
    """/<slug>/911: where a 911 center's program hands over calls that are no emergency."""


class Open311(Resource):
    """Open311 interfaces, for everybody."""

    def child(self, name: str) -> Resource | None:
        return Open311Version(self.request, name, self) if name == "v2" else None


class Open311Version(Resource):
    """GeoReport v2: documents such as `services.json`, and folders such as `requests/`."""

    def child(self, name: str) -> Resource | None:
        if name in OPEN311_FOLDERS:
            return Open311Folder(self.request, name, self)
        if name == "requests.csv":
            return Open311Bulk(self.request, name, self)
        return open311_document(self.request, name, self, OPEN311_DOCUMENTS)


class Open311Folder(Resource):
    """Documents about one thing each, such as `requests/R-...json`."""

    def child(self, name: str) -> Resource | None:
        one = OPEN311_FOLDERS[self.__name__]
        return open311_document(self.request, name, self, {None: one})


class Open311Document(Resource):
    """One document of the interface in one format (`json`, `xml`); `key` is whose it is."""

    key = ""
    format = "xml"


class Open311Discovery(Open311Document):
    """discovery.json"""


class Open311Services(Open311Document):
    """services.json"""


class Open311Service(Open311Document):
    """services/<code>.json"""


class Open311Requests(Open311Document):
    """requests.json"""


class Open311Request(Open311Document):
    """requests/<id>.json"""


class Open311Bulk(Open311Document):
    """requests.csv: all public requests of a time, as open data."""


class Open311Token(Open311Document):
    """tokens/<token>.json"""


class Open311Updates(Open311Document):
    """servicerequestupdates.json"""


OPEN311_DOCUMENTS: dict[str | None, type[Open311Document]] = {
    "discovery": Open311Discovery,
    "services": Open311Services,
    "requests": Open311Requests,
    "servicerequestupdates": Open311Updates,
}
OPEN311_FOLDERS: dict[str, type[Open311Document]] = {
    "services": Open311Service,
    "requests": Open311Request,
    "tokens": Open311Token,
}


def open311_document(
    request: Any,
    name: str,
    parent: Resource,
    kinds: dict[str | None, type[Open311Document]],
) -> Open311Document | None:
    """Return the document that a name with its format is; None for another format or name."""
    key, _, form = name.rpartition(".")
    kind = kinds.get(key) or kinds.get(None)
    if form not in ("json", "xml") or not key or kind is None:
        return None
    found = kind(request, name, parent)
    found.key, found.format = key, form
    return found


class RegionSettlement(Resource):
    """/region/settlement: who owes whom, and netting among several partners."""


COLLECTIONS: dict[str, type[Collection]] = {}


def collection(name: str):
    """Register a collection below every partner under this name."""

    def register(kind: type[Collection]) -> type[Collection]:
        if name in COLLECTIONS:
            raise ValueError(name)
        COLLECTIONS[name] = kind
        return kind

    return register


class Record(Resource):
    """One thing of a collection; `record` is a flat row with the columns of its table."""

    def __init__(self, request: Any, name: str, parent: Resource, record: Any) -> None:
        super().__init__(request, name, parent)
        self.record = record


class Collection(Resource):
    """The things of one kind that a partner has.

    `prefix` finds children by public number, `by="key"` by configured key, `by="id"` by id, in
    `model`'s table; override `find` for anything else.
    """

    permission: ClassVar[P]
    model: ClassVar[type[Base] | None] = None
    member: ClassVar[type[Record]] = Record
    prefix: ClassVar[str | None] = None
    by: ClassVar[str] = "public_id"

    def child(self, name: str) -> Resource | None:
        if name in RESERVED:
            return None
        record = self.find(name)
        return None if record is None else self.member(self.request, name, self, record)

    def find(self, name: str) -> Any:
        """Return the record with this name, or None; at most one statement."""
        if self.model is None:
            return None
        value = self._value(name)
        if value is None:
            return None
        return self.row(self.model, self.by, value)

    def row(self, model: type[Base], column: str, value: Any) -> Row[Any] | None:
        """Return the flat row of this partner's `model` whose `column` has this value."""
        table = model.__table__
        return self.request.dbsession.execute(
            select(table).where(
                table.c.tenant_id == self.request.tenant.id, table.c[column] == value
            )
        ).one_or_none()

    def versions(
        self, model: type[Base], name: str, *conditions: ColumnElement[bool]
    ) -> list[Row[Any]] | None:
        """Return every flat row of `model` with this key, or None when there is none.

        Only this partner's rows, unless `conditions` say which.
        """
        if _KEY.fullmatch(name) is None:
            return None
        table = model.__table__
        mine = conditions or (table.c.tenant_id == self.request.tenant.id,)
        rows = self.request.dbsession.execute(
            select(table).where(table.c.key == name, *mine).order_by(table.c.id)
        ).all()
        return list(rows) or None

    def _value(self, name: str) -> Any:
        if self.prefix is not None:
            return name if ids.is_public_id(name, self.prefix) else None
        if self.by == "key":
            return name if _KEY.fullmatch(name) else None
        return _as_id(name)


class ContactRecord(Record):
    """C-...: one contact."""


class SecretContactRecord(Record):
    """C-...: a confidential contact, for who may know no more than that there is one."""


class RequestRecord(Record):
    """R-...: one service request."""


class BulkChangeRecord(Record):
    """requests/changes/<id>: one change of many requests; who asked for it can undo it."""


class BulkChanges(Resource):
    """requests/changes: what this person changed of many requests at once."""

    def child(self, name: str) -> Resource | None:
        bulk_id = _as_id(name)
        if bulk_id is None:
            return None
        table = BulkChange.__table__
        row = self.request.dbsession.execute(
            select(table).where(table.c.tenant_id == self.request.tenant.id, table.c.id == bulk_id)
        ).one_or_none()
        return None if row is None else BulkChangeRecord(self.request, name, self, row)


class AccommodationRecord(Record):
    """A-...: one accommodation request or complaint."""


class ReferralRecord(Record):
    """F-...: one referral, sent or received."""


class FollowUpRecord(Record):
    """U-...: somebody asks a person what became of a need."""


class StatementRecord(Record):
    """S-...: one statement, issued or received; its children are its lines by position."""

    def child(self, name: str) -> Resource | None:
        if _NUMBER.fullmatch(name) is None:
            return None
        table = StatementLine.__table__
        row = self.request.dbsession.execute(
            select(table).where(
                table.c.tenant_id == self.request.tenant.id,
                table.c.statement_id == self.record.id,
                table.c.position == int(name),
            )
        ).one_or_none()
        return None if row is None else StatementLineRecord(self.request, name, self, row)


class StatementLineRecord(Record):
    """One line of a statement; its children are the pieces of work behind it, by id."""

    @property
    def statement(self) -> StatementRecord:
        """The statement that it is a line of."""
        assert isinstance(self.__parent__, StatementRecord)
        return self.__parent__

    def child(self, name: str) -> Resource | None:
        item_id = _as_id(name)
        if item_id is None:
            return None
        table = StatementItem.__table__
        row = self.request.dbsession.execute(
            select(table).where(
                table.c.tenant_id == self.request.tenant.id,
                table.c.line_id == self.record.id,
                table.c.id == item_id,
            )
        ).one_or_none()
        return None if row is None else StatementItemRecord(self.request, name, self, row)


class StatementItemRecord(Record):
    """One priced piece of work on a statement."""

    @property
    def line(self) -> StatementLineRecord:
        """The line that it is part of."""
        assert isinstance(self.__parent__, StatementLineRecord)
        return self.__parent__


class CatalogueRecord(Record):
    """A thing of the catalogue, by its key, with its versions; `kind` is one of `kinds.KINDS`."""

    kind: str

    @property
    def key(self) -> str:
        """The thing's key."""
        return self.__name__

    def child(self, name: str) -> Resource | None:
        if name == "questions" and self.kind in ("service", "question_group"):
            return QuestionList(self.request, name, self)
        return None


class QuestionList(Resource):
    """…/questions: what a service's form asks, or a group of questions."""

    @property
    def holder(self) -> CatalogueRecord:
        """The service or the group whose questions they are."""
        assert isinstance(self.__parent__, CatalogueRecord)
        return self.__parent__


class UnpublishedRecord(CatalogueRecord):
    """A thing that is only drafted so far; `record` is None."""

    def __init__(self, request: Any, name: str, parent: Catalogue) -> None:
        super().__init__(request, name, parent, None)
        self.kind = parent.kind


class ServiceRecord(CatalogueRecord):
    """A service, by its key."""

    kind = "service"


class LocationRecord(CatalogueRecord):
    """A place where services are given, by its key."""

    kind = "location"


class QuestionGroupRecord(CatalogueRecord):
    """A group of questions, by its key."""

    kind = "question_group"


class OrganizationRecord(CatalogueRecord):
    """A body that provides services, by its key."""

    kind = "organization"


class ArticleRecord(CatalogueRecord):
    """An answer, a guide or a notice, by its key."""

    kind = "article"


class RuleSetRecord(Record):
    """A version of the rules; its backtests are below it."""

    def child(self, name: str) -> Resource | None:
        return Backtests(self.request, name, self) if name == "backtests" else None


class BacktestRecord(Record):
    """A version of the rules run over a past period, by id."""


class Backtests(Resource):
    """/rules/<version>/backtests/<id>: what a version would have changed."""

    @property
    def rule_set(self) -> RuleSetRecord:
        """The version that was tried."""
        assert isinstance(self.__parent__, RuleSetRecord)
        return self.__parent__

    def child(self, name: str) -> Resource | None:
        backtest_id = _as_id(name)
        if backtest_id is None:
            return None
        table = Backtest.__table__
        row = self.request.dbsession.execute(
            select(table).where(
                table.c.tenant_id == self.request.tenant.id,
                table.c.rule_set_id == self.rule_set.record.id,
                table.c.id == backtest_id,
            )
        ).one_or_none()
        return None if row is None else BacktestRecord(self.request, name, self, row)


class AgreementRecord(Record):
    """An agreement by its key; `record` is the list of its versions."""


class ProposalRecord(Record):
    """A proposed agreement or version, by id."""


class Proposals(Resource):
    """/agreements/proposals/<id>: what this partner drafted, and what others proposed to it."""

    def child(self, name: str) -> Resource | None:
        proposal_id = _as_id(name)
        if proposal_id is None:
            return None
        table = AgreementProposal.__table__
        row = self.request.dbsession.execute(
            select(table).where(
                table.c.tenant_id == self.request.tenant.id, table.c.id == proposal_id
            )
        ).one_or_none()
        return None if row is None else ProposalRecord(self.request, name, self, row)


class RateRecord(Record):
    """A rate by its key; `record` is the list of its versions, as valid and as recorded."""


class RateProposalRecord(Record):
    """A proposed change of prices, by id."""


class RateProposals(Resource):
    """/rates/proposals/<id>: changes of prices on their way to a second person."""

    def child(self, name: str) -> Resource | None:
        proposal_id = _as_id(name)
        if proposal_id is None:
            return None
        table = RateProposal.__table__
        # a proposal may change every rate there is: pages read its changes one by one
        columns = [each for each in table.c if each.name != "changes"]
        row = self.request.dbsession.execute(
            select(*columns).where(
                table.c.tenant_id == self.request.tenant.id, table.c.id == proposal_id
            )
        ).one_or_none()
        return None if row is None else RateProposalRecord(self.request, name, self, row)


class RateSheetRecord(Record):
    """A spreadsheet of rates that somebody sent, by id; without what is in it."""


class RateSheets(Resource):
    """/rates/sheets/<id>: spreadsheets of rates that the worker reads, or has read."""

    def child(self, name: str) -> Resource | None:
        sheet_id = _as_id(name)
        row = None if sheet_id is None else rate_uploads.sheet(self.request.dbsession, sheet_id)
        return None if row is None else RateSheetRecord(self.request, name, self, row)


class PoolRecord(Record):
    """A cost pool by its key; `record` is the list of its versions of every fiscal year."""


class PoolProposalRecord(Record):
    """A version of a pool on its way, by id."""


class PoolProposals(Resource):
    """/pools/proposals/<id>: versions of pools on their way to a second person."""

    def child(self, name: str) -> Resource | None:
        row = _own_row(self.request, PoolProposal, name)
        return None if row is None else PoolProposalRecord(self.request, name, self, row)


class BaseRecord(Record):
    """What costs are divided by, by its key; `record` is the newest version."""


class BaseProposalRecord(Record):
    """A version or readings of a base on their way, by id."""


class BaseProposals(Resource):
    """/bases/proposals/<id>: versions and readings of bases on their way to a second person."""

    def child(self, name: str) -> Resource | None:
        row = _own_row(self.request, BaseProposal, name)
        return None if row is None else BaseProposalRecord(self.request, name, self, row)


def _own_row(request: Any, model: type[Base], name: str) -> Any:
    """The flat row of this partner's `model` with this id, or None."""
    row_id = _as_id(name)
    if row_id is None:
        return None
    table = model.__table__
    return request.dbsession.execute(
        select(table).where(table.c.tenant_id == request.tenant.id, table.c.id == row_id)
    ).one_or_none()


class SplitRecord(Record):
    """A rule by which the partner divides its own bill, by its key."""


class PeriodRecord(Record):
    """A billing month such as 2026-10, a quarter or a fiscal year; `record` is its key."""


class LatePeriodRecord(Record):
    """A billed period, by its label, whose late and changed work is billed by corrections."""


class RecordedWorkRecord(Record):
    """A piece of recorded work, by the id of its usage event."""


class FiscalYearRecord(Record):
    """A fiscal year by the calendar year in which it ends; `record` is that number."""


class BudgetRecord(Record):
    """A figure of a budget."""


class ScenarioRecord(Record):
    """X-...: a saved scenario."""


class EntryRecord(Record):
    """A journal entry."""


class AccountRecord(Record):
    """An account of the partner's chart."""


class Accounts(Resource):
    """/ledger/accounts/<key>: the chart of accounts."""

    def child(self, name: str) -> Resource | None:
        if _ACCOUNT.fullmatch(name) is None:
            return None
        table = Account.__table__
        row = self.request.dbsession.execute(
            select(table).where(table.c.tenant_id == self.request.tenant.id, table.c.key == name)
        ).one_or_none()
        return None if row is None else AccountRecord(self.request, name, self, row)


class LedgerPeriodRecord(Record):
    """A month of the books."""


class LedgerPeriods(Resource):
    """/ledger/periods/<month>: closing the months of the books and opening them again."""

    def child(self, name: str) -> Resource | None:
        if _PERIOD.fullmatch(name) is None:
            return None
        table = LedgerPeriod.__table__
        row = self.request.dbsession.execute(
            select(table).where(table.c.tenant_id == self.request.tenant.id, table.c.key == name)
        ).one_or_none()
        return None if row is None else LedgerPeriodRecord(self.request, name, self, row)


class ExportBatchRecord(Record):
    """A batch that went to the partner's own general ledger."""


class LedgerExports(Resource):
    """/ledger/exports/<number>: what leaves for other ledgers."""

    def child(self, name: str) -> Resource | None:
        if _NUMBER.fullmatch(name) is None:
            return None
        row = batch_numbered(self.request.dbsession, int(name))
        return None if row is None else ExportBatchRecord(self.request, name, self, row)


class PersonRecord(Record):
    """Somebody who works for the partner."""


@collection("desk")
class Desk(Collection):
    """Where contacts are taken."""

    permission = P.CONTACT_TAKE


@collection("for-you")
class ForYou(Collection):
    """What is for the person who looks."""

    permission = P.TENANT_ENTER


@collection("floor")
class Floor(Collection):
    """Who is on what, who waits, what is late: for who runs the floor."""

    permission = P.FLOOR_RUN


@collection("front-desk")
class FrontDesk(Collection):
    """Who waits for a person, and who is called."""

    permission = P.CONTACT_TAKE


class ThreadRecord(Record):
    """What one person and the partner write each other on one channel."""


@collection("inbox")
class Inbox(Collection):
    """Mail, texts and chats to answer; confidential ones for cleared people and who has them."""

    permission = P.CONTACT_TAKE
    model, member, prefix = Thread, ThreadRecord, "T"

    def find(self, name: str) -> Any:
        found = super().find(name)
        return found if found is not None and viewer(self.request).sees(found) else None


def viewer(request: Any) -> Viewer:
    """Who looks at the partner's inbox, and whether they are cleared for what is confidential."""
    identity = request.identity
    permissions = identity.permissions(request.tenant.id)
    return Viewer(identity.person_id, P.REQUEST_WORK in permissions)


class PreparedTextRecord(Record):
    """A prepared text, by id."""


class PreparedTexts(Collection):
    """Words that the partner's people have prepared for one purpose."""

    permission = P.INBOX_EDIT
    model, member, by = PreparedText, PreparedTextRecord, "id"
    purpose: ClassVar[Purpose]

    def find(self, name: str) -> Any:
        found = super().find(name)
        return found if found is not None and found.purpose == self.purpose else None


@collection("answer-templates")
class AnswerTemplates(PreparedTexts):
    """Words that the partner's people answer with often."""

    purpose = "answer"


@collection("closing-texts")
class ClosingTexts(PreparedTexts):
    """What the partner's people say when they close a request."""

    purpose = "closing"


class MessageRecord(Record):
    """A message that the partner wrote, by id."""


@collection("messages")
class Messages(Collection):
    """What the partner wrote to people, by mail and by text."""

    permission = P.MESSAGE_WORK
    model, member, by = OutboxMessage, MessageRecord, "id"


class MailTroubleRecord(Record):
    """An address at which mail did not arrive, by id."""


@collection("mail-addresses")
class MailTroubles(Collection):
    """Addresses at which mail did not arrive."""

    permission = P.MESSAGE_WORK
    model, member, by = MailTrouble, MailTroubleRecord, "id"


class MessageWordsRecord(Record):
    """message-words/<event>.<language>, with .text behind it for texts: what the partner says."""


@collection("message-words")
class MessageWords(Collection):
    """What messages to people say, by event, language and channel."""

    permission = P.SETTINGS_EDIT
    member = MessageWordsRecord

    def find(self, name: str) -> tuple[str, str, str] | None:
        event, _dot, rest = name.partition(".")
        language, dot, channel = rest.partition(".")
        if event not in TO_PEOPLE or language not in WORDED_IN:
            return None
        if not dot:
            return event, language, "email"
        return (event, language, channel) if channel == "text" and event in SHORT else None


@collection("contacts")
class Contacts(Collection):
    permission = P.CONTACT_READ
    model, member, prefix = Contact, ContactRecord, "C"

    def child(self, name: str) -> Resource | None:
        found = super().child(name)
        if isinstance(found, ContactRecord) and self._is_secret(found.record):
            return SecretContactRecord(self.request, name, self, found.record)
        return found

    def _is_secret(self, found: Any) -> bool:
        """Whether it is confidential, and neither theirs nor are they cleared for such."""
        identity = self.request.identity
        if (
            identity is None
            or not isinstance(identity, Identity)
            or identity.cleared(self.request.tenant.id)
            or found.specialist_id == identity.person_id
        ):
            return False
        secret = telling(self.request).confidential_services
        return contact_is_confidential(self.request.dbsession, found.id, secret)


@collection("requests")
class Requests(Collection):
    """One's own requests, and those that one follows at other partners."""

    permission = P.REQUEST_READ
    model, member, prefix = ServiceRequest, RequestRecord, "R"

    def child(self, name: str) -> Resource | None:
        if name == "changes":
            return BulkChanges(self.request, name, self)
        return super().child(name)

    def find(self, name: str) -> Any:
        found = super().find(name)
        if found is not None and found.confidential and not self._cleared():
            return None
        if found is None and (number := self._value(name)) is not None:
            found = self.row(FollowedRequest, "public_id", number)
            if found is not None and (found.owner_id, found.service_key) in self.hidden():
                return None
        return found

    def hidden(self) -> frozenset[tuple[UUID, str]]:
        """The services, as (owner, key), whose requests are nowhere for whoever asks."""
        return frozenset() if self._cleared() else telling(self.request).confidential_services

    def _cleared(self) -> bool:
        """Whether the person works requests: confidential ones are nowhere for anybody else."""
        identity = self.request.identity
        return identity is not None and identity.cleared(self.request.tenant.id)


@collection("accommodation")
class AccommodationDesk(Collection):
    """Where staff write down an accommodation request or a complaint for somebody."""

    permission = P.ACCOMMODATION_TAKE


def accommodation_bureaus(request: Any) -> tuple[str, ...] | None:
    """The bureaus whose accommodations whoever asks is named for; None for all of them."""
    terms = terms_of(telling(request).published.tenant(request.tenant.slug).settings)
    identity = request.identity
    member = None if identity is None else find_member(request.dbsession, identity.person_id)
    return () if member is None else terms.bureaus_of(member.email)


@collection("accommodations")
class Accommodations(Collection):
    """Accommodation requests and complaints, for coordinators."""

    permission = P.ACCOMMODATION_WORK
    model, member, prefix = Accommodation, AccommodationRecord, "A"

    def bureaus(self) -> tuple[str, ...] | None:
        """The bureaus whose cases this person sees; None for all."""
        return accommodation_bureaus(self.request)

    def find(self, name: str) -> Any:
        found = super().find(name)
        if found is None:
            return None
        bureaus = self.bureaus()
        return found if bureaus is None or found.bureau_key in bureaus else None


@collection("accommodation-figures")
class AccommodationFigures(Collection):
    """How many accommodation requests and complaints there are, without persons."""

    permission = P.ACCOMMODATION_READ


@collection("referrals")
class Referrals(Collection):
    """The inbox and what was sent."""

    permission = P.REFERRAL_READ
    model, member, prefix = Referral, ReferralRecord, "F"

    def find(self, name: str) -> Any:
        found = super().find(name)
        return None if found is not None and self._is_secret(found) else found

    def _is_secret(self, found: Any) -> bool:
        """Whether it went to a confidential service, and neither did they send it nor are they
        cleared. What came in is its receiver's work.
        """
        identity = self.request.identity
        if (
            not isinstance(identity, Identity)
            or found.side != SENDER
            or identity.cleared(self.request.tenant.id)
            or (found.counterparty_id, found.service_key)
            not in telling(self.request).confidential_services
        ):
            return False
        sent_by = self.request.dbsession.execute(
            select(Contact.specialist_id).where(
                Contact.tenant_id == self.request.tenant.id, Contact.id == found.contact_id
            )
        ).scalar_one_or_none()
        return sent_by is None or sent_by != identity.person_id


class InsightFigure(Resource):
    """insight/<figure>: the rows that a figure counts."""


@collection("insight")
class Insight(Collection):
    """What becomes of referrals and needs, in figures."""

    permission = P.REFERRAL_READ

    def child(self, name: str) -> Resource | None:
        return InsightFigure(self.request, name, self) if name in FIGURES else None


@collection("trends")
class Trends(Collection):
    """What all partners published of their months."""

    permission = P.TENANT_ENTER


class AcceptanceRecord(Record):
    """What the partner takes from whom: one policy."""


@collection("receiving")
class Receiving(Collection):
    """What the partner takes from others, and its own words for how far it is."""

    permission = P.SERVICE_READ
    model, member, by = AcceptancePolicy, AcceptanceRecord, "key"

    def child(self, name: str) -> Resource | None:
        return None if name == "words" else super().child(name)


@collection("follow-ups")
class FollowUps(Collection):
    """People who are to be asked what became of their need."""

    permission = P.CONTACT_TAKE
    model, member, prefix = FollowUp, FollowUpRecord, "U"


@collection("outcomes")
class Outcomes(Collection):
    """Needs of which nobody has recorded what became of them."""

    permission = P.CONTACT_READ


class Catalogue(Collection):
    """Things of the catalogue of one kind; what is only drafted is found too."""

    permission = P.SERVICE_READ
    by = "key"
    kind: ClassVar[str]

    def child(self, name: str) -> Resource | None:
        if name in CATALOGUE_VIEWS:
            return None
        found = super().child(name)
        if found is None and _KEY.fullmatch(name) and self._is_drafted(name):
            return UnpublishedRecord(self.request, name, self)
        return found

    def _is_drafted(self, name: str) -> bool:
        drafted = select(ContentVersion.id).where(
            ContentVersion.tenant_id == self.request.tenant.id,
            ContentVersion.kind == self.kind,
            ContentVersion.key == name,
        )
        return self.request.dbsession.execute(drafted.limit(1)).first() is not None


@collection("services")
class Services(Catalogue):
    model, member, kind = Service, ServiceRecord, "service"


@collection("locations")
class Locations(Catalogue):
    """Places where services are given."""

    model, member, kind = Location, LocationRecord, "location"


@collection("question-groups")
class QuestionGroups(Catalogue):
    """Questions that several forms share."""

    model, member, kind = QuestionGroup, QuestionGroupRecord, "question_group"


@collection("organizations")
class Organizations(Catalogue):
    """Bodies that provide services."""

    model, member, kind = Organization, OrganizationRecord, "organization"


@collection("articles")
class Articles(Catalogue):
    """What is known beside services: answers, guides for the desk, notices."""

    model, member, kind = Article, ArticleRecord, "article"


@collection("reviews")
class Reviews(Collection):
    """Services by the day on which somebody looks again."""

    permission = P.SERVICE_READ


class TaxonomyRecord(Record):
    """A tree of terms of any partner, by its key."""


@collection("taxonomies")
class Taxonomies(Collection):
    """Trees of terms by which services are sorted, whoever keeps them."""

    permission = P.SERVICE_READ
    member = TaxonomyRecord

    def child(self, name: str) -> Resource | None:
        return None if name in TAXONOMY_VIEWS else super().child(name)

    def find(self, name: str) -> Any:
        if _KEY.fullmatch(name) is None:
            return None
        table = Taxonomy.__table__
        return self.request.dbsession.execute(
            select(table)
            .where(table.c.key == name, table.c.ended_on.is_(None))
            .order_by(table.c.tenant_id)
            .limit(1)
        ).one_or_none()


TAXONOMY_VIEWS = frozenset({"crosswalk-sheet", "crosswalks", "end-crosswalk", "import", "unmapped"})


class SynonymRecord(Record):
    """What people say for other words, by its key."""


@collection("synonyms")
class Synonyms(Collection):
    """What people say for the words that services are described in."""

    permission = P.SERVICE_READ
    model, member, by = Synonym, SynonymRecord, "key"

    def child(self, name: str) -> Resource | None:
        return None if name == "new" else super().child(name)


@collection("searches")
class Searches(Collection):
    """What was searched for in vain."""

    permission = P.SERVICE_READ


class SuggestionRecord(Record):
    """One suggestion, received or sent, by id."""


@collection("suggestions")
class Suggestions(Collection):
    """What should be corrected, in the words of others: received, and sent to others."""

    permission = P.SERVICE_READ
    model, member, by = Suggestion, SuggestionRecord, "id"

    def child(self, name: str) -> Resource | None:
        return None if name == "seen" else super().child(name)


class AlikeRecord(Record):
    """An entry of the partner's and one of another's that may be the same, by the pair's id."""


@collection("alike")
class Alike(Collection):
    """What may be the same as something of another partner's."""

    permission = P.SERVICE_READ
    model, member, by = AlikePair, AlikeRecord, "id"


@collection("rules")
class Rules(Collection):
    """Versions of the rules, by number."""

    permission = P.RULE_READ
    member = RuleSetRecord

    def find(self, name: str) -> Any:
        if _NUMBER.fullmatch(name) is None:
            return None
        return self.row(RuleSet, "version", int(name))


@collection("agreements")
class Agreements(Collection):
    """The agreements that this partner is a party to; the region, which owns them, has all."""

    permission = P.AGREEMENT_READ
    member = AgreementRecord

    def child(self, name: str) -> Resource | None:
        if name == "proposals":
            return Proposals(self.request, name, self)
        return None if name == "calendar" else super().child(name)

    def find(self, name: str) -> Any:
        me = self.request.tenant.id
        return self.versions(
            Agreement,
            name,
            or_(Agreement.tenant_id == me, Agreement.provider_id == me, Agreement.payer_id == me),
        )


@collection("rates")
class Rates(Collection):
    permission = P.RATE_READ
    member = RateRecord

    def child(self, name: str) -> Resource | None:
        if name == "proposals":
            return RateProposals(self.request, name, self)
        if name == "sheets":
            return RateSheets(self.request, name, self)
        return None if name in ("grid", "price", "sheet") else super().child(name)

    def find(self, name: str) -> Any:
        return self.versions(Rate, name)


@collection("pools")
class Pools(Collection):
    permission = P.POOL_READ
    member = PoolRecord

    def child(self, name: str) -> Resource | None:
        if name == "proposals":
            return PoolProposals(self.request, name, self)
        return super().child(name)

    def find(self, name: str) -> Any:
        return self.versions(CostPool, name)


@collection("bases")
class Bases(Collection):
    """What costs are divided by."""

    permission = P.POOL_READ
    member = BaseRecord

    def child(self, name: str) -> Resource | None:
        if name == "proposals":
            return BaseProposals(self.request, name, self)
        return super().child(name)

    def find(self, name: str) -> Any:
        versions = self.versions(AllocationBase, name)
        return None if versions is None else max(versions, key=lambda row: row.number)


@collection("splits")
class Splits(Collection):
    """How this partner divides what it is billed."""

    permission = P.POOL_READ
    model, member, by = BillSplit, SplitRecord, "key"


@collection("billing")
class Billing(Collection):
    """Billing periods: months, quarters, fiscal years."""

    permission = P.BILLING_READ
    member = PeriodRecord

    def find(self, name: str) -> Any:
        if _PERIOD.fullmatch(name):
            return name
        if _SPAN.fullmatch(name) is None:
            return None
        try:
            return billing_period(name).label
        except NoBillingPeriod:
            return None


@collection("corrections")
class Corrections(Collection):
    """Issued periods, and what they have not seen."""

    permission = P.BILLING_READ
    member = LatePeriodRecord

    def find(self, name: str) -> Any:
        return name if _PERIOD.fullmatch(name) or _SPAN.fullmatch(name) else None


@collection("recorded-work")
class RecordedWork(Collection):
    """Recorded work and its corrections."""

    permission = P.BILLING_READ
    model, member, by = UsageEvent, RecordedWorkRecord, "id"


@collection("memos")
class Memos(Collection):
    """Corrections, memos and true-ups, issued and received."""

    permission = P.STATEMENT_READ


@collection("true-ups")
class TrueUps(Collection):
    """Fiscal years, and what they came to."""

    permission = P.BILLING_READ
    member = FiscalYearRecord

    def find(self, name: str) -> Any:
        return int(name) if _YEAR.fullmatch(name) else None


@collection("budgets")
class Budgets(Collection):
    """What was set aside for a fiscal year, by id."""

    permission = P.SCENARIO_READ
    model, member, by = Budget, BudgetRecord, "id"


@collection("scenarios")
class Scenarios(Collection):
    """What would have been billed otherwise."""

    permission = P.SCENARIO_READ
    model, member, prefix = Scenario, ScenarioRecord, "X"


@collection("statements")
class Statements(Collection):
    permission = P.STATEMENT_READ
    model, member, prefix = Statement, StatementRecord, "S"


class PaymentRecord(Record):
    """P-...: one payment, received or paid."""


class DisputeRecord(Record):
    """D-...: one dispute, of a statement issued or received."""


class NettingRecord(Record):
    """N-...: what is proposed to be set off."""


class ConfirmationRecord(Record):
    """B-...: a balance that two partners confirm."""


@collection("payments")
class Payments(Collection):
    """What was paid to and by this partner."""

    permission = P.SETTLEMENT_READ
    model, member, prefix = Payment, PaymentRecord, "P"

    def child(self, name: str) -> Resource | None:
        return None if name == "apply" else super().child(name)


@collection("disputes")
class Disputes(Collection):
    """What payers do not accept: about our statements, and about those that we received."""

    permission = P.DISPUTE_READ
    model, member, prefix = Dispute, DisputeRecord, "D"

    def child(self, name: str) -> Resource | None:
        return None if name == "owner" else super().child(name)


class NettingSets(Collection):
    """/settlement/netting: the netting sets that concern this partner."""

    permission = P.SETTLEMENT_READ
    model, member, prefix = NettingSet, NettingRecord, "N"


class Confirmations(Collection):
    """/settlement/confirmations: the balances that were asked for."""

    permission = P.SETTLEMENT_READ
    model, member, prefix = BalanceConfirmation, ConfirmationRecord, "B"


@collection("settlement")
class Settlement(Collection):
    """What stands between this partner and each other one."""

    permission = P.SETTLEMENT_READ

    def child(self, name: str) -> Resource | None:
        if name == "netting":
            return NettingSets(self.request, name, self)
        if name == "confirmations":
            return Confirmations(self.request, name, self)
        return None


@collection("ledger")
class Ledger(Collection):
    """The books: entries by id, the chart of accounts, months, what leaves for others."""

    permission = P.LEDGER_READ
    model, member, by = JournalEntry, EntryRecord, "id"

    def child(self, name: str) -> Resource | None:
        kind = LEDGER_PARTS.get(name)
        return super().child(name) if kind is None else kind(self.request, name, self)


LEDGER_PARTS: dict[str, type[Resource]] = {
    "accounts": Accounts,
    "periods": LedgerPeriods,
    "exports": LedgerExports,
}


@collection("people")
class People(Collection):
    permission = P.PEOPLE_READ
    member = PersonRecord

    def find(self, name: str) -> Any:
        person_id = _as_id(name)
        return None if person_id is None else self.row(Membership, "person_id", person_id)


@collection("settings")
class Settings(Collection):
    permission = P.SETTINGS_READ


class ClientRecord(Record):
    """A program with a key, by id."""


@collection("clients")
class Clients(Collection):
    """Programs that may use this partner's interfaces, by id."""

    permission = P.SETTINGS_READ
    model, member, by = ApiClient, ClientRecord, "id"


@collection("hooks")
class Hooks(Collection):
    """Where texts and calls come in, and the partner's own secrets for them."""

    permission = P.SETTINGS_READ


class ConnectionRecord(Record):
    """The system of its own in which the partner works, or worked, by id."""


@collection("connections")
class Connections(Collection):
    """The systems of their own in which partners work."""

    permission = P.SETTINGS_READ
    model, member, by = ExternalSystem, ConnectionRecord, "id"


class EmergencyRecord(Record):
    """E-...: an emergency of the partner's, or of the whole region, or its drill."""


@collection("emergencies")
class Emergencies(Collection):
    """Emergencies and drills, by public number."""

    permission = P.EMERGENCY_READ
    member, prefix = EmergencyRecord, "E"

    def child(self, name: str) -> Resource | None:
        return None if name == "aid" else super().child(name)

    def find(self, name: str) -> Any:
        number = self._value(name)
        region = self.request.registry.partners.by_slug(REGION)
        if number is None or region is None:
            return None
        table = Emergency.__table__
        return self.request.dbsession.execute(
            select(table).where(
                table.c.tenant_id.in_([self.request.tenant.id, region.id]),
                table.c.public_id == number,
            )
        ).one_or_none()


class LineRecord(Record):
    """A line, by its key: who answers it, and when."""


@collection("lines")
class Lines(Collection):
    """The partner's lines, by key."""

    permission = P.SERVICE_READ
    model, member, by = Line, LineRecord, "key"


class PackageRecord(Record):
    """An uploaded package of the partner's directory, by id."""


@collection("hsds")
class Packages(Collection):
    """The partner's directory as packages of HSDS: in by upload, out as a file."""

    permission = P.SERVICE_PUBLISH
    model, member, by = PackageImport, PackageRecord, "id"

    def find(self, name: str) -> Any:
        package_id = self._value(name)
        if package_id is None:
            return None
        # what was sent may be large, and no page shows it
        columns = [each for each in PackageImport.__table__.c if each.name != "content"]
        return self.request.dbsession.execute(
            select(*columns).where(
                PackageImport.tenant_id == self.request.tenant.id, PackageImport.id == package_id
            )
        ).one_or_none()


@collection("audit")
class Audit(Collection):
    permission = P.AUDIT_READ


def enter(request: Any, partner: Partner) -> None:
    """Set whose request this is from here on; a request never belongs to two partners."""
    entered = getattr(request, "tenant", None)
    if entered is not None and entered.id != partner.id:
        raise RuntimeError("a request has entered one partner already")
    request.tenant = partner


def require_member(request: Any) -> None:
    """Let only people and programs of the entered partner go on.

    Others are told that nothing is there; a key that is not good here is refused.
    """
    from pyramid.httpexceptions import HTTPNotFound

    if sent_key(request) is not None:
        request.found_identity = program_asking(request)
    identity = request.identity
    if identity is None:
        raise SignInNeeded
    if not identity.roles(request.tenant.id):
        raise HTTPNotFound


def _as_id(name: str) -> UUID | None:
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name else None


def includeme(config: Any) -> None:
    from regional311.web.partners import Partners

    config.registry.partners = Partners(config.registry.engine)
    config.set_root_factory(Root)
