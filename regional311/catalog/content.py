"""What a partner says about its services, sites and organisations, as strict models.

One model serves the text files, the forms, spreadsheets and imports. The shape follows the Human
Services Data Specification (HSDS 3.2.3): a service that an organisation provides, at locations,
each with its own hours, phones, areas and capacity. The descriptions are the reference that
``docs/configuration.md`` is made from.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from regional311.strict import (
    Channel,
    Dated,
    Email,
    Key,
    Language,
    Limit,
    Model,
    Phone,
    Price,
    Prose,
    Urgency,
    WebAddress,
    Week,
    Words,
)

Verb = Literal["find", "report", "request", "apply", "pay"]
Disposition = Literal["resolve", "refer", "undecided"]
Status = Literal["active", "inactive", "defunct", "temporarily closed"]
QuestionKind = Literal[
    "text",
    "long_text",
    "number",
    "date",
    "date_time",
    "choice",
    "choices",
    "yes_no",
    "place",
    "file",
    "phone",
    "email",
    "group",
]
TermRef = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*:[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=120
    ),
]
"""A taxonomy's key and a term's code in it: ``open-eligibility:food-pantry``."""
TermCode = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", min_length=1, max_length=100
    ),
]
Relation = Literal["exact", "broader", "narrower", "related"]
QuestionPath = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=240)
]
"""A question of a form with its groups put in: ``owner-phone`` is ``phone`` of group ``owner``."""


class DispositionEntry(Dated):
    """What 311 does with the service from a day on; entries may not overlap."""

    kind: Disposition = Field(
        description="`resolve`: 311 takes it in and resolves it. `refer`: 311 triages and refers. "
        "`undecided`: not agreed yet, treated as refer."
    )
    note: Words | None = Field(default=None, description="What it rests on.")


class ChoiceWords(Model):
    """An answer in another language."""

    language: Language = Field(description="Language.")
    label: Words = Field(description="Answer as shown.")


class Choice(Model):
    """One answer that a question offers."""

    key: Key = Field(description="Stored answer.")
    label: Words = Field(description="Answer as shown.")
    translation: tuple[ChoiceWords, ...] = Field(
        default=(), description="The answer in other languages."
    )


class Condition(Model):
    """That an earlier question was answered so."""

    question: QuestionPath = Field(
        description="An earlier question of the same form; one of a group that is put in before as "
        "`group-question`."
    )
    answers: tuple[Key, ...] = Field(
        min_length=1,
        description="Answers, any of which makes it asked; `yes` or `no` for a yes_no question.",
    )


class ShowIf(Condition):
    """When a question is asked: only if an earlier one was answered so, or several were."""

    also: tuple[Condition, ...] = Field(
        default=(), max_length=20, description="Further conditions, each on another question."
    )
    match: Literal["all", "any"] = Field(
        default="all",
        description="Whether `all` of the conditions must hold, or `any` one of them is enough.",
    )

    @property
    def parts(self) -> tuple[Condition, ...]:
        """All of its conditions."""
        return (Condition(question=self.question, answers=self.answers), *self.also)


class QuestionWords(Model):
    """A question in another language."""

    language: Language = Field(description="Language.")
    label: Words = Field(description="The question.")
    hint: Words | None = Field(default=None, description="Help below the question.")


class Question(Model):
    """One question of a form."""

    key: Key = Field(description="Key, unique in the form.")
    label: Words = Field(
        description="The question, in plain words; for a group, the heading above its questions."
    )
    kind: QuestionKind = Field(
        description="Kind of answer; `group` puts a reusable group of questions here."
    )
    required: bool = Field(
        default=False, description="Must be answered before filing, when it is asked."
    )
    hint: Words | None = Field(default=None, description="Help below the question.")
    choice: tuple[Choice, ...] = Field(
        default=(), description="Answers offered; for `choice` and `choices` only."
    )
    minimum: Limit | None = Field(
        default=None, description="Smallest number; for `number` only, as text in quotes."
    )
    maximum: Limit | None = Field(
        default=None, description="Largest number; for `number` only, as text in quotes."
    )
    longest: int | None = Field(
        default=None, ge=1, le=4000, description="Most characters; for text only."
    )
    earliest_days: int | None = Field(
        default=None,
        ge=-36500,
        le=36500,
        description="Earliest day, counted from today; for dates only: `0` is today.",
    )
    latest_days: int | None = Field(
        default=None, ge=-36500, le=36500, description="Latest day, counted from today."
    )
    group: Key | None = Field(
        default=None, description="Key of the reusable group; for kind `group` only."
    )
    show_if: ShowIf | None = Field(
        default=None, description="Asked only after such an answer; left out: always."
    )
    translation: tuple[QuestionWords, ...] = Field(
        default=(), description="The question in other languages."
    )


class GroupWords(Model):
    """A group's name in another language."""

    language: Language = Field(description="Language.")
    name: Words = Field(description="Name of the group.")


