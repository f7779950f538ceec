"""Services and where they are given: published, so that any specialist finds any answer."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Computed,
    Double,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import (
    DATERANGE,
    INT4MULTIRANGE,
    TSVECTOR,
    ExcludeConstraint,
    Range,
)
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.orm import Mapped, mapped_column

from regional311.database.base import (
    FOR_EVER,
    PUBLISHED,
    TENANT,
    Base,
    RowId,
    TenantId,
    tenant_reference,
)


class Service(Base):
    """Something a partner does for people: found, reported, requested, applied for or paid."""

    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("verb IN ('find', 'report', 'request', 'apply', 'pay')", name="verb_known"),
        CheckConstraint("source IN ('kept', 'imported')", name="source_known"),
        Index(None, "tenant_id", "term"),
        Index("ix_services_organization", "tenant_id", text("(details ->> 'organization')")),
        Index("ix_services_taxonomy", text("(details -> 'taxonomy')"), postgresql_using="gin"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    summary: Mapped[str]
    verb: Mapped[str]
    bureau_key: Mapped[str | None]
    term: Mapped[str]
    """Taxonomy term; services of several partners for the same kind of need share it."""
    keywords: Mapped[list[str]]
    channels: Mapped[list[str]]
    boundary_key: Mapped[str | None]
    """Where it applies; null means the partner's own outline."""
    confidential: Mapped[bool] = mapped_column(default=False)
    target_hours: Mapped[int | None]
    """Service level: business hours until a request should be closed."""
    details: Mapped[dict[str, Any]]
    """Everything else that `content.Service` says, in its canonical form."""
    version: Mapped[int] = mapped_column(default=1)
    """Number of the version (`content_versions`) that is published."""
    updated_on: Mapped[date | None]
    """Day on which that version was published."""
    modified_at: Mapped[datetime | None]
    """When it last changed: here or, while it is as it was imported, where it came from."""
    verified_on: Mapped[date | None]
    """Day on which somebody last said that all of it is right."""
    review_on: Mapped[date | None]
    """Day by which somebody should look again."""
    source: Mapped[str] = mapped_column(default="kept")
    """`kept` here, in forms and files, or `imported` from the partner's own directory."""
    source_id: Mapped[str | None]
    """The id that an imported service has where it came from."""
    hsds: Mapped[dict[str, Any] | None]
    """What was imported: `said`, the HSDS object as it came, without its id and other entities;
    `refs`, the ids of those there; `feed`, the package that it belongs to; `means`, the digest of
    what it says in our words; `agreed`, that of what a person kept instead; `gone` once it is in
    its package no more."""
    ended_on: Mapped[date | None]


