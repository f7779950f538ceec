"""What a role may do in a partner.

A permission is `noun:verb`: the noun is what the resource tree calls it, the verb one of take,
read, edit, work, accept, run, prepare, approve, publish, issue, grant, enter. Views and access
lists name permissions of `Permissions` only; roles are never tested in code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Permissions(StrEnum):
    """Every permission there is."""

    TENANT_ENTER = "tenant:enter"
    CONTACT_TAKE = "contact:take"
    CONTACT_READ = "contact:read"
    CONTACT_EDIT = "contact:edit"
    INQUIRER_READ = "inquirer:read"
    """Who asked, in whose words, and where: without it a contact shows facts and codes only."""
    INQUIRER_ISSUE = "inquirer:issue"
    """Give a person who asks everything that is known of them, what is confidential, too."""
    FLOOR_RUN = "floor:run"
    """See who is on what and who waits; look along, take contacts over, give work to others."""
    EMERGENCY_READ = "emergency:read"
    EMERGENCY_RUN = "emergency:run"
    """Start, change and end emergencies and drills; lend help and take it."""
    INBOX_EDIT = "inbox:edit"
    """Write the templates of answers."""
    MESSAGE_WORK = "message:work"
    """See what was written to whom, word for word; have it sent again, or set it aside."""
    REQUEST_READ = "request:read"
    REQUEST_WORK = "request:work"
    ACCOMMODATION_TAKE = "accommodation:take"
    """Write down an accommodation request or a complaint; what others wrote stays unseen."""
    ACCOMMODATION_WORK = "accommodation:work"
    """Read and decide them: coordinators only."""
    ACCOMMODATION_READ = "accommodation:read"
    """See how many there are, without persons."""
    REFERRAL_READ = "referral:read"
    REFERRAL_ACCEPT = "referral:accept"
    SERVICE_READ = "service:read"
    SERVICE_WORK = "service:work"
    """Keep entries right: say that they are, answer what others suggest."""
    SERVICE_EDIT = "service:edit"
    """Draft what the catalogue says."""
    SERVICE_PUBLISH = "service:publish"
    """Review drafts of the catalogue and publish them; end what is published."""
    RULE_READ = "rule:read"
    RULE_EDIT = "rule:edit"
    RULE_APPROVE = "rule:approve"
    AGREEMENT_READ = "agreement:read"
    AGREEMENT_EDIT = "agreement:edit"
    AGREEMENT_APPROVE = "agreement:approve"
    RATE_READ = "rate:read"
    RATE_EDIT = "rate:edit"
    RATE_APPROVE = "rate:approve"
    POOL_READ = "pool:read"
    POOL_EDIT = "pool:edit"
    BILLING_READ = "billing:read"
    BILLING_RUN = "billing:run"
    STATEMENT_READ = "statement:read"
    STATEMENT_PREPARE = "statement:prepare"
    STATEMENT_APPROVE = "statement:approve"
    STATEMENT_ISSUE = "statement:issue"
    DISPUTE_READ = "dispute:read"
    DISPUTE_EDIT = "dispute:edit"
    DISPUTE_APPROVE = "dispute:approve"
    SETTLEMENT_READ = "settlement:read"
    SETTLEMENT_EDIT = "settlement:edit"
    SETTLEMENT_APPROVE = "settlement:approve"
    SCENARIO_READ = "scenario:read"
    SCENARIO_EDIT = "scenario:edit"
    LEDGER_READ = "ledger:read"
    LEDGER_RUN = "ledger:run"
    """Close periods, export batches."""
    LEDGER_APPROVE = "ledger:approve"
    """The second person when a period is opened again."""
    PEOPLE_READ = "people:read"
    PEOPLE_GRANT = "people:grant"
    SETTINGS_READ = "settings:read"
    SETTINGS_EDIT = "settings:edit"
    RETENTION_RUN = "retention:run"
    """Erase everything of one person who asks for it."""
    AUDIT_READ = "audit:read"


P = Permissions

_TAKES_CONTACTS = frozenset(
    {
        P.TENANT_ENTER,
        P.CONTACT_TAKE,
        P.CONTACT_READ,
        P.CONTACT_EDIT,
        P.INQUIRER_READ,
        P.ACCOMMODATION_TAKE,
        P.REQUEST_READ,
        P.REFERRAL_READ,
        P.SERVICE_READ,
        P.RULE_READ,
        P.EMERGENCY_READ,
    }
)
_READS_MONEY = frozenset(
    {
        P.TENANT_ENTER,
        P.CONTACT_READ,
        P.AGREEMENT_READ,
        P.RATE_READ,
        P.POOL_READ,
        P.BILLING_READ,
        P.STATEMENT_READ,
        P.DISPUTE_READ,
        P.SETTLEMENT_READ,
        P.SCENARIO_READ,
        P.LEDGER_READ,
    }
)

ROLE_PERMISSIONS: Mapping[str, frozenset[Permissions]] = {
    "specialist": _TAKES_CONTACTS,
    "supervisor": _TAKES_CONTACTS
    | {
        P.SERVICE_WORK,
        P.REQUEST_WORK,
        P.INQUIRER_ISSUE,
        P.REFERRAL_ACCEPT,
        P.PEOPLE_READ,
        P.AUDIT_READ,
        P.FLOOR_RUN,
        P.EMERGENCY_RUN,
        P.INBOX_EDIT,
        P.MESSAGE_WORK,
        P.ACCOMMODATION_READ,
    },
    "coordinator": frozenset(
        {
            P.TENANT_ENTER,
            P.SERVICE_READ,
            P.ACCOMMODATION_TAKE,
            P.ACCOMMODATION_WORK,
            P.ACCOMMODATION_READ,
        }
    ),
    "partner": frozenset(
        {
            P.TENANT_ENTER,
            P.REFERRAL_READ,
            P.REFERRAL_ACCEPT,
            P.SERVICE_READ,
            P.CONTACT_READ,
            P.INQUIRER_READ,
        }
    ),
    "worker": frozenset(
        {P.TENANT_ENTER, P.REQUEST_READ, P.REQUEST_WORK, P.SERVICE_READ, P.SERVICE_WORK}
    ),
    "keeper": frozenset({P.TENANT_ENTER, P.SERVICE_READ, P.SERVICE_WORK, P.SERVICE_EDIT}),
    "editor": frozenset(
        {P.TENANT_ENTER, P.SERVICE_READ, P.SERVICE_WORK, P.SERVICE_EDIT, P.SERVICE_PUBLISH}
    ),
    "finance": _READS_MONEY
    | {
        P.BILLING_RUN,
        P.STATEMENT_PREPARE,
        P.STATEMENT_ISSUE,
        P.RATE_EDIT,
        P.POOL_EDIT,
        P.AGREEMENT_EDIT,
        P.DISPUTE_EDIT,
        P.SETTLEMENT_EDIT,
        P.SCENARIO_EDIT,
        P.LEDGER_RUN,
    },
    "approver": _READS_MONEY
    | {
        P.STATEMENT_APPROVE,
        P.STATEMENT_ISSUE,
        P.RATE_APPROVE,
        P.AGREEMENT_APPROVE,
        P.DISPUTE_APPROVE,
        P.SETTLEMENT_APPROVE,
        P.LEDGER_APPROVE,
    },
    "administrator": frozenset(
        {
            P.TENANT_ENTER,
            P.SERVICE_READ,
            P.SERVICE_WORK,
            P.SERVICE_EDIT,
            P.SERVICE_PUBLISH,
            P.RULE_READ,
            P.RULE_EDIT,
            P.RULE_APPROVE,
            P.RATE_READ,
            P.RATE_EDIT,
            P.AGREEMENT_READ,
            P.AGREEMENT_EDIT,
            P.POOL_READ,
            P.POOL_EDIT,
            P.PEOPLE_READ,
            P.PEOPLE_GRANT,
            P.SETTINGS_READ,
            P.SETTINGS_EDIT,
            P.RETENTION_RUN,
            P.AUDIT_READ,
            P.EMERGENCY_READ,
            P.EMERGENCY_RUN,
            P.INBOX_EDIT,
            P.MESSAGE_WORK,
            P.ACCOMMODATION_READ,
        }
    ),
    "auditor": _READS_MONEY
    | {
        P.AUDIT_READ,
        P.RULE_READ,
        P.SERVICE_READ,
        P.SETTINGS_READ,
        P.EMERGENCY_READ,
        P.ACCOMMODATION_READ,
    },
}
"""Role to permissions. A partner may rename a role for its people (`tenants/<slug>`), not change
what it may do."""


def permissions_of(roles: Iterable[str]) -> frozenset[Permissions]:
    """Return everything that somebody with these roles may do; an unknown role adds nothing.

    >>> Permissions.STATEMENT_APPROVE in permissions_of(["finance"])
    False
    """
    return frozenset[Permissions]().union(
        *(ROLE_PERMISSIONS.get(role, frozenset()) for role in roles)
    )
