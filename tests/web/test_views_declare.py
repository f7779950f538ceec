"""Every view says what it is of, who may see it, and which method it answers."""

from __future__ import annotations

from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.static import static_view

from regional311.identity.permissions import Permissions
from regional311.web.tree import Resource


def test_every_view_declares_context_permission_and_method(application):
    wrong = []
    for view in application.registry.declared_views:
        context = view.context
        if isinstance(view.callable, static_view) or (
            isinstance(context, type) and issubclass(context, Exception)
        ):
            continue
        name = f"{view.callable.__module__}.{view.callable.__qualname__}"
        if name.startswith("pyramid."):
            continue
        if not (isinstance(context, type) and issubclass(context, Resource)):
            wrong.append(f"{name}: no context")
        if not view.methods:
            wrong.append(f"{name}: no request_method")
        if view.permission != NO_PERMISSION_REQUIRED and not isinstance(
            view.permission, Permissions
        ):
            wrong.append(f"{name}: permission is {view.permission!r}, not one of Permissions")
    assert wrong == []
    assert len(application.registry.declared_views) > 10
