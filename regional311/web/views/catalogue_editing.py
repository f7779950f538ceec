"""Editing services, articles, their translations, locations, organisations: each save is a draft.

A form says which version it showed. Saved on top of something newer it is merged; where both
changed the same field the person chooses between the two, and neither is lost meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.catalog import versions
from regional311.catalog.kinds import KINDS, named_things
from regional311.catalog.service import refuse_rewriting
from regional311.catalog.versions import Opened, Saved
from regional311.identity.permissions import Permissions as P
from regional311.strict import from_plain
from regional311.web import article_forms as articles
from regional311.web import catalogue_forms as forms
from regional311.web.article_pages import previewed
from regional311.web.catalogue_wording import Wording
from regional311.web.forms import handle_form_submission, make_form, pressed
from regional311.web.i18n import _
from regional311.web.telling import telling
from regional311.web.tree import (
    CATALOGUE_VIEWS,
    RESERVED,
    Catalogue,
    CatalogueRecord,
    UnpublishedRecord,
)
from regional311.web.views.catalogue_versions import COLLECTIONS, url_of, version_url
from regional311.web.wording import LANGUAGES, said

BUILDERS: dict[str, Callable[..., Any]] = {
    "service": forms.service_form,
    "location": forms.location_form,
    "organization": forms.organization_form,
    "article": articles.article_form,
}
"""The form of each kind that is edited here."""
TRANSLATED: dict[str, Any] = {"service": forms, "article": articles}
"""Where the forms of translations are, of each kind that has them."""
PREVIEW = "preview"
"""Name of the button that shows how it looks and saves nothing."""
MOST_OFFERED = 1000
"""Services that are offered while one is typed; any other can be typed in full."""


def _form(request: Any, kind: str, content: dict[str, Any], seen: int | None, **more: Any) -> Any:
    named = named_things(request.dbsession)
    options: dict[str, Any] = {"new": seen is None}
    if kind == "service":
        options["terms"] = offered_terms(request)
    if kind == "article":
        options["sent"] = articles.sent_values(request)
        more["buttons"] = ((PREVIEW, _("Preview")),)
        content = {"kind": options["sent"]["kind"] or "answer", **content}
    schema = BUILDERS[kind](named, content, **options)
    shown = _VALUES.get(kind, dict)(content)
    return make_form(
        request,
        schema,
        submit=_("Save as a draft"),
        values={**shown, forms.SEEN: seen},
        **more,
    )


def offered_terms(request: Any) -> list[tuple[str, str]]:
    """Every term of every taxonomy of the region, as reference and name."""
    trees = telling(request).published.terms
    return [(term.ref, term.name) for key in trees.taxonomies for term in trees.of(key)]


def _said(kind: str, values: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    filled = {name: value for name, value in values.items() if name not in (forms.SEEN, "key")}
    return _SAID[kind](filled, seen) if kind in _SAID else filled


_VALUES: dict[str, Callable[..., dict[str, Any]]] = {
    "service": forms.service_values,
    "article": articles.article_values,
}
"""What a form shows, where that is not the content as it stands."""
_SAID: dict[str, Callable[..., dict[str, Any]]] = {
    "service": forms.service_said,
    "article": articles.article_said,
}
"""What a filled-in form says, where that is not what was filled in as it stands."""


def _offered(request: Any, kind: str) -> dict[str, Any]:
    """What the browser offers while it is typed."""
    return {
        "terms": offered_terms(request) if kind == "service" else (),
        "services": offered_services(request) if kind == "article" else (),
    }


def offered_services(request: Any) -> list[tuple[str, str]]:
    """The services of today that an article may name: one's own by key, others by partner/key."""
    tell = telling(request)
    every = tell.published.directory.services
    found = [
        (each.key if each.tenant == tell.slug else each.ref, f"{each.name}, {each.tenant}")
        for each in every
        if each.offered(tell.today)
    ]
    return sorted(found, key=lambda each: "/" in each[0])[:MOST_OFFERED]


# --- new ------------------------------------------------------------------------------------------


