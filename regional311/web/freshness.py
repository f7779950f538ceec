"""How fresh an entry is, in words: when somebody last looked, and whether that is too long ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from regional311.catalog.directory import Service
from regional311.catalog.freshness import Age, age, standing
from regional311.web.i18n import _
from regional311.web.telling import telling

_CHECKED: Final = {
    "days": ("Checked ${num} day ago by ${who}", "Checked ${num} days ago by ${who}"),
    "weeks": ("Checked ${num} week ago by ${who}", "Checked ${num} weeks ago by ${who}"),
    "months": ("Checked ${num} month ago by ${who}", "Checked ${num} months ago by ${who}"),
    "years": ("Checked ${num} year ago by ${who}", "Checked ${num} years ago by ${who}"),
}
_UNCHECKED: Final = {
    "days": ("Not checked for ${num} day", "Not checked for ${num} days"),
    "weeks": ("Not checked for ${num} week", "Not checked for ${num} weeks"),
    "months": ("Not checked for ${num} month", "Not checked for ${num} months"),
    "years": ("Not checked for ${num} year", "Not checked for ${num} years"),
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """Words for a page and the kind of tag that they are shown in; `day` is the last look's."""

    words: Any
    kind: str
    day: str | None


def freshness(request: Any, service: Service) -> Freshness:
    """Say when a service was last looked at, and by whom; warn when a look is overdue."""
    tell = telling(request)
    overdue = standing(service.review_on, tell.today) == "overdue"
    if service.verified_on is None:
        words = _("Never checked") if overdue else _("Not checked yet")
        return Freshness(words, "waiting" if overdue else "neutral", None)
    ago = age(service.verified_on, tell.today)
    day = tell.day(service.verified_on)
    if overdue and ago.unit in _UNCHECKED:
        return Freshness(_plural(request, _UNCHECKED, ago, {}), "waiting", day)
    who = tell.bureau(service.tenant, service.bureau) or tell.partner(service.tenant)
    if ago.unit == "today":
        return Freshness(_("Checked today by ${who}", mapping={"who": who}), "done", day)
    if ago.unit == "yesterday":
        return Freshness(_("Checked yesterday by ${who}", mapping={"who": who}), "done", day)
    return Freshness(_plural(request, _CHECKED, ago, {"who": who}), "done", day)


def _plural(request: Any, words: Any, ago: Age, values: dict[str, str]) -> str:
    one, many = words[ago.unit]
    found: str = request.localizer.pluralize(
        one, many, ago.count, domain="regional311", mapping={**values, "num": ago.count}
    )
    return found
