"""What is wrong with what the catalogue says, beyond the shape of its fields; files and forms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from itertools import combinations

from regional311.catalog.content import (
    Choice,
    Condition,
    DispositionEntry,
    Location,
    Organization,
    Question,
    QuestionGroup,
    Service,
    ServiceLocation,
)
from regional311.catalog.forms import CHOOSES, DEEPEST, MOST_QUESTIONS, Asked, Groups, resolved
from regional311.catalog.taxonomy import missing_term
from regional311.strict import Week

Keys = set[str] | frozenset[str]
Fault = tuple[str, str]
"""Where in the service, as a path of keys, and what is wrong in one sentence."""

TYPED = ("text", "long_text")
DAYS = ("date", "date_time")


@dataclass(frozen=True)
class Known:
    """Keys that a partner has; None where they could not be read, so that nothing is missed."""

    bureaus: Keys | None = None
    queues: Keys | None = None
    boundaries: Keys | None = None
    locations: Keys | None = None
    organizations: Keys | None = None
    groups: Groups | None = None
    terms: Mapping[str, frozenset[str]] | None = None
    """Codes of the region's taxonomies by their keys."""


def service_faults(service: Service, known: Known) -> Iterator[Fault]:
    """Give everything that is wrong with a service of a partner that has these keys."""
    yield from missing("bureau", service.bureau, known.bureaus, "bureau")
    yield from missing("organization", service.organization, known.organizations, "organisation")
    yield from missing("queue", service.queue, known.queues, "queue")
    yield from missing("boundary", service.boundary, known.boundaries, "boundary")
    if service.place == "none" and service.boundary:
        yield "boundary", "a service without a place has no boundary"
    if (service.duplicate_metres is None) != (service.duplicate_hours is None):
        yield "duplicate_metres", "give both duplicate_metres and duplicate_hours"
    if (
        service.minimum_age is not None
        and service.maximum_age is not None
        and service.maximum_age < service.minimum_age
    ):
        yield "maximum_age", "must not be below minimum_age"
    if service.hours is not None:
        yield from week_faults(service.hours, "hours")
    yield from twice("taxonomy", service.taxonomy, "term")
    for ref in service.taxonomy if known.terms is not None else ():
        if fault := missing_term(ref, known.terms or {}):
            yield "taxonomy", fault
    yield from _dispositions(service.disposition)
    yield from twice("location", [each.location for each in service.location], "location")
    for place in service.location:
        yield from _location(place, known)
    yield from twice("translation", [each.language for each in service.translation], "language")
    for each in service.translation:
        if len(each.documents) > len(service.document):
            yield (
                f"translation[{each.language}].documents",
                f"names {len(each.documents)} documents; the service has {len(service.document)}",
            )
    yield from question_faults(service.question, known)


def organization_faults(organization: Organization, known: Known) -> Iterator[Fault]:
    """Give everything that is wrong with an organisation of a partner that has these keys."""
    if organization.parent == organization.key:
        yield "parent", "an organisation is not part of itself"
    yield from missing("parent", organization.parent, known.organizations, "organisation")
    yield from missing("location", organization.location, known.locations, "location")


def location_faults(location: Location, known: Known) -> Iterator[Fault]:
    """Give everything that is wrong with a location of a partner that has these keys."""
    yield from missing("organization", location.organization, known.organizations, "organisation")
    if (location.latitude is None) != (location.longitude is None):
        yield "latitude", "give both latitude and longitude, or neither"
    if location.hours is not None:
        yield from week_faults(location.hours, "hours")


def week_faults(week: Week, path: str) -> Iterator[Fault]:
    """Give the spans of a week that overlap."""
    for day in Week.model_fields:
        for earlier, later in combinations(sorted(getattr(week, day)), 2):
            if later.split("-")[0] < earlier.split("-")[1]:
                yield f"{path}.{day}", f"{earlier} and {later} overlap"


def group_faults(group: QuestionGroup, known: Known) -> Iterator[Fault]:
    """Give everything that is wrong with a group of questions beside those of the same partner."""
    yield from twice("translation", [each.language for each in group.translation], "language")
    if not group.question:
        yield "question", "a group asks at least one question"
    groups = {**(known.groups or {}), group.key: group}
    within = replace(known, groups=groups if known.groups is not None else None)
    yield from question_faults(group.question, within, (group.key,))


def question_faults(
    questions: Iterable[Question], known: Known, way: tuple[str, ...] = ()
) -> Iterator[Fault]:
    """Give everything that is wrong with the questions of a form, in order.

    `way` are the groups within which they stand.
    """
    listed = list(questions)
    groups = known.groups or {}
    yield from twice("question", [each.key for each in listed])
    before: dict[str, Asked] = {}
    for each in listed:
        path = f"question[{each.key}]"
        yield from _question(each, path, known)
        put_in, loops, full = resolved([each], groups, way)
        for loop in loops[:1]:
            chain = " → ".join(loop.way)
            yield (
                f"{path}.group",
                f"groups go at most {DEEPEST} deep: {chain}"
                if loop.deep
                else f"group {loop.way[-1]} contains itself: {chain}",
            )
        if each.show_if is not None:
            yield from _show_if(each, path, before, listed, groups)
            targets = [one.question for one in each.show_if.parts]
            yield from twice(f"{path}.show_if", targets, "question")
        for one in put_in:
            if one.key in before and (each.kind == "group" or before[one.key].within):
                yield f"{path}.key", f"{one.key} is a question of the form already"
                break
        before |= {one.key: one for one in put_in if one.key not in before}
        if full or len(before) > MOST_QUESTIONS:
            yield path, f"with its groups a form has at most {MOST_QUESTIONS} questions"
            return


