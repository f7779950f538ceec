"""What somebody answers to a form: read, checked, and parted into facts and words.

An answer is checked only when its question is asked of this person; whatever is sent for other
questions is left out. Answers from a list become facts, which rules may read. All others are told
to whoever works on it: they may say who somebody is, and facts never do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from regional311.catalog.forms import CODED, OWN_LANGUAGE, Asked, Form, as_list, said
from regional311.strict import decimal_text

Answer = str | tuple[str, ...]
"""One answer in its canonical text, or several from a list in the order in which it has them."""

LONGEST: Final[Mapping[str, int]] = {
    "text": 300,
    "long_text": 2000,
    "place": 300,
    "phone": 40,
    "email": 254,
    "file": 200,
}
"""Most characters of an answer by kind; a question may limit text further."""
PLACES: Final = 6
"""Most decimal places of a number."""
FIRST_YEAR, LAST_YEAR = 1900, 2199
PHONE: Final = r"^[+(]{0,2}[0-9]([ ().-]{0,3}[0-9]){6,14}( ?(x|ext\.?) ?[0-9]{1,6})?$"
"""7 to 15 digits with the usual signs between them, and an extension."""
EMAIL: Final = (
    r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@.\s\x00-\x1f\x7f-\x9f]+(\.[^@.\s\x00-\x1f\x7f-\x9f]+)+$"
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]+)?")
_PHONE: Final = re.compile(PHONE)
_EMAIL: Final = re.compile(EMAIL)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_UNSHOWABLE: Final = frozenset({"Cc", "Cs", "Co"})


class Unfit(Exception):
    """An answer is not one that its question takes: a code of `CODES`, and what it is told with."""

    def __init__(self, code: str, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.values: Mapping[str, Any] = values or {}


CODES: Final[Mapping[str, str]] = {
    "required": "Answer this.",
    "one_value": "Give one answer.",
    "unshowable": "Remove the characters that cannot be shown, such as control codes.",
    "too_long": "Use at most {limit} characters; this has {count}.",
    "number": "Enter a number, for example 12.5.",
    "places": "Use at most {limit} decimal places.",
    "too_small": "Enter {limit} or more.",
    "too_large": "Enter {limit} or less.",
    "date": "Enter a date as year-month-day, for example 2026-10-31.",
    "date_time": "Enter a date and a time, for example 2026-10-31 14:30.",
    "no_such_time": "This time does not exist on that day: clocks go forward.",
    "year": "Enter a year between {first} and {last}.",
    "too_early": "Enter {limit} or a later day.",
    "too_late": "Enter {limit} or an earlier day.",
    "not_offered": "Choose from the answers listed.",
    "phone": "Enter a telephone number of 7 to 15 digits, for example 503-555-0142.",
    "email": "Enter an e-mail address such as name@example.org.",
}
"""What is wrong with an answer, in words for programs; pages say it in their own language."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the answer to one question."""

    question: str
    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.question}: {CODES[self.code].format(**self.values)}"


@dataclass(frozen=True)
class Checked:
    """What was answered to the questions that were asked of somebody, and what is wrong with it."""

    answers: Mapping[str, Answer]
    shown: tuple[Asked, ...]
    faults: tuple[Fault, ...] = ()


def check(form: Form, given: Mapping[str, Any], *, today: date, zone: ZoneInfo) -> Checked:
    """Read the answers to a form; `given` is text, or lists of text, by question.

    Questions are asked in order, each as far as the answers before it make it so. `today` is the
    day in the zone of the partner whose form it is. Keys that are no question's are left out.
    """
    answers: dict[str, Answer] = {}
    faults: list[Fault] = []
    shown = form.shown({key: as_list(given.get(key)) for key in _chosen(form)})
    for each in shown:
        try:
            found = read(each, given.get(each.key), today=today, zone=zone)
        except Unfit as error:
            faults.append(Fault(each.key, error.code, error.values))
            continue
        if found is not None:
            answers[each.key] = found
        elif each.required:
            faults.append(Fault(each.key, "required"))
    return Checked(answers, shown, tuple(faults))