class QuestionGroup(Model):
    """Questions that several forms share, kept in one place."""

    key: Key = Field(description="Key, unique among the partner's groups of questions.")
    name: Words = Field(description="What it asks about, such as *The owner of the animal*.")
    question: tuple[Question, ...] = Field(
        default=(), description="Questions of the group, in order."
    )
    translation: tuple[GroupWords, ...] = Field(
        default=(), description="The name in other languages."
    )


class Document(Model):
    """Something to bring."""

    name: Words = Field(description="Name of the document.")
    website: WebAddress | None = Field(default=None, description="Where it can be had.")


class Cost(Model):
    """What the service costs in one case."""

    option: Words = Field(description="The case, such as *Adults*.")
    amount: Price | None = Field(
        default=None, description='Dollars in quotes; `"0.00"` is free, left out: see the words.'
    )
    details: Words | None = Field(default=None, description="What else to know about the price.")


class PhoneEntry(Model):
    """A number to reach somebody at."""

    number: Phone = Field(description="Telephone number.")
    kind: Literal["voice", "text", "fax", "tty", "video", "voicemail"] = Field(
        default="voice", description="How it is used."
    )
    extension: int | None = Field(default=None, ge=0, le=999999, description="Extension.")
    name: Words | None = Field(default=None, description="Who or what answers.")
    languages: tuple[Language, ...] = Field(default=(), description="Languages spoken there.")


class Capacity(Model):
    """How much room there is."""

    unit: Words = Field(description="What is counted, such as *beds*.")
    maximum: int | None = Field(default=None, ge=0, description="How many there are in all.")
    available: int | None = Field(default=None, ge=0, description="How many were free then.")
    updated_on: date | None = Field(default=None, description="Day on which that was true.")


class ServiceLocation(Model):
    """The service at one location: only what differs there."""

    location: Key = Field(description="Key of the location.")
    hours: Week | None = Field(
        default=None, description="Hours there; left out: those of the service or the location."
    )
    areas: tuple[Key, ...] = Field(
        default=(),
        description="The partner's boundaries that this location serves; left out: those of the "
        "service.",
    )
    note: Words | None = Field(default=None, description="What to know when going there.")
    phone: tuple[PhoneEntry, ...] = Field(default=(), description="Numbers there.")
    capacity: tuple[Capacity, ...] = Field(default=(), description="Room there.")


class ServiceWords(Model):
    """The service in another language; what is left out is shown in the partner's own."""

    language: Language = Field(description="Language.")
    name: Words = Field(description="Name in the public's words.")
    summary: Prose = Field(description="What it is and what happens, in plain words.")
    keywords: tuple[Words, ...] = Field(default=(), description="Callers' words for it.")
    information: Prose | None = Field(default=None, description="What to tell the person.")
    eligibility: Prose | None = Field(default=None, description="Who can get it.")
    how_to_apply: Prose | None = Field(default=None, description="How to ask for it.")
    fee: Words | None = Field(default=None, description="What it costs the person, in words.")
    documents: tuple[Words, ...] = Field(
        default=(), description="What to bring, in the order of the service's documents."
    )