def _new_page(context: Catalogue, request: Any, form: Any) -> dict[str, Any]:
    return {
        "form": form,
        "kind": context.kind,
        "heading": _NEW[context.kind],
        **_offered(request, context.kind),
        "crumbs": [
            (f"/{request.tenant.slug}/{COLLECTIONS[context.kind]}", _COLLECTIVE[context.kind]),
            (None, _NEW[context.kind]),
        ],
    }


_NEW = {
    "service": _("New service"),
    "location": _("New location"),
    "organization": _("New organisation"),
    "article": _("New article"),
}
_COLLECTIVE = {
    "service": _("Services"),
    "location": _("Locations"),
    "organization": _("Organisations"),
    "article": _("Articles"),
}


@view_config(
    context=Catalogue,
    name="new",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/edit.jinja2",
)
def new(context: Catalogue, request: Any) -> dict[str, Any]:
    """A new thing, from nothing or from one that is much like it (`?like=key`)."""
    content: dict[str, Any] = {}
    like = request.GET.get("like", "")
    if like:
        found = versions.opened(request.dbsession, context.kind, like[:60])
        if found is None:
            raise HTTPNotFound
        content = {**found.content, "key": ""}
        if context.kind == "service":
            today = telling(request).today.isoformat()
            last = content["disposition"][-1]
            content["disposition"] = [{"valid_from": today, "kind": last["kind"]}]
    form = _form(request, context.kind, content, None, cancel_url=_list_url(context, request))
    return _new_page(context, request, form)


def _list_url(context: Catalogue, request: Any) -> str:
    return f"/{request.tenant.slug}/{COLLECTIONS[context.kind]}"


@view_config(
    context=Catalogue,
    name="new",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/edit.jinja2",
)
def create(context: Catalogue, request: Any) -> Any:
    """Draft a new thing."""
    form = _form(request, context.kind, {}, None, cancel_url=_list_url(context, request))
    again = lambda: _new_page(context, request, form)  # noqa: E731
    if pressed(request, form):
        return again()

    def save(values: dict[str, Any]) -> Any:
        key = values["key"]
        content, wrong = forms.content_of(context.kind, _said(context.kind, values, {}), key, {})
        if PREVIEW in request.POST and not wrong:
            return {**again(), "preview": previewed(request, context.kind, content, faults=True)}
        if key in RESERVED | CATALOGUE_VIEWS:
            wrong.append((("key",), _("This word is an address of its own; choose another key.")))
        if wrong:
            return _refused(request, form, wrong, again)
        saved = versions.save_draft(
            request.dbsession, context.kind, content, seen=None, now=request.now
        )
        request.flash("success", _("Saved as a draft. Nobody else sees it yet."))
        return HTTPSeeOther(location=version_url(request, context.kind, key, saved.number))

    return handle_form_submission(request, form, save, again)


def _refused(request: Any, form: Any, wrong: list[Any], again: Callable[[], Any]) -> Any:
    for path, message in wrong:
        form.refuse_at(path, message)
    request.response.status_int = 400
    return again()


# --- edit -----------------------------------------------------------------------------------------


def _opened(context: CatalogueRecord, request: Any) -> Opened:
    """What the form opens: the version asked for, else the draft or what is published."""
    session, asked = request.dbsession, request.GET.get("number", "")
    found = versions.opened(session, context.kind, context.key)
    if found is None:
        raise HTTPNotFound
    if asked.isascii() and asked.isdecimal() and len(asked) < 7 and int(asked) != found.number:
        rows = {row.number: row for row in versions.history(session, context.kind, context.key)}
        row = rows.get(int(asked))
        if row is None:
            raise HTTPNotFound
        said_by = versions.contents(session, context.kind, context.key, row.number)
        return Opened(row.number, row.state, said_by[row.number], row.effective_on)
    return found


def _seen(context: CatalogueRecord, request: Any) -> tuple[int, dict[str, Any]]:
    """The version that the sent form showed, and what it said."""
    sent = request.POST.get(forms.SEEN, "")
    if not (sent.isascii() and sent.isdecimal() and len(sent) < 7):
        raise HTTPNotFound
    number = int(sent)
    newest = versions.opened(request.dbsession, context.kind, context.key)
    if newest is not None and newest.number == number:
        return number, newest.content
    said_by = versions.contents(request.dbsession, context.kind, context.key, number)
    return number, said_by[number]


