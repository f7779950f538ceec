"""Trying rules on a contact that is made up, and the tests that are kept with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import DomainError, Forbidden, InvalidInput, NotFound
from regional311.identity.permissions import Permissions as P
from regional311.keys import key_for
from regional311.referral import drafting, rule_editing
from regional311.referral.cases import Case, CaseFacts, decide_facts, run_cases
from regional311.referral.decision import Decision
from regional311.referral.drafting import Content
from regional311.referral.past import facts_from
from regional311.referral.queries import decisions_of_contact
from regional311.strict import canonical, from_plain, problems
from regional311.web.billing_wording import page
from regional311.web.forms import handle_form_submission, make_form, start_over
from regional311.web.i18n import LANGUAGE_NAMES, _, offered, translated
from regional311.web.representations import json_response, wanted
from regional311.web.rule_forms import Offered, facts_form, facts_said, facts_values
from regional311.web.rule_pages import editable, rules_url, words_of_rules
from regional311.web.rule_traces import of_decision, of_stored, values
from regional311.web.telling import EXPLAINED, telling
from regional311.web.tree import ContactRecord, RuleSetRecord
from regional311.web.wording import CHANNELS, said

FACTS_BYTES = 8000


@view_config(
    context=RuleSetRecord,
    name="try",
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/try.jinja2",
)
def try_it(context: RuleSetRecord, request: Any) -> dict[str, Any]:
    """A form that makes a contact up; `?case=` fills it with a test's facts and shows its trace."""
    record = context.record
    key = request.GET.get("case")
    if key is None:
        return _page(context, request, _form(request), None)
    stored = rule_editing.find(record.cases, str(key)[:100])
    case = from_plain(Case, stored)
    form = _form(request, facts_values(stored["facts"], case.on))
    return _page(context, request, form, _trace(request, record, case.facts, case.on))


@view_config(
    context=RuleSetRecord,
    name="try",
    permission=P.RULE_READ,
    request_method="POST",
    renderer="rules/try.jinja2",
)
def trace(context: RuleSetRecord, request: Any) -> Any:
    """What the made-up contact comes to, with every rule that was tried and why."""
    form = _form(request)

    def show(values: dict[str, Any]) -> dict[str, Any]:
        facts = from_plain(CaseFacts, _facts(facts_said(values)))
        return _page(context, request, form, _trace(request, context.record, facts, values["on"]))

    return handle_form_submission(request, form, show, lambda: _page(context, request, form, None))


def _facts(content: Mapping[str, Any]) -> Mapping[str, Any]:
    wrong = problems(CaseFacts, content)
    if wrong:
        path, words = wrong[0]
        raise InvalidInput(f"{str(path[0]).capitalize()} {words}.", field=str(path[0]))
    return content


def _form(request: Any, values: Mapping[str, Any] | None = None) -> Any:
    return make_form(
        request,
        facts_form(Offered(request, telling(request))),
        submit=_("Try it"),
        values=values,
        name="facts",
        action="try",
    )


def _page(
    context: RuleSetRecord, request: Any, form: Any, found: dict[str, Any] | None
) -> dict[str, Any]:
    record = context.record
    url = rules_url(request, record.version)
    form.action = f"{url}/try"
    return page(
        request,
        current=record,
        url=url,
        rules_url=rules_url(request),
        form=form,
        found=found,
        may_keep=editable(request, record),
    )


def _trace(request: Any, record: Any, facts: CaseFacts, on: date | None) -> dict[str, Any]:
    tell = telling(request)
    day = on or tell.today
    content = Content.of(record)
    region = tell.published.trying(tell.slug, record.version, content.rules, day)
    decision = decide_facts(region, tell.published.jurisdictions, tell.slug, facts, day)
    plain = canonical(facts)
    told = of_decision(request, region, decision, content.rules, record.version, day)
    return {
        **told,
        "notes": decision.notes,
        "extras": _extras(request, tell, decision),
        "facts": json.dumps(plain),
        "values": values(decision.facts),
        "outcome": decision.outcome,
        "target": decision.target,
        "rule": decision.rule if decision.rule_tenant in ("", tell.slug) else "",
        "on": on.isoformat() if on else "",
        "name": _case_name(request, tell, decision, facts, told["answer"]),
    }


def _extras(request: Any, tell: Any, decision: Decision) -> list[tuple[Any, Any]]:
    queue = None
    if decision.queue:
        slug = decision.target if decision.target in tell.published.partners else tell.slug
        queue = tell.published.queues(slug).get(decision.queue, decision.queue)
    return [
        (_("Queue"), queue),
        (_("Follow-up after days"), decision.follow_up_days),
        (_("Shared with consent"), ", ".join(decision.share) or None),
    ]


def _case_name(request: Any, tell: Any, decision: Decision, facts: CaseFacts, answer: str) -> str:
    service = tell.published.names.get(facts.asked, facts.asked)
    told = _(
        "${service} by ${channel}, ${hour}:00: ${answer}",
        mapping={
            "service": service,
            "channel": translated(request, said(CHANNELS, facts.channel)).lower(),
            "hour": facts.hour,
            "answer": answer.rstrip("."),
        },
    )
    return translated(request, told)[:200].strip()


