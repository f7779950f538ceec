"""What the menu of a partner offers: collections of the tree, by what one may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regional311.identity.permissions import Permissions as P
from regional311.web.i18n import _


@dataclass(frozen=True)
class Entry:
    """One link: `name` is the collection's name in the tree.

    An entry within another is offered beside it on its pages, not in the menu.
    """

    name: str
    title: Any
    summary: Any
    permission: P
    within: str | None = None


MENU: tuple[tuple[Any, tuple[Entry, ...]], ...] = (
    (
        _("Help people"),
        (
            Entry("desk", _("Desk"), _("Take a contact and find who helps."), P.CONTACT_TAKE),
            Entry(
                "front-desk",
                _("Front desk"),
                _("Who waits, and who is called."),
                P.CONTACT_TAKE,
                within="desk",
            ),
            Entry(
                "inbox",
                _("Inbox"),
                _("Mail, texts and chats to answer."),
                P.CONTACT_TAKE,
            ),
            Entry(
                "answer-templates",
                _("Templates of answers"),
                _("Words that are sent often."),
                P.INBOX_EDIT,
                within="inbox",
            ),
            Entry(
                "floor",
                _("Floor"),
                _("Who is on what, who waits, what is late."),
                P.FLOOR_RUN,
            ),
            Entry("contacts", _("Contacts"), _("What was asked, and the answer."), P.CONTACT_READ),
            Entry(
                "emergencies",
                _("Emergencies"),
                _("Storms, outages and drills."),
                P.EMERGENCY_READ,
            ),
            Entry("requests", _("Requests"), _("Work that is open or done."), P.REQUEST_READ),
            Entry(
                "closing-texts",
                _("Texts for closing"),
                _("What a request is closed with, by service and language."),
                P.INBOX_EDIT,
                within="requests",
            ),
            Entry(
                "accommodations",
                _("Accommodations"),
                _("Accessibility and equal treatment: what must be decided."),
                P.ACCOMMODATION_WORK,
            ),
            Entry(
                "accommodation",
                _("Accommodation"),
                _("Write down what somebody needs, or a complaint."),
                P.ACCOMMODATION_TAKE,
                within="desk",
            ),
            Entry(
                "accommodation-figures",
                _("Accommodations in figures"),
                _("Counts and times, without persons."),
                P.ACCOMMODATION_READ,
                within="insight",
            ),
            Entry(
                "referrals", _("Referrals"), _("Sent to and by other partners."), P.REFERRAL_READ
            ),
            Entry(
                "insight",
                _("Insight"),
                _("What becomes of referrals and needs."),
                P.REFERRAL_READ,
                within="referrals",
            ),
            Entry(
                "trends",
                _("Trends"),
                _("What all partners count, without persons."),
                P.TENANT_ENTER,
                within="insight",
            ),
            Entry(
                "follow-ups",
                _("Follow-ups"),
                _("Whom to ask what became of it."),
                P.CONTACT_TAKE,
            ),
            Entry(
                "outcomes",
                _("Without outcome"),
                _("What nobody has recorded."),
                P.CONTACT_READ,
                within="follow-ups",
            ),
            Entry(
                "receiving",
                _("What we take"),
                _("What we take from whom, and when."),
                P.SERVICE_READ,
                within="referrals",
            ),
        ),
    ),
    (
        _("Share the cost"),
        (
            Entry("billing", _("Billing"), _("Months, runs and usage."), P.BILLING_READ),
            Entry(
                "corrections",
                _("Late and changed work"),
                _("What issued periods have not seen."),
                P.BILLING_READ,
                within="billing",
            ),
            Entry(
                "recorded-work",
                _("Corrected work"),
                _("Recorded work that was wrong."),
                P.BILLING_READ,
                within="billing",
            ),
            Entry(
                "memos",
                _("Corrections and memos"),
                _("Statements about statements."),
                P.STATEMENT_READ,
                within="billing",
            ),
            Entry(
                "true-ups",
                _("True-ups"),
                _("A year's bills and its real cost."),
                P.BILLING_READ,
                within="billing",
            ),
            Entry(
                "statements", _("Statements"), _("What is owed, line by line."), P.STATEMENT_READ
            ),
            Entry(
                "splits",
                _("Own bill"),
                _("Our bill by bureau and fund."),
                P.POOL_READ,
                within="statements",
            ),
            Entry(
                "settlement",
                _("Settlement"),
                _("Who owes us, whom we owe, since when."),
                P.SETTLEMENT_READ,
            ),
            Entry(
                "payments",
                _("Payments"),
                _("What was paid, and for what."),
                P.SETTLEMENT_READ,
                within="settlement",
            ),
            Entry("disputes", _("Disputes"), _("What is not accepted."), P.DISPUTE_READ),
            Entry("ledger", _("Ledger"), _("The books of this partner."), P.LEDGER_READ),
        ),
    ),
    (
        _("Agree and plan"),
        (
            Entry("agreements", _("Agreements"), _("Who pays whom for what."), P.AGREEMENT_READ),
            Entry("rates", _("Rates"), _("Prices and from when."), P.RATE_READ),
            Entry("pools", _("Cost pools"), _("Shared costs and shares."), P.POOL_READ),
            Entry(
                "bases",
                _("Bases"),
                _("What costs are divided by."),
                P.POOL_READ,
                within="pools",
            ),
            Entry("budgets", _("Budgets"), _("Whether they last the year."), P.SCENARIO_READ),
            Entry("scenarios", _("What if"), _("Other rules beside the bill."), P.SCENARIO_READ),
        ),
    ),
    (
        _("Set up"),
        (
            Entry("services", _("Services"), _("What this partner does."), P.SERVICE_READ),
            Entry(
                "reviews",
                _("Reviews"),
                _("What must be looked at again."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "taxonomies",
                _("Taxonomies"),
                _("Subjects by which services are found."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "searches",
                _("Searches"),
                _("What people asked for in vain."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "synonyms",
                _("Synonyms"),
                _("What people say for our words."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "suggestions",
                _("Suggestions"),
                _("What others say should be corrected."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "question-groups",
                _("Question groups"),
                _("Questions that several forms share."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "locations",
                _("Locations"),
                _("Where services are given."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "articles",
                _("Articles"),
                _("Answers, guides, notices."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "organizations",
                _("Organisations"),
                _("Who gives services for this partner."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "alike",
                _("Possibly the same"),
                _("What other partners describe, too."),
                P.SERVICE_READ,
                within="services",
            ),
            Entry(
                "hsds",
                _("Packages"),
                _("The directory in and out as files."),
                P.SERVICE_PUBLISH,
                within="services",
            ),
            Entry("rules", _("Rules"), _("Where each need goes, and why."), P.RULE_READ),
            Entry(
                "lines",
                _("Lines"),
                _("Who answers, day and night."),
                P.SERVICE_READ,
            ),
            Entry("people", _("People"), _("Who may do what."), P.PEOPLE_READ),
            Entry(
                "clients",
                _("Programs"),
                _("Keys by which other systems send requests."),
                P.SETTINGS_READ,
                within="settings",
            ),
            Entry(
                "connections",
                _("Own system"),
                _("Where this partner works, if not here."),
                P.SETTINGS_READ,
                within="settings",
            ),
            Entry(
                "hooks",
                _("Texts and calls"),
                _("Who brings them, and how they sign."),
                P.SETTINGS_READ,
                within="settings",
            ),
            Entry(
                "messages",
                _("Messages sent"),
                _("What was written to whom, and what did not arrive."),
                P.MESSAGE_WORK,
            ),
            Entry(
                "mail-addresses",
                _("Where messages do not arrive"),
                _("Addresses to which no more is sent."),
                P.MESSAGE_WORK,
                within="messages",
            ),
            Entry(
                "message-words",
                _("Words of messages"),
                _("What messages to people say, in each language."),
                P.SETTINGS_EDIT,
                within="messages",
            ),
            Entry("settings", _("Settings"), _("Names, hours, boundaries."), P.SETTINGS_READ),
            Entry("audit", _("Audit trail"), _("Who changed what, when."), P.AUDIT_READ),
        ),
    ),
)


def menu_for(permissions: frozenset[P]) -> list[tuple[Any, list[Entry]]]:
    """Return the groups of the menu with the entries that these permissions open.

    An entry whose place is within one that stays shut is offered in the menu itself.
    """
    shown = [
        (title, [each for each in entries if each.permission in permissions])
        for title, entries in MENU
    ]
    open_names = {each.name for _title, entries in shown for each in entries}
    groups = [
        (title, [each for each in entries if each.within not in open_names])
        for title, entries in shown
    ]
    return [(title, entries) for title, entries in groups if entries]


def beside(section: str | None, permissions: frozenset[P]) -> list[Entry]:
    """Return the entry that a section is or lies within and all within it; none when it is alone.

    >>> [each.name for each in beside("memos", frozenset({P.BILLING_READ, P.STATEMENT_READ}))]
    ['billing', 'corrections', 'memos', 'true-ups']
    """
    entries = [each for _title, group in MENU for each in group if each.permission in permissions]
    head = next((each.within or each.name for each in entries if each.name == section), None)
    family = [each for each in entries if head is not None and head in (each.name, each.within)]
    return family if len(family) > 1 else []
