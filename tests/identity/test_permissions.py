"""Roles and what they may do."""

from __future__ import annotations

import re

import pytest

from regional311.identity.permissions import ROLE_PERMISSIONS, Permissions, permissions_of

P = Permissions
VERBS = {
    "accept", "approve", "edit", "enter", "grant", "issue", "prepare", "publish", "read", "run",
    "take", "work",
}  # fmt: skip


@pytest.mark.parametrize("permission", list(Permissions))
def test_a_permission_is_a_noun_and_a_verb(permission):
    assert re.fullmatch(r"[a-z]+:[a-z]+", permission)
    assert permission.partition(":")[2] in VERBS
    assert permission.name == permission.upper().replace(":", "_")


@pytest.mark.parametrize("permission", list(Permissions))
def test_somebody_has_each_permission(permission):
    assert any(permission in granted for granted in ROLE_PERMISSIONS.values())


@pytest.mark.parametrize("role", ROLE_PERMISSIONS)
def test_every_role_enters_its_partner(role):
    assert P.TENANT_ENTER in permissions_of([role])


def test_nobody_prepares_and_approves_by_one_role():
    for granted in ROLE_PERMISSIONS.values():
        assert not {P.STATEMENT_PREPARE, P.STATEMENT_APPROVE} <= granted


def test_a_keeper_of_the_catalogue_drafts_only():
    assert P.SERVICE_EDIT in permissions_of(["keeper"])
    assert P.SERVICE_PUBLISH not in permissions_of(["keeper"])
    for role in ("editor", "administrator"):
        assert {P.SERVICE_EDIT, P.SERVICE_PUBLISH} <= permissions_of([role])


def test_an_auditor_changes_nothing():
    assert {each.partition(":")[2] for each in permissions_of(["auditor"])} == {"enter", "read"}


def test_an_administrator_neither_takes_contacts_nor_bills():
    granted = permissions_of(["administrator"])
    assert not granted & {P.CONTACT_TAKE, P.BILLING_RUN, P.STATEMENT_READ, P.LEDGER_READ}


def test_roles_add_up():
    assert permissions_of(["worker", "partner"]) == permissions_of(["worker"]) | permissions_of(
        ["partner"]
    )
    assert permissions_of([]) == permissions_of(["no such role"]) == frozenset()
