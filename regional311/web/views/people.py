"""Who works for a partner, and with which roles."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.cover.spoken import speak
from regional311.errors import Stale
from regional311.identity.members import add_member, change_roles, remove_member
from regional311.identity.permissions import ROLE_PERMISSIONS
from regional311.identity.permissions import Permissions as P
from regional311.identity.queries import Member, members
from regional311.web.billing_wording import ROLE_MEANINGS, ROLES, Words, page
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choices,
    HiddenWidget,
    Schema,
    SchemaNode,
    String,
    TextWidget,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing
from regional311.web.partners import REGION
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import People, PersonRecord
from regional311.web.views.me import languages_form
from regional311.web.wording import LANGUAGES, said

REGION_ROLES = ("administrator", "auditor")


def role_choices(request: Any) -> list[tuple[str, Any, Any]]:
    """The roles that a person may have in this partner; the region has no desk and no till."""
    keys = REGION_ROLES if request.tenant.slug == REGION else tuple(ROLE_PERMISSIONS)
    return [(key, ROLES[key], ROLE_MEANINGS[key]) for key in keys]


def roles_node(request: Any) -> SchemaNode:
    offered = role_choices(request)
    return SchemaNode(
        Choices(offered),
        name="roles",
        title=_("Roles"),
        description=_("What the person may do here. The roles add up."),
        widget=CheckboxGroupWidget(values=offered),
    )


class RolesForm(Schema):
    """A member's roles; `expected` is what the form showed, so that nobody overwrites anybody."""

    expected = SchemaNode(String(200), widget=HiddenWidget(), missing="")


class NewMemberForm(Schema):
    """Somebody who is to work for this partner."""

    name = SchemaNode(String(100), title=_("Name"))
    email = SchemaNode(
        String(200),
        title=_("E-mail"),
        description=_("The address that they sign in with."),
        widget=TextWidget(type="email", autocomplete="off"),
    )


