"""What programs may ask and do: the document for tools, and a page for whoever writes one."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.web.api.openapi import document
from regional311.web.api.operations import OPERATIONS
from regional311.web.representations import json_response
from regional311.web.tree import ApiNode


@view_config(
    context=ApiNode,
    name="openapi.json",
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
)
def described(context: ApiNode, request: Any) -> Response:
    """Every operation, as OpenAPI 3.1."""
    answer = json_response(document(request.registry.configured.url.rstrip("/")))
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    answer.headers["Cache-Control"] = "public, max-age=60"
    return answer


@view_config(
    context=ApiNode,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="api/index.jinja2",
)
def index(context: ApiNode, request: Any) -> dict[str, Any]:
    """The operations by group, with what each needs."""
    paths = document(request.registry.configured.url.rstrip("/"))["paths"]
    return {
        "groups": [
            (
                name,
                [
                    {
                        "id": each.id,
                        "summary": each.summary,
                        "method": each.method,
                        "path": each.path,
                        "permission": str(each.permission),
                        "parameters": [
                            one["name"]
                            for one in paths["/{partner}" + each.path][each.method.lower()][
                                "parameters"
                            ]
                            if one["name"] != "format"
                        ],
                    }
                    for each in operations
                ],
            )
            for name, operations in groupby(OPERATIONS.values(), key=lambda each: each.group)
        ],
        "url": f"{request.host_url}/api/openapi.json",
    }