def _question(each: Question, path: str, known: Known) -> Iterator[Fault]:
    if (each.kind in CHOOSES) != bool(each.choice):
        yield f"{path}.choice", "choice and choices, and only these, list what may be chosen"
    yield from twice(f"{path}.choice", [one.key for one in each.choice])
    if (each.kind == "group") != (each.group is not None):
        yield f"{path}.group", "kind group, and only it, names a group"
    yield from missing(f"{path}.group", each.group, known.groups, "group of questions")
    if each.kind == "group" and each.required:
        yield f"{path}.required", "each question of a group says whether it must be answered"
    for names, kinds, words in (
        (("minimum", "maximum"), ("number",), "a number"),
        (("longest",), TYPED, "text"),
        (("earliest_days", "latest_days"), DAYS, "a date"),
    ):
        for name in names:
            if getattr(each, name) is not None and each.kind not in kinds:
                yield f"{path}.{name}", f"limits {words}; this question asks for {each.kind}"
    for low, high in (("minimum", "maximum"), ("earliest_days", "latest_days")):
        least, most = getattr(each, low), getattr(each, high)
        if least is not None and most is not None and most < least:
            yield f"{path}.{high}", f"must not be below {low}"
    spoken: list[tuple[str, Question | Choice]] = [
        (path, each),
        *((f"{path}.choice[{one.key}]", one) for one in each.choice),
    ]
    for where, said in spoken:
        languages = [one.language for one in said.translation]
        yield from twice(f"{where}.translation", languages, "language")


def _show_if(
    each: Question,
    path: str,
    before: Mapping[str, Asked],
    listed: Iterable[Question],
    groups: Groups,
) -> Iterator[Fault]:
    assert each.show_if is not None
    for place, condition in enumerate(each.show_if.parts):
        where = f"{path}.show_if.also[{place}]" if place else f"{path}.show_if"
        yield from _condition(each, condition, where, before, listed, groups)


def _condition(
    each: Question,
    condition: Condition,
    where: str,
    before: Mapping[str, Asked],
    listed: Iterable[Question],
    groups: Groups,
) -> Iterator[Fault]:
    target = condition.question
    if target == each.key or (each.kind == "group" and target.startswith(f"{each.key}-")):
        yield f"{where}.question", "a question cannot depend on itself"
        return
    asked = before.get(target)
    if asked is None:
        put_in = [one for one in listed if one.kind == "group"]
        if any(one.key == target for one in put_in):
            yield f"{where}.question", f"{target} is a group; name one of its questions"
        elif not any(
            target.startswith(f"{one.key}-") and one.group not in groups for one in put_in
        ):
            yield f"{where}.question", f"{target} is not an earlier question"
        return
    if not asked.offered:
        yield f"{where}.question", f"{asked.key} is {asked.kind}; name one with answers to choose"
        return
    for answer in condition.answers:
        if answer not in asked.offered:
            offers = ", ".join(sorted(asked.offered))
            yield (
                f"{where}.answers",
                f"{answer} is not an answer of {asked.key}; it offers {offers}",
            )


def _dispositions(entries: Iterable[DispositionEntry]) -> Iterator[Fault]:
    listed = list(entries)
    for each in listed:
        if each.valid_to is not None and each.valid_to <= each.valid_from:
            yield (
                f"disposition[{each.valid_from}].valid_to",
                f"{each.valid_to} is not after {each.valid_from}",
            )
    for one, two in combinations(listed, 2):
        if _overlap(one, two):
            yield (
                f"disposition[{two.valid_from}]",
                f"overlaps the one from {one.valid_from}: {one.kind} and {two.kind} at once",
            )


def _overlap(one: DispositionEntry, two: DispositionEntry) -> bool:
    return one.valid_from < (two.valid_to or date.max) and two.valid_from < (
        one.valid_to or date.max
    )


def _location(each: ServiceLocation, known: Known) -> Iterator[Fault]:
    path = f"location[{each.location}]"
    yield from missing(f"{path}.location", each.location, known.locations, "location")
    if each.hours is not None:
        yield from week_faults(each.hours, f"{path}.hours")
    for area in each.areas:
        yield from missing(f"{path}.areas", area, known.boundaries, "boundary")
    for capacity in each.capacity:
        if None not in (capacity.available, capacity.maximum) and (
            capacity.available > capacity.maximum  # type: ignore[operator]
        ):
            yield f"{path}.capacity", f"more {capacity.unit} are available than there are"


def missing(path: str, key: str | None, keys: Collection[str] | None, what: str) -> Iterator[Fault]:
    """Give the fault of a key that is not there; none where nobody knows what is."""
    if key is None or keys is None or key in keys:
        return
    close = get_close_matches(key, keys, 1)
    yield path, f"there is no {what} {key}" + (f"; did you mean {close[0]}?" if close else "")


def twice(path: str, keys: Iterable[str], name: str = "key") -> Iterator[Fault]:
    """Give a fault for each key that was there before."""
    seen: set[str] = set()
    for position, key in enumerate(keys, 1):
        if key in seen:
            yield f"{path}[{key}].{name}", f"{key} is used twice (entry {position})"
        seen.add(key)
