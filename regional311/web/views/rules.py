"""A partner's referral rules as sentences, version by version, and the approval of a draft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.referral import snapshot
from regional311.referral.publishing import approve_rules, versions
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, as_of, holds, page
from regional311.web.forms import (
    Date,
    Schema,
    SchemaNode,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, translated
from regional311.web.listing import Column, Listing
from regional311.web.representations import json_response, wanted
from regional311.web.rule_wording import RuleWords, Said
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Rules, RuleSetRecord


class ApproveForm(Schema):
    """The day from which a draft decides."""

    decides_from = SchemaNode(
        Date(),
        title=_("Decides from"),
        description=_("The version that decides until then ends on that day."),
    )


def _words_of_rules(request: Any) -> RuleWords:
    tell = telling(request)

    def name(key: str) -> str:
        service = tell.published.directory.find(key if "/" in key else f"{tell.slug}/{key}")
        if service is not None:
            return service.name
        names = tell.published.names
        return names.get(f"{tell.slug}/{key}") or names.get(key) or key.replace("-", " ")

    def queue(target: str, key: str) -> str:
        slug = target if target in tell.published.partners else tell.slug
        return tell.published.queues(slug).get(key) or key.replace("-", " ")

    return RuleWords(lambda message: translated(request, message), name, queue)


def _sentences(request: Any, rules: Iterable[Mapping[str, Any]]) -> list[Said]:
    words = _words_of_rules(request)
    return [words.say(each) for each in rules]


def _decides_on(rows: Iterable[Any], day: Any) -> Any:
    return next((row for row in rows if row.state != "draft" and holds(row.published, day)), None)


@view_config(
    context=Rules, permission=P.RULE_READ, request_method="GET", renderer="rules/index.jinja2"
)
def rules(context: Rules, request: Any) -> Any:
    """The rules that decide on a day, in order, and every version."""
    words = Words(request)
    day = as_of(request, words)
    rows = versions(request.dbsession)
    current = _decides_on(rows, day)
    if wanted(request) == "json":
        return json_response(
            {
                "as_of": day,
                "version": current.version if current else None,
                "rules": current.rules if current else [],
            }
        )
    people = names_of(
        request.dbsession, [each for row in rows for each in (row.drafted_by, row.approved_by)]
    )
    listing = Listing(
        request,
        columns=[
            Column("version", _("Version")),
            Column("state", _("State")),
            Column("holds", _("Decides")),
            Column("rules", _("Rules"), number=True),
            Column("drafted", _("Drafted by")),
            Column("approved", _("Approved by")),
        ],
    ).fill(
        [
            {
                "version": row.version,
                "state": _state(row, words.today),
                "holds": words.span(row.published),
                "count": len(row.rules),
                "drafted": people.get(row.drafted_by) or _("from files"),
                "approved": people.get(row.approved_by, "") if row.approved_by else "",
            }
            for row in rows
        ]
    )
    return page(
        request,
        url=f"/{request.tenant.slug}/rules",
        day=day,
        current=current,
        sentences=_sentences(request, current.rules) if current else [],
        versions=listing,
    )


def _state(row: Any, today: Any) -> str:
    if row.state == "draft":
        return "draft"
    if holds(row.published, today):
        return "published"
    later = row.published.lower is not None and row.published.lower > today
    return "approved" if later else "retired"


@view_config(
    context=RuleSetRecord,
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/version.jinja2",
)
def version(context: RuleSetRecord, request: Any) -> Any:
    """One version: its rules as sentences, and how a draft differs from what decides now."""
    if wanted(request) == "json":
        record = context.record
        return json_response(
            {"version": record.version, "state": record.state, "rules": record.rules}
        )
    return _version_page(context, request, _approve_form(request))


@view_config(
    context=RuleSetRecord,
    name="approve",
    permission=P.RULE_APPROVE,
    request_method="POST",
    renderer="rules/version.jinja2",
)
def approve(context: RuleSetRecord, request: Any) -> Any:
    """Let a draft decide from a day on, as somebody who did not draft it."""
    form = _approve_form(request)
    number = context.record.version

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            approve_rules(
                request.dbsession,
                number,
                decides_from=values["decides_from"],
                today=Words(request).today,
                now=request.now,
            )
            return {}

        once(request.dbsession, form_key(request), ["rules:approve", number, values], do)
        snapshot.invalidate()
        request.flash("success", _("The rules were approved."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/rules/{number}")

    return handle_form_submission(
        request, form, save, lambda: _version_page(context, request, form)
    )


def _approve_form(request: Any) -> Any:
    tomorrow = Words(request).today + timedelta(days=1)
    return make_form(
        request,
        ApproveForm(),
        submit=_("Approve these rules"),
        values={"decides_from": tomorrow},
        action="approve",
        once=True,
    )


def _version_page(context: RuleSetRecord, request: Any, form: Any) -> dict[str, Any]:
    words = Words(request)
    record = context.record
    url = f"/{request.tenant.slug}/rules"
    form.action = f"{url}/{record.version}/approve"
    draft = record.state == "draft"
    people = names_of(request.dbsession, (record.drafted_by, record.approved_by))
    sentences = _sentences(request, record.rules)
    removed: list[str] = []
    if draft:
        current = _decides_on(versions(request.dbsession), words.today)
        if current is not None:
            removed = _compare(sentences, record.rules, current.rules)
    own = draft and record.drafted_by == request.identity.person_id
    may_approve = draft and not own and may(request, P.RULE_APPROVE)
    hint = None
    if own:
        hint = _("You drafted these rules: another administrator must approve them.")
    elif draft and not may_approve:
        hint = _("An administrator who did not draft these rules can approve them.")
    if draft:
        sentence = _("This is a draft. It decides nothing until somebody approves it.")
    else:
        sentence = _(
            "Decides ${span}.", mapping={"span": translated(request, words.span(record.published))}
        )
    return page(
        request,
        current=record,
        sentence=sentence,
        sentences=sentences,
        removed=removed,
        problem=None,
        form=form if may_approve else None,
        hint=hint,
        rules_url=url,
        facts=[
            (_("State"), words("rule_state", _state(record, words.today))),
            (_("Drafted"), words.when(record.created_at)),
            (_("Drafted by"), people.get(record.drafted_by) or _("from files")),
            (_("Approved by"), people.get(record.approved_by) if record.approved_by else None),
            (_("Fingerprint"), record.digest[:16]),
        ],
    )


def _compare(
    sentences: list[Said], new: list[dict[str, Any]], old: list[dict[str, Any]]
) -> list[str]:
    """Mark what is new and what differs; return the names of the rules left out."""
    before = {each.get("key"): each for each in old}
    for told, stored in zip(sentences, new, strict=True):
        if told.key not in before:
            told.change, told.change_kind = _("New"), "open"
        elif before[told.key] != stored:
            told.change, told.change_kind = _("Changed"), "waiting"
    kept = {each.get("key") for each in new}
    return [str(each.get("name", key)) for key, each in before.items() if key not in kept]
