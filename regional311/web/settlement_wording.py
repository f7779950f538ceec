"""The words of the pages about settling: payments, disputes, netting, confirmed balances."""

from __future__ import annotations

from typing import Any

from regional311.web.billing_wording import STATE_KINDS, Words
from regional311.web.i18n import _

OPEN_STATES = {
    "issued": _("Issued"),
    "partly_paid": _("Partly paid"),
    "overdue": _("Overdue"),
    "partly_disputed": _("Partly disputed"),
    "settled": _("Settled"),
    "credit": _("Credit"),
}
BUCKETS = {
    "current": _("Not due yet"),
    "1-30": _("1 to 30 days"),
    "31-60": _("31 to 60 days"),
    "61-90": _("61 to 90 days"),
    "over-90": _("Over 90 days"),
}
PAYMENT_KINDS = {
    "payment": _("Payment"),
    "refund": _("Refund"),
    "application": _("Advance applied"),
    "netting": _("Netting"),
    "reversal": _("Reversal"),
}
METHODS = {
    "check": _("Check"),
    "ach": _("ACH transfer"),
    "wire": _("Wire"),
    "card": _("Card"),
    "journal": _("Journal voucher"),
    "other": _("Another way"),
}
SIDES = {"received": _("Received by us"), "paid": _("Paid by us")}
DISPUTE_SIDES = {"issued": _("About our statements"), "received": _("Opened by us")}
DISPUTE_REASONS = {
    "not_received": _("The work was not done"),
    "wrong_quantity": _("The quantity is wrong"),
    "wrong_price": _("The price is wrong"),
    "wrong_payer": _("Somebody else should pay"),
    "not_agreed": _("The agreement does not cover it"),
    "billed_twice": _("It was billed before"),
    "other": _("Another reason"),
}
DISPUTE_STATES = {
    "open": _("Open"),
    "partly_decided": _("Partly decided"),
    "upheld": _("Upheld: the charge stands"),
    "credited": _("Credited"),
    "withdrawn": _("Withdrawn"),
    "decided": _("Decided"),
}
DISPUTE_STEPS = {
    "opened": _("Opened"),
    "comment": _("Comment"),
    "assigned": _("Somebody was named to answer it"),
    "upheld": _("Upheld: the charge stands"),
    "credited": _("Credited"),
    "redrafted": _("The credit memo was drafted again"),
    "withdrawn": _("Withdrawn"),
}
NETTING_STATES = {
    "proposed": _("Proposed"),
    "executed": _("Executed"),
    "declined": _("Declined"),
    "withdrawn": _("Withdrawn"),
    "consented": _("Consented"),
    "waiting": _("Not answered"),
}
BALANCE_STATES = {
    "asked": _("Waiting for an answer"),
    "agreed": _("Both agree"),
    "differs": _("They differ"),
    "open": _("Open"),
    "explained": _("Explained"),
    "resolved": _("Resolved"),
}
KINDS = {
    "partly_paid": "waiting",
    "overdue": "danger",
    "partly_disputed": "refused",
    "settled": "done",
    "credit": "neutral",
    "open": "waiting",
    "partly_decided": "waiting",
    "upheld": "refused",
    "credited": "done",
    "withdrawn": "neutral",
    "decided": "done",
    "proposed": "waiting",
    "executed": "done",
    "declined": "refused",
    "consented": "done",
    "waiting": "waiting",
    "asked": "waiting",
    "agreed": "done",
    "differs": "danger",
    "explained": "open",
    "resolved": "done",
    "issued": "open",
}


class SettlementWords(Words):
    """`Words` with those of settling."""

    tables = {
        **Words.tables,
        "open_state": OPEN_STATES,
        "bucket": BUCKETS,
        "payment_kind": PAYMENT_KINDS,
        "method": METHODS,
        "side": SIDES,
        "dispute_reason": DISPUTE_REASONS,
        "dispute_state": DISPUTE_STATES,
        "dispute_step": DISPUTE_STEPS,
        "netting_state": NETTING_STATES,
        "balance_state": BALANCE_STATES,
    }

    def kind(self, state: str | None) -> str:
        """The colour of a state's tag."""
        return KINDS.get(state or "") or STATE_KINDS.get(state or "", "neutral")


def settlement_page(request: Any, **values: Any) -> dict[str, Any]:
    """What a page about settling is rendered with."""
    return {"words": SettlementWords(request), **values}
