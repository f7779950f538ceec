"""A partner's referral rules as sentences, version by version, and the approval of a draft."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from difflib import SequenceMatcher
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.response import Response
from pyramid.view import view_config
from translationstring import TranslationString

from regional311.config.rule_file import rule_file
from regional311.differences import differences
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.referral import snapshot
from regional311.referral.drafting import OPEN, Content, editors, history
from regional311.referral.publishing import approve_rules, versions
from regional311.tenancy.once import once
from regional311.web.billing_wording import Words, as_of, page
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
from regional311.web.rule_forms import EDITS
from regional311.web.rule_pages import (
    decides_on,
    editable,
    fitness_of,
    problem_words,
    problems_of,
    rules_url,
    sentences,
    state_of,
)
from regional311.web.rule_wording import Said
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Rules, RuleSetRecord
from regional311.web.views.public_services import outline
from regional311.web.wording import said


class ApproveForm(Schema):
    """The day from which a draft decides."""

    decides_from = SchemaNode(
        Date(),
        title=_("Decides from"),
        description=_("The version that decides until then ends on that day."),
    )


@view_config(
    context=Rules, permission=P.RULE_READ, request_method="GET", renderer="rules/index.jinja2"
)
def rules(context: Rules, request: Any) -> Any:
    """The rules that decide on a day, in order, and every version."""
    words = Words(request)
    day = as_of(request, words)
    rows = versions(request.dbsession)
    current = decides_on(rows, day)
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
                "title": row.title,
                "state": state_of(row, words.today),
                "holds": words.span(row.published),
                "count": len(row.rules),
                "drafted": people.get(row.drafted_by) or _("from files"),
                "approved": people.get(row.approved_by, "") if row.approved_by else "",
            }
            for row in rows
        ]
    )
    told = sentences(request, current.rules) if current else []
    general = _problems_beside(request, current, told) if current and day == words.today else []
    return page(
        request,
        url=rules_url(request),
        day=day,
        current=current,
        sentences=told,
        general=general,
        unfit=len(general) + sum(bool(each.problems) for each in told),
        versions=listing,
        new_url=rules_url(request, "new") if may(request, P.RULE_EDIT) else None,
    )


@view_config(
    context=RuleSetRecord,
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/version.jinja2",
)
def version(context: RuleSetRecord, request: Any) -> Any:
    """One version: its rules as sentences; a draft with what may be done with each."""
    if wanted(request) == "json":
        record = context.record
        return json_response(
            {
                "version": record.version,
                "state": record.state,
                "title": record.title,
                "rules": record.rules,
                "cases": record.cases,
            }
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
        day = values["decides_from"]

        def do() -> dict[str, Any]:
            approve_rules(
                request.dbsession,
                number,
                decides_from=day,
                today=Words(request).today,
                now=request.now,
                problems=lambda row: fitness_of(request, row, sample=False, on=day).errors,
            )
            return {}

        once(request.dbsession, form_key(request), ["rules:approve", number, values], do)
        snapshot.invalidate()
        request.flash("success", _("The rules were approved."))
        return HTTPSeeOther(location=rules_url(request, number))

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
    url = rules_url(request, record.version)
    form.action = f"{url}/approve"
    open_ = record.state in OPEN
    told = sentences(request, record.rules)
    removed: list[str] = []
    past: list[dict[str, Any]] = []
    changed_by: set[Any] = set()
    general: list[dict[str, Any]] = []
    rows = versions(request.dbsession)
    decides = state_of(record, words.today) in ("published", "approved")
    if open_ or decides:
        general = _problems_beside(request, record, told)
    if open_:
        current = decides_on(rows, words.today)
        if current is not None:
            removed = _compare(told, record.rules, current.rules)
        edits = history(request.dbsession, record.id)
        changed_by = editors(request.dbsession, record.id) if len(edits) >= 30 else set()
        changed_by |= {each.made_by for each in edits}
        past = _past(words, edits, told)
    people = names_of(
        request.dbsession,
        (record.drafted_by, record.checked_by, record.approved_by, *changed_by),
    )
    for each in past:
        each["by"] = people.get(each["by"], "")
    mine = {record.drafted_by, *changed_by}
    own = open_ and request.identity.person_id in mine
    may_approve = open_ and not own and may(request, P.RULE_APPROVE)
    hint = None
    if own:
        hint = _("You drafted these rules: another administrator must approve them.")
    elif open_ and not may_approve:
        hint = _("An administrator who did not draft these rules can approve them.")
    elif may_approve and record.state != "checked":
        hint = _("Once its author has checked it, you can approve it here.")
    return page(
        request,
        current=record,
        title=record.title,
        sentence=_sentence(request, words, record),
        sentences=told,
        removed=removed,
        general=general,
        unfit=len(general) + sum(bool(each.problems) for each in told) if decides else 0,
        form=form if may_approve and record.state == "checked" else None,
        hint=hint,
        url=url,
        rules_url=rules_url(request),
        may_edit=editable(request, record),
        may_begin=may(request, P.RULE_EDIT),
        past=past,
        others=[row.version for row in rows if row.version != record.version],
        facts=[
            (_("State"), words("rule_state", state_of(record, words.today))),
            (_("Drafted"), words.when(record.created_at)),
            (_("Drafted by"), people.get(record.drafted_by) or _("from files")),
            (_("Made from"), _version_words(record.based_on)),
            (_("Checked by"), people.get(record.checked_by) if record.checked_by else None),
            (_("Approved by"), people.get(record.approved_by) if record.approved_by else None),
            (_("Tests"), len(record.cases)),
            (_("Fingerprint"), record.digest[:16]),
        ],
    )


def _problems_beside(request: Any, row: Any, told: list[Said]) -> list[dict[str, Any]]:
    """Put what is wrong with a version beside its rules; give what is wrong with the whole of it.

    Of one that decides this is what the region has changed since: what a rule rests on may have
    ended after it was approved.
    """
    by_key = {each.key: each for each in told}
    general: list[dict[str, Any]] = []
    for problem in problems_of(request, row):
        holder = by_key.get(problem.rule)
        (holder.problems if holder else general).append(problem_words(problem))
    return general


def _version_words(number: int | None) -> Any:
    return None if number is None else _("Version ${version}", mapping={"version": number})


def _sentence(request: Any, words: Words, record: Any) -> Any:
    if record.state in OPEN:
        return _("This is a draft. It decides nothing until somebody approves it.")
    if record.state == "discarded":
        return _("This draft was given up. It never decided anything.")
    span = telling(request).translate(words.span(record.published))
    return _("Decides ${span}.", mapping={"span": span})


def _past(words: Words, edits: list[Any], told: list[Said]) -> list[dict[str, Any]]:
    names = {each.key: each.name for each in told}
    return [
        {
            "when": words.when(each.made_at),
            "title": EDITS.get(each.what, each.what),
            "by": each.made_by,
            "note": names.get(each.subject, each.subject),
        }
        for each in edits[:10]
    ]


def _compare(told: list[Said], new: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[str]:
    """Mark what is new and what differs; return the names of the rules left out."""
    before = {each.get("key"): each for each in old}
    for each, stored in zip(told, new, strict=True):
        if each.key not in before:
            each.change, each.change_kind = _("New"), "open"
        elif before[each.key] != stored:
            each.change, each.change_kind = _("Changed"), "waiting"
    kept = {each.get("key") for each in new}
    return [str(each.get("name", key)) for key, each in before.items() if key not in kept]


# --- on a map -------------------------------------------------------------------------------------


@view_config(
    context=Rules, name="shapes", permission=P.RULE_READ, request_method="GET", renderer="json"
)
def shapes(context: Rules, request: Any) -> dict[str, Any]:
    """Every boundary as GeoJSON, by which the editor lets areas and lines be picked."""
    published = telling(request).published
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"key": key, "name": row.name},
                "geometry": outline(published, key),
            }
            for key, row in sorted(published.boundaries.items())
        ],
    }


# --- as a file, and beside another version --------------------------------------------------------


@view_config(context=RuleSetRecord, name="file", permission=P.RULE_READ, request_method="GET")
def file(context: RuleSetRecord, request: Any) -> Response:
    """The version as `rules.toml`, with its tests; read in again it is the same."""
    record = context.record
    since = record.published.lower if record.published is not None else None
    response = Response(
        rule_file(Content.of(record), since).encode(),
        content_type="application/toml",
        charset="utf-8",
    )
    name = f"{request.tenant.slug}-rules-{record.version}.toml"
    response.content_disposition = f'attachment; filename="{name}"'
    return response


FIELDS: Mapping[str, Any] = {
    "name": _("What the rule says"),
    "outcome": _("Then"),
    "target": _("Who gets it"),
    "note": _("What to tell the person"),
    "condition": _("And this holds"),
    "off": _("Switched off"),
    "group": _("Heading it stands under"),
    "continues": _("Only adds"),
    "valid_from": _("First day"),
    "valid_to": _("First day no more"),
}


@view_config(
    context=RuleSetRecord,
    name="diff",
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/diff.jinja2",
)
def diff(context: RuleSetRecord, request: Any) -> Any:
    """What differs between this version and another: rules, their order, tests."""
    words = Words(request)
    record = context.record
    rows = {row.version: row for row in versions(request.dbsession)}
    asked = str(request.GET.get("with", ""))[:9]
    other = rows.get(int(asked)) if asked.isascii() and asked.isdecimal() else None
    if other is None:
        other = decides_on(rows.values(), words.today)
    if other is not None and other.version == record.version:
        other = rows.get(record.based_on or 0)
    changes = [] if other is None else _changes(request, other, record)
    if wanted(request) == "json":
        return json_response(
            {
                "version": record.version,
                "with": other.version if other is not None else None,
                "changes": [
                    {
                        name: translated(request, each[name])
                        if isinstance(each[name], TranslationString)
                        else each[name]
                        for name in ("key", "kind", "tag", "field", "old", "new")
                    }
                    for each in changes
                ],
            }
        )
    return page(
        request,
        current=record,
        other=other,
        changes=changes,
        url=rules_url(request, record.version),
        rules_url=rules_url(request),
        choices=[
            (row.version, row.title, row.version == (other.version if other is not None else 0))
            for row in rows.values()
            if row.version != record.version
        ],
    )


def _changes(request: Any, old: Any, new: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind, before, after in (
        ("rule", Content.of(old).rules, Content.of(new).rules),
        ("case", old.cases, new.cases),
    ):
        was = {each["key"]: each for each in before}
        now = {each["key"]: each for each in after}
        told = {}
        if kind == "rule":
            told = {each.key: each for each in sentences(request, [*was.values(), *now.values()])}
        moved = _moved([key for key in was if key in now], [key for key in now if key in was])
        for key in dict.fromkeys([*now, *was]):
            name = str((now.get(key) or was[key]).get("name", key))
            row = {"key": key, "name": name, "kind": kind, "field": None, "old": None, "new": None}
            words = told[key].sentence if key in told else name
            if key not in was:
                found.append({**row, "tag": _("New"), "tag_kind": "open", "new": words})
            elif key not in now:
                found.append({**row, "tag": _("Left out"), "tag_kind": "refused", "old": words})
            else:
                found.extend(
                    {
                        **row,
                        "tag": _("Changed"),
                        "tag_kind": "waiting",
                        "field": said(FIELDS, each.field),
                        "old": _plain(each.old),
                        "new": _plain(each.new),
                    }
                    for each in differences(was[key], now[key])
                )
                if kind == "rule" and key in moved:
                    place = {"old": _place(before, key), "new": _place(after, key)}
                    found.append(
                        {
                            **row,
                            "tag": _("Moved"),
                            "tag_kind": "neutral",
                            "field": _("Place"),
                            **place,
                        }
                    )
    return found


def _moved(before: list[str], after: list[str]) -> set[str]:
    """Give the fewest rules that must be moved to get from one order to the other."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    stayed = {key for block in blocks for key in before[block.a : block.a + block.size]}
    return set(before) - stayed


def _place(rules: Any, key: str) -> Any:
    at = next(at for at, each in enumerate(rules) if each["key"] == key)
    if not at:
        return _("First")
    name = rules[at - 1].get("name", rules[at - 1]["key"])
    return _("${place}, after “${name}”", mapping={"place": at + 1, "name": name})


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)
