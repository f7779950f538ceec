"""Services of several partners in one drop-down list, so that the right one is found in it."""

from __future__ import annotations

from collections.abc import Iterable

from regional311.catalog.directory import Service
from regional311.web.i18n import _, translated
from regional311.web.telling import Telling

Group = tuple[str, list[tuple[str, str]]]


def grouped(tell: Telling, services: Iterable[Service], like: Service | None = None) -> list[Group]:
    """Group services by partner, one's own first; before them those of the same kind as `like`."""
    offered = sorted(services, key=lambda each: each.name)
    alike = [each for each in offered if like and like.term and each.term == like.term]
    found: list[Group] = []
    if alike:
        named = [
            (each.ref, f"{_named(tell, each)} ({tell.partner(each.tenant)})") for each in alike
        ]
        found.append((translated(tell.request, _("The same kind of thing")), named))
    partners = {each.tenant for each in offered}
    for slug in sorted(partners, key=lambda each: (each != tell.slug, tell.partner(each))):
        rest = [
            (each.ref, _named(tell, each))
            for each in offered
            if each.tenant == slug and each not in alike
        ]
        if rest:
            found.append((tell.partner(slug), rest))
    return found


def _named(tell: Telling, service: Service) -> str:
    """A service's name, and that it is confidential."""
    if not service.confidential:
        return service.name
    return f"{service.name} · {translated(tell.request, _('confidential'))}"
