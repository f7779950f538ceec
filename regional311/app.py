"""The composition root: `main()` puts the web together, one include a line."""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack
from typing import Any

from pyramid.config import Configurator

from regional311.database.prepare import reach
from regional311.database.session import make_engine
from regional311.settings import VARIABLES
from regional311.settings import Settings as Configured
from regional311.web.pipeline import clock


def main(
    global_config: dict[str, str] | None = None,  # noqa: ARG001 (PasteDeploy passes it)
    **settings: Any,
) -> Any:
    """Return the WSGI application.

    `regional311 serve` passes `configured` (a `settings.Settings`) and `database_url`, the
    address for the application's role. `pserve` passes neither: then the settings come from the
    environment and the ini file, and an embedded server is started and stopped with the process.
    `engine`, `clock` and `extend` (one more include) are for tests.
    """
    configured = settings.pop("configured", None) or settings_from_ini(settings)
    engine = settings.pop("engine", None)
    database_url = settings.pop("database_url", None)
    now, extend = settings.pop("clock", clock), settings.pop("extend", None)
    if engine is None:
        engine = make_engine(database_url or _reach_for_good(configured))
    with Configurator(settings=settings) as config:
        config.registry.configured = configured
        config.registry.engine = engine
        config.registry.clock = now
        config.include("regional311.web.i18n")  # languages
        config.include("regional311.web.shell")  # templates and static files
        config.include("regional311.web.pipeline")  # transactions, headers, strict addresses
        config.include("regional311.web.readable")  # no text that cannot be kept
        config.include("regional311.web.sessions")  # cookies, CSRF, one-time messages
        config.include("regional311.web.security")  # who asks, what they may
        config.include("regional311.web.programs")  # keys, and views for programs
        config.include("regional311.web.tree")  # what is where
        config.include("regional311.web.directory")  # the directory for programs
        config.scan("regional311.web.views")  # every view declares context, permission, method
        if extend is not None:
            config.include(extend)
        return config.make_wsgi_app()


def settings_from_ini(settings: dict[str, Any]) -> Configured:
    """Return the settings of the environment, overruled by an ini file's lower-case names."""
    given = {name: str(settings[name.lower()]) for name in VARIABLES if name.lower() in settings}
    return Configured.from_environment(environment=os.environ | given)


def _reach_for_good(configured: Configured) -> str:
    stack = ExitStack()
    addresses = stack.enter_context(reach(configured))
    atexit.register(stack.close)
    return addresses.app