class Service(Model):
    """Something that the public may ask of the partner."""

    key: Key = Field(description="Key, unique among the partner's services.")
    name: Words = Field(description="Name in the public's words.")
    alternate_name: Words | None = Field(default=None, description="Another name it goes by.")
    summary: Prose = Field(description="What it is and what happens, in plain words.")
    verb: Verb = Field(description="What the person wants to do.")
    bureau: Key = Field(description="Bureau that does the work, or keeps the entry.")
    organization: Key | None = Field(
        default=None,
        description="Organisation that provides it; left out: the partner itself, by its bureau.",
    )
    status: Status = Field(default="active", description="Whether it can be had at present.")
    steps: Literal["single", "multiple"] = Field(
        default="single", description="Whether one contact is enough to ask for it."
    )
    term: Key = Field(
        description="Kind of thing, shared by all partners: services of the same term are "
        "candidates for the same need."
    )
    taxonomy: tuple[TermRef, ...] = Field(
        default=(), description="Terms of taxonomies, as `taxonomy:code`."
    )
    group: Words = Field(description="Heading under which it is listed.")
    keywords: tuple[Words, ...] = Field(
        default=(), description="Callers' words for it, singular and lower case."
    )
    channels: tuple[Channel, ...] = Field(
        default=(), description="Channels it may be asked on; left out: all."
    )
    place: Literal["required", "optional", "none"] = Field(
        default="optional", description="Whether a place must be given."
    )
    boundary: Key | None = Field(
        default=None,
        description="The partner's boundary where it is offered; left out: its whole outline.",
    )
    queue: Key | None = Field(default=None, description="Queue where its requests arrive.")
    priority: Urgency = Field(default="normal", description="Usual priority.")
    target_hours: int | None = Field(
        default=None, ge=1, le=8760, description="Business hours until done."
    )
    confidential: bool = Field(
        default=False,
        description="Its requests are seen by cleared roles only, in no list, map or export. "
        "What it is and how to reach it everybody may read.",
    )
    alert: Words | None = Field(
        default=None, description="What everybody must know at present, shown first."
    )
    information: Prose | None = Field(
        default=None, description="What to tell the person; all there is for verb `find`."
    )
    eligibility: Prose | None = Field(default=None, description="Who can get it.")
    minimum_age: int | None = Field(default=None, ge=0, le=130, description="Youngest age.")
    maximum_age: int | None = Field(default=None, ge=0, le=130, description="Oldest age.")
    how_to_apply: Prose | None = Field(default=None, description="How to ask for it.")
    wait: Words | None = Field(default=None, description="How long people wait for it.")
    hours: Week | None = Field(
        default=None, description="When it can be had; left out: the hours of the partner's lines."
    )
    languages: tuple[Language, ...] = Field(
        default=(), description="Languages in which help is given, beyond interpreters."
    )
    phone: Phone | None = Field(default=None, description="Number to ask at, when it has one.")
    email: Email | None = Field(default=None, description="E-mail address to ask at.")
    website: WebAddress | None = Field(default=None, description="Where the form or text is.")
    fee: Words | None = Field(default=None, description="What it costs the person, in words.")
    review_days: int | None = Field(
        default=None,
        ge=1,
        le=3650,
        description="Days after which somebody looks whether it is still right.",
    )
    duplicate_metres: int | None = Field(
        default=None, ge=1, le=5000, description="Distance within which two may be the same."
    )
    duplicate_hours: int | None = Field(
        default=None, ge=1, le=8760, description="Age within which two may be the same."
    )
    disposition: tuple[DispositionEntry, ...] = Field(
        min_length=1, description="What 311 does with it, by date."
    )
    document: tuple[Document, ...] = Field(default=(), description="What to bring.")
    cost: tuple[Cost, ...] = Field(default=(), description="What it costs, case by case.")
    location: tuple[ServiceLocation, ...] = Field(default=(), description="Where it is given.")
    question: tuple[Question, ...] = Field(default=(), description="Questions of its form.")
    translation: tuple[ServiceWords, ...] = Field(
        default=(), description="The service in other languages."
    )


class Accessibility(Model):
    """A way in which a location is accessible."""

    name: Words = Field(description="What there is, such as *Step-free entrance*.")
    details: Words | None = Field(default=None, description="Where, and how to use it.")


