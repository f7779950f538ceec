"""From any figure to its leaves, and from a contact to every cent that it caused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing, queries
from regional311.chargeback import explain as explaining
from regional311.chargeback.documents.content import LINE_KINDS, line_note
from regional311.chargeback.explain import explain, of_contact, of_reference, parts, walk
from regional311.chargeback.month import bill_month
from regional311.chargeback.queries import LeafRow, LineRow
from regional311.chargeback.rerating import draft_corrections
from regional311.database.ids import new_id
from regional311.money import from_cents, to_cents

AT = datetime(2026, 10, 5, 17, tzinfo=UTC)
LINE = LineRow(
    id=UUID(int=1),
    position=1,
    kind="usage",
    label="Library: contact handled, phone",
    agreement_key="city-county",
    basis={},
    quantity=Decimal(1),
    price=None,
    exact_amount=Decimal(0),
    amount_cents=0,
    item_count=0,
    service_period="2026-10",
)
MICRO = st.integers(-(10**12), 10**12).map(lambda number: Decimal(number).scaleb(-6))


def leaf(amount: Decimal) -> LeafRow:
    return LeafRow(
        id=UUID(int=2),
        occurred_at=AT,
        activity="contact_handled",
        channel="phone",
        language="en",
        after_hours=False,
        service_key=None,
        quantity=Decimal(1),
        price=None,
        amount=amount,
        contact_reference="C-1",
        contact_id=None,
        usage_event_id=None,
        decision_id=None,
        outcome=None,
        rule_key=None,
        rule_set_version=None,
    )


@given(st.lists(MICRO, max_size=6), MICRO, st.integers(-(10**9), 10**9), st.data())
@settings(max_examples=100, deadline=None)
def test_the_parts_of_any_line_sum_to_its_cents(worked, exact, billed, data):
    """Explain complete, whatever the kind of line and whatever its basis says."""
    basis = data.draw(
        st.sampled_from(
            [
                {},
                {"reason": "Grant, 20 % of the gross"},
                {"percent": "20", "of_cents": 1234},
                {"percent": "50", "pool_name": "I&R"},
                {"before_cents": billed, "reason": "At most $100.00 in a fiscal year."},
                {"owed_cents": billed, "billed_cents": 5, "opening_cents": 7},
                *(
                    {
                        "corrects": {
                            "statement": "CITY-00001",
                            "line": 2,
                            "change": change,
                            "billed_cents": billed,
                        }
                    }
                    for change in ("difference", "reversal", "replacement", "addition")
                ),
                {"corrects": {"statement": None, "line": None}},
            ]
        )
    )
    kind = data.draw(st.sampled_from(sorted(LINE_KINDS)))
    line = replace(
        LINE,
        kind=kind,
        basis=basis,
        exact_amount=exact,
        amount_cents=to_cents(exact) if kind != "correction" else billed,
    )
    found = list(parts(line, iter([leaf(amount) for amount in worked])))
    assert sum((node.amount for node in found), Decimal(0)) == from_cents(line.amount_cents)
    assert all(node.label for node in found)


def test_a_cap_says_what_was_left_and_what_the_lines_come_to():
    """Cap 100, billed 70, now 50: 30 are left, 20 are taken off (OpenMeter)."""
    basis = {"before_cents": 5000, "reason": "At most $100.00 a year, of which $70.00 were billed"}
    line = replace(LINE, kind="cap", basis=basis, exact_amount=Decimal(-20), amount_cents=-2000)
    assert [node.amount for node in parts(line, iter(()))] == [Decimal(30), Decimal(-50)]


def test_a_correction_says_what_was_billed_and_what_should_have_been():
    """Re-rating 5 to 8 units at 10 bills 30 more: 80 less the 50 that were billed."""
    corrects = {"statement": "CITY-00001", "line": 2, "change": "difference", "billed_cents": 5000}
    line = replace(
        LINE,
        kind="correction",
        basis={"corrects": corrects},
        exact_amount=Decimal(30),
        amount_cents=3000,
    )
    assert [(node.label, node.amount) for node in parts(line, iter(()))] == [
        ("By the new rating", Decimal(80)),
        ("Less what was billed on line 2 of statement CITY-00001", Decimal(-50)),
    ]
    taken_back = {"corrects": corrects | {"change": "reversal"}}
    (node,) = parts(replace(line, basis=taken_back, amount_cents=-5000), iter(()))
    assert node.label == "Takes back line 2 of statement CITY-00001"


def test_a_carried_balance_says_what_the_terms_made_of_it():
    """450.00 owed and 500.00 billed leave 50.00; the grant gets 10.00 of it back."""
    basis = {
        "owed_cents": 45_000,
        "billed_cents": 50_000,
        "further": [{"kind": "funding", "cents": 1_000, "reason": "Grant pays 20 % of -$50.00."}],
    }
    line = replace(
        LINE, kind="carry_forward", basis=basis, exact_amount=Decimal(-40), amount_cents=-4000
    )
    assert [(node.label, node.amount) for node in parts(line, iter(()))] == [
        ("By the actual cost", Decimal(450)),
        ("Less what was billed", Decimal(-500)),
        ("Grant pays 20 % of -$50.00.", Decimal(10)),
    ]


@pytest.fixture
def billed(region):
    """Two contacts with two pieces of work each, a third alone, and a pool; one waits."""
    region.agree(
        "city-county", "city", "county", "contact_handled", "warm_transfer", pool_key="i-and-r"
    )
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    region.rate("city", "transfer", "warm_transfer", "0.124")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    region.one, region.two = new_id(), new_id()
    for number, contact_id in enumerate((region.one, region.two)):
        for activity in ("contact_handled", "warm_transfer"):
            at = (2026, 10, 1 + number, 9)
            region.use("city", "county", at=at, activity=activity, contact_id=contact_id)
    region.use("city", "county", at=(2026, 10, 4, 9))
    region.use("city", "county", at=(2026, 10, 1, 9), activity="follow_up", contact_id=region.one)
    bill(region)
    return region


def bill(region, until="issued", month=10):
    return bill_month(
        region.engine,
        region.tenants,
        Period.of(2026, month),
        preparer={region.tenants["city"]: region.preparer},
        approver={region.tenants["city"]: region.approver},
        until=until,
        now=datetime(2026, month + 1, 3, 17, tzinfo=UTC),
    )


@pytest.mark.commits
class TestBilled:
    def test_a_month_is_explained_to_the_cent(self, billed, monkeypatch):
        for slug in ("city", "county"):
            with billed.of(slug) as session:
                whole = explain(session, "CITY-00001")
                check(whole)
                total = session.execute(text("SELECT total_cents FROM statements")).scalar_one()
                assert sum(node.amount for node in whole.leaves()) == from_cents(total)
                monkeypatch.setattr(explaining, "AT_ONCE", 2)
                assert explain(session, "CITY-00001") == whole
                assert explain(session, "CITY-00001", position=1) == whole.children[0]
                assert list(walk(session, "CITY-00009")) == []
                assert list(walk(session, "CITY-00001", position=9)) == []
                monkeypatch.undo()

    def test_a_contact_shows_every_cent_it_caused(self, billed, statements):
        with billed.of("city") as session:
            statements.clear()
            caused = of_contact(session, billed.one)
            assert len(statements) <= 3
            assert [(s.activity, s.state, s.amount) for s in caused.shares] == [
                ("contact_handled", "rated", Decimal("4.905")),
                ("warm_transfer", "rated", Decimal("0.124")),
                ("follow_up", "no_agreement", None),
            ]
            handled, transferred, _ = caused.shares
            assert handled.statement_number == "CITY-00001"
            assert handled.payer == "County"
            assert (handled.line_exact, handled.line_cents) == (Decimal("14.715"), 1472)
            assert handled.line_rounding == Decimal("0.005")
            assert transferred.line_rounding == Decimal("0.002")
            assert caused.billed == Decimal("5.029")
            row = queries.leaf(session, line_id(session, handled), handled.item_id)
            assert row.contact_id == billed.one

    def test_contacts_together_are_the_statement_and_the_payer_asks_by_reference(self, billed):
        with billed.of("city") as session:
            contacts = session.execute(
                text("SELECT DISTINCT contact_id FROM usage_events ORDER BY 1")
            ).scalars()
            whole = sum((of_contact(session, each).billed for each in contacts), Decimal(0))
            usage = session.execute(
                text("SELECT sum(exact_amount) FROM statement_lines WHERE kind = 'usage'")
            ).scalar_one()
        assert whole == usage
        with billed.of("county") as session:
            (row,) = queries.statements(session)
            reference = session.execute(
                text(
                    "SELECT contact_reference FROM statement_items"
                    " GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
                )
            ).scalar_one()
            caused = of_reference(session, row.id, reference)
            assert caused.billed == Decimal("5.029")
            assert {share.usage_event_id for share in caused.shares} == {None}
            assert of_reference(session, row.id, "C-unknown").shares == ()
        with billed.of("community") as session:
            assert of_reference(session, row.id, reference).shares == ()
            assert of_contact(session, billed.one).shares == ()

    def test_a_correction_is_explained_to_the_cent_on_both_sides(self, billed):
        """A price was wrong and work came late: reversal and new line, each with its work."""
        late = new_id()
        billed.use(
            "city",
            "county",
            at=(2026, 10, 6, 9),
            contact_id=late,
            received_at=datetime(2026, 11, 10, tzinfo=UTC),
        )
        with billed.of("city") as session:
            session.execute(text("UPDATE rates SET amount = 5.005 WHERE key = 'phone'"))
        now = datetime(2026, 11, 20, 17, tzinfo=UTC)
        with billed.of("city", billed.preparer) as session:
            (draft,) = draft_corrections(session, Period.of(2026, 10), now=now)
            billing.submit(session, draft, now=now)
        with billed.of("city", billed.approver) as session:
            billing.approve(session, draft, now=now)
            billing.issue(session, draft, now=now)
        for slug in ("city", "county"):
            with billed.of(slug) as session:
                for number in ("CITY-00001", "CITY-00002"):
                    whole = explain(session, number)
                    check(whole)
                    detail = queries.statement(session, number)
                    assert whole.amount == from_cents(detail.row.total_cents)
                    kinds = {leaf.kind for leaf in whole.leaves()}
                    assert "adjustment" not in kinds
                assert detail.corrects == "CITY-00001"
        with billed.of("city") as session:
            assert of_contact(session, late).billed == Decimal("5.005")
            assert of_contact(session, billed.one).billed == Decimal("5.129")
            lines = queries.lines(session, draft)
            assert all(line_note(line) for line in lines)

    def test_work_that_waits_says_where(self, billed):
        late = new_id()
        billed.use("city", "county", at=(2026, 11, 2, 9), contact_id=late)
        with billed.of("city") as session:
            (share,) = of_contact(session, late).shares
            assert (share.state, share.statement) == ("not_rated", None)
        bill(billed, "draft", 11)
        with billed.of("city") as session:
            (share,) = of_contact(session, late).shares
            assert (share.state, share.statement_state) == ("rated", "draft")
            assert share.statement_number is None


def line_id(session, share):
    return queries.line(session, share.statement_id, share.line).id


def check(node):
    if node.children:
        assert sum(child.amount for child in node.children) == node.amount
    for child in node.children:
        check(child)


def test_what_follows_from_work_is_told_in_proportion(monkeypatch):
    """Overhead of 10 % on 20.00 of work: a contact with 5.00 of it caused 0.50 of the overhead."""
    share = explaining.Share(
        *(UUID(int=1), "contact_handled", AT, "phone", "rated", "County", Decimal(1), None),
        *(Decimal(5), UUID(int=9), "S-1", "CITY-00001", "bill", "issued", "city-county", 1),
        *("Library", UUID(int=3), Decimal(20), 2000),
    )

    class Row:
        statement_id, agreement_key = UUID(int=9), "city-county"
        position, kind, label = 2, "overhead", "Overhead"
        exact_amount, gross = Decimal(2), Decimal(20)

    class Session:
        def execute(self, *_):
            return [Row]

    monkeypatch.setattr(explaining, "scope_of", lambda _: type("S", (), {"tenant_id": None}))
    caused = explaining._caused(Session(), [share])
    assert [(each.kind, each.amount) for each in caused.follows] == [("overhead", Decimal("0.5"))]
