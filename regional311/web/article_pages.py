"""How an article will look: its public part in each language, its part for staff, all its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regional311.catalog import markdown, versions
from regional311.catalog.articles import Article, Step, StepChoice, full_ref
from regional311.strict import from_plain
from regional311.web.catalogue_wording import Wording
from regional311.web.i18n import LANGUAGE_NAMES, _, page_language
from regional311.web.shelf import HEADING
from regional311.web.spoken import own_language, spoken_article, spoken_service
from regional311.web.telling import Telling, telling


def previewed(
    request: Any, kind: str, content: Mapping[str, Any], *, faults: bool = False
) -> dict[str, Any] | None:
    """Return what an article's content will look like; None for things of other kinds.

    With `faults` what keeps it from being published is among it.
    """
    if kind != "article":
        return None
    tell = telling(request)
    said = from_plain(Article, content)
    own = own_language(tell.published.tenants[tell.slug])
    spoken = [spoken_article(said, own, own)]
    spoken += [spoken_article(said, own, each) for each in spoken[0].languages[1:]]
    words = Wording(request)
    return {
        "kind": said.kind,
        "level": said.level,
        "own": own,
        "public": said.public,
        "parts": [
            {
                "language": each.title.language,
                "name": LANGUAGE_NAMES.get(each.title.language, each.title.language),
                "title": each.title,
                "summary": each.summary,
                "html": markdown.html(each.text.text, HEADING) if each.text else None,
                "text_language": each.text.language if each.text else own,
            }
            for each in spoken
        ],
        "internal": markdown.html(said.internal, HEADING) if said.internal else None,
        "steps": [_step(tell, said, step, own) for step in said.step],
        "faults": [
            (words.path(where), message)
            for where, message in versions.faults(request.dbsession, kind, content)
        ]
        if faults
        else [],
    }


def _step(tell: Telling, said: Article, step: Step, own: str) -> dict[str, Any]:
    return {
        "key": step.key,
        "html": markdown.html(step.text, HEADING),
        "language": own,
        "ways": [(each.label, *_target(tell, said, each)) for each in step.choice],
        "translations": [
            (each.language, markdown.html(each.text, HEADING)) for each in step.translation
        ],
    }


def _target(tell: Telling, said: Article, choice: StepChoice) -> tuple[Any, str | None]:
    """Where a way leads, in words, and the place on this page when it is a step."""
    kind, _colon, name = choice.to.partition(":")
    if kind == "step":
        for place, step in enumerate(said.step, 1):
            if step.key == name:
                return _("step ${number}", mapping={"number": place}), f"preview-{name}"
        return _("a step that is not there"), None
    if kind == "service":
        found = tell.published.directory.find(full_ref(tell.slug, name))
        if found is None:
            return _("a service that is not there: ${key}", mapping={"key": name}), None
        row = tell.published.tenants[found.tenant]
        spoken = spoken_service(found, own_language(row), page_language(tell.request))
        return f"{spoken.name}, {row.short_name}", None
    return (_("danger: call 911") if kind == "danger" else _("the end")), None
