"""How people may have news of what they asked for: by e-mail or by text, where a partner can."""

from __future__ import annotations

from typing import Any, Final

import colander

from regional311.notices.phones import shown, texted
from regional311.web.forms import Choice, RadioWidget, Schema, SchemaNode
from regional311.web.i18n import _
from regional311.web.telling import telling

NEWS: Final = "news"
"""The field by which somebody chooses; where a partner sends no texts it is a mere tick."""
TICK: Final = "wants_updates"
WAYS: Final = {
    "none": _("No news"),
    "email": _("By e-mail"),
    "text": _("By text to a mobile phone"),
}


def sends_texts(request: Any, slug: str) -> bool:
    """Whether a partner sends texts: a provider is set up, and it has a line for texts."""
    if request.registry.configured.text_url is None:
        return False
    return telling(request).published.text_number(slug) is not None


def offer_news(request: Any, schema: Schema, slug: str, title: Any) -> None:
    """Let people choose how news come where a partner sends texts, in the place of the tick."""
    if not sends_texts(request, slug):
        return
    number = telling(request).published.text_number(slug)
    node = SchemaNode(
        Choice(WAYS),
        name=NEWS,
        title=title,
        description=_(
            "Texts come from ${number}. Whoever answers STOP gets none, until they send START.",
            mapping={"number": shown(number or "")},
        ),
        widget=RadioWidget(values=list(WAYS.items())),
        validator=None,
        missing="none",
        default="none",
    )
    schema.children = [node if each.name == TICK else each for each in schema.children]
    before = schema.validator

    def reachable(asked: Any, values: dict[str, Any]) -> None:
        if callable(before):
            before(asked, values)
        problem = colander.Invalid(asked)
        if values.get(NEWS) == "email" and not values.get("email"):
            problem["email"] = _("Give an e-mail address for news by e-mail.")
        if values.get(NEWS) == "text" and texted(values.get("phone") or "") is None:
            problem["phone"] = _(
                "Give a mobile number of this country for news by text, such as 503-555-0123."
            )
        if problem.children:
            raise problem

    schema.validator = reachable


def news_said(found: Any) -> Any:
    """Say how a person has news who is stored."""
    return WAYS[found.updates_by if found.wants_updates else "none"]


def news_of(values: dict[str, Any]) -> dict[str, Any]:
    """Give what was chosen, as `filing.Asker` has it: whether they want news, and by what."""
    chosen = values.get(NEWS)
    if chosen in WAYS:
        by = "text" if chosen == "text" else "email"
        return {"wants_updates": chosen != "none", "updates_by": by}
    return {"wants_updates": bool(values.get(TICK)), "updates_by": "email"}
