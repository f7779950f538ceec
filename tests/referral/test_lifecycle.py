"""The states of referrals and requests, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.intake import lifecycle as requests
from regional311.intake.models import REQUEST_STATES
from regional311.referral import lifecycle as referrals
from regional311.referral.models import REFERRAL_STATES

SIDES = ("sent", "received")


def test_tables_and_database_know_the_same_states():
    assert set(referrals.STATES) == set(REFERRAL_STATES)
    assert set(requests.STATES) == set(REQUEST_STATES)
    assert set(referrals.OPEN) | set(referrals.CLOSED) | {"draft"} == set(referrals.STATES)


@pytest.mark.parametrize(
    ("state", "side", "allowed"),
    [
        ("", "sent", {"draft", "requested"}),
        ("", "received", set()),
        ("draft", "sent", {"requested", "entered_in_error"}),
        ("draft", "received", set()),
        ("requested", "sent", {"cancelled", "entered_in_error"}),
        ("requested", "received", {"accepted", "rejected", "cancelled"}),
        (
            "accepted",
            "received",
            {"in_progress", "on_hold", "completed", "failed", "cancelled"},
        ),
        ("in_progress", "received", {"on_hold", "completed", "failed", "cancelled"}),
        ("on_hold", "received", {"in_progress", "completed", "failed", "cancelled"}),
        ("on_hold", "sent", {"cancelled", "entered_in_error"}),
        ("completed", "received", set()),
        ("completed", "sent", {"entered_in_error"}),
        ("entered_in_error", "sent", set()),
    ],
)
def test_referral_steps(state, side, allowed):
    assert set(referrals.next_states(state, side)) == allowed


@given(
    st.sampled_from(("", *referrals.STATES)),
    st.sampled_from(referrals.STATES),
    st.sampled_from(SIDES),
    st.sampled_from((None, "odd", *referrals.DECLINE_REASONS, *referrals.END_REASONS)),
    st.sampled_from((None, "odd", *referrals.OUTCOMES)),
)
def test_referral_checks_agree_with_the_table(state, to, side, reason, outcome):
    try:
        referrals.check_transition(state, to, side, reason=reason, outcome=outcome)
    except referrals.StepNotAllowed:
        assert to not in referrals.next_states(state, side)
    except referrals.ReasonNeeded:
        assert reason not in referrals.REASONS[to]
    except referrals.OutcomeNeeded:
        assert (to, outcome in referrals.OUTCOMES) == ("completed", False)
    else:
        assert to in referrals.next_states(state, side)
        assert to not in referrals.REASONS or reason in referrals.REASONS[to]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (("received", "received", {}), requests.StepNotAllowed),
        (("closed", "in_progress", {}), requests.StepNotAllowed),
        (("received", "assigned", {}), requests.AssigneeNeeded),
        (("received", "closed", {}), requests.ResolutionNeeded),
        (("received", "closed", {"resolution": "odd"}), requests.ResolutionNeeded),
        (("received", "closed", {"resolution": "completed"}), requests.MessageNeeded),
        (
            ("received", "closed", {"resolution": "completed", "message": "   Done     "}),
            requests.MessageNeeded,
        ),
    ],
)
def test_request_steps_refused(step, error):
    state, to, values = step
    with pytest.raises(error):
        requests.check_transition(state, to, **values)


def test_request_steps_allowed():
    requests.check_transition("received", "assigned", assignee=1)
    requests.check_transition(
        "in_progress", "closed", resolution="completed", message="The hole is filled."
    )
    assert requests.next_states("closed") == ("triaged",)
    assert requests.public_state("waiting_person") == "open"
    assert requests.first_contact_resolution("answered")
    assert not requests.first_contact_resolution("referred")
    assert not requests.first_contact_resolution(None)


@given(st.sampled_from(requests.OPEN))
def test_every_open_request_can_be_closed(state):
    assert "closed" in requests.next_states(state)