@view_config(
    context=People, permission=P.PEOPLE_READ, request_method="GET", renderer="people/index.jinja2"
)
def people(context: People, request: Any) -> Any:
    """Everybody who works for this partner, with their roles."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("name", _("Name"), sort=True),
            Column("email", _("E-mail"), sort=True),
            Column("roles", _("Roles")),
            Column("languages", _("Languages")),
        ],
        filters=[
            Filter("role", _("Role"), choices=[(key, ROLES[key]) for key in ROLE_PERMISSIONS]),
            Filter("language", _("Speaks"), choices=list(LANGUAGES.items())),
            Filter(
                "who",
                _("Who"),
                choices=[("current", _("Works here")), ("left", _("Has left"))],
            ),
        ],
        sort="name",
        csv=True,
    )
    role, who = listing.values["role"], listing.values["who"]
    language = listing.values["language"]
    rows = [
        each
        for each in members(request.dbsession)
        if role in (None, *each.roles)
        and who in (None, "left" if each.ended_at else "current")
        and language in (None, *each.languages)
    ]
    key = (listing.sort or "name").removeprefix("-")
    rows.sort(
        key=lambda row: (getattr(row, key).casefold(), str(row.person_id)),
        reverse=(listing.sort or "").startswith("-"),
    )
    if wanted(request) == "csv":
        return csv_response(
            request,
            "people.csv",
            ["person_id", "name", "email", "roles", "ended_at", "languages"],
            [
                [r.person_id, r.name, r.email, " ".join(r.roles), r.ended_at, " ".join(r.languages)]
                for r in rows
            ],
        )
    if wanted(request) == "json":
        return json_response([_facts(row) for row in rows])
    listing.fill([_row(words, row) for row in rows], total=len(rows))
    return page(request, listing=listing, may_grant=may(request, P.PEOPLE_GRANT))


def _facts(row: Member) -> dict[str, Any]:
    return {
        "person_id": row.person_id,
        "name": row.name,
        "email": row.email,
        "roles": row.roles,
        "ended_at": row.ended_at,
        "languages": row.languages,
    }


def _row(words: Words, row: Member) -> dict[str, Any]:
    return {
        **_facts(row),
        "role_names": ", ".join(words.say("role", each) for each in row.roles),
        "spoken": [said(LANGUAGES, each) for each in row.languages],
    }


@view_config(
    context=People,
    name="new",
    permission=P.PEOPLE_GRANT,
    request_method="GET",
    renderer="people/add.jinja2",
)
def new_person(context: People, request: Any) -> dict[str, Any]:
    """The form that adds somebody."""
    return _new_page(request, _new_form(request))


@view_config(
    context=People,
    name="new",
    permission=P.PEOPLE_GRANT,
    request_method="POST",
    renderer="people/add.jinja2",
)
def add_person(context: People, request: Any) -> Any:
    """Add somebody."""
    form = _new_form(request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        add_member(request.dbsession, **values, now=request.now)
        request.flash("success", _("The person was added."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/people")

    return handle_form_submission(request, form, save, lambda: _new_page(request, form))


def _new_form(request: Any) -> Any:
    schema = NewMemberForm()
    schema.add(roles_node(request))
    return make_form(
        request, schema, submit=_("Add the person"), cancel_url=f"/{request.tenant.slug}/people"
    )


def _new_page(request: Any, form: Any) -> dict[str, Any]:
    return page(request, form=form, people_url=f"/{request.tenant.slug}/people")


@view_config(
    context=PersonRecord,
    permission=P.PEOPLE_GRANT,
    request_method="GET",
    renderer="people/person.jinja2",
)
def person(context: PersonRecord, request: Any) -> dict[str, Any]:
    """One member: roles, and the way to end the membership."""
    return _person_page(context, request, _roles_form(context, request))


@view_config(
    context=PersonRecord,
    permission=P.PEOPLE_GRANT,
    request_method="POST",
    renderer="people/person.jinja2",
)
def save_roles(context: PersonRecord, request: Any) -> Any:
    """Change a member's roles; when somebody else did meanwhile, both versions are shown."""
    form = _roles_form(context, request)
    person_id = context.record.person_id

    def save(values: dict[str, Any]) -> Any:
        try:
            change_roles(
                request.dbsession,
                person_id,
                roles=values["roles"],
                expected=values["expected"].split(),
                now=request.now,
            )
        except Stale as stale:
            start_over(request)
            request.response.status_int = 409
            fresh = _roles_form(context, request, roles=values["roles"])
            return _person_page(context, request, fresh, stale=stale)
        request.flash("success", _("The roles were changed."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/people")

    return handle_form_submission(request, form, save, lambda: _person_page(context, request, form))


@view_config(
    context=PersonRecord,
    name="languages",
    permission=P.PEOPLE_GRANT,
    request_method="POST",
    renderer="people/person.jinja2",
)
def save_languages(context: PersonRecord, request: Any) -> Any:
    """Say which languages a member speaks."""
    form = _languages_form(context, request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        speak(request.dbsession, context.record.person_id, values["languages"], now=request.now)
        request.flash("success", _("The languages were saved."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/people/{context.record.person_id}")

    return handle_form_submission(
        request,
        form,
        save,
        lambda: {
            **_person_page(context, request, _roles_form(context, request)),
            "languages": form,
        },
    )


def _languages_form(context: PersonRecord, request: Any) -> Any:
    here = f"/{request.tenant.slug}/people"
    return languages_form(
        request,
        list(context.record.languages),
        action=f"{here}/{context.record.person_id}/languages",
        cancel=here,
    )


@view_config(context=PersonRecord, name="end", permission=P.PEOPLE_GRANT, request_method="POST")
def end(context: PersonRecord, request: Any) -> HTTPSeeOther:
    """End a membership; the person's sessions die."""
    remove_member(request.dbsession, context.record.person_id, now=request.now)
    request.flash("success", _("The membership has ended and the person was signed out."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/people")


def _roles_form(context: PersonRecord, request: Any, roles: list[str] | None = None) -> Any:
    record = context.record
    schema = RolesForm()
    schema.add(roles_node(request))
    return make_form(
        request,
        schema,
        submit=_("Save the roles"),
        values={
            "roles": list(record.roles) if roles is None else roles,
            "expected": " ".join(sorted(record.roles)),
        },
        cancel_url=f"/{request.tenant.slug}/people",
    )


def _person_page(
    context: PersonRecord, request: Any, form: Any, stale: Stale | None = None
) -> dict[str, Any]:
    words = Words(request)
    record = context.record
    own = record.person_id == request.identity.person_id
    return page(
        request,
        member=record,
        form=None if record.ended_at else form,
        languages=None if record.ended_at else _languages_form(context, request),
        stale=stale,
        own=own,
        may_end=not own and record.ended_at is None,
        url=f"/{request.tenant.slug}/people/{record.person_id}",
        people_url=f"/{request.tenant.slug}/people",
        facts=[
            (_("E-mail"), record.email),
            (_("Has left"), words.when(record.ended_at) if record.ended_at else None),
        ],
    )