def _edit_page(
    context: CatalogueRecord, request: Any, form: Any, content: dict[str, Any], **more: Any
) -> dict[str, Any]:
    kind, key = context.kind, context.key
    url = url_of(request, kind, key)
    translations = []
    if kind in TRANSLATED:
        spoken = [content, *content.get("step", ())]
        there = {each["language"] for one in spoken for each in one.get("translation", ())}
        translations = [
            (f"{url}/translate?language={language}", said(LANGUAGES, language), language in there)
            for language in other_languages(request)
        ]
    return {
        "form": form,
        "kind": kind,
        "heading": _("Edit ${name}", mapping={"name": called(content, key)}),
        **_offered(request, kind),
        "translations": translations,
        "questions_url": f"{url}/questions" if kind == "service" else None,
        "versions_url": f"{url}/versions",
        "crumbs": [
            (f"/{request.tenant.slug}/{COLLECTIONS[kind]}", _COLLECTIVE[kind]),
            (url, called(content, key)),
            (None, _("Edit")),
        ],
        **more,
    }


def called(content: dict[str, Any], key: str) -> str:
    """What a thing is called in a version of it."""
    return str(content.get("name") or content.get("title") or key)


def other_languages(request: Any) -> list[str]:
    """The languages into which this partner's services are put, beside its own."""
    spoken = telling(request).published.tenants[request.tenant.slug].settings.get("languages") or []
    return [each for each in forms.SPOKEN if each not in spoken[:1]]


@view_config(
    context=CatalogueRecord,
    name="edit",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/edit.jinja2",
)
def edit(context: CatalogueRecord, request: Any) -> Any:
    """The form of a thing."""
    if context.kind == "question_group":
        return HTTPSeeOther(location=url_of(request, context.kind, context.key, "questions"))
    if context.kind not in BUILDERS:
        raise HTTPNotFound
    found = _opened(context, request)
    url = url_of(request, context.kind, context.key)
    form = _form(request, context.kind, found.content, found.number, cancel_url=url)
    return _edit_page(
        context,
        request,
        form,
        found.content,
        draft=found.number if found.state in versions.OPEN else None,
        draft_url=version_url(request, context.kind, context.key, found.number),
        due=telling(request).day(found.effective_on),
    )


@view_config(
    context=CatalogueRecord,
    name="edit",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/edit.jinja2",
)
def save_edit(context: CatalogueRecord, request: Any) -> Any:
    """Save what was filled in as a draft."""
    if context.kind not in BUILDERS:
        raise HTTPNotFound
    number, seen = _seen(context, request)
    url = url_of(request, context.kind, context.key)
    form = _form(request, context.kind, seen, number, cancel_url=url)
    again = lambda: _edit_page(context, request, form, seen)  # noqa: E731
    if pressed(request, form):
        return again()

    def save(values: dict[str, Any]) -> Any:
        content, wrong = forms.content_of(
            context.kind, _said(context.kind, values, seen), context.key, seen
        )
        if wrong:
            return _refused(request, form, wrong, again)
        if PREVIEW in request.POST:
            return {**again(), "preview": previewed(request, context.kind, content, faults=True)}
        _refuse_rewriting(context, request, content)
        saved = versions.save_draft(
            request.dbsession, context.kind, content, seen=number, now=request.now
        )
        return told(request, context.kind, context.key, saved)

    return handle_form_submission(request, form, save, again)


def _refuse_rewriting(context: CatalogueRecord, request: Any, content: dict[str, Any]) -> None:
    """Say while it can be mended, not at publication, that what has begun stays as it was."""
    if context.kind != "service" or isinstance(context, UnpublishedRecord):
        return
    stored = KINDS["service"].stored(request.dbsession, context.key)
    if stored is not None:
        new = from_plain(KINDS["service"].model, content)
        refuse_rewriting(new, stored.model, telling(request).today)


