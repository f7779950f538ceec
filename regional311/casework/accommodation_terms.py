"""Change a partner's terms for accommodations from a form; files see them as their own."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from regional311.audit.service import record
from regional311.casework.coordinators import BOUNDS, Terms, terms_of
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput, Stale
from regional311.keys import key_for
from regional311.tenancy.models import Bureau
from regional311.tenancy.own_settings import keep_settings, locked_settings


def set_terms(session: TenantSession, terms: Terms, *, revision: int, now: datetime) -> None:
    """Set the bound partner's days, words and coordinators.

    `revision` is the one that was seen. A coordinator who was there keeps their key. Raises
    `Stale` and `InvalidInput`.
    """
    settings, seen = locked_settings(session)
    if seen != revision:
        before = terms_of(settings)
        raise Stale(
            "Somebody else has changed these settings.",
            current={name: getattr(before, name) for name in BOUNDS},
            submitted={name: getattr(terms, name) for name in BOUNDS},
        )
    for name, (least, most) in BOUNDS.items():
        if not least <= getattr(terms, name) <= most:
            raise InvalidInput(f"Enter a number from {least} to {most}.", field=name)
    if terms.acknowledge_days > terms.decide_days:
        raise InvalidInput("It is acknowledged before it is decided.", field="acknowledge_days")
    _check_coordinators(session, terms)
    known = {each.get("name"): each["key"] for each in settings.get("coordinators") or ()}
    said = {language: words for language, words in terms.appeals.items() if words}
    if said and not terms.appeal:
        raise InvalidInput("Say it in your own language first.", field="appeal")
    settings["accommodation"] = (
        {name: getattr(terms, name) for name in BOUNDS}
        | ({"appeal": terms.appeal} if terms.appeal else {})
        | ({"translation": [{"language": x, "appeal": said[x]} for x in said]} if said else {})
    )
    taken: set[str] = set()
    settings["coordinators"] = []
    for each in terms.coordinators:
        key = known.get(each.name) or ""
        if not key or key in taken:
            key = key_for(each.name, taken, "coordinator")
        taken.add(key)
        settings["coordinators"].append(
            {
                "key": key,
                "name": each.name,
                **{
                    name: value
                    for name in ("email", "phone", "bureau", "whole")
                    if (value := getattr(each, name))
                },
            }
        )
    if not settings["coordinators"]:
        del settings["coordinators"]
    keep_settings(session, settings)
    record(
        session,
        now=now,
        action="settings:accommodation",
        subject_kind="tenant",
        subject_id=scope_of(session).tenant_id,
        detail={"accommodation": settings["accommodation"]},
    )


def _check_coordinators(session: TenantSession, terms: Terms) -> None:
    tenant_id = scope_of(session).tenant_id
    known = set(
        session.scalars(
            select(Bureau.key).where(Bureau.tenant_id == tenant_id, Bureau.ended_on.is_(None))
        )
    )
    for each in terms.coordinators:
        if each.whole == bool(each.bureau):
            raise InvalidInput(
                f"{each.name}: choose a bureau, or the whole partner.", field="coordinators"
            )
        if each.bureau and each.bureau not in known:
            raise InvalidInput(
                f"{each.name}: there is no bureau {each.bureau}.", field="coordinators"
            )
    covered = [each.bureau for each in terms.coordinators]
    if len(covered) != len(set(covered)):
        raise InvalidInput(
            "A bureau has one coordinator, and the whole partner has one.", field="coordinators"
        )
    if covered and terms.whole is None:
        raise InvalidInput(
            "Name a coordinator for the whole partner, too: not everybody knows the office.",
            field="coordinators",
        )
