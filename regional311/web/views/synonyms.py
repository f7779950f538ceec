"""What people say for the words that services are described in, and what they asked for in vain."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.view import view_config
from sqlalchemy import select

from regional311.catalog import content
from regional311.catalog.models import Synonym
from regional311.catalog.search_log import LOOK_BACK, set_aside, unanswered
from regional311.catalog.synonyms import (
    end_synonym,
    phrase_of,
    said_synonym,
    synonyms,
    write_synonym,
)
from regional311.catalog.words import masked
from regional311.database.session import scope_of
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.keys import key_for
from regional311.strict import from_plain
from regional311.web.forms import (
    Boolean,
    CheckboxWidget,
    Choice,
    Form,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing, page_of
from regional311.web.partners import REGION
from regional311.web.representations import exported, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import RESERVED, Searches, SynonymRecord, Synonyms
from regional311.web.wording import LANGUAGES, said

SPOKEN: Final = {code: name for code, name in LANGUAGES.items() if code != "other"}
LONGEST_WORDS: Final = 200
MOST_PHRASES: Final = 50
COLUMNS: Final = ("key", "language", "said", "means", "means_language", "both_ways")


class SynonymForm(Schema):
    """What people say, and what is then looked for as well."""

    language = SchemaNode(
        Choice(SPOKEN), title=_("Language"), widget=SelectWidget(values=list(SPOKEN.items()))
    )
    said = SchemaNode(
        String(4000, multiline=True),
        title=_("What people say"),
        description=_("A word or a phrase of up to four words on each line."),
    )
    means = SchemaNode(
        String(4000, multiline=True),
        title=_("What is then looked for as well"),
        description=_("Words that services are described in, likewise."),
    )
    means_language = SchemaNode(
        Choice(SPOKEN),
        title=_("Language of these words"),
        description=_("When it is another one: finds what is not translated."),
        missing=None,
        widget=SelectWidget(values=[("", _("The same")), *SPOKEN.items()]),
    )
    both_ways = SchemaNode(
        Boolean(),
        title=_("All of them mean the same"),
        description=_("Each then finds every other, too."),
        missing=False,
        widget=CheckboxWidget(),
    )


# --- synonyms -------------------------------------------------------------------------------------


@view_config(
    context=Synonyms,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="synonyms/index.jinja2",
)
def listed(context: Synonyms, request: Any) -> Any:
    """Every synonym of the partner."""
    listing = Listing(
        request,
        columns=[
            Column("said", _("What people say")),
            Column("means", _("What is then looked for as well")),
            Column("language", _("Language")),
        ],
        filters=[
            Filter("words", _("Words")),
            Filter("language", _("Language"), choices=list(SPOKEN.items())),
            Filter("state", _("State"), choices=[("ended", _("Ended"))]),
        ],
        csv=True,
    )
    asked = listing.values
    rows = synonyms(
        request.dbsession,
        telling(request).today,
        words=asked["words"],
        language=asked["language"],
        ended=asked["state"] == "ended",
    )
    form = wanted(request)
    if form != "html":
        plain = [
            {
                **{name: getattr(row, name) for name in COLUMNS},
                "said": "; ".join(row.said),
                "means": "; ".join(row.means),
            }
            for row in rows
        ]
        return exported(request, form, "synonyms.csv", COLUMNS, plain)
    page_of(listing, [_row(row) for row in rows])
    return {
        "listing": listing,
        "may_edit": may(request, P.SERVICE_PUBLISH),
        "everybody": request.tenant.slug == REGION,
        "searches_url": f"/{request.tenant.slug}/searches",
    }


def _row(row: Any) -> dict[str, Any]:
    return {
        "key": row.key,
        "said": row.said,
        "means": row.means,
        "both_ways": row.both_ways,
        "language": said(SPOKEN, row.language),
        "language_code": row.language,
        "means_language": said(SPOKEN, row.means_language) if row.means_language else None,
        "means_code": row.means_language or row.language,
    }


@view_config(
    context=Synonyms,
    name="new",
    permission=P.SERVICE_PUBLISH,
    request_method="GET",
    renderer="synonyms/synonym.jinja2",
)
def new(context: Synonyms, request: Any) -> dict[str, Any]:
    """An empty form, or one that begins with what somebody asked for in vain."""
    language = request.GET.get("language", "")
    values = {
        "said": request.GET.get("said", "").strip()[:LONGEST_WORDS] or None,
        "language": language if language in SPOKEN else "en",
    }
    return _page(request, _form(request, values))


@view_config(
    context=Synonyms,
    name="new",
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="synonyms/synonym.jinja2",
)
def add(context: Synonyms, request: Any) -> Any:
    """Add a synonym; what was asked for in vain in these words is settled by it."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        session = request.dbsession
        phrases = _phrases(values["said"], "said")
        key = key_for(phrases[0], _keys(request) | RESERVED, "synonym")
        made = _said(key, values)
        write_synonym(session, made, None, now=request.now)
        settled = sum(
            set_aside(session, now=request.now, words=masked(phrase), language=made.language)
            for phrase in made.said
        )
        request.flash(
            "success",
            _(
                "Added. Whoever searches for “${words}” now finds it.",
                mapping={"words": made.said[0]},
            ),
        )
        back = "searches" if settled else "synonyms"
        return HTTPSeeOther(location=f"/{request.tenant.slug}/{back}")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form))