def told(request: Any, kind: str, key: str, saved: Saved) -> HTTPSeeOther:
    """Say what became of a save, and go where its next step is."""
    if saved.overlaps:
        request.flash(
            "warning",
            _(
                "Your work is saved. Somebody else changed some of the same:"
                " choose between the two."
            ),
        )
        return HTTPSeeOther(location=f"{url_of(request, kind, key, 'merge')}?number={saved.number}")
    if not saved.changed:
        request.flash("info", _("Nothing was changed."))
    elif saved.merged:
        words = Wording(request)
        fields = ", ".join(dict.fromkeys(words.path(each) for each in saved.merged))
        request.flash(
            "info",
            _(
                "Saved as a draft, together with what somebody else changed meanwhile: ${fields}.",
                mapping={"fields": fields},
            ),
        )
    else:
        request.flash("success", _("Saved as a draft. Review it, then publish it."))
    return HTTPSeeOther(location=version_url(request, kind, key, saved.number))


# --- translations ---------------------------------------------------------------------------------


def _language(request: Any) -> str:
    language = str(request.params.get("language", ""))
    if language not in other_languages(request):
        raise HTTPNotFound
    return language


def _translation_page(
    context: CatalogueRecord, request: Any, form: Any, seen: dict[str, Any], language: str
) -> dict[str, Any]:
    url = url_of(request, context.kind, context.key)
    name = called(seen, context.key)
    return {
        "form": form,
        "language": language,
        "language_name": said(LANGUAGES, language),
        "original_language": said(LANGUAGES, _own_language(request)),
        "others": [
            (f"{url}/translate?language={each}", said(LANGUAGES, each), each == language)
            for each in other_languages(request)
        ],
        "name": name,
        "crumbs": [
            (f"/{request.tenant.slug}/{COLLECTIONS[context.kind]}", _COLLECTIVE[context.kind]),
            (url, name),
            (f"{url}/edit", _("Edit")),
            (None, said(LANGUAGES, language)),
        ],
    }


def _own_language(request: Any) -> str:
    spoken = telling(request).published.tenants[request.tenant.slug].settings.get("languages")
    return str(spoken[0]) if spoken else "en"


def _translation_form(
    request: Any, kind: str, seen: dict[str, Any], number: int, language: str
) -> Any:
    words = TRANSLATED[kind]
    return make_form(
        request,
        words.translation_form(seen, language),
        submit=_("Save as a draft"),
        values={**words.translation_values(seen, language), forms.SEEN: number},
    )


@view_config(
    context=CatalogueRecord,
    name="translate",
    permission=P.SERVICE_EDIT,
    request_method="GET",
    renderer="catalogue/translate.jinja2",
)
def translate(context: CatalogueRecord, request: Any) -> dict[str, Any]:
    """The words of a service or an article beside those of another language."""
    if context.kind not in TRANSLATED:
        raise HTTPNotFound
    language = _language(request)
    found = _opened(context, request)
    form = _translation_form(request, context.kind, found.content, found.number, language)
    return _translation_page(context, request, form, found.content, language)


@view_config(
    context=CatalogueRecord,
    name="translate",
    permission=P.SERVICE_EDIT,
    request_method="POST",
    renderer="catalogue/translate.jinja2",
)
def save_translation(context: CatalogueRecord, request: Any) -> Any:
    """Save the words of a language as a draft."""
    if context.kind not in TRANSLATED:
        raise HTTPNotFound
    language = _language(request)
    number, seen = _seen(context, request)
    form = _translation_form(request, context.kind, seen, number, language)
    again = lambda: _translation_page(context, request, form, seen, language)  # noqa: E731

    def save(values: dict[str, Any]) -> Any:
        words = {name: value for name, value in values.items() if name != forms.SEEN}
        whole = TRANSLATED[context.kind].translation_said(words, language, seen)
        content, wrong = forms.content_of(context.kind, whole, context.key, seen)
        if wrong:
            return _refused(request, form, [(path[2:], message) for path, message in wrong], again)
        saved = versions.save_draft(
            request.dbsession, context.kind, content, seen=number, now=request.now
        )
        return told(request, context.kind, context.key, saved)

    return handle_form_submission(request, form, save, again)