class ServiceDisposition(Base):
    """What happens to a service from a date on: resolve here, refer, or still undecided."""

    __tablename__ = "service_dispositions"
    __table_args__ = (
        tenant_reference("services", "service_id"),
        CheckConstraint("disposition IN ('resolve', 'refer', 'undecided')", name="is_known"),
        ExcludeConstraint(
            ("tenant_id", "="), ("service_id", "="), ("valid", "&&"), name="ex_dispositions_once"
        ),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    service_id: Mapped[UUID]
    disposition: Mapped[str]
    valid: Mapped[Range[date]] = mapped_column(DATERANGE())
    note: Mapped[str | None]


class Organization(Base):
    """A body that provides services, in one partner's words."""

    __tablename__ = "organizations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("source IN ('kept', 'imported')", name="source_known"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    details: Mapped[dict[str, Any]]
    """Everything else that `content.Organization` says, in its canonical form."""
    verified_on: Mapped[date | None]
    """Day on which somebody last found it right."""
    review_on: Mapped[date | None]
    """Day by which somebody looks again."""
    modified_at: Mapped[datetime | None]
    """When it last changed here; null while it is as it was first imported."""
    source: Mapped[str] = mapped_column(default="kept")
    source_id: Mapped[str | None]
    hsds: Mapped[dict[str, Any] | None]
    ended_on: Mapped[date | None]


class Location(Base):
    """A place where services are given, in one partner's words."""

    __tablename__ = "locations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("source IN ('kept', 'imported')", name="source_known"),
        Index("ix_locations_organization", "tenant_id", text("(details ->> 'organization')")),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    latitude: Mapped[float | None] = mapped_column(Double)
    """WGS 84 degrees."""
    longitude: Mapped[float | None] = mapped_column(Double)
    details: Mapped[dict[str, Any]]
    """Everything else that `content.Location` says, in its canonical form."""
    modified_at: Mapped[datetime | None]
    """When it last changed here; null while it is as it was first imported."""
    source: Mapped[str] = mapped_column(default="kept")
    source_id: Mapped[str | None]
    hsds: Mapped[dict[str, Any] | None]
    ended_on: Mapped[date | None]


class ServiceLocation(Base):
    """A service at a location (HSDS service_at_location): what differs there."""

    __tablename__ = "service_locations"
    __table_args__ = (
        UniqueConstraint("tenant_id", "service_id", "location_id"),
        tenant_reference("services", "service_id"),
        tenant_reference("locations", "location_id"),
        Index(None, "tenant_id", "location_id"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    service_id: Mapped[UUID]
    location_id: Mapped[UUID]
    details: Mapped[dict[str, Any]]
    """Everything else that `content.ServiceLocation` says, in its canonical form."""
    source_id: Mapped[str | None]
    hsds: Mapped[dict[str, Any] | None]
    ended_on: Mapped[date | None]


class PackageImport(Base):
    """A package of HSDS that somebody uploaded: checked by the worker, taken when they say so.

    `waiting` → `checked` → `ordered` → `taken`; `refused` when it cannot be read or taken,
    `discarded` when nobody wants it. `content` is erased once it is not needed any more.
    """

    __tablename__ = "package_imports"
    __table_args__ = (
        CheckConstraint(
            "state IN ('waiting', 'checked', 'ordered', 'taken', 'refused', 'discarded')",
            name="state_known",
        ),
        Index(None, "tenant_id", "state"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    name: Mapped[str]
    """Name of the file."""
    feed: Mapped[str]
    """Which of the partner's sources it is from; empty when there is one."""
    bureau_key: Mapped[str]
    """Bureau that keeps what is new in it."""
    size: Mapped[int]
    """Bytes."""
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str]
    report: Mapped[dict[str, Any] | None]
    """What it would change or, once it is taken, what it changed."""
    skip_broken: Mapped[bool] = mapped_column(default=False)
    """Whether the sound rest is to be taken without what is broken."""
    choices: Mapped[dict[str, Any]]
    """What changed on both sides: ``kind/key`` to `ours` or `theirs`."""
    problem: Mapped[str | None]
    """Why it was refused."""
    uploaded_by: Mapped[UUID | None]
    uploaded_at: Mapped[datetime]
    ordered_by: Mapped[UUID | None]
    done_at: Mapped[datetime | None]


class AlikePair(Base):
    """Something of a partner's that may be the same as something else, and what people decided.

    Each partner has its own row of a pair. Nothing is ever merged: *the same* says so where either
    is shown.
    """

    __tablename__ = "alike_pairs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "key", "other_tenant_id", "other_key"),
        CheckConstraint("kind IN ('organization', 'location', 'service')", name="kind_known"),
        CheckConstraint("verdict IN ('same', 'different')", name="verdict_known"),
        Index(None, "other_tenant_id", "kind", "other_key"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    kind: Mapped[str]
    key: Mapped[str]
    other_tenant_id: Mapped[UUID]
    other_key: Mapped[str]
    score: Mapped[int]
    """How alike they are, out of a hundred."""
    reasons: Mapped[list[str]]
    """name, phone, address, website, email, id: what is the same or nearly so."""
    found_at: Mapped[datetime]
    over: Mapped[bool] = mapped_column(default=False)
    """Whether they are not alike any more, or one of them is gone."""
    verdict: Mapped[str | None]
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]


class Article(Base):
    """An answer, a script or a notice, in one partner's words."""

    __tablename__ = "articles"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("kind IN ('answer', 'script', 'notice')", name="kind_known"),
        Index(None, "services", postgresql_using="gin"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    services: Mapped[list[str]]
    """Services that it, or a step of it, names: ``slug/key``."""
    public: Mapped[bool]
    """Whether it has a part for everybody; staff of any partner read all of it."""
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    """First day on which it is over for good (a notice may be over earlier that day)."""
    details: Mapped[dict[str, Any]]
    """Everything else that `articles.Article` says, in its canonical form."""
    version: Mapped[int] = mapped_column(default=1)
    """Number of the version (`content_versions`) that is published."""
    updated_on: Mapped[date]
    """Day on which that version was published."""
    verified_on: Mapped[date | None]
    """Day on which somebody last found it right."""
    review_on: Mapped[date | None]
    """Day by which somebody looks again; null for notices, which have days of their own."""
    ended_on: Mapped[date | None]


class QuestionGroup(Base):
    """Questions that several forms of a partner share."""

    __tablename__ = "question_groups"
    __table_args__ = (UniqueConstraint("tenant_id", "key"), {"info": PUBLISHED})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    details: Mapped[dict[str, Any]]
    """Everything else that `content.QuestionGroup` says, in its canonical form."""
    ended_on: Mapped[date | None]


class FormVersion(Base):
    """A form as it was asked from some time on: what answers to it mean, for ever.

    The same questions are the same version, whoever asks them again.
    """

    __tablename__ = "form_versions"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"), {"info": FOR_EVER})

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    digest: Mapped[str]
    content: Mapped[dict[str, Any]]
    """Its questions with their groups put in, as `forms.Form` says them."""


class ContentVersion(Base):
    """One version of what the catalogue says about one thing, from draft to history.

    Each save of a draft is a version of its own, so that nobody's work is ever written over:
    `draft` → `reviewed` → `published` → `retired`; a draft that was saved again or merged into
    another is `superseded`, one that nobody wants `discarded`. One version at most is published.

    `content` is the canonical form of its model, `based_on` the number of the version that it was
    edited from: what two versions share is the last one that both go back to.
    """

    __tablename__ = "content_versions"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "key", "number"),
        CheckConstraint(
            "state IN ('draft', 'reviewed', 'published', 'retired', 'discarded', 'superseded')",
            name="state_known",
        ),
        Index(None, "tenant_id", "state"),
        Index(None, "tenant_id", "batch"),
        Index(
            "uq_content_versions_published",
            "tenant_id",
            "kind",
            "key",
            unique=True,
            postgresql_where=text("state = 'published'"),
        ),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    kind: Mapped[str]
    """service, organization, location, article, question_group."""
    key: Mapped[str]
    number: Mapped[int]
    state: Mapped[str]
    content: Mapped[dict[str, Any]]
    based_on: Mapped[int | None]
    effective_on: Mapped[date | None]
    """Day on which it is to be published; null until somebody says."""
    note: Mapped[str | None]
    problem: Mapped[str | None]
    """Why it was not published on its day; null again once it is reviewed anew."""
    source: Mapped[str]
    """form, file, sheet, bulk, import, suggestion: how it came."""
    batch: Mapped[UUID | None]
    """The same for versions that were made together: by one sheet, by one bulk edit."""
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]
    reviewed_by: Mapped[UUID | None]
    reviewed_at: Mapped[datetime | None]
    published_by: Mapped[UUID | None]
    published_at: Mapped[datetime | None]


class Taxonomy(Base):
    """A tree of terms; its key is one of a kind in the region, whoever keeps it."""

    __tablename__ = "taxonomies"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        CheckConstraint("source IN ('kept', 'imported')", name="source_known"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    name: Mapped[str]
    details: Mapped[dict[str, Any]]
    """Everything else that `content.Taxonomy` says but its terms, in its canonical form."""
    source: Mapped[str] = mapped_column(default="kept")
    """`kept` here, in files and forms, or `imported` from a file that somebody else keeps."""
    source_id: Mapped[str | None]
    hsds: Mapped[dict[str, Any] | None]
    ended_on: Mapped[date | None]


class TaxonomyTerm(Base):
    """One term; its parent is named by code, and checked before it is written."""

    __tablename__ = "taxonomy_terms"
    __table_args__ = (
        UniqueConstraint("tenant_id", "taxonomy_id", "code"),
        tenant_reference("taxonomies", "taxonomy_id"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    taxonomy_id: Mapped[UUID]
    code: Mapped[str]
    name: Mapped[str]
    parent_code: Mapped[str | None]
    position: Mapped[int]
    """Place in the order in which terms are shown."""
    details: Mapped[dict[str, Any]]
    """Everything else that `content.Term` says, in its canonical form."""
    source_id: Mapped[str | None]
    hsds: Mapped[dict[str, Any] | None]
    ended_on: Mapped[date | None]


class TermCrosswalk(Base):
    """How a term of one taxonomy relates to one of another; either may be another partner's."""

    __tablename__ = "term_crosswalks"
    __table_args__ = (
        UniqueConstraint("tenant_id", "term_ref", "other_ref"),
        CheckConstraint(
            "relation IN ('exact', 'broader', 'narrower', 'related')", name="relation_known"
        ),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    term_ref: Mapped[str]
    """`taxonomy:code`."""
    other_ref: Mapped[str]
    relation: Mapped[str]
    """What the other term is to the first: exact, broader, narrower, related."""
    note: Mapped[str | None]
    ended_on: Mapped[date | None]


class Synonym(Base):
    """What people say for the words that services are described in.

    A partner's own count for its own services, the region's for those of every partner.
    """

    __tablename__ = "synonyms"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        Index(None, "said_stems", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index(None, "means_stems", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    key: Mapped[str]
    language: Mapped[str]
    said: Mapped[list[str]]
    means: Mapped[list[str]]
    means_language: Mapped[str | None]
    """Language of `means` when it is another one."""
    both_ways: Mapped[bool]
    said_words: Mapped[list[str]]
    """The phrases of `said` in plain words."""
    means_words: Mapped[list[str]]
    said_stems: Mapped[list[str]] = mapped_column(
        ARRAY(Text()), Computed("search_stems(language, said_words)", persisted=True)
    )
    means_stems: Mapped[list[str]] = mapped_column(
        ARRAY(Text()),
        Computed("search_stems(coalesce(means_language, language), means_words)", persisted=True),
    )
    ended_on: Mapped[date | None]


class SearchDocument(Base):
    """What the search knows of a published thing in one language; made from it, never edited.

    A thing that is no more, or that nobody may find, keeps an empty document that is not `listed`.
    """

    __tablename__ = "search_documents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "key", "language", "for_staff"),
        Index(None, "words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index(None, "strong", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        Index(None, "language", "title", postgresql_where="listed"),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    kind: Mapped[str]
    """service, article."""
    key: Mapped[str]
    language: Mapped[str]
    for_staff: Mapped[bool]
    """Whether it holds what only staff (of any partner) may read."""
    listed: Mapped[bool]
    title: Mapped[str]
    summary: Mapped[str]
    words: Mapped[str] = mapped_column(TSVECTOR)
    """Stems with weights: A the name, B callers' words, C what it is about, D all details."""
    strong: Mapped[str] = mapped_column(
        TSVECTOR, Computed("ts_filter(words, '{a,b}'::\"char\"[])", persisted=True)
    )
    """Those of the name and of callers' words."""
    spoken: Mapped[list[str]]
    """Its plain words, each once; counted in `search_words`."""
    verb: Mapped[str | None]
    status: Mapped[str]
    heading: Mapped[str | None]
    """Heading under which it is listed."""
    terms: Mapped[list[str]]
    """Terms of taxonomies (``taxonomy:code``) with all that they are narrower than."""
    languages: Mapped[list[str]]
    """Languages in which help is given."""
    free: Mapped[bool | None]
    """Whether it costs nothing; null when nothing is said."""
    documents: Mapped[bool | None]
    """Whether something must be brought."""
    areas: Mapped[list[str]]
    """Boundaries where it is offered, ``partner/key``; none: the partner's whole outline."""
    week: Mapped[MultiRange[int] | None] = mapped_column(INT4MULTIRANGE)
    """Minutes of the local week, from Monday, in which it is open; null: as the lines are."""
    holiday: Mapped[MultiRange[int] | None] = mapped_column(INT4MULTIRANGE)
    """Minutes of a holiday in which it is open."""
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    digest: Mapped[str]
    """Of all that it was made of: what did not change is not written again."""


class SearchWord(Base):
    """A plain word of the partner's search documents, with its stem and how many have it.

    The empty word counts the documents themselves.
    """

    __tablename__ = "search_words"
    __table_args__ = (
        Index(None, "language", "word"),
        Index(None, "language", "stem"),
        Index(None, "slips", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
        {"info": PUBLISHED},
    )

    tenant_id: Mapped[TenantId]
    language: Mapped[str] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    stem: Mapped[str] = mapped_column(Text(collation="C"))
    slips: Mapped[list[str]]
    """What it is with a letter left out, or two in a long word: how a slip is found again."""
    documents: Mapped[int]


class SheetUpload(Base):
    """A spreadsheet of services between its dry run and its application.

    `sheet` is what was read of it, as `sheets.Sheet` gives it; it is emptied when it is applied or
    another is sent by the same person. Its id is the `batch` of the versions that it makes.
    """

    __tablename__ = "sheet_uploads"
    __table_args__ = ({"info": TENANT},)

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    name: Mapped[str]
    """Name of the file."""
    sheet: Mapped[dict[str, Any]]
    made_by: Mapped[UUID | None]
    made_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]


class SearchAsked(Base):
    """What somebody searched for in the end, and what they chose; never who it was.

    The words are masked: no digit is kept, since it could be a person's.
    """

    __tablename__ = "searches"
    __table_args__ = (
        CheckConstraint("door IN ('desk', 'public')", name="door_known"),
        Index(None, "tenant_id", "at"),
        Index(None, "tenant_id", "words", "at"),
        {"info": TENANT},
    )

    tenant_id: Mapped[TenantId]
    id: Mapped[RowId]
    at: Mapped[datetime]
    door: Mapped[str]
    """desk, public: where it was asked."""
    words: Mapped[str]
    """Empty once its time of keeping is over: it is only counted then."""
    language: Mapped[str]
    """That of the words as they were understood, or the page's."""
    results: Mapped[int]
    chosen: Mapped[str | None]
    """What was opened of the hits: `service:partner/key`, `article:partner/key`."""
    set_aside_at: Mapped[datetime | None]
    """When an owner said that nothing is to be done about it."""
