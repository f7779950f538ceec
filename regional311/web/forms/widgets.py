"""How each kind of field looks and how its text is taken from the submission.

Templates are in `templates/forms/`; all of them tie label, hint and error to the control. No
widget needs a script.
"""

from __future__ import annotations

from typing import Any

import colander
from deform import widget

from regional311.web.i18n import _

RESERVED = frozenset(
    {"csrf_token", "form_key", "form_name", "__formid__", "_charset_", "held_files"}
)
"""What the form itself carries beside its fields."""


class _Control(widget.Widget):
    """A control written as one piece of text.

    `width` is one of USWDS's: 2xs xs sm md lg xl 2xl; `attributes` are added to the tag as they
    are (data-, hx- and aria- attributes, never style or on...).
    """

    width: str | None = None
    autocomplete: str | None = None
    inputmode: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    maxlength: int | None = None
    attributes: dict[str, str] = {}
    spellcheck: bool | None = None

    def serialize(self, field, cstruct, **kw):
        text = "" if cstruct in (colander.null, None) else cstruct
        return field.renderer(self.template, **self.get_template_values(field, text, kw))

    def deserialize(self, field, pstruct):
        if pstruct is colander.null or pstruct == "":
            return colander.null
        if not isinstance(pstruct, str):
            raise colander.Invalid(field.schema, _("Enter one value."), value=colander.null)
        return pstruct


class TextWidget(_Control):
    """One line of text. `type` may be text, email, tel, url or search."""

    template = "text"
    type = "text"


class PasswordWidget(_Control):
    """A password; never filled in by the server."""

    template = "text"
    type = "password"
    autocomplete = "current-password"


class NumberWidget(_Control):
    """A number, typed as text with a numeric keyboard (no spinner, no silent rounding)."""

    template = "text"
    type = "text"
    inputmode = "decimal"
    width = "sm"


class MoneyWidget(NumberWidget):
    """An amount in dollars."""

    prefix = "$"


class DateWidget(_Control):
    """A date, with the browser's own picker."""

    template = "text"
    type = "date"
    width = "md"


class DateTimeWidget(_Control):
    """A date and a time of day on the partner's clock, with the browser's own picker."""

    template = "text"
    type = "datetime-local"
    width = "lg"


class TextAreaWidget(_Control):
    """Several lines of text."""

    template = "textarea"
    rows = 4


class FileWidget(_Control):
    """A file to send. `accept` lists media types that the browser offers; the server looks itself.

    The value is what the browser sent, with `filename` and `file`. A browser fills in no file:
    `keeps` gives what is held of the one that was sent, as (value, name); False when it is not.
    """

    template = "file"
    accept = ""
    sends_files = True
    keeps: Any = None

    def serialize(self, field, cstruct, **kw):
        kw["kept"] = self.keeps() if self.keeps else None
        return field.renderer(self.template, **self.get_template_values(field, "", kw))

    def deserialize(self, field, pstruct):
        return pstruct if getattr(pstruct, "file", None) is not None else colander.null


class HiddenWidget(_Control):
    """A value the person does not see."""

    template = "hidden"
    hidden = True
    category = "default"


class TrapWidget(_Control):
    """A field that no person sees: what fills it in is a program."""

    template = "trap"
    hidden = True


class SelectWidget(_Control):
    """A drop-down list. `values` holds (value, label) pairs, or (group label, [pairs])."""

    template = "select"
    values: Any = ()
    empty: Any = _("- Select -")


class RadioWidget(_Control):
    """One of a few, all of them in sight. `values` holds (value, label) or (value, label, hint)."""

    template = "radio"
    values: Any = ()
    grouped = True


class CheckboxWidget(widget.Widget):
    """One box to tick; the field's title is its label."""

    template = "checkbox"
    own_label = True

    def serialize(self, field, cstruct, **kw):
        return field.renderer(self.template, **self.get_template_values(field, cstruct, kw))

    def deserialize(self, field, pstruct):
        if pstruct is colander.null:
            return "false"
        if not isinstance(pstruct, str):
            raise colander.Invalid(field.schema, _("Enter one value."), value=colander.null)
        return pstruct


class CheckboxGroupWidget(widget.Widget):
    """Any of a few boxes. `values` holds (value, label) or (value, label, hint)."""

    template = "checkboxes"
    values: Any = ()
    grouped = True

    def serialize(self, field, cstruct, **kw):
        chosen = [] if cstruct in (colander.null, None) else list(cstruct)
        return field.renderer(self.template, **self.get_template_values(field, chosen, kw))

    def deserialize(self, field, pstruct):
        if pstruct is colander.null:
            return colander.null
        if isinstance(pstruct, str):
            return [pstruct]
        if not isinstance(pstruct, list) or not all(isinstance(each, str) for each in pstruct):
            raise colander.Invalid(field.schema, _("Choose from the options listed."), value=[])
        return pstruct or colander.null


class PicksWidget(CheckboxGroupWidget):
    """Any of many boxes, folded by group. `values` holds (group label, [(value, label)]).

    A group with something chosen is unfolded, and says with `chosen` how much it is.
    """

    template = "picks"
    chosen: Any = "✓"


class MappingWidget(widget.MappingWidget):
    """A group of fields under one legend. A submitted key that is no field is refused.

    Deform would drop it before Colander sees it, and a mistyped or forged field would pass unseen.
    """

    template = "mapping"
    requirements = ()

    def deserialize(self, field, pstruct):
        if pstruct is not colander.null and not isinstance(pstruct, dict):
            raise colander.Invalid(field.schema, _("Enter one value."), value={})
        allowed = {child.name for child in field.children} | self.reserved(field)
        leftover = set() if pstruct is colander.null else set(pstruct) - allowed
        try:
            result = super().deserialize(field, pstruct)
        except colander.Invalid as error:
            if leftover:
                error.msg = _leftover(leftover)
            raise
        if leftover:
            raise colander.Invalid(field.schema, _leftover(leftover), value=result)
        return result

    def reserved(self, field) -> set[str]:
        return set()


class FormWidget(MappingWidget):
    """The whole form: error summary, fields, buttons."""

    template = "form"

    def reserved(self, field) -> set[str]:
        return {*RESERVED, *(button.name for button in field.buttons)}


def _leftover(names: set[str]):
    return _(
        "The form was sent with fields it does not have: ${names}.",
        mapping={"names": ", ".join(sorted(names))[:200]},
    )
