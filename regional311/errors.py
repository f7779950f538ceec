"""What can go wrong in words a person can act on.

Every broken rule is a `DomainError` whose class is named for the rule. The message is one plain
sentence that says what is wrong and what is allowed; `field` names the input it is about.
"""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """A rule was broken; nothing was changed.

    `message` is one sentence for the person; `field` is the form field, column or configuration
    key it concerns, when there is one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    @property
    def code(self) -> str:
        """The rule's stable name, for programs and logs (`PeriodClosed`)."""
        return type(self).__name__


class InvalidInput(DomainError):
    """A value is not one of those allowed."""


class NotFound(DomainError):
    """There is no such record for this tenant."""


class Forbidden(DomainError):
    """This person may not do this."""


class Conflict(DomainError):
    """The record is not in a state in which this can be done."""


class AlreadyInForce(Conflict):
    """What has been in force would be rewritten; history stays, a new entry follows it."""


class ComeAgain(Conflict):
    """The same form was done while this one was on its way: from the start it gets that answer."""


class KeyReused(Conflict):
    """The same idempotency key came with different content."""


class AnswerForgotten(Conflict):
    """The same idempotency key came so late that what it was answered is not kept any more."""


class RecordErased(Conflict):
    """What was personal in the record was erased; it cannot be worked on any more."""


class Stale(Conflict):
    """Somebody else saved first.

    `current` maps each field to what is stored now, `submitted` to what this person sent, so that
    both can be shown.
    """

    def __init__(
        self,
        message: str,
        *,
        current: dict[str, Any],
        submitted: dict[str, Any],
    ) -> None:
        super().__init__(message)
        self.current = current
        self.submitted = submitted
