"""How pages about people and work say things: names for keys and ids, times on a partner's clock.

Names come from the published snapshot in memory, so that no page asks the database for them.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time

from regional311.calendars import Span
from regional311.casework.closing import place_of
from regional311.catalog.directory import Service
from regional311.intake.service import Followers
from regional311.locale.sentences import in_language
from regional311.referral.snapshot import Published, published
from regional311.web.i18n import _, offered, translated

HOME_ZONE = "America/Los_Angeles"
EXPLAINED = "explained"
"""Cookie, and name in an address, of the language in which decisions are explained."""


class Telling:
    """What one request's pages are told with."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.published: Published = published(request.registry.engine)
        tenant = getattr(request, "tenant", None)
        self.slug: str = tenant.slug if tenant else ""
        self.zone = ZoneInfo(tenant.zone if tenant else HOME_ZONE)

    @cached_property
    def today(self) -> date:
        """The day on this partner's clock."""
        found: datetime = self.request.now
        return found.astimezone(self.zone).date()

    def start_of(self, day: date | None, *, following: bool = False) -> datetime | None:
        """When a day begins on this partner's clock, or the one after it; None for no such day."""
        if day is None:
            return None
        try:
            on = day + timedelta(days=1) if following else day
        except OverflowError:
            return None
        return datetime.combine(on, time(), tzinfo=self.zone)

    @property
    def locale(self) -> str:
        # English and Spanish as they are written here: clocks of twelve hours, dollars first
        name = str(self.request.locale_name)
        return f"{name}_US" if name in ("en", "es") else name

    def when(self, at: datetime | None) -> str | None:
        """A moment, without the date when it is today."""
        if at is None:
            return None
        local = at.astimezone(self.zone)
        if local.date() == self.today:
            return format_time(local, "short", tzinfo=self.zone, locale=self.locale)
        return format_datetime(local, "MMM d, y, h:mm a", tzinfo=self.zone, locale=self.locale)

    def day(self, at: datetime | date | None, style: str = "medium") -> str | None:
        """A day, of a moment on this partner's clock."""
        if at is None:
            return None
        on = at.astimezone(self.zone).date() if isinstance(at, datetime) else at
        return format_date(on, style, locale=self.locale)

    def span(self, span: Span) -> str:
        """Opening hours of a day, such as *8:00 AM to 5:00 PM*."""
        times = [
            format_time(time(minute // 60 % 24, minute % 60), "short", locale=self.locale)
            for minute in (span.opens, span.closes)
        ]
        return translated(
            self.request,
            _("${opens} to ${closes}", mapping={"opens": times[0], "closes": times[1]}),
        )

    def partner(self, tenant_id: UUID | str | None) -> str:
        """A partner's name by id or slug; an agency's by its key."""
        slug = self.published.slugs.get(tenant_id) if isinstance(tenant_id, UUID) else tenant_id
        return self.published.names.get(slug or "", slug or "")

    def short(self, tenant_id: UUID | None) -> str:
        """A partner's name for narrow places."""
        slug = self.published.slugs.get(tenant_id) if tenant_id else None
        return self.published.tenants[slug].short_name if slug else ""

    def service(self, owner: UUID | str | None, key: str) -> Service | None:
        """A service by its owner and key."""
        slug = self.published.slugs.get(owner) if isinstance(owner, UUID) else owner
        return self.published.directory.find(f"{slug}/{key}")

    @cached_property
    def confidential_services(self) -> frozenset[tuple[UUID, str]]:
        """The services that are asked for in confidence, as (owner, key)."""
        return self.published.confidential_services()

    def service_name(self, owner: UUID | str | None, key: str) -> str:
        """A service's name; its key when nobody has such a service any more."""
        found = self.service(owner, key)
        return found.name if found else key

    def bureau(self, slug: str, key: str | None) -> str:
        """A bureau's name."""
        row = self.published.bureaus.get(f"{slug}/{key}")
        return row.name if row else key or ""

    def minutes(self, taken: timedelta) -> Any:
        """A stretch of time in whole minutes."""
        minutes = int(taken.total_seconds() // 60)
        return self.request.localizer.pluralize(
            "${num} minute",
            "${num} minutes",
            minutes,
            domain="regional311",
            mapping={"num": minutes},
        )

    def place(self, row: Any) -> str | None:
        """A place in one line: its words, or its point."""
        return place_of(row) or None

    def promise(self, service: Service) -> Any:
        """How soon a service is done as a rule."""
        if service.target_hours is None:
            return None
        return self.request.localizer.pluralize(
            "${num} business hour",
            "${num} business hours",
            service.target_hours,
            domain="regional311",
            mapping={"num": service.target_hours},
        )

    def phone(self, slug: str, bureau: str = "") -> str | None:
        """The number to call about something of a partner's, or of an outside agency's."""
        agency = self.published.agencies(self.today).get(slug)
        if agency is not None:
            return agency.phone or None
        tenant = self.published.tenants.get(slug)
        if tenant is None:
            return None
        lines = [
            line
            for line in self.published.lines.values()
            if line.tenant == slug and line.channel == "phone" and line.address
        ]
        contact = tenant.settings.get("contact") or {}
        return contact.get("phone") or (lines[0].address if lines else None)

    def followers(self, *, hold: timedelta = timedelta()) -> Followers:
        """What messages to people are written with, and how long they wait before they leave."""
        return Followers(
            self.published.names_of_all,
            self.request.registry.configured.url,
            self.translate,
            hold,
            wording=self.published.wording,
            service=self.published.service_name,
        )

    @cached_property
    def explained_in(self) -> str:
        """The language in which decisions are explained to this person: chosen in this browser.

        Pages for staff are in English; why something went where it went is said in theirs.
        """
        chosen = self.request.cookies.get(EXPLAINED, "")
        return chosen if chosen in offered(self.request) else "en"

    def explain(self, sentence: str) -> str:
        """Put a sentence of a decision into the language in which they are explained."""
        return in_language(sentence, self.explained_in)

    def explain_filled(self, message: Any) -> str:
        """Put a message with its values into the language in which decisions are explained."""
        said = self.explain(str(message))
        return str(message.interpolate(said)) if hasattr(message, "interpolate") else said

    def translate(self, sentence: str, language: str | None = None) -> str:
        """Put a sentence into a language: the page's, or that of the person it is written to."""
        if language is None:
            return translated(self.request, sentence)
        return in_language(sentence, language)


def call_link(number: str) -> str:
    """Return the address that calls a number: ten digits are one of this country.

    >>> call_link("503-823-4000"), call_link("311"), call_link("+44 20 7946 0018")
    ('tel:+15038234000', 'tel:311', 'tel:+442079460018')
    """
    digits = "".join(each for each in number if each.isdigit())
    if number.startswith("+"):
        return f"tel:+{digits}"
    if len(digits) == 10:
        return f"tel:+1{digits}"
    return f"tel:+{digits}" if len(digits) == 11 and digits.startswith("1") else f"tel:{digits}"


def telling(request: Any) -> Telling:
    """Return the request's `Telling`, made once."""
    found = getattr(request, "made_telling", None)
    if found is None:
        found = request.made_telling = Telling(request)
    return found
