"""The words of messages that were written: what they tell of, and how far they are."""

from __future__ import annotations

import re

from regional311.web.i18n import _

EVENTS = {
    "request_received": _("A request was received"),
    "request_status": _("A request moved on"),
    "request_closed": _("A request was closed"),
    "me_too_status": _("News on a request that others have too"),
    "me_too_closed": _("A request that others have too was closed"),
    "accommodation_new": _("An accommodation request came in"),
    "accommodation_unplaced": _("An accommodation request has no coordinator"),
    "accommodation_given": _("An accommodation request was given to somebody"),
    "accommodation_added": _("Somebody adds to an accommodation request"),
    "accommodation_appeal": _("Somebody does not agree with a decision"),
    "accommodation_due": _("An accommodation request is due"),
    "accommodation_overdue": _("An accommodation request is overdue"),
    "accommodation_acknowledged": _("An accommodation request is in hand"),
    "accommodation_decided": _("An accommodation request was decided"),
    "accommodation_news": _("News on an accommodation request"),
    "accommodation_appeal_answered": _("A decision was looked at again"),
    "mentioned": _("A colleague mentions you"),
    "referral_sent": _("A referral was sent"),
    "referral_answered": _("A referral was answered"),
    "referral_waits": _("A referral waits for an answer"),
    "onward_goes_on": _("What was referred onward goes on, and what it is part of has ended"),
    "draft_left": _("A referral is still a draft"),
    "question_answered": _("A question was answered, with a link"),
    "question_unanswered": _("A question about a referral has no answer"),
    "referral_unanswered": _("A referral has no answer"),
    "referral_new": _("A referral came, with a link to answer"),
    "referral_taken": _("A referral was taken as a policy says"),
    "never_contact": _("Nobody may contact a person any more"),
    "line_open": _("A line opened to which somebody is to be put through"),
    "line_gone": _("A line to which somebody is to be put through is there no more"),
    "line_open_late": _("Nobody was put through to a line that is open"),
    "rules_stopped": _("Rules that decide do not work any more"),
    "agreement_expiring": _("An agreement ends soon"),
    "rates_not_taken_over": _("Rates that were approved do not hold"),
    "pool_changed": _("A shared cost was changed"),
    "pool_changed_outside": _("A shared cost of a body outside was changed"),
    "pool_changed_bureaus": _("A shared cost of own bureaus was changed"),
    "reviews_due": _("Entries are due to be looked at"),
    "suggestions_new": _("Somebody suggests corrections"),
    "publishing_refused": _("Something was not published on its day"),
    "mailbox_link": _("Somebody asked for a link to what they reported"),
    "suggestion_approved": _("A suggestion was taken over"),
    "suggestion_declined": _("A suggestion was not taken over"),
    "budget_warning": _("A budget may not last"),
    "payment_due_soon": _("A payment is due soon"),
    "payment_due": _("A payment is due"),
    "payment_overdue": _("A payment is overdue"),
    "advance_requested": _("An advance is asked for"),
    "advance_outside": _("An advance is asked for, of a body outside"),
    "statement_outside": _("A statement to a body outside"),
    "outside_due_soon": _("A payment of a body outside is due soon"),
    "outside_due": _("A payment of a body outside is due"),
    "outside_overdue": _("A payment of a body outside is overdue"),
    "dispute_unanswered": _("A dispute has no answer"),
    "digest": _("The notices of a day"),
    "program_told": _("A program is told that a request moved on"),
    "wording_test": _("A message to try its words"),
    "thread_answer": _("An answer from the inbox"),
    "danger_number": _("The number to call in danger"),
    "text_stop": _("Texts were ended"),
    "text_start": _("Texts begin again"),
    "text_help": _("What texts are for"),
}
STATES = {
    "pending": _("Waiting to leave"),
    "sent": _("Sent"),
    "dead": _("Could not be sent"),
    "aside": _("Set aside"),
    "withdrawn": _("Not sent"),
    "gathered": _("In the letter of the day"),
}
KINDS = {
    "pending": "waiting",
    "sent": "done",
    "dead": "danger",
    "aside": "neutral",
    "withdrawn": "neutral",
    "gathered": "done",
}
CHANNELS = {
    "email": _("E-mail"),
    "text": _("Text"),
    "post": _("Letter on paper"),
    "webhook": _("Webhook"),
}

_KEYS = re.compile(
    r"(/(?:(?:track|mine|answer|letters)|(?:chat|accommodation|a)/[\w-]+)/)([\w.-]{4})[\w.~-]{6,}"
)


def without_keys(words: str) -> str:
    """Give the words of a message without what opens its links: those are the person's own.

    >>> without_keys("See https://311.example/track/abcdefghijklmnopqrst.")
    'See https://311.example/track/abcd…'
    """
    return _KEYS.sub(r"\1\2…", words)
