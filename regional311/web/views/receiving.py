"""What a partner takes from others: its policies, and its own words for how far a referral is."""

from __future__ import annotations

import re
from typing import Any, Final

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.catalog.hours_text import read_week, say_week
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.keys import key_for
from regional311.referral.acceptance import NEEDS, Acceptance, Progress
from regional311.referral.models import AcceptancePolicy, ProgressWord
from regional311.referral.policies import (
    end_policy,
    end_word,
    seen_digest,
    write_policy,
    write_word,
)
from regional311.referral.snapshot import invalidate
from regional311.strict import from_plain, problems
from regional311.web.forms import (
    Boolean,
    CheckboxGroupWidget,
    CheckboxWidget,
    Choice,
    Choices,
    Form,
    HiddenWidget,
    Integer,
    PicksWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    TextAreaWidget,
    TextWidget,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import LANGUAGE_NAMES, _
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import RESERVED, AcceptanceRecord, Receiving
from regional311.web.wording import ACCEPTANCE_MODES, REFERRAL_STATES, choices, said

KNOWN: Final = {
    "name": _("Name"),
    "phone": _("Phone"),
    "email": _("Email"),
    "place": _("Where it is"),
    "note": _("What the person said"),
}
STATES: Final = ("accepted", "in_progress", "on_hold")
_QUESTION: Final = re.compile(
    r"(?P<ask>.+?\?)\s*(?P<answer>yes|no)?\s*(?:[:;]\s*(?P<why>.+))?", re.IGNORECASE
)


_IN_ANOTHER: Final = re.compile(
    r"(?P<language>es|vi|zh-Hant|ru|en)\s*[:：]\s*(?P<ask>.+?[?？])\s*(?:[:;：；]\s*(?P<why>.+))?",
    re.IGNORECASE,
)


class PolicyForm(Schema):
    """What is taken, from whom, when, and on which conditions."""

    name = SchemaNode(
        String(200),
        title=_("Name"),
        description=_("What we call it, such as Beds at night."),
        widget=TextWidget(),
    )
    mode = SchemaNode(
        Choice(ACCEPTANCE_MODES),
        title=_("How it is taken"),
        widget=RadioWidget(values=choices(ACCEPTANCE_MODES)),
        default="ask",
    )
    hours = SchemaNode(
        String(500),
        title=_("Hours"),
        description=_("Such as mon-fri 8:00-17:00; sat 9-12. Left out: at any time."),
        widget=TextWidget(),
        missing=None,
    )
    refuse_outside = SchemaNode(
        Boolean(),
        title=_("Nothing is taken outside these hours"),
        description=_("Otherwise it waits for somebody. A warm transfer is refused in any case."),
        widget=CheckboxWidget(),
        missing=False,
    )
    ignore_room = SchemaNode(
        Boolean(),
        title=_("It is taken even while there is no room"),
        widget=CheckboxWidget(),
        missing=False,
    )
    needs = SchemaNode(
        Choices(NEEDS),
        title=_("What must be known"),
        widget=CheckboxGroupWidget(values=list(KNOWN.items())),
        missing=(),
    )
    questions = SchemaNode(
        String(3000, multiline=True),
        title=_("Questions that decide who can be helped"),
        description=_(
            "One on each line, with the answer of those who can be helped, and what the others are"
            " told: Is there a child under 18? yes: only families. Below it the same in other"
            " languages, for the public form: es: ¿Hay un menor de 18 años?: solo familias"
        ),
        widget=TextAreaWidget(rows=3),
        missing=None,
    )
    documents = SchemaNode(
        String(3000, multiline=True),
        title=_("Papers to bring"),
        description=_("One on each line."),
        widget=TextAreaWidget(rows=2),
        missing=None,
    )
    message = SchemaNode(
        String(200),
        title=_("A sentence for the sender’s specialist"),
        widget=TextWidget(),
        missing=None,
    )
    answer_days = SchemaNode(
        Integer(), title=_("Days in which we answer"), description=_("Usually 3."), missing=None
    )
    finish_days = SchemaNode(
        Integer(), title=_("Days in which it is done"), description=_("Usually 30."), missing=None
    )
    notify = SchemaNode(
        String(1000, multiline=True),
        title=_("Who gets a message about each new one"),
        description=_(
            "Work addresses, one on each line. The message has a link that answers it once,"
            " without an account, and no word about the person."
        ),
        widget=TextAreaWidget(rows=2),
        missing=None,
    )
    seen = SchemaNode(String(64), title="", widget=HiddenWidget(), missing="")


def _form(request: Any, values: dict[str, Any] | None = None) -> Form:
    tell = telling(request)
    schema = PolicyForm()
    services: dict[str, list[tuple[str, str]]] = {}
    for each in tell.published.directory.of(tell.slug, tell.today):
        services.setdefault(tell.bureau(tell.slug, each.bureau), []).append((each.key, each.name))
    boundaries: dict[str, list[tuple[str, str]]] = {}
    for key, row in sorted(tell.published.boundaries.items()):
        boundaries.setdefault(tell.partner(row.tenant_id), []).append((key, row.name))
    partners = [
        (slug, each.name)
        for slug, each in sorted(tell.published.partners.items())
        if slug != tell.slug
    ]
    for place, name, title, hint, groups in (
        (1, "services", _("Services"), _("None chosen: every service."), services),
        (2, "senders", _("From whom"), _("None chosen: from every partner."), {"": partners}),
        (6, "areas", _("Areas"), _("Where it must be. None chosen: anywhere."), boundaries),
    ):
        schema.children.insert(
            place,
            SchemaNode(
                Choices([key for options in groups.values() for key, _name in options]),
                name=name,
                title=title,
                description=hint,
                widget=PicksWidget(values=list(groups.items()))
                if len(groups) > 1
                else CheckboxGroupWidget(values=[each for one in groups.values() for each in one]),
                missing=(),
            ),
        )
    return make_form(
        request,
        schema,
        submit=_("Save"),
        values=values,
        name="acceptance",
        cancel_url=f"/{tell.slug}/receiving",
    )


def _lines(text: str | None) -> list[str]:
    return [" ".join(line.split()) for line in (text or "").splitlines() if line.strip()]


def _questions(text: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    taken: set[str] = set()
    for line in _lines(text):
        other = _IN_ANOTHER.fullmatch(line)
        if other is not None and found:
            code = next(
                each for each in LANGUAGE_NAMES if each.lower() == other["language"].lower()
            )
            found[-1]["translation"].append(
                {"language": code, "ask": other["ask"], "why": other["why"]}
            )
            continue
        read = _QUESTION.fullmatch(line)
        if read is None:
            raise InvalidInput(
                _(
                    "Write a question with a question mark, and yes or no after it: ${line}",
                    mapping={"line": line},
                ),
                field="questions",
            )
        key = key_for(read["ask"], taken, "question")
        taken.add(key)
        found.append(
            {
                "key": key,
                "ask": read["ask"],
                "answer": (read["answer"] or "yes").lower(),
                "why": read["why"],
                "translation": [],
            }
        )
    return found


FIELDS: Final = {"question": "questions", "outside_hours": "refuse_outside"}
"""Fields of a policy that are called otherwise in the form."""


def _said(request: Any, key: str, values: dict[str, Any]) -> Acceptance:
    try:
        hours = read_week(values["hours"]) if values["hours"] else None
    except InvalidInput as error:
        raise InvalidInput(error.message, field="hours") from None
    own = f"{request.tenant.slug}/"
    plain = {
        "key": key,
        "name": values["name"],
        "services": list(values["services"]),
        "senders": list(values["senders"]),
        "mode": values["mode"],
        "hours": hours,
        "outside_hours": "refuse" if values["refuse_outside"] else "ask",
        "capacity": "ignored" if values["ignore_room"] else "respected",
        "documents": _lines(values["documents"]),
        "areas": [each.removeprefix(own) for each in values["areas"]],
        "needs": list(values["needs"]),
        "question": _questions(values["questions"]),
        "message": values["message"],
        "answer_days": values["answer_days"],
        "finish_days": values["finish_days"],
        "notify": _lines(values["notify"]),
    }
    for path, message in problems(Acceptance, plain):
        field = FIELDS.get(str(path[0]), str(path[0]))
        raise InvalidInput(f"{message[:1].upper()}{message[1:]}.", field=field)
    return from_plain(Acceptance, plain)


def _values(request: Any, policy: Acceptance) -> dict[str, Any]:
    own = request.tenant.slug
    return {
        "name": policy.name,
        "services": policy.services,
        "senders": policy.senders,
        "mode": policy.mode,
        "hours": say_week(policy.hours.model_dump() if policy.hours else None) or None,
        "refuse_outside": policy.outside_hours == "refuse",
        "ignore_room": policy.capacity == "ignored",
        "areas": [each if "/" in each else f"{own}/{each}" for each in policy.areas],
        "needs": policy.needs,
        "questions": "\n".join(
            line
            for each in policy.question
            for line in (
                f"{each.ask} {each.answer}" + (f": {each.why}" if each.why else ""),
                *(
                    f"{words.language}: {words.ask}" + (f": {words.why}" if words.why else "")
                    for words in each.translation
                ),
            )
        ),
        "documents": "\n".join(policy.documents),
        "message": policy.message,
        "answer_days": policy.answer_days,
        "finish_days": policy.finish_days,
        "notify": "\n".join(policy.notify),
    }


# --- policies -------------------------------------------------------------------------------------


@view_config(
    context=Receiving,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="receiving/index.jinja2",
)
def listed(context: Receiving, request: Any) -> dict[str, Any]:
    """Every policy of the partner, and its words."""
    tell = telling(request)
    rows = request.dbsession.execute(
        select(AcceptancePolicy.key, AcceptancePolicy.said, AcceptancePolicy.ended_on)
        .where(AcceptancePolicy.tenant_id == request.tenant.id)
        .order_by(AcceptancePolicy.key)
    ).all()
    url = f"/{tell.slug}/receiving"
    policies = [
        {
            "url": f"{url}/{row.key}",
            "name": found.name,
            "mode": said(ACCEPTANCE_MODES, found.mode),
            "services": [tell.service_name(tell.slug, key) for key in found.services],
            "senders": [tell.partner(slug) for slug in found.senders],
            "hours": say_week(found.hours.model_dump()) if found.hours else None,
            "ended": row.ended_on is not None,
        }
        for row in rows
        if (found := from_plain(Acceptance, row.said))
    ]
    return {
        "policies": [each for each in policies if not each["ended"]],
        "ended": [each for each in policies if each["ended"]],
        "words": [
            (word.name, said(REFERRAL_STATES, word.state))
            for word in tell.published.progress.get(tell.slug, {}).values()
        ],
        "url": url,
        "may_edit": may(request, P.RULE_EDIT),
    }


def _page(request: Any, form: Form, row: Any = None) -> dict[str, Any]:
    over = row is not None and row.ended_on is not None
    return {
        "form": form if may(request, P.RULE_EDIT) and not over else None,
        "name": row.said["name"] if row else None,
        "facts": _facts(request, from_plain(Acceptance, row.said)) if row else [],
        "over": over,
        "may_edit": may(request, P.RULE_EDIT),
        "url": f"/{request.tenant.slug}/receiving",
        "key": row.key if row else None,
    }


def _facts(request: Any, policy: Acceptance) -> list[tuple[Any, Any]]:
    values = _values(request, policy)
    tell = telling(request)
    return [
        (_("How it is taken"), said(ACCEPTANCE_MODES, policy.mode)),
        (
            _("Services"),
            ", ".join(tell.service_name(tell.slug, key) for key in policy.services) or None,
        ),
        (_("From whom"), ", ".join(tell.partner(slug) for slug in policy.senders) or None),
        (_("Hours"), values["hours"]),
        (_("What must be known"), ", ".join(str(KNOWN[each]) for each in policy.needs) or None),
        (_("Questions that decide who can be helped"), values["questions"] or None),
        (_("Papers to bring"), ", ".join(policy.documents) or None),
        (_("A sentence for the sender’s specialist"), policy.message),
    ]


@view_config(
    context=Receiving,
    name="new",
    permission=P.RULE_EDIT,
    request_method="GET",
    renderer="receiving/policy.jinja2",
)
def new(context: Receiving, request: Any) -> dict[str, Any]:
    """An empty form."""
    return _page(request, _form(request, {"mode": "ask"}))


@view_config(
    context=Receiving,
    name="new",
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="receiving/policy.jinja2",
)
def add(context: Receiving, request: Any) -> Any:
    """Add a policy; it counts from the next decision on."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        mine = select(AcceptancePolicy.key).where(AcceptancePolicy.tenant_id == request.tenant.id)
        taken = set(request.dbsession.scalars(mine)) | RESERVED | {"words"}
        made = _said(request, key_for(values["name"], taken, "policy"), values)
        write_policy(request.dbsession, made, None, now=request.now)
        return _saved(request, _("Added. Senders see it at their next decision."))

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))


def _saved(request: Any, done: Any) -> HTTPSeeOther:
    invalidate()
    request.flash("success", done)
    return HTTPSeeOther(location=f"/{request.tenant.slug}/receiving")


@view_config(
    context=AcceptanceRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="receiving/policy.jinja2",
)
def policy(context: AcceptanceRecord, request: Any) -> dict[str, Any]:
    """One policy, to be changed by who may."""
    found = from_plain(Acceptance, context.record.said)
    values = _values(request, found) | {"seen": seen_digest(context.record)}
    return _page(request, _form(request, values), context.record)


@view_config(
    context=AcceptanceRecord,
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="receiving/policy.jinja2",
)
def change(context: AcceptanceRecord, request: Any) -> Any:
    """Change a policy, or bring it back as it was changed."""
    form, row = _form(request), context.record

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        made = _said(request, row.key, values)
        write_policy(request.dbsession, made, row.id, now=request.now, seen=values["seen"])
        return _saved(request, _("Saved. Senders see it at their next decision."))

    return handle_form_submission(request, form, on_success, lambda: _page(request, form, row))


@view_config(context=AcceptanceRecord, name="end", permission=P.RULE_EDIT, request_method="POST")
def end(context: AcceptanceRecord, request: Any) -> HTTPSeeOther:
    """End a policy: what it was about is taken as usual."""
    row = context.record
    end_policy(request.dbsession, row.id, row.key, today=telling(request).today, now=request.now)
    return _saved(request, _("Ended: what it was about is taken as usual. It can be brought back."))


@view_config(
    context=AcceptanceRecord, name="restore", permission=P.RULE_EDIT, request_method="POST"
)
def restore(context: AcceptanceRecord, request: Any) -> HTTPSeeOther:
    """Bring a policy back that had ended."""
    row = context.record
    found = from_plain(Acceptance, row.said)
    write_policy(request.dbsession, found, row.id, now=request.now)
    return _saved(request, _("It counts again."))


# --- own words ------------------------------------------------------------------------------------


class WordForm(Schema):
    """A word of one's own and the common state that it stands for."""

    name = SchemaNode(
        String(200),
        title=_("Our own word"),
        description=_("Such as Intake interview booked."),
        widget=TextWidget(),
    )
    state = SchemaNode(
        Choice(STATES),
        title=_("What it means to everybody"),
        widget=SelectWidget(
            values=[(key, said(REFERRAL_STATES, key)) for key in STATES], empty=None
        ),
        default="in_progress",
    )


def _words_page(request: Any, form: Form) -> dict[str, Any]:
    rows = request.dbsession.execute(
        select(ProgressWord.key, ProgressWord.name, ProgressWord.state, ProgressWord.ended_on)
        .where(ProgressWord.tenant_id == request.tenant.id)
        .order_by(ProgressWord.key)
    ).all()
    return {
        "form": form if may(request, P.RULE_EDIT) else None,
        "words": [
            {
                "key": row.key,
                "name": row.name,
                "state": said(REFERRAL_STATES, row.state),
                "ended": row.ended_on is not None,
            }
            for row in rows
        ],
        "url": f"/{request.tenant.slug}/receiving",
        "may_edit": may(request, P.RULE_EDIT),
    }


def _word_form(request: Any) -> Form:
    return make_form(request, WordForm(), submit=_("Add the word"), name="word")


@view_config(
    context=Receiving,
    name="words",
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="receiving/words.jinja2",
)
def words(context: Receiving, request: Any) -> dict[str, Any]:
    """The partner's own words for how far a referral is."""
    return _words_page(request, _word_form(request))


@view_config(
    context=Receiving,
    name="words",
    permission=P.RULE_EDIT,
    request_method="POST",
    renderer="receiving/words.jinja2",
)
def add_word(context: Receiving, request: Any) -> Any:
    """Add a word, or end or bring back the one whose button was pressed."""
    session = request.dbsession
    here = HTTPSeeOther(location=f"/{request.tenant.slug}/receiving/words")
    pressed = request.POST.get("word")
    if pressed is not None:
        row = session.execute(
            select(
                ProgressWord.id,
                ProgressWord.key,
                ProgressWord.name,
                ProgressWord.state,
                ProgressWord.ended_on,
            ).where(ProgressWord.tenant_id == request.tenant.id, ProgressWord.key == pressed)
        ).one_or_none()
        if row is None:
            raise HTTPNotFound
        if row.ended_on is None:
            end_word(session, row.id, row.key, today=telling(request).today, now=request.now)
        else:
            word = Progress(key=row.key, name=row.name, state=row.state)
            write_word(session, word, row.id, now=request.now)
        invalidate()
        request.flash("success", _("Saved."))
        return here
    form = _word_form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        mine = select(ProgressWord.key).where(ProgressWord.tenant_id == request.tenant.id)
        key = key_for(values["name"], set(session.scalars(mine)), "word")
        made = from_plain(Progress, {"key": key, **values})
        write_word(session, made, None, now=request.now)
        invalidate()
        request.flash("success", _("Added: it can be said of a referral now."))
        return here

    return handle_form_submission(request, form, on_success, lambda: _words_page(request, form))