# --- a decision that was --------------------------------------------------------------------------


@view_config(
    context=ContactRecord,
    name="why",
    permission=P.CONTACT_READ,
    request_method="GET",
    renderer="rules/why.jinja2",
)
def why(context: ContactRecord, request: Any) -> dict[str, Any]:
    """Every decision about a contact in full: each rule tried then, and what came of it.

    `?explained=` says in which language decisions are explained from now on, in this browser.
    """
    tell = telling(request)
    asked = request.GET.get(EXPLAINED)
    if asked in offered(request):
        tell.explained_in = asked
        request.response.set_cookie(
            EXPLAINED,
            asked,
            max_age=31_536_000,
            path="/",
            secure=request.registry.configured.secure,
            httponly=True,
            samesite="Lax",
        )
    found = []
    for stored in decisions_of_contact(request.dbsession, context.record.id):
        facts = facts_from(stored.facts)
        found.append(
            {
                **of_stored(request, stored.outcome, stored.trace, facts),
                "id": str(stored.id),
                "when": tell.when(stored.decided_at),
                "values": values(facts),
            }
        )
    contacts_url = f"/{request.tenant.slug}/contacts"
    return page(
        request,
        number=context.__name__,
        decisions=found,
        languages=[
            (code, LANGUAGE_NAMES[code], code == tell.explained_in) for code in offered(request)
        ],
        contacts_url=contacts_url,
        contact_url=f"{contacts_url}/{context.__name__}",
    )


# --- tests ----------------------------------------------------------------------------------------


@view_config(
    context=RuleSetRecord,
    name="cases",
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/cases.jinja2",
)
def cases(context: RuleSetRecord, request: Any) -> Any:
    """The tests that are kept with this version, each run now."""
    record = context.record
    tell = telling(request)
    try:
        region = tell.published.trying(
            tell.slug, record.version, Content.of(record).rules, tell.today
        )
        ran = run_cases(region, tell.published.jurisdictions, tell.slug, record.cases, tell.today)
        broken = None
    except DomainError as error:
        ran, broken = [], error.message
    if wanted(request) == "json":
        return json_response(
            [{"key": each.case.key, "passed": each.passed, "wrong": each.wrong} for each in ran]
        )
    words = words_of_rules(request)
    return page(
        request,
        current=record,
        url=rules_url(request, record.version),
        rules_url=rules_url(request),
        broken=broken,
        ran=[
            {
                "key": each.case.key,
                "name": each.case.name,
                "passed": each.passed,
                "wrong": each.wrong,
                "must": words.outcome(each.case.outcome, each.case.target or "owner"),
            }
            for each in ran
        ],
        failed=sum(not each.passed for each in ran),
        may_edit=editable(request, record),
    )


@view_config(context=RuleSetRecord, name="case", permission=P.RULE_EDIT, request_method="POST")
def keep(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Keep a contact that was tried as a test: what came of it must come of it again."""
    record = context.record
    url = rules_url(request, record.version)
    try:
        stored = _sent_case(request, {each["key"] for each in record.cases})
        drafting.save_case(request.dbsession, record.version, stored, now=request.now)
    except Forbidden:
        raise
    except DomainError as error:
        start_over(request)
        request.flash("error", error.message)
        return HTTPSeeOther(location=f"{url}/try")
    request.flash(
        "success", _("“${name}” is kept with the rules.", mapping={"name": stored["name"]})
    )
    return HTTPSeeOther(location=f"{url}/cases")


def _sent_case(request: Any, taken: set[str]) -> dict[str, Any]:
    sent = {
        name: str(request.POST.get(name, "")).strip()
        for name in ("name", "facts", "outcome", "target", "rule", "on")
    }
    try:
        facts = json.loads(sent["facts"][:FACTS_BYTES])
    except ValueError:
        raise InvalidInput("The facts of the test did not arrive; try it once more.") from None
    if not sent["name"]:
        raise InvalidInput("Give the test a name.", field="name")
    said_: dict[str, Any] = {
        "key": key_for(sent["name"], taken, "test"),
        "name": " ".join(sent["name"].split()),
        "facts": facts,
        "outcome": sent["outcome"],
    }
    said_.update({name: sent[name] for name in ("target", "rule", "on") if sent[name]})
    wrong = problems(Case, said_)
    if wrong:
        path, words = wrong[0]
        raise InvalidInput(f"{'.'.join(str(each) for each in path)} {words}.")
    return canonical(from_plain(Case, said_))


@view_config(
    context=RuleSetRecord, name="remove-case", permission=P.RULE_EDIT, request_method="POST"
)
def forget(context: RuleSetRecord, request: Any) -> HTTPSeeOther:
    """Keep a test no longer; undo brings it back."""
    key = str(request.POST.get("case", ""))[:100]
    try:
        drafting.remove_case(request.dbsession, context.record.version, key, now=request.now)
    except NotFound as error:
        start_over(request)
        request.flash("error", error.message)
    else:
        request.flash("success", _("The test is taken out. Undo brings it back."))
    return HTTPSeeOther(location=f"{rules_url(request, context.record.version)}/cases")
