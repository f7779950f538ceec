"""What stands at entries of the directory while an emergency opens or closes them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from regional311.catalog.directory import Service
from regional311.cover.entry_alerts import EntryAlert, alerts_of, entries_named
from regional311.locale.sentences import in_language
from regional311.referral.snapshot import Published
from regional311.web.i18n import _, page_language
from regional311.web.spoken import Spoken, own_language
from regional311.web.telling import telling

ALERT_WORDS = {
    "shelter": _("Open as a shelter now"),
    "warming": _("Open as a warm place now"),
    "cooling": _("Open as a cool place now"),
    "water": _("Water is given out here now"),
    "closure": _("Closed for now"),
}


@dataclass(frozen=True)
class ShownAlert:
    """One alert as templates read it: `why` is the emergency's title, `where` what is concerned."""

    words: Any
    why: Spoken
    where: str
    note: Spoken | None
    closed: bool
    location: str


def entry_alerts(request: Any, service: Service) -> list[ShownAlert]:
    """Give what emergencies say at this moment of a service, in the language of the page."""
    tell = telling(request)
    found = _alerts(tell.published, request.now, service)
    return [_shown(tell.published, each, service, page_language(request)) for each in found]


def _alerts(published: Published, at: datetime, service: Service) -> list[EntryAlert]:
    if not published.emergencies:
        return []
    return alerts_of(published.emergencies, at, service.ref, service.locations)


def _shown(published: Published, each: EntryAlert, service: Service, language: str) -> ShownAlert:
    said_in, said = each.emergency.said(language)
    own = own_language(published.tenants[each.emergency.tenant])
    where = [part for part in (each.name, each.address) if part and part != service.name]
    return ShownAlert(
        words=ALERT_WORDS[each.kind],
        why=Spoken(said["title"], said_in),
        where=", ".join(where),
        note=Spoken(each.note, own) if each.note else None,
        closed=each.closed,
        location=each.location,
    )


def closed_everywhere(alerts: Collection[ShownAlert]) -> bool:
    """Whether an emergency has closed a service wherever it is given.

    >>> closed_everywhere([ShownAlert("", Spoken("", "en"), "", None, True, "hall")])
    False
    """
    return any(each.closed and not each.location for each in alerts)


def directory_alerts(
    published: Published, at: datetime
) -> Mapping[UUID, Mapping[str, tuple[str, bool]]]:
    """Give what programs that read the directory are told: tenant, service, sentence and whether
    it is closed everywhere. In the language in which the partner describes itself.
    """
    found: dict[UUID, dict[str, tuple[str, bool]]] = {}
    if not entries_named(published.emergencies, at):
        return found
    for service in published.directory.services:
        if not (alerts := _alerts(published, at, service)):
            continue
        row = published.tenants[service.tenant]
        language = own_language(row)
        closed = any(each.closed and each.whole for each in alerts)
        sentence = alert_sentence(published, at, service, language)
        found.setdefault(row.id, {})[service.key] = (sentence, closed)
    return found


def alert_sentence(published: Published, at: datetime, service: Service, language: str) -> str:
    """Give all that emergencies say of a service at a moment, in one line in a language."""
    shown = [_shown(published, each, service, language) for each in _alerts(published, at, service)]
    return " ".join(_in_one_line(each, language) for each in shown)


def _in_one_line(alert: ShownAlert, language: str) -> str:
    said = f"{in_language(str(alert.words), language)}: {alert.why}"
    parts = [said, alert.where, alert.note.text if alert.note else ""]
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)