def _chosen(form: Form) -> list[str]:
    return [each.key for each in form.questions if each.kind in CODED]


def read(asked: Asked, given: Any, *, today: date, zone: ZoneInfo) -> Answer | None:
    """Read one answer in its canonical form; None when nothing was given. Raises `Unfit`."""
    if asked.kind == "choices":
        return _several(asked, given)
    if isinstance(given, (list, tuple)):
        if len(given) > 1:
            raise Unfit("one_value")
        given = given[0] if given else None
    if given is None:
        return None
    if not isinstance(given, str):
        raise Unfit("one_value")
    text = _text(given, multiline=asked.kind == "long_text")
    if not text:
        return None
    match asked.kind:
        case "choice" | "yes_no":
            if text not in asked.offered:
                raise Unfit("not_offered")
            return text
        case "number":
            return _number(asked, text)
        case "date":
            return _date(asked, text, today).isoformat()
        case "date_time":
            return _date_time(asked, text, today, zone)
        case "phone":
            return _limited(asked, text, _PHONE, "phone")
        case "email":
            return _limited(asked, text, _EMAIL, "email")
    return _limited(asked, text)


def _several(asked: Asked, given: Any) -> Answer | None:
    chosen = [given] if isinstance(given, str) else list(given or ())
    chosen = [each.strip() if isinstance(each, str) else each for each in chosen]
    chosen = [each for each in chosen if each != ""]
    if any(each not in asked.offered for each in chosen):
        raise Unfit("not_offered")
    return tuple(each for each in asked.offered if each in chosen) or None


def _text(given: str, *, multiline: bool) -> str:
    text = unicodedata.normalize("NFC", given.replace("\r\n", "\n").replace("\r", "\n")).strip()
    allowed = "\n\t" if multiline else ""
    if any(unicodedata.category(each) in _UNSHOWABLE and each not in allowed for each in text):
        raise Unfit("unshowable")
    return text


def _limited(
    asked: Asked, text: str, pattern: re.Pattern[str] | None = None, code: str = ""
) -> str:
    limit = longest(asked)
    if len(text) > limit:
        raise Unfit("too_long", {"limit": limit, "count": len(text)})
    if pattern is not None and pattern.fullmatch(text) is None:
        raise Unfit(code)
    return text


def longest(asked: Asked) -> int:
    """Give the most characters that an answer may have."""
    return asked.longest or LONGEST[asked.kind]


def _number(asked: Asked, text: str) -> str:
    if _NUMBER.fullmatch(text) is None:
        raise Unfit("number")
    if len(text.partition(".")[2]) > PLACES:
        raise Unfit("places", {"limit": PLACES})
    number = Decimal(text)
    if asked.minimum is not None and number < asked.minimum:
        raise Unfit("too_small", {"limit": decimal_text(asked.minimum)})
    if asked.maximum is not None and number > asked.maximum:
        raise Unfit("too_large", {"limit": decimal_text(asked.maximum)})
    return decimal_text(abs(number) if number == 0 else number)


def _date(asked: Asked, text: str, today: date) -> date:
    if _DATE.fullmatch(text) is None:
        raise Unfit("date")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Unfit("date") from None
    _within(asked, day, today)
    return day


def _date_time(asked: Asked, text: str, today: date, zone: ZoneInfo) -> str:
    if _DATE_TIME.fullmatch(text) is None:
        raise Unfit("date_time")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit("date_time") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise Unfit("year", {"first": FIRST_YEAR, "last": LAST_YEAR})
    if at.tzinfo is None:
        local = at.replace(tzinfo=zone)
        # there and back again: an hour that the clocks leave out comes back as another
        if local.astimezone(ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None) != at:
            raise Unfit("no_such_time")
    else:
        local = at.astimezone(zone)
    _within(asked, local.date(), today)
    return local.isoformat(timespec="minutes" if local.second == 0 else "seconds")