class Location(Model):
    """A place where services are given: a building, a mailbox, a web room."""

    key: Key = Field(description="Key, unique among the partner's locations.")
    name: Words = Field(description="Name of the place.")
    kind: Literal["physical", "postal", "virtual"] = Field(
        default="physical", description="What kind of place it is."
    )
    organization: Key | None = Field(
        default=None, description="Organisation whose place it is; left out: the partner's."
    )
    description: Prose | None = Field(default=None, description="What to know about it.")
    address: Words | None = Field(default=None, description="Street and number.")
    address_2: Words | None = Field(default=None, description="Floor, room or suite.")
    city: Words | None = Field(default=None, description="City.")
    state: Words | None = Field(default=None, description="State, in two letters.")
    postal_code: Words | None = Field(default=None, description="ZIP code.")
    country: Words = Field(default="US", description="Country, in two letters.")
    latitude: float | None = Field(default=None, ge=-90, le=90, description="WGS 84 degrees.")
    longitude: float | None = Field(default=None, ge=-180, le=180, description="WGS 84 degrees.")
    transportation: Words | None = Field(default=None, description="How to get there.")
    website: WebAddress | None = Field(default=None, description="Its page, or the virtual room.")
    hours: Week | None = Field(default=None, description="When it is open.")
    languages: tuple[Language, ...] = Field(default=(), description="Languages spoken there.")
    phone: tuple[PhoneEntry, ...] = Field(default=(), description="Numbers there.")
    accessibility: tuple[Accessibility, ...] = Field(
        default=(), description="How it is accessible."
    )


class Organization(Model):
    """A body that provides services, such as a food bank; bureaus are not listed here."""

    key: Key = Field(description="Key, unique among the partner's organisations.")
    name: Words = Field(description="Name.")
    alternate_name: Words | None = Field(default=None, description="Another name it goes by.")
    description: Prose = Field(description="What it is and does.")
    parent: Key | None = Field(default=None, description="Organisation that it is part of.")
    legal_status: Words | None = Field(default=None, description="Such as *Nonprofit*.")
    email: Email | None = Field(default=None, description="E-mail address.")
    website: WebAddress | None = Field(default=None, description="Web address.")
    phone: tuple[PhoneEntry, ...] = Field(default=(), description="Numbers.")
    location: Key | None = Field(default=None, description="Key of the location of its office.")


class TermWords(Model):
    """A term in another language."""

    language: Language = Field(description="Language.")
    name: Words = Field(description="The term.")


class Term(Model):
    """One heading of a taxonomy."""

    code: TermCode = Field(
        description="Code, unique in the taxonomy: letters, digits, dots, hyphens, underscores."
    )
    name: Words = Field(description="The term, in English.")
    parent: TermCode | None = Field(
        default=None, description="Code of the term that it is part of; left out: none."
    )
    description: Prose | None = Field(default=None, description="What belongs to it.")
    translation: tuple[TermWords, ...] = Field(
        default=(), description="The term in other languages."
    )


class Taxonomy(Model):
    """A tree of terms by which services are found and counted."""

    key: Key = Field(
        description="Key, unique in the region: services name its terms as `key:code`."
    )
    name: Words = Field(description="Name.")
    description: Prose = Field(description="What it sorts, and for whom.")
    version: Words | None = Field(default=None, description="Edition, when it has one.")
    website: WebAddress | None = Field(default=None, description="Where it comes from.")
    licence: Words | None = Field(default=None, description="Terms on which it may be used.")
    term: tuple[Term, ...] = Field(default=(), description="Its terms, in the order shown.")


class Crosswalk(Model):
    """How a term of one taxonomy relates to a term of another."""

    term: TermRef = Field(description="A term, as `taxonomy:code`.")
    relation: Relation = Field(
        description="What the other one is: `exact` the same, `broader` or `narrower` than the "
        "term, or `related` without one holding the other."
    )
    other: TermRef = Field(description="The other term, of another taxonomy.")
    note: Words | None = Field(default=None, description="What it rests on.")


class Synonym(Model):
    """Words that people say, and the words that services are described in.

    A partner's own hold for its own services, the region's for those of all partners.
    """

    key: Key = Field(description="Key, unique among the partner's synonyms.")
    language: Language = Field(default="en", description="Language of the words.")
    said: tuple[Words, ...] = Field(
        min_length=1, description="What people say: words, or phrases of up to four words."
    )
    means: tuple[Words, ...] = Field(
        min_length=1, description="What is then looked for as well: words or phrases, likewise."
    )
    means_language: Language | None = Field(
        default=None,
        description="Language of `means` when it is another one: finds what is not translated.",
    )
    both_ways: bool = Field(
        default=False,
        description="Whether all of them are the same: each then finds every other, too.",
    )
