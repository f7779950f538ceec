"""Files that staff add to a request on its page, and who may have them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import colander
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.permissions import Permissions as P
from regional311.intake import added_files
from regional311.web.files import FILE, file_node
from regional311.web.forms import (
    Choice,
    Form,
    RadioWidget,
    Schema,
    SchemaNode,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.tree import RequestRecord
from regional311.web.wording import FILE_AUDIENCES, choices


class AttachForm(Schema):
    """A file, and who may have it."""

    audience = SchemaNode(
        Choice(FILE_AUDIENCES),
        title=_("Who may have it"),
        widget=RadioWidget(values=choices(FILE_AUDIENCES)),
    )


def attach_form(context: RequestRecord, request: Any) -> Form:
    """Make the form by which a file is added."""
    schema = AttachForm()
    file = file_node(
        request, request.tenant.slug, _("File"), missing=colander.required, keeps=False
    )
    schema.children.insert(0, file)
    here = request.resource_path(context).rstrip("/")
    return make_form(
        request,
        schema,
        submit=_("Add the file"),
        values={"audience": "staff"},
        name="attach",
        action=f"{here}/attach",
    )


@view_config(
    context=RequestRecord,
    name="attach",
    permission=P.REQUEST_WORK,
    request_method="POST",
    renderer="requests/request.jinja2",
)
def attach(context: RequestRecord, request: Any) -> Any:
    """Add a file to a request."""
    from regional311.web.views.requests import page_of_own

    form = attach_form(context, request)

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        added_files.add_file(
            request.dbsession,
            context.record.id,
            values[FILE],
            audience=values["audience"],
            now=request.now,
        )
        request.flash("success", _("The file is added."))
        return HTTPSeeOther(location=f"{request.resource_path(context).rstrip('/')}#added")

    return handle_form_submission(
        request, form, on_success, lambda: page_of_own(context, request, attach=form)
    )


@view_config(
    context=RequestRecord,
    name="show-file",
    permission=P.REQUEST_WORK,
    request_method="POST",
)
def show(context: RequestRecord, request: Any) -> HTTPSeeOther:
    """Say who may have a file."""
    audience = request.POST.get("audience", "")
    try:
        file_id = UUID(str(request.POST.get("file", "")))
    except ValueError:
        raise HTTPNotFound from None
    added_files.show_file(
        request.dbsession,
        context.record.id,
        file_id,
        audience,
        now=request.now,
    )
    said = _("The person can have it by their link.")
    request.flash("success", said if audience == "person" else _("Staff only have it now."))
    return HTTPSeeOther(location=f"{request.resource_path(context).rstrip('/')}#added")
