"""Articles as staff see them beside their work: both parts, and scripts walked step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from regional311.catalog import markdown
from regional311.catalog.article_queries import Shelved, articles_beside, loudest_first
from regional311.catalog.articles import Article, Step, StepChoice, full_ref
from regional311.catalog.directory import Service
from regional311.catalog.walking import walk
from regional311.web.i18n import page_language
from regional311.web.public_pages import local_now, shown_notices
from regional311.web.spoken import Spoken, own_language, spoken_service
from regional311.web.telling import Telling, telling

HEADING: Final = 4
"""Level of the headings within an article's text beside other work."""
LONGEST_PATH: Final = 4000


@dataclass(frozen=True)
class Way:
    """A choice of a step: its words, the path that it makes, and whether it was chosen."""

    label: Spoken
    other: Spoken | None
    path: str
    chosen: bool


@dataclass(frozen=True)
class ShownStep:
    """A step: its words, the same in the caller's language, and every way on."""

    html: Any
    language: str
    other: Any
    other_language: str | None
    ways: Sequence[Way]


@dataclass(frozen=True)
class ShownWalk:
    """A script being walked: the steps behind, where one is, or how it ended.

    `service` is where the script sends one, with its address here, when it ended at a service.
    """

    behind: Sequence[ShownStep]
    here: ShownStep | None
    end: str | None
    service: dict[str, Any] | None
    back: str | None
    begun: bool


def path_of(text: str) -> list[str]:
    """Read the path of a walk from an address: choices, with dots between."""
    return [each for each in text[:LONGEST_PATH].split(".") if each]


def shown_article(
    tell: Telling,
    found: Shelved,
    *,
    caller: str = "",
    path: Sequence[str] | None = None,
    service_url: Callable[[str], str],
) -> dict[str, Any]:
    """Return an article for staff, in its partner's words.

    `caller` is the language of whoever is being helped: steps are shown in it too. With a `path`
    the script is open where the path leads.
    """
    slug = tell.published.slugs[found.tenant_id]
    row = tell.published.tenants[slug]
    own = own_language(row)
    said = found.said
    return {
        "ref": f"{slug}/{said.key}",
        "id": f"{slug}-{said.key}",
        "kind": said.kind,
        "title": Spoken(said.title, own),
        "partner": row.name,
        "language": own,
        "text": markdown.html(said.text, HEADING) if said.text else None,
        "internal": markdown.html(said.internal, HEADING) if said.internal else None,
        "public_url": f"/articles/{slug}/{said.key}" if said.public else None,
        "open": path is not None,
        "walk": _walk(tell, said, slug, own, caller, path or (), service_url)
        if said.step
        else None,
    }


@dataclass(frozen=True)
class Shelf:
    """What lies beside the work at the desk, as templates read it.

    `notices` are those of the partners concerned, `far` those of all others.
    """

    notices: Sequence[dict[str, Any]]
    far: Sequence[dict[str, Any]]
    articles: Sequence[dict[str, Any]]


def shelf(
    request: Any, here: str, *, service: Service | None = None, walked: str = "", caller: str = ""
) -> Shelf:
    """Return notices, the articles about a service, and the script being walked.

    `here` is the address of the page, `walked` a script and a path in it, as ``slug/key:yes.no``,
    `caller` the language of whoever is being helped. One statement.
    """
    tell = telling(request)
    ref, _colon, path = walked[:LONGEST_PATH].partition(":")
    slug, _slash, key = ref.partition("/")
    asked = (tell.published.ids[slug], key) if slug in tell.published.ids else None
    found = holding(
        tell,
        articles_beside(
            request.dbsession, tell.today, ref=service.ref if service else None, asked=asked
        ),
    )
    pinned = [each for each in found if each.said.kind == "notice" and "desk" in each.said.shown]
    ours = {tell.slug, "region", *([service.tenant] if service else [])}
    near = [each for each in pinned if tell.published.slugs[each.tenant_id] in ours]
    far = [each for each in pinned if each not in near]
    others = [each for each in found if each.said.kind != "notice"]
    return Shelf(
        notices=shown_notices(request, loudest_first(near), staff=True),
        far=shown_notices(request, loudest_first(far), staff=True),
        articles=[
            shown_article(
                tell,
                each,
                caller=caller,
                path=path_of(path) if (each.tenant_id, each.said.key) == asked else None,
                service_url=lambda ref: f"{here}?{urlencode({'service': ref})}",
            )
            for each in sorted(others, key=lambda each: each.said.kind != "script")
        ],
    )


def holding(tell: Telling, found: Iterable[Shelved]) -> list[Shelved]:
    """Return those that hold at this moment on their partner's clock."""
    return [
        each
        for each in found
        if each.tenant_id in tell.published.slugs
        and each.said.holds(
            local_now(tell.request, tell.published.tenants[tell.published.slugs[each.tenant_id]])
        )
    ]


def _walk(
    tell: Telling,
    said: Article,
    slug: str,
    own: str,
    caller: str,
    path: Sequence[str],
    service_url: Callable[[str], str],
) -> ShownWalk:
    found = walk(said.step, path)
    behind = [
        _step(each.step, own, caller, found.path[:place], each.choice.key)
        for place, each in enumerate(found.taken)
    ]
    kind, _, name = (found.end or "").partition(":")
    service = None
    if kind == "service":
        ref = full_ref(slug, name)
        known = tell.published.directory.find(ref)
        if known is not None and known.offered(tell.today):
            service = {
                "url": service_url(ref),
                "name": spoken_service(
                    known,
                    own_language(tell.published.tenants[known.tenant]),
                    page_language(tell.request),
                ).name,
                "who": tell.partner(known.tenant),
            }
    return ShownWalk(
        behind=behind,
        here=None if found.here is None else _step(found.here, own, caller, found.path, None),
        end=kind or None,
        service=service,
        back=".".join(found.path[:-1]) if found.path else None,
        begun=bool(found.path),
    )


def _step(
    step: Step, own: str, caller: str, before: Sequence[str], chosen: str | None
) -> ShownStep:
    there = {each.language: each.text for each in step.translation}
    other = there.get(caller) if caller != own else None  # type: ignore[call-overload]
    return ShownStep(
        html=markdown.html(step.text, HEADING),
        language=own,
        other=markdown.html(other, HEADING) if other else None,
        other_language=caller if other else None,
        ways=[
            Way(
                Spoken(each.label, own),
                _label(each, own, caller),
                ".".join((*before, each.key)),
                each.key == chosen,
            )
            for each in step.choice
        ],
    )


def _label(choice: StepChoice, own: str, caller: str) -> Spoken | None:
    there: Mapping[Any, str] = {each.language: each.label for each in choice.translation}
    return Spoken(there[caller], caller) if caller != own and caller in there else None
