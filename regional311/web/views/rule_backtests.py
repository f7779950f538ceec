"""Backtests of a version of the rules: asked for here, done by the worker, read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.renderers import render_to_response
from pyramid.view import view_config

from regional311.chargeback.pricing import Case, price_alike
from regional311.database.session import Scope, open_session
from regional311.floor.watching import confidential_contacts
from regional311.identity.permissions import Permissions as P
from regional311.intake.queries import contact_numbers
from regional311.metering.service import REFERRAL_CLOSED
from regional311.referral import backtest
from regional311.referral.acceptance import ROOM_STATES as ROOMS
from regional311.referral.acceptance import UNKNOWN
from regional311.referral.backtest import Tally
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Date,
    Schema,
    SchemaNode,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, translated
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.rule_pages import rules_url, words_of_rules
from regional311.web.rule_wording import RuleWords
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import BacktestRecord, Backtests
from regional311.web.wording import DECISIONS, ROOM_STATES, said

STATES: Mapping[str, tuple[Any, str]] = {
    "waiting": (_("Waits for the worker"), "waiting"),
    "running": (_("Under way"), "open"),
    "done": (_("Done"), "done"),
    "failed": (_("Failed"), "danger"),
    "stopped": (_("Stopped"), "neutral"),
}
SHOWN = 25
"""Rows of each table of a result; CSV has all of them."""

KINDS: Mapping[str, Any] = {
    "move": _("Moves"),
    "service": _("Services"),
    "partner": _("Partners"),
    "bureau": _("Bureaus"),
    "boundary": _("Boundaries"),
    "rule": _("Rules"),
}


class AskForm(Schema):
    """The period."""

    first_on = SchemaNode(Date(), title=_("First day"))
    last_on = SchemaNode(Date(), title=_("Last day"))


# --- the list, and asking -------------------------------------------------------------------------


@view_config(
    context=Backtests,
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/backtests.jinja2",
)
def backtests(context: Backtests, request: Any) -> dict[str, Any]:
    """What was tested of this version, and the form that asks for another."""
    return _list_page(context, request, _ask_form(context, request))


@view_config(
    context=Backtests,
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="rules/backtests.jinja2",
)
def ask(context: Backtests, request: Any) -> Any:
    """Ask for a backtest; the worker does it."""
    form = _ask_form(context, request)
    record = context.rule_set.record

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            made = backtest.ask(
                request.dbsession,
                record,
                first_on=values["first_on"],
                last_on=values["last_on"],
                today=Words(request).today,
                now=request.now,
            )
            return {"id": str(made)}

        asked = ["rules:backtest", record.version, values]
        made = once(request.dbsession, form_key(request), asked, do)
        return HTTPSeeOther(location=rules_url(request, record.version, "backtests", made["id"]))

    return handle_form_submission(request, form, save, lambda: _list_page(context, request, form))


def _ask_form(context: Backtests, request: Any) -> Any:
    today = Words(request).today
    last = today - timedelta(days=1)
    return make_form(
        request,
        AskForm(),
        submit=_("Run it"),
        values={"first_on": last - timedelta(days=29), "last_on": last},
        action=rules_url(request, context.rule_set.record.version, "backtests"),
        once=True,
    )


def _list_page(context: Backtests, request: Any, form: Any) -> dict[str, Any]:
    words = Words(request)
    record = context.rule_set.record
    url = rules_url(request, record.version)
    return page(
        request,
        current=record,
        url=url,
        rules_url=rules_url(request),
        form=form if may(request, P.RULE_EDIT) else None,
        rows=[
            {
                "url": f"{url}/backtests/{row.id}",
                "period": _period(words, row),
                "state": STATES[row.state],
                "asked": words.when(row.asked_at),
                "done": words.number(row.done),
                "moved": words.number(int(row.moved)) if row.moved else "",
            }
            for row in backtest.backtests(request.dbsession, record.id)
        ],
    )


def _period(words: Words, row: Any) -> str:
    return f"{words.day(row.first_on)} – {words.last_day(row.until_on)}"


# --- one ------------------------------------------------------------------------------------------


@view_config(
    context=BacktestRecord,
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/backtest.jinja2",
)
def result(context: BacktestRecord, request: Any) -> Any:
    """How far it is, then what would have moved; a page that polls gets the part alone."""
    record = context.record
    form = wanted(request)
    tally = Tally.of(record.result)
    if form == "json":
        return json_response(
            {
                "state": record.state,
                "done": record.done,
                "total": record.total,
                "first_on": record.first_on,
                "until_on": record.until_on,
                "result": tally.plain(),
            }
        )
    shown = Result.of(request, record, tally)
    if form == "csv":
        rows = [(kind, *row["plain"]) for kind in KINDS for row in shown.tables[kind]["rows"]]
        columns = ("by", "key", "name", "moved", "contacts")
        return csv_response(request, f"backtest-{record.id}.csv", columns, rows)
    version = context.__parent__.rule_set.record  # type: ignore[union-attr]
    values = _result_page(request, version, record, tally, shown)
    if "HX-Request" in request.headers:
        return render_to_response("rules/backtest_part.jinja2", values, request=request)
    return values


@view_config(context=BacktestRecord, name="stop", permission=P.RULE_EDIT, request_method="POST")
def stop(context: BacktestRecord, request: Any) -> HTTPSeeOther:
    """Stop it; what was found so far stays."""
    backtest.stop(request.dbsession, context.record.id, now=request.now)
    return HTTPSeeOther(location=request.path.rpartition("/")[0])


def _result_page(
    request: Any, version: Any, record: Any, tally: Tally, shown: Result
) -> dict[str, Any]:
    words = Words(request)
    url = rules_url(request, version.version)
    under_way = record.state in backtest.OPEN
    ids = [UUID(each["contact"]) for each in tally.examples]
    numbers = contact_numbers(request.dbsession, ids)
    if not request.identity.cleared(request.tenant.id):
        secret = telling(request).confidential_services
        for each in confidential_contacts(request.dbsession, ids, secret):
            numbers.pop(each, None)
    decided = tally.moved + tally.same
    priced = not under_way and may(request, P.RATE_READ)
    return page(
        request,
        current=version,
        record=record,
        url=url,
        here=f"{url}/backtests/{record.id}",
        rules_url=rules_url(request),
        state=STATES[record.state],
        under_way=under_way,
        may_stop=under_way and may(request, P.RULE_EDIT),
        tally=tally,
        percent=min(100, round(100 * record.done / record.total)) if record.total else 0,
        lead=_(
            "${moved} of ${all} contacts would have gone elsewhere.",
            mapping={"moved": words.number(tally.moved), "all": words.number(decided)},
        ),
        facts=[
            (_("Period"), _period(words, record)),
            (_("Contacts"), words.number(record.done)),
            (_("Would have moved"), words.number(tally.moved)),
            (_("Service no longer there"), words.number(tally.gone) if tally.gone else None),
            (
                _("Not compared: a person or the receiver decided"),
                words.number(tally.apart) if tally.apart else None,
            ),
            (_("Asked for"), words.when(record.asked_at)),
            (_("Done"), words.when(record.ended_at) if record.ended_at else None),
        ],
        tables=shown.tables.values(),
        receivers=shown.receivers,
        old_room=bool(tally.days) and not tally.room,
        may_open=may(request, P.CONTACT_READ),
        priced=priced,
        costs=_costs(request, record, tally) if priced else [],
        examples=[
            {
                **shown.move(each["move"]),
                "url": f"/{request.tenant.slug}/contacts/{numbers.get(UUID(each['contact']), '')}",
                "number": numbers.get(UUID(each["contact"]), ""),
                "on": words.day(date.fromisoformat(each["on"])),
                "service": shown.service(each["service"]),
                "rule": shown.rule(each["rule"]),
                "why_url": f"{url}/backtests/{record.id}/example?n={place}"
                if each.get("decision")
                else None,
            }
            for place, each in enumerate(tally.examples)
            if UUID(each["contact"]) in numbers
        ],
    )


@dataclass
class Result:
    """A tally with names instead of keys."""

    request: Any
    tell: Telling
    rule_names: Mapping[str, str]
    words: RuleWords
    tables: dict[str, dict[str, Any]]
    receivers: list[dict[str, Any]]

    @classmethod
    def of(cls, request: Any, record: Any, tally: Tally) -> Result:
        """Name everything that was counted; the most moved first."""
        tell = telling(request)
        names = {each["key"]: each["name"] for each in record.rules}
        found = cls(request, tell, names, words_of_rules(request), {}, [])
        sources: list[tuple[str, list[tuple[str, str, int, int | None]]]] = [
            (
                "move",
                [(key, found.move_words(key), many, None) for key, many in tally.moves.items()],
            ),
            ("service", _pairs(tally.services, found.service)),
            (
                "partner",
                [
                    (key, found.party(key), got, lost)
                    for key, (lost, got) in sorted(
                        tally.partners.items(), key=lambda each: (-sum(each[1]), each[0])
                    )
                ],
            ),
            ("bureau", _pairs(tally.bureaus, found.bureau)),
            ("boundary", _pairs(tally.boundaries, found.boundary)),
            ("rule", [(key, found.rule(key), many, None) for key, many in tally.rules.items()]),
        ]
        for kind, rows in sources:
            if kind != "partner":
                rows.sort(key=lambda row: (-row[2], row[1]))
            found.tables[kind] = _table(kind, rows)
        found.receivers = found._receivers(tally)
        return found

    def party(self, key: str) -> str:
        """Name a partner or agency; nobody for none."""
        return self.tell.partner(key) if key else translated(self.request, _("Nobody"))

    def service(self, ref: str) -> str:
        """Name a service as `partner/key`."""
        owner, _sep, key = ref.partition("/")
        found = self.tell.published.directory.find(ref)
        name = found.name if found else key.replace("-", " ")
        return f"{name} ({self.party(owner)})"

    def bureau(self, ref: str) -> str:
        """Name a bureau as `partner/key`."""
        owner, _sep, key = ref.partition("/")
        if not key:
            return f"{translated(self.request, _('No bureau'))} ({self.party(owner)})"
        return f"{self.tell.bureau(owner, key)} ({self.party(owner)})"

    def boundary(self, key: str) -> str:
        """Name the most specific boundary."""
        if not key:
            return translated(self.request, _("No known place"))
        return self.tell.published.names.get(key, key)

    def rule(self, ref: str) -> str:
        """Name the rule by which something would have moved."""
        owner, _sep, key = ref.partition("/")
        if not key:
            return translated(self.request, _("No rule: the usual way"))
        if owner == self.tell.slug:
            return self.rule_names.get(key, key)
        return f"{self.tell.published.names.get(key, key)} ({self.party(owner)})"

    def move(self, key: str) -> dict[str, str]:
        """Say both sides of a move."""
        outcome, target, after, to = key.split("|")
        return {"before": self._came(outcome, target), "after": self._came(after, to)}

    def _came(self, outcome: str, target: str) -> str:
        if outcome in ("information", "decline", "resolve_here") or not target:
            told = translated(self.request, said(DECISIONS, outcome))
            return f"{told} ({self.party(target)})" if target not in ("", self.tell.slug) else told
        words = self.words.outcome(outcome, "self" if target == self.tell.slug else target)
        return words[:1].upper() + words[1:]

    def move_words(self, key: str) -> str:
        """Say a move in one line."""
        told = self.move(key)
        return f"{told['before']} → {told['after']}"

    def _receivers(self, tally: Tally) -> list[dict[str, Any]]:
        words = Words(self.request)
        found = []
        for key, days in tally.days.items():
            day, most = max(days.items(), key=lambda each: (each[1], each[0]))
            found.append(
                {
                    "name": self.party(key),
                    "got": sum(days.values()),
                    "most": most,
                    "day": words.day(date.fromisoformat(day)),
                    "closed": tally.closed.get(key, 0),
                    "then": self._said(tally.room.get(key, {})),
                    "unsaid": tally.room.get(key, {}).get(UNKNOWN, 0) if tally.room else None,
                    "room": self._room(key),
                }
            )
        return sorted(found, key=lambda each: (-each["got"], each["name"]))

    def _said(self, counts: Mapping[str, int]) -> list[tuple[Any, int]]:
        """Say how often the partner had said which room at the contact's moment."""
        return [(said(ROOM_STATES, state), counts[state]) for state in ROOMS if counts.get(state)]

    def _room(self, partner: str) -> str | None:
        """Say what room a partner's services have published: free of all, by what is counted."""
        free: dict[str, list[int]] = {}
        for service in self.tell.published.directory.of(partner, self.tell.today):
            for place in service.details.get("location") or ():
                for each in place.get("capacity") or ():
                    if each.get("available") is not None:
                        room = free.setdefault(each["unit"], [0, 0])
                        room[0] += each["available"]
                        room[1] += each.get("maximum") or 0
        told = [
            translated(
                self.request,
                _("${free} of ${all} ${unit}", mapping={"free": a, "all": b, "unit": unit}),
            )
            for unit, (a, b) in sorted(free.items())
        ]
        return ", ".join(told) or None


