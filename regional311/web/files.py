"""A field for a file that answers no question: a photo of what is reported, a letter that came."""

from __future__ import annotations

from typing import Any, Final

import colander

from regional311.intake.uploads import (
    LARGEST_MEGABYTES,
    MEGABYTE,
    TYPES,
    FileRefused,
    Upload,
    upload,
)
from regional311.web.forms import FileWidget, SchemaNode
from regional311.web.held import given_back, kept_with
from regional311.web.i18n import _
from regional311.web.telling import telling

ACCEPTED: Final = ",".join(media_type for media_type, *_rest in TYPES)
"""What browsers offer to choose from."""
FILE: Final = "file"
"""The name of the field."""
HINT: Final = _(
    "A picture or a PDF of at most ${size} MB. Where a picture was taken is not kept.",
    mapping={"size": LARGEST_MEGABYTES},
)


class _Sent(colander.SchemaType):
    """A file as it was sent or, while something is corrected, as it is held."""

    def __init__(self, request: Any, owner: str) -> None:
        self.request, self.owner = request, owner

    def serialize(self, _node: Any, _appstruct: Any) -> Any:
        return colander.null

    def deserialize(self, node: Any, cstruct: Any) -> Any:
        if cstruct is colander.null:
            return given_back(self.request, self.owner, FILE) or colander.null
        return taken(self.request, node, FILE, cstruct)


def taken(request: Any, node: Any, key: str, sent: Any) -> Upload:
    """Read and check a file that was sent. Raises `colander.Invalid`."""
    content = sent.file.read(LARGEST_MEGABYTES * MEGABYTE + 1)
    try:
        return upload(key, str(sent.filename or ""), content)
    except FileRefused as error:
        said = telling(request).translate(error.message)
        raise colander.Invalid(node, said) from error


def file_node(
    request: Any, owner: str, title: Any, *, missing: Any = None, keeps: bool = True
) -> SchemaNode:
    """Make the field; its value is an `Upload`. ``owner`` is the partner where it is held.

    ``keeps``: what was sent stays with the form while something else is corrected.
    """

    def kept() -> Any:
        if request.method != "POST":
            return None
        return kept_with(request, owner, FILE, request.POST.get(FILE))

    return SchemaNode(
        _Sent(request, owner),
        name=FILE,
        title=title,
        description=HINT,
        widget=FileWidget(
            accept=ACCEPTED,
            keeps=kept if keeps else None,
        ),
        missing=missing,
    )