def _keys(request: Any) -> set[str]:
    mine = Synonym.tenant_id == request.tenant.id
    return set(request.dbsession.scalars(select(Synonym.key).where(mine)))


@view_config(
    context=SynonymRecord,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="synonyms/synonym.jinja2",
)
def synonym(context: SynonymRecord, request: Any) -> dict[str, Any]:
    """One synonym, to be changed by who may."""
    return _page(request, _form(request, _values(context.record)), context.record)


@view_config(
    context=SynonymRecord,
    permission=P.SERVICE_PUBLISH,
    request_method="POST",
    renderer="synonyms/synonym.jinja2",
)
def change(context: SynonymRecord, request: Any) -> Any:
    """Change a synonym."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        changed = _said(context.record.key, values)
        write_synonym(request.dbsession, changed, context.record.id, now=request.now)
        request.flash("success", _("Saved."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/synonyms")

    return handle_form_submission(
        request, form, on_success, lambda: _page(request, form, context.record)
    )


@view_config(context=SynonymRecord, name="end", permission=P.SERVICE_PUBLISH, request_method="POST")
def end(context: SynonymRecord, request: Any) -> HTTPSeeOther:
    """End a synonym; the list of those that ended brings it back."""
    row = context.record
    today = telling(request).today
    end_synonym(request.dbsession, row.id, row.key, today=today, now=request.now)
    request.flash("success", _("Ended: it is kept among those that ended, to be brought back."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/synonyms/{row.key}")


@view_config(
    context=SynonymRecord, name="restore", permission=P.SERVICE_PUBLISH, request_method="POST"
)
def restore(context: SynonymRecord, request: Any) -> HTTPSeeOther:
    """Bring a synonym back that had ended."""
    row = context.record
    write_synonym(request.dbsession, said_synonym(row), row.id, now=request.now)
    request.flash("success", _("It is looked for again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/synonyms/{row.key}")


def _form(request: Any, values: dict[str, Any] | None = None) -> Form:
    return make_form(
        request,
        SynonymForm(),
        submit=_("Save"),
        values=values,
        name="synonym",
        cancel_url=f"/{request.tenant.slug}/synonyms",
    )


def _values(row: Any) -> dict[str, Any]:
    return {
        "language": row.language,
        "said": "\n".join(row.said),
        "means": "\n".join(row.means),
        "means_language": row.means_language,
        "both_ways": row.both_ways,
    }


def _phrases(text: str, field: str) -> list[str]:
    found = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if len(found) > MOST_PHRASES:
        raise InvalidInput(f"Write at most {MOST_PHRASES} lines.", field=field)
    for each in found:
        if len(each) > LONGEST_WORDS:
            raise InvalidInput(f"A line has at most {LONGEST_WORDS} characters.", field=field)
        if not phrase_of(each):
            raise InvalidInput(f"“{each}” has no letters.", field=field)
    return found


def _said(key: str, values: dict[str, Any]) -> content.Synonym:
    other = values["means_language"]
    return from_plain(
        content.Synonym,
        {
            "key": key,
            "language": values["language"],
            "said": _phrases(values["said"], "said"),
            "means": _phrases(values["means"], "means"),
            "means_language": None if other == values["language"] else other,
            "both_ways": values["both_ways"],
        },
    )


def _page(request: Any, form: Form, row: Any = None) -> dict[str, Any]:
    slug = request.tenant.slug
    over = row is not None and row.ended_on is not None and row.ended_on <= telling(request).today
    return {
        "form": form if may(request, P.SERVICE_PUBLISH) and not over else None,
        "row": None if row is None else _row(row),
        "over": over,
        "may_edit": may(request, P.SERVICE_PUBLISH),
        "url": f"/{slug}/synonyms",
        "everybody": slug == REGION,
        "try_url": None if row is None else f"/search?{urlencode({'q': row.said[0]})}",
    }


# --- searches in vain -----------------------------------------------------------------------------


@view_config(
    context=Searches,
    permission=P.SERVICE_READ,
    request_method="GET",
    renderer="synonyms/searches.jinja2",
)
def searches(context: Searches, request: Any) -> Any:
    """What was searched for, and nothing found or nothing opened, in the last ninety days."""
    listing = Listing(
        request,
        columns=[
            Column("words", _("Words")),
            Column("language", _("Language")),
            Column("searches", _("Searches"), number=True),
            Column("without_result", _("Nothing found"), number=True),
            Column("without_choice", _("Nothing opened"), number=True),
            Column("last_at", _("Last")),
            Column("do", _("What to do")),
        ],
        filters=[
            Filter("language", _("Language"), choices=list(SPOKEN.items())),
            Filter(
                "found",
                _("What was found"),
                choices=[("nothing", _("Nothing")), ("something", _("Something, not opened"))],
            ),
            Filter("state", _("State"), choices=[("aside", _("Set aside"))]),
        ],
        csv=True,
    )
    asked = listing.values
    tell = telling(request)
    rows = [
        each
        for each in unanswered(
            request.dbsession,
            scope_of(request.dbsession).tenant_id,
            since=request.now - LOOK_BACK,
            aside=asked["state"] == "aside",
        )
        if asked["language"] in (None, each.language)
        and asked["found"] in (None, "something" if each.found else "nothing")
    ]
    columns = ("words", "language", "searches", "without_result", "without_choice", "last_at")
    plain = [{name: getattr(each, name) for name in columns} for each in rows]
    form = wanted(request)
    if form != "html":
        return exported(request, form, "searches.csv", columns, plain)
    slug = request.tenant.slug
    page_of(
        listing,
        [
            {
                **row,
                "code": row["language"],
                "language": said(SPOKEN, row["language"]),
                "last": tell.when(row["last_at"]),
                "search_url": f"/search?{urlencode({'q': row['words']})}",
                "synonym_url": f"/{slug}/synonyms/new?"
                + urlencode({"said": row["words"], "language": row["language"]}),
            }
            for row in plain
        ],
    )
    return {
        "listing": listing,
        "aside": asked["state"] == "aside",
        "may_edit": may(request, P.SERVICE_PUBLISH),
        "everybody": slug == REGION,
        "url": f"/{slug}/searches",
        "synonyms_url": f"/{slug}/synonyms",
        "days": LOOK_BACK.days,
    }


@view_config(context=Searches, permission=P.SERVICE_PUBLISH, request_method="POST")
def settle(context: Searches, request: Any) -> HTTPSeeOther:
    """Set words aside about which nothing is to be done, or list them again."""
    words, language = (str(request.POST.get(name, "")) for name in ("words", "language"))
    if not words or len(words) > LONGEST_WORDS or language not in SPOKEN:
        raise HTTPBadRequest
    back = "back" in request.POST
    set_aside(request.dbsession, now=request.now, words=words, language=language, back=back)
    request.flash(
        "success",
        _("Listed again: ${words}", mapping={"words": words})
        if back
        else _(
            "Set aside: ${words}. They are listed again when somebody asks for them in vain anew.",
            mapping={"words": words},
        ),
    )
    return HTTPSeeOther(location=f"/{request.tenant.slug}/searches")
