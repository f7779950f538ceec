"""Lists of things in a form: as many rows as somebody needs, without a script.

    schema.add(rows("document", DocumentRow(), title=_("Documents"),
                    row_title=_("Document ${number}"), add=_("Add a document")))

Each row is a group of fields. Rows that hold nothing do not count. Buttons add a row, take one out
or move one up: they send the form, which is shown again with the rows as wanted and everything
else as it was typed; nothing is saved until the form itself is. A view asks
`pressed(request, form)` before anything else.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import colander
import peppercorn
from deform import widget

from regional311.web.forms.types import Schema
from regional311.web.i18n import _

BUTTON = "rows"
"""Name of the buttons that change rows."""

MOST_ROWS = 200
_PRESSED = re.compile(r"(add|remove|up) ([a-z_]+(?:\.\d{1,3}\.[a-z_]+)*)(?:\.(\d{1,3}))?")


class RowsWidget(widget.Widget):
    """A list of rows. `spare` blank ones are offered; `compact` puts the fields beside another."""

    template = "rows"
    category = "structural"
    spare = 1
    compact = False
    row_title: Any = _("Row ${number}")
    fresh: Callable[[list[Any]], dict[str, Any]] = staticmethod(lambda _there: {})
    """What a row says as it is added, from the rows that are there."""
    add: Any = _("Add another")

    def serialize(self, field: Any, cstruct: Any, **kw: Any) -> Any:
        sent = getattr(field, "sequence_fields", None)
        shown = [] if sent is None else list(sent)
        if sent is None:
            for value in () if cstruct in (colander.null, None) else cstruct:
                row = _row(field, len(shown))
                row.cstruct = value
                shown.append(row)
        if not shown or not getattr(_root(field), "keeps_blank_rows", False):
            shown.extend(_row(field, len(shown) + number) for number in range(self.spare))
        # each row holds its parent weakly, and the field holds the rows
        field.sequence_fields = shown
        return field.renderer(self.template, **self.get_template_values(field, shown, kw))

    def deserialize(self, field: Any, pstruct: Any) -> Any:
        if pstruct is colander.null:
            pstruct = []
        if not isinstance(pstruct, list):
            raise colander.Invalid(field.schema, _("Enter a list."), value=[])
        if len(pstruct) > MOST_ROWS:
            raise colander.Invalid(
                field.schema, _("At most ${most} rows.", mapping={"most": MOST_ROWS}), value=[]
            )
        keeps_blank = getattr(_root(field), "keeps_blank_rows", False)
        error: Any = None
        result: list[Any] = []
        field.sequence_fields = []
        for each in pstruct:
            row = _row(field, len(result))
            if not keeps_blank and _is_blank(row, each):
                continue
            try:
                value = row.deserialize(each)
            except colander.Invalid as wrong:
                value = wrong.value
                error = error or colander.Invalid(field.schema, value=result)
                error.add(wrong, len(result))
            row.cstruct = value
            result.append(value)
            field.sequence_fields.append(row)
        if error is not None:
            raise error
        return result

    def handle_error(self, field: Any, error: Any) -> None:
        if field.error is None and error.msg is not None:
            field.error = error
        for each in error.children:
            row = field.sequence_fields[each.pos]
            row.widget.handle_error(row, each)


def rows(name: str, row: Schema, *, title: Any, description: Any = None, **shown: Any) -> Any:
    """Return a node for a list of rows; `shown` are the attributes of its widget."""
    row.name = "row"
    node = colander.SchemaNode(
        colander.Sequence(), row, name=name, title=title, widget=RowsWidget(**shown), missing=()
    )
    if description is not None:
        node.description = description
    return node


def pressed(request: Any, form: Any) -> bool:
    """Whether a button of a list was pressed; then the form has its rows so and is shown again."""
    found = _PRESSED.fullmatch(str(request.POST.get(BUTTON, "")))
    if found is None:
        return False
    items = [(name, value) for name, value in request.POST.items() if name != BUTTON]
    try:
        sent = peppercorn.parse(items)
    except ValueError:
        return False
    verb, path, number = found.groups()
    there = _rows_at(sent, path)
    if there is None:
        return False
    place = -1 if number is None else int(number)
    if verb == "add" and len(there) < MOST_ROWS:
        there.append(_widget_at(form, path).fresh(there))
    elif verb == "remove" and 0 <= place < len(there):
        del there[place]
    elif verb == "up" and 0 < place < len(there):
        there[place - 1], there[place] = there[place], there[place - 1]
    form.keeps_blank_rows = True
    form.set_pstruct(sent)
    return True


def _rows_at(sent: Any, path: str) -> list[Any] | None:
    here = sent
    for part in path.split("."):
        if isinstance(here, list):
            here = here[int(part)] if part.isdecimal() and int(part) < len(here) else None
        elif isinstance(here, dict):
            here = here.setdefault(part, [])
        else:
            return None
    return here if isinstance(here, list) else None


def _widget_at(form: Any, path: str) -> Any:
    here = form
    for part in path.split("."):
        here = here.children[0] if part.isdecimal() else here[part]
    return here.widget


def _row(field: Any, number: int) -> Any:
    row = field.children[0].clone()
    row.formid = str(number + 1)
    row._parent = weakref.ref(field)  # noqa: SLF001
    return row


def _root(field: Any) -> Any:
    while field.parent is not None:
        field = field.parent
    return field


def _is_blank(row: Any, sent: Any) -> bool:
    if not isinstance(sent, dict):
        return False
    for child in row.children:
        value = sent.get(child.name, "")
        if isinstance(child.widget, RowsWidget):
            blank = not isinstance(value, list) or all(
                _is_blank(_row(child, number), each) for number, each in enumerate(value)
            )
        elif child.children:
            blank = not isinstance(value, dict) or _is_blank(child, value)
        else:
            untouched = child.schema.serialize(colander.null)
            blank = value in ("", [], untouched)
        if not blank:
            return False
    return True


def path_of(field: Any) -> str:
    """Return the path of a list or of a row by names and places, as the buttons say it."""
    parts: list[str] = []
    while field.parent is not None:
        is_row = isinstance(field.parent.widget, RowsWidget)
        parts.append(str(int(field.formid) - 1) if is_row else field.name)
        field = field.parent
    return ".".join(reversed(parts))
