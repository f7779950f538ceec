"""The editor of a partner's rules: begin a draft, change it a step at a time, check it.

Every change is kept with what was there before it and can be undone. Each page works without a
script: what a change made of the rules is seen when the page comes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from markupsafe import escape
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config

from regional311.config.rule_file import (
    MOST_BYTES,
    BadRuleFile,
    canonical_rule,
    read_rule_file,
)
from regional311.errors import DomainError, Forbidden, InvalidInput, NotFound
from regional311.floor.watching import confidential_contacts
from regional311.identity.permissions import Permissions as P
from regional311.intake.queries import contact_numbers
from regional311.keys import key_for
from regional311.referral import drafting, rule_editing
from regional311.referral.checks import Sample
from regional311.referral.conditions import FACTS, BadCondition, compile_condition
from regional311.referral.drafting import OPEN, Content
from regional311.referral.publishing import versions
from regional311.referral.rule_editing import Stored
from regional311.strict import digest
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Choice,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    form_key,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.i18n import _, translated
from regional311.web.rule_forms import Offered, facts_offered, rule_form, rule_said, rule_values
from regional311.web.rule_pages import (
    decides_on,
    editable,
    fitness_of,
    problem_words,
    rules_url,
    state_of,
)
from regional311.web.rule_traces import OF_THE_PERSON, values
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Rules, RuleSetRecord

EMPTY = "empty"


# --- beginning ------------------------------------------------------------------------------------


@view_config(
    context=Rules,
    name="new",
    permission=P.RULE_EDIT,
    request_method="GET",
    renderer="rules/new.jinja2",
)
def new(context: Rules, request: Any) -> dict[str, Any]:
    """Begin a draft: from a version, from nothing, or from a file."""
    return _new_page(request, _new_form(request))


@view_config(
    context=Rules,
    name="new",
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="rules/new.jinja2",
)
def begin(context: Rules, request: Any) -> Any:
    """Begin a draft with what a version says, or with nothing."""
    form = _new_form(request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            start = values["start"]
            rows = {str(row.version): row for row in versions(request.dbsession)}
            if start == EMPTY:
                content, based_on = Content(()), None
            else:
                content, based_on = Content.of(rows[start]), rows[start].version
            content = replace(content, title=values["title"])
            number = drafting.begin(request.dbsession, content, based_on=based_on, now=request.now)
            return {"version": number}

        made = once(request.dbsession, form_key(request), ["rules:begin", values], do)
        request.flash("success", _("The draft is begun. Nothing decides by it yet."))
        return HTTPSeeOther(location=rules_url(request, made["version"]))

    return handle_form_submission(request, form, save, lambda: _new_page(request, form))


@view_config(
    context=Rules,
    name="read",
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="rules/new.jinja2",
)
def read(context: Rules, request: Any) -> Any:
    """Begin a draft with what a file says; a file with a mistake begins nothing."""
    sent = request.POST.get("file")
    raw = b""
    if hasattr(sent, "file"):
        with sent.file as opened:
            raw = opened.read(MOST_BYTES + 1)
    try:
        if not raw:
            raise BadRuleFile([translated(request, _("Choose a file."))])
        content = read_rule_file(raw)
        number = drafting.begin(request.dbsession, content, now=request.now)
    except DomainError as error:
        start_over(request)
        request.response.status_int = 400
        problems = error.problems if isinstance(error, BadRuleFile) else (error.message,)
        return _new_page(request, _new_form(request), problems)
    request.flash("success", _("The file is a draft now. Nothing decides by it yet."))
    return HTTPSeeOther(location=rules_url(request, number))


def _new_form(request: Any) -> Any:
    words = Words(request)
    rows = versions(request.dbsession)
    current = decides_on(rows, words.today)
    offered = [
        (
            str(row.version),
            _(
                "Version ${version}: ${state}",
                mapping={
                    "version": row.version,
                    "state": translated(request, words("rule_state", state_of(row, words.today))),
                },
            ),
        )
        for row in rows
        if row.state != "discarded"
    ]
    offered.append((EMPTY, _("Nothing: an empty list")))
    schema = Schema()
    schema.add(
        SchemaNode(
            String(200),
            name="title",
            title=_("What it is about"),
            description=_("For example: winter shelters, from December on."),
            missing=None,
        )
    )
    schema.add(
        SchemaNode(
            Choice(offered), name="start", title=_("Begin with"), widget=RadioWidget(values=offered)
        )
    )
    start = str(current.version) if current is not None else offered[0][0]
    asked = str(request.GET.get("from", ""))
    start = asked if asked in {value for value, _words in offered} else start
    return make_form(
        request,
        schema,
        submit=_("Begin a draft"),
        values={"start": start},
        name="begin",
        action=rules_url(request, "new"),
        once=True,
        cancel_url=rules_url(request),
    )


def _new_page(request: Any, form: Any, problems: Sequence[str] = ()) -> dict[str, Any]:
    return page(request, form=form, problems=problems, rules_url=rules_url(request))


# --- one rule -------------------------------------------------------------------------------------


def _editable(context: RuleSetRecord, request: Any) -> Any:
    if not editable(request, context.record):
        raise drafting.NotADraft("This version is no draft any more; begin a new draft from it.")
    return context.record


@view_config(
    context=RuleSetRecord,
    name="rule",
    permission=P.RULE_EDIT,
    request_method="GET",
    renderer="rules/rule.jinja2",
)
def rule(context: RuleSetRecord, request: Any) -> dict[str, Any]:
    """One rule as a form; without `?rule=` a new one, after the rule `?after=`."""
    record = _editable(context, request)
    key, stored, place = _asked_for(request, record)
    return _rule_page(request, record, key, stored, _rule_form(request, record, key, stored, place))


@view_config(
    context=RuleSetRecord,
    name="rule",
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="rules/rule.jinja2",
)
def save_rule(context: RuleSetRecord, request: Any) -> Any:
    """Save a rule in the draft; one that cannot be read is refused at its field."""
    record = _editable(context, request)
    key, stored, place = _asked_for(request, record)
    form = _rule_form(request, record, key, stored, place)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        taken = {each["key"] for each in record.rules}
        named = key or key_for(values["name"], taken, "rule")
        content = canonical_rule(rule_said(values, named, stored))
        wanted = values["place"] - 1
        if not 0 <= wanted <= len(record.rules):
            raise InvalidInput(
                f"Give a place from 1 to {max(1, len(record.rules))}.", field="place"
            )
        drafting.save_rule(
            request.dbsession,
            record.version,
            content,
            key=key,
            seen=values["seen"],
            at=wanted,
            now=request.now,
        )
        request.flash(
            "success", _("“${name}” is saved in the draft.", mapping={"name": content["name"]})
        )
        return HTTPSeeOther(location=f"{rules_url(request, record.version)}#{named}")

    return handle_form_submission(
        request, form, save, lambda: _rule_page(request, record, key, stored, form)
    )


def _asked_for(request: Any, record: Any) -> tuple[str | None, Stored, int]:
    rules = Content.of(record).rules
    key = request.GET.get("rule")
    if key is not None:
        place = rule_editing.place_of(rules, str(key)[:100])
        return str(key), rules[place], place + 1
    after = str(request.GET.get("after", ""))[:100]
    place = len(rules) + 1
    if any(each["key"] == after for each in rules):
        place = rule_editing.place_of(rules, after) + 2
    return None, {}, place


def _rule_form(request: Any, record: Any, key: str | None, stored: Stored, place: int) -> Any:
    url = rules_url(request, record.version)
    offered = Offered(request, telling(request))
    schema = rule_form(
        offered, stored, count=max(place, len(record.rules)), check_url=f"{url}/condition"
    )
    return make_form(
        request,
        schema,
        submit=_("Save in the draft"),
        values=rule_values(stored, place, digest(dict(stored)) if key else None),
        name="rule",
        action=request.path_qs,
        cancel_url=f"{url}#{key}" if key else url,
    )


def _rule_page(
    request: Any, record: Any, key: str | None, stored: Stored, form: Any
) -> dict[str, Any]:
    tell = telling(request)
    rules = Content.of(record).rules
    agreements = sorted({each["basis"] for each in rules if each.get("basis")})
    return page(
        request,
        form=form,
        title=stored.get("name") if key else _("New rule"),
        current=record,
        url=rules_url(request, record.version),
        rules_url=rules_url(request),
        groups=sorted({each["group"] for each in rules if each.get("group")}),
        bases=agreements,
        facts=facts_offered(),
        partner=tell.slug,
    )


@view_config(context=RuleSetRecord, name="condition", permission=P.RULE_EDIT, request_method="POST")
def condition(context: RuleSetRecord, request: Any) -> Response:
    """Say whether a condition can be read, while it is being written."""
    text = str(request.POST.get("condition", "")).strip()
    if not text:
        return Response("", content_type="text/html", charset="utf-8")
    try:
        compile_condition(text)
    except BadCondition as error:
        words, kind = error.message, "usa-error-message"
    else:
        words, kind = translated(request, _("This can be read.")), "usa-hint"
    return Response(
        f'<p class="{kind}">{escape(words)}</p>', content_type="text/html", charset="utf-8"
    )


# --- the order, and what else may be done ---------------------------------------------------------


def _changed(
    context: RuleSetRecord, request: Any, what: str, words: Any, change: Any, anchor: bool = True
) -> HTTPSeeOther:
    """Make one change of a rule that a button named, and go back to the list."""
    key, _sep, more = str(request.POST.get("rule", ""))[:200].partition(" ")
    url = rules_url(request, context.record.version)
    name = next(
        (str(each.get("name", key)) for each in context.record.rules if each["key"] == key), key
    )

    def make(rules: Sequence[Stored]) -> Sequence[Stored]:
        found: Sequence[Stored] = change(rules, key, more, name)
        return found

    try:
        drafting.change_rules(
            request.dbsession, context.record.version, what, key, make, now=request.now
        )
    except Forbidden:
        raise
    except DomainError as error:
        start_over(request)
        request.flash("error", error.message)
        return HTTPSeeOther(location=url)
    request.flash("success", _(words, mapping={"name": name}))
    return HTTPSeeOther(location=f"{url}#{key}" if anchor else url)


@view_config(context=RuleSetRecord, name="move", permission=P.RULE_EDIT, request_method="POST")
def move(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Move a rule `up`, `down`, to the `top`, the `end`, or to a place by number."""

    def change(rules: Sequence[Stored], key: str, way: str, _name: str) -> Sequence[Stored]:
        here = rule_editing.place_of(rules, key)
        places: Mapping[str, int] = {"up": here - 1, "down": here + 1, "top": 0, "end": len(rules)}
        if way in places:
            return rule_editing.moved(rules, key, places[way])
        if not (way.isascii() and way.isdecimal() and len(way) < 6):
            raise NotFound("Say where it is to go: up, down, top, end or a place.")
        return rule_editing.moved(rules, key, int(way) - 1)

    return _changed(context, request, "move", _("“${name}” has another place now."), change)


