"""What the frame of every page shows: who, whose, where, menu, messages.

Templates know it as `shell`. It reads what the request already has; it never fails on an error
page.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pyramid.events import BeforeRender
from pyramid.static import QueryStringConstantCacheBuster

from regional311.identity.permissions import Permissions as P
from regional311.notices.troubles import did_not_arrive
from regional311.web.emergencies import banners
from regional311.web.i18n import ASKED, page_language
from regional311.web.navigation import beside, menu_for
from regional311.web.pipeline import has_page
from regional311.web.sessions import current_identity, take_messages

STATIC = Path(__file__).parent / "static"
HTMX = json.dumps(
    {
        "allowEval": False,
        "includeIndicatorStyles": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        "historyCacheSize": 0,
        "refreshOnHistoryMiss": True,
    }
)


class Shell:
    """The frame's view of one request."""

    htmx_config = HTMX

    def __init__(self, request: Any) -> None:
        self.request = request

    @cached_property
    def identity(self) -> Any:
        return current_identity(self.request)

    @cached_property
    def tenant(self) -> Any:
        """The partner entered, if the person works there."""
        tenant = getattr(self.request, "tenant", None)
        if tenant is None or self.identity is None or not self.identity.roles(tenant.id):
            return None
        return tenant

    @cached_property
    def menu(self) -> list[Any]:
        return menu_for(self.identity.permissions(self.tenant.id)) if self.tenant else []

    @cached_property
    def beside(self) -> list[Any]:
        """The entry of the menu that the page belongs to, and those that lie within it."""
        if not self.tenant:
            return []
        return beside(self.section, self.identity.permissions(self.tenant.id))

    @cached_property
    def menu_section(self) -> str | None:
        """The name of the menu's entry that the page belongs to."""
        return self.beside[0].name if self.beside else self.section

    @cached_property
    def memberships(self) -> list[Any]:
        """The partners that the person works for."""
        if self.identity is None:
            return []
        partners = self.request.registry.partners.all()
        return [each for each in partners if self.identity.roles(each.id)]

    @property
    def me_url(self) -> str | None:
        """One's own page at the partner whose pages these are."""
        if self.tenant is None or self.identity is None or not self.identity.roles(self.tenant.id):
            return None
        return str(self.url(self.tenant.slug, "me"))

    def messages_url(self, subject_id: Any) -> str | None:
        """Where the messages about something are listed, for who may see them."""
        if self.tenant is None or self.identity is None:
            return None
        if P.MESSAGE_WORK not in self.identity.permissions(self.tenant.id):
            return None
        return f"{self.url(self.tenant.slug, 'messages')}?about={subject_id}"

    def did_not_arrive(self, subject_id: Any) -> bool:
        """Whether mail about something does not reach the person. One statement."""
        return did_not_arrive(self.request.dbsession, subject_id)

    @property
    def for_you_url(self) -> str | None:
        """The list of what is for this person, at the partner whose pages these are."""
        return self.url(self.tenant.slug, "for-you") if self.me_url else None

    @property
    def other_tenants(self) -> list[Any]:
        current = self.tenant.id if self.tenant else None
        return [each for each in self.memberships if each.id != current]

    @property
    def section(self) -> str | None:
        """The collection that the page belongs to."""
        node = getattr(self.request, "context", None)
        while node is not None:
            parent = getattr(node, "__parent__", None)
            if getattr(parent, "partner", None) is not None:
                return str(node.__name__)
            node = parent
        return None

    @cached_property
    def emergencies(self) -> list[dict[str, Any]]:
        """What stands at the top of the page in an emergency or a drill."""
        return banners(self.request)

    @property
    def home_url(self) -> str:
        return self.url(self.tenant.slug) if self.tenant else "/"

    @property
    def language(self) -> str:
        return page_language(self.request)

    @cached_property
    def languages(self) -> list[tuple[str, str, str]]:
        """(code, name, address) of this page in each language; none where there is but one.

        What a form is only sent to has no page: its links lead to the page with the form.
        """
        names = self.request.registry.languages
        if len(names) == 1 or self.tenant is not None:
            return []
        try:
            path, query = self.request.path, self.request.GET.items()
            if getattr(self.request, "view_name", "") and not has_page(self.request):
                path = path.rstrip("/").rpartition("/")[0] or "/"
            asked = {name: value for name, value in query if name != ASKED}
        except UnicodeDecodeError:
            path, asked = "/", {}
        return [
            (code, name, f"{path}?{urlencode({**asked, ASKED: code})}")
            for code, name in names.items()
        ]

    def url(self, *parts: str) -> str:
        """Return the path of a place: `shell.url(tenant.slug, "requests")`."""
        return "/" + "/".join(parts)

    def static(self, path: str) -> str:
        """Return the address of a static file, with its version."""
        return str(self.request.static_path(f"regional311.web:static/{path}"))

    def messages(self) -> list[tuple[str, str]]:
        return take_messages(self.request)


def add_shell(event: Any) -> None:
    request = event.get("request")
    if request is not None and "shell" not in event:
        event["shell"] = Shell(request)


def version_of(directory: Path) -> str:
    """Return a short digest of all files below a directory: it changes when one of them does."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(directory).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def includeme(config: Any) -> None:
    config.add_settings(
        {
            "jinja2.undefined": "strict",
            "jinja2.newstyle": True,
            "jinja2.i18n.domain": "regional311",
            "jinja2.finalize": "regional311.web.i18n.printed",
            "jinja2.trim_blocks": True,
            "jinja2.lstrip_blocks": True,
        }
    )
    config.include("pyramid_jinja2")
    config.add_jinja2_search_path("regional311.web:templates")
    config.add_static_view(
        "static",
        "regional311.web:static",
        cache_max_age=31_536_000,
        content_encodings=["gzip"],
    )
    config.add_tween(
        "regional311.web.compressing.compressing_factory",
        under="regional311.web.pipeline.guard_factory",
    )
    config.add_cache_buster(
        "regional311.web:static/", QueryStringConstantCacheBuster(version_of(STATIC))
    )
    config.add_subscriber(add_shell, BeforeRender)