def day_limits(asked: Asked, today: date) -> tuple[date | None, date | None]:
    """Give the first and the last day that a question about a day takes, as of today."""
    early, late = (
        None if days is None else today + timedelta(days=days)
        for days in (asked.earliest_days, asked.latest_days)
    )
    return early, late


def _within(asked: Asked, day: date, today: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Unfit("year", {"first": FIRST_YEAR, "last": LAST_YEAR})
    early, late = day_limits(asked, today)
    if early is not None and day < early:
        raise Unfit("too_early", {"limit": early})
    if late is not None and day > late:
        raise Unfit("too_late", {"limit": late})


# --- what becomes of answers ----------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """What somebody answered to a form.

    `coded` are answers from lists, several parted by commas: facts. `told` are all others, in
    their canonical text. `language` is the one in which the questions were asked.
    """

    coded: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    language: str = OWN_LANGUAGE


def reply(form: Form, answers: Mapping[str, Answer], language: str = OWN_LANGUAGE) -> Reply:
    """Part checked answers into facts and words."""
    coded: dict[str, str] = {}
    told: dict[str, str] = {}
    for each in form.questions:
        found = answers.get(each.key)
        if found is not None:
            kept = coded if each.kind in CODED else told
            kept[each.key] = found if isinstance(found, str) else ",".join(found)
    return Reply(coded, told, language)


def coded_facts(coded: Mapping[str, str]) -> tuple[str, ...]:
    """Give coded answers as rules read them: `question:answer`, one for each answer chosen.

    >>> coded_facts({"size": "large", "seen": "day,night"})
    ('seen:day', 'seen:night', 'size:large')
    """
    return tuple(f"{key}:{one}" for key, value in sorted(coded.items()) for one in value.split(","))


def told_lines(form: Form, told: Mapping[str, str], language: str = OWN_LANGUAGE) -> list[str]:
    """Give what was told as lines of text, each after its question; a file's name tells nothing."""
    return [
        f"{said(each, language).label} {told[each.key]}"
        for each in form.questions
        if each.key in told and each.kind != "file"
    ]


@dataclass(frozen=True)
class Kept:
    """What is kept of an answered form: whose form it was, which version, and the answers."""

    owner_id: UUID
    digest: str
    reply: Reply

    @property
    def form(self) -> tuple[UUID, str]:
        """What the version of the form is found by."""
        return self.owner_id, self.digest

    def plain(self) -> dict[str, Any]:
        """Give it as plain values, as needs and requests store it."""
        return {
            "owner": str(self.owner_id),
            "form": self.digest,
            "language": self.reply.language,
            "coded": dict(self.reply.coded),
            "told": dict(self.reply.told),
        }


def kept_from(content: Mapping[str, Any] | None) -> Kept | None:
    """Read what was kept; None when no questions were asked."""
    if not content:
        return None
    said_ = Reply(content["coded"], content["told"], content["language"])
    return Kept(UUID(content["owner"]), content["form"], said_)


@dataclass(frozen=True)
class Told:
    """A question as it was asked, and what was answered: words, or nothing."""

    asked: Asked
    label: str
    heading: str | None
    answers: tuple[str, ...]


def told_again(form: Form, answers: Reply) -> list[Told]:
    """Give every question that was asked of somebody, in the words and the language of then."""
    language = answers.language
    chosen = {key: tuple(value.split(",")) for key, value in answers.coded.items()}
    found = []
    for each in form.shown(chosen):
        words = dict(each.options(language))
        given: Iterable[str] = chosen.get(each.key, ())
        if each.key in answers.told:
            given = (answers.told[each.key],)
        found.append(
            Told(
                each,
                said(each, language).label,
                said(each.within, language).label if each.within else None,
                tuple(words.get(one, one) for one in given),
            )
        )
    return found