@view_config(context=RuleSetRecord, name="copy", permission=P.RULE_EDIT, request_method="POST")
def copy(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Put a copy of a rule after it, switched off."""

    def change(rules: Sequence[Stored], key: str, _way: str, name: str) -> Sequence[Stored]:
        title = translated(request, _("Copy of ${name}", mapping={"name": name}))[:200]
        return rule_editing.copied(rules, key, title)

    words = _("A copy of “${name}” stands after it, switched off until you switch it on.")
    return _changed(context, request, "copy", words, change)


@view_config(context=RuleSetRecord, name="switch", permission=P.RULE_EDIT, request_method="POST")
def switch(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Switch a rule off, or on again; its place stays."""

    def change(rules: Sequence[Stored], key: str, _way: str, _name: str) -> Sequence[Stored]:
        return rule_editing.switched(rules, key)

    return _changed(context, request, "switch", _("“${name}” is switched."), change)


@view_config(context=RuleSetRecord, name="remove", permission=P.RULE_EDIT, request_method="POST")
def remove(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Take a rule out of the draft."""

    def change(rules: Sequence[Stored], key: str, _way: str, _name: str) -> Sequence[Stored]:
        return rule_editing.removed(rules, key)

    words = _("“${name}” is taken out. Undo brings it back.")
    return _changed(context, request, "remove", words, change, anchor=False)


def _done(context: RuleSetRecord, request: Any, words: Any, do: Any) -> HTTPSeeOther:
    url = rules_url(request, context.record.version)
    try:
        do()
    except Forbidden:
        raise
    except DomainError as error:
        start_over(request)
        request.flash("error", error.message)
        return HTTPSeeOther(location=url)
    request.flash("success", words)
    return HTTPSeeOther(location=url)


@view_config(context=RuleSetRecord, name="undo", permission=P.RULE_EDIT, request_method="POST")
def undo(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Make the draft what it was before its last change; once more takes that back."""
    number = context.record.version
    do = lambda: drafting.undo(request.dbsession, number, now=request.now)  # noqa: E731
    return _done(context, request, _("The last change is undone."), do)


@view_config(context=RuleSetRecord, name="title", permission=P.RULE_EDIT, request_method="POST")
def title(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Say what the draft is about."""
    sent = " ".join(str(request.POST.get("title", "")).split())

    def do() -> None:
        if len(sent) > 200:
            raise InvalidInput("Use at most 200 characters for what the draft is about.")
        drafting.rename(request.dbsession, context.record.version, sent, now=request.now)

    return _done(context, request, _("The draft is renamed."), do)


@view_config(context=RuleSetRecord, name="discard", permission=P.RULE_EDIT, request_method="POST")
def discard(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Give the draft up; it stays to be read."""
    number = context.record.version
    do = lambda: drafting.discard(request.dbsession, number, now=request.now)  # noqa: E731
    return _done(context, request, _("The draft is given up."), do)


# --- checking -------------------------------------------------------------------------------------


@view_config(
    context=RuleSetRecord,
    name="checks",
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/checks.jinja2",
)
def checks(context: RuleSetRecord, request: Any) -> dict[str, Any]:
    """Everything that is looked at before it is approved, each saying how it was found."""
    return _checks_page(context, request, None)


@view_config(
    context=RuleSetRecord,
    name="check",
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="rules/checks.jinja2",
)
def check(context: RuleSetRecord, request: Any) -> Any:
    """Say that the draft is done; with an error or a failed test it stays a draft."""
    record = context.record
    try:
        drafting.mark_checked(
            request.dbsession,
            record.version,
            fitness_of(request, record, sample=False).errors,
            now=request.now,
        )
    except Forbidden:
        raise
    except DomainError as error:
        start_over(request)
        request.response.status_int = 400
        return _checks_page(context, request, error.message)
    request.flash("success", _("The draft is checked. Somebody else can approve it now."))
    return HTTPSeeOther(location=rules_url(request, record.version))


def _gaps(request: Any, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Contacts that no rule decides, with what rules could look at, and nothing of who asked.

    What is confidential is left out for who is not cleared. Two statements, none for none.
    """
    ids = [UUID(each.contact) for each in samples]
    numbers = contact_numbers(request.dbsession, ids)
    if not request.identity.cleared(request.tenant.id):
        secret = telling(request).confidential_services
        for each in confidential_contacts(request.dbsession, ids, secret):
            numbers.pop(each, None)
    shown = FACTS.keys() - OF_THE_PERSON - {"answers", "consent"}
    return [
        {"number": numbers[contact], "facts": values(each.facts, shown)}
        for contact, each in zip(ids, samples, strict=True)
        if contact in numbers
    ]


def _checks_page(context: RuleSetRecord, request: Any, refused: Any) -> dict[str, Any]:
    record = context.record
    tell = telling(request)
    try:
        found, broken = fitness_of(request, record), None
    except DomainError as error:
        found, broken = None, error.message
    gap = None
    if found is not None:
        if not found.open_owners:
            gap = _("Decided: there is no gap. Every contact meets a rule.")
        else:
            names = [
                tell.partner(each) if each else translated(request, _("nobody"))
                for each in sorted(found.open_owners)
            ]
            gap = _(
                "Not decided: a contact may meet no rule where these are responsible: ${names}."
                " It goes the usual way of its service then.",
                mapping={"names": ", ".join(names)},
            )
    return page(
        request,
        current=record,
        url=rules_url(request, record.version),
        rules_url=rules_url(request),
        refused=refused,
        broken=broken,
        problems=[problem_words(each) for each in found.problems if each.code != "unused"]
        if found
        else [],
        unused=[problem_words(each) for each in found.problems if each.code == "unused"]
        if found
        else [],
        size=found.sampled.size if found and found.sampled else 0,
        gap=gap,
        gaps=_gaps(request, found.sampled.gaps) if found and found.sampled else [],
        may_open=may(request, P.CONTACT_READ),
        contacts_url=f"/{request.tenant.slug}/contacts",
        ran=found.ran if found else (),
        may_check=editable(request, record) and record.state == "draft",
        open=record.state in OPEN,
    )