def _pairs(counts: Mapping[str, list[int]], name: Any) -> list[tuple[str, str, int, int | None]]:
    return [(key, name(key), moved, total) for key, (moved, total) in counts.items() if moved]


def _table(kind: str, rows: list[tuple[str, str, int, int | None]]) -> dict[str, Any]:
    columns = {
        "partner": (_("Partner or agency"), _("Would have got"), _("Would have lost")),
        "move": (_("What would have moved"), _("Contacts"), None),
        "rule": (_("By rule"), _("Contacts"), None),
    }.get(kind, (_("Of"), _("Would have moved"), _("Contacts in all")))
    return {
        "kind": kind,
        "title": KINDS[kind],
        "columns": columns,
        "rows": [
            {"name": name, "one": one, "two": two, "plain": (key, name, one, two)}
            for key, name, one, two in rows
        ],
        "shown": SHOWN,
    }


def _costs(request: Any, record: Any, tally: Tally) -> list[dict[str, Any]]:
    """Price the work that would have been more or less, by who would have done and paid it.

    By the agreements and rates of the period's last day; a piece of each kind is priced alone. Two
    statements, and two for each partner that would have closed more referrals of ours, or fewer;
    of its prices those are shown that we would have paid.
    """
    tell, words = telling(request), Words(request)
    ids, me = tell.published.ids, request.tenant.id
    on = record.until_on - timedelta(days=1)
    work: dict[UUID, list[tuple[Case, int]]] = {}
    for key, many in sorted(tally.work.items()):
        activity, owner, service, bureau, channel, language, after, area = key.split("|")
        theirs = activity == REFERRAL_CLOSED
        provider = ids.get(owner) if theirs else me
        if not many or provider is None:
            continue
        case = Case(
            activity=activity,
            channel=channel or "phone",
            done_on=on,
            language=language or "en",
            after_hours=bool(after),
            service_owner_id=ids.get(owner) or me,
            service_key=service or None,
            bureau_key=bureau or None,
            jurisdiction_id=ids.get(area),
            referrer_id=me if theirs else None,
            line_owner_id=provider,
        )
        work.setdefault(provider, []).append((case, many))
    sums: dict[tuple[UUID, Any, str], list[Any]] = {}
    for provider, pieces in work.items():
        with open_session(request.registry.engine, Scope(provider)) as session:
            prices = price_alike(session, [case for case, _many in pieces], on)
            session.rollback()
        for (_case, many), told in zip(pieces, prices, strict=True):
            if me not in (provider, told.payer_id):
                continue
            entry = sums.setdefault((provider, told.payer_id, told.state), [0, Decimal(0)])
            entry[0] += many
            entry[1] += (told.amount or Decimal(0)) * many
    found = []
    for (provider, payer, state), (many, amount) in sums.items():
        if not many and not amount:
            continue
        sign = "+" if amount > 0 else ""
        found.append(
            {
                "provider": tell.partner(provider),
                "payer": tell.partner(payer),
                "state": words("charge_state", state),
                "pieces": f"{'+' if many > 0 else ''}{many}",
                "amount": f"{sign}{words.money_rounded(amount)}" if state == "rated" else "–",
            }
        )
    return sorted(
        found, key=lambda each: (str(each["provider"]), str(each["payer"]), str(each["state"]))
    )
