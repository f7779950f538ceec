"""A really billed month, looked at by an auditor and by programs that are not ours."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from regional311.calendars import Period
from regional311.chargeback import billing, checks, focus
from regional311.chargeback.rating import run_rating
from regional311.chargeback.statement import content_digest
from regional311.chargeback.verification import check_books
from regional311.errors import InvalidInput, NotFound
from regional311.ledger import beancount, exports, seals
from regional311.ledger.books import credit, debit
from regional311.ledger.periods import close_period
from regional311.ledger.seals import Head
from regional311.ledger.service import NewEntry, post
from tests.ledger.test_seals import tamper

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 3, 17, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def billed(region):
    """October: the City charges the County 14.72 for work and 25,000.00 as its share."""
    region.agree("city-county", "city", "county", "contact_handled", pool_key="i-and-r")
    region.agree("county-city", "county", "city", "contact_handled")
    region.rate("city", "phone", "contact_handled", "4.905", channel="phone")
    region.rate("county", "phone", "contact_handled", "3.10", channel="phone")
    region.pool("city", "i-and-r", 60_000_000, {"city": 50, "county": 50})
    for day in (1, 5, 31):
        region.use("city", "county", at=(2026, 10, day, 9))
    region.use("county", "city")
    for provider in ("city", "county"):
        with region.of(provider, region.preparer) as session:
            run = run_rating(session, period=Period.of(2026, 10), now=NOW)
            drafts = billing.draft_statements(session, run.id, now=NOW)
            for draft in drafts:
                billing.submit(session, draft, now=NOW)
        with region.of(provider, region.approver) as session:
            for draft in drafts:
                billing.approve(session, draft, now=NOW)
                billing.issue(session, draft, now=NOW)
    seal(region)
    return region


def seal(region, now=LATER):
    heads = {}
    for slug in region.tenants:
        with region.of(slug) as session:
            seals.seal_everything(session, now)
            heads[slug] = seals.head(session)
    return heads


def failing(region, **options):
    """Check name to the kinds of its problems, for the checks that do not hold."""
    report = check_books(region.engine, region.tenants, **options)
    return {
        check.name: {each.kind for each in check.problems}
        for check in report.checks
        if not check.holds
    }


def entry_of(region, slug):
    with region.of(slug) as session:
        return session.execute(
            text("SELECT id FROM journal_entries ORDER BY id LIMIT 1")
        ).scalar_one()


def test_everything_holds_and_is_counted(billed):
    report = check_books(billed.engine, billed.tenants)
    assert report.ok, str(report)
    city = report.looked["city"]
    assert (city.entries, city.seals, city.sealed_entries, city.unsealed_entries) == (2, 1, 4, 0)
    assert (city.statements, city.lines) == (2, 3)
    assert city.debit_cents == city.credit_cents == 25_014_72 + 3_10
    names = {check.name for check in report.checks}
    assert names >= {
        "chain",
        "balanced",
        "mirrored",
        "net_zero",
        "totals_match_lines",
        "payable_posted",
        "statements_kept",
        "periods_kept",
        "numbers_gap_free",
        "batches_whole",
    }
    assert "The books hold." in str(report)
    assert json.loads(json.dumps(report.as_dict()))["looked_at"]["county"]["entries"] == 2


def test_one_partner_alone(billed):
    report = check_books(billed.engine, billed.tenants, tenant="county")
    assert report.ok
    assert list(report.looked) == ["county"]
    with pytest.raises(NotFound):
        check_books(billed.engine, billed.tenants, tenant="nobody")
    with pytest.raises(InvalidInput):
        check_books(billed.engine, billed.tenants, heads={"nobody": Head(1, "a")})


DOUBLED = (
    "UPDATE postings SET debit_cents = debit_cents * 2, credit_cents = credit_cents * 2"
    " WHERE entry_id = :id"
)
TAMPERED = {
    "amount": (
        [DOUBLED],
        {"chain", "balanced", "mirrored", "net_zero", "payable_posted", "totals_match_lines"},
    ),
    "one leg": (
        ["UPDATE postings SET debit_cents = debit_cents + 1 WHERE entry_id = :id AND leg = 1"],
        {"chain", "balanced", "mirrored", "net_zero", "payable_posted", "totals_match_lines"},
    ),
    "amount and total": (
        [
            DOUBLED,
            "UPDATE journal_entries SET total_cents = total_cents * 2 WHERE id = :id",
        ],
        {"chain", "mirrored", "net_zero", "payable_posted", "totals_match_lines"},
    ),
    "backdated": (
        ["UPDATE journal_entries SET posted_at = posted_at - interval '40 days' WHERE id = :id"],
        {"chain"},
    ),
    "legs deleted": (
        ["DELETE FROM postings WHERE entry_id = :id"],
        {"chain", "balanced", "mirrored", "net_zero", "payable_posted", "totals_match_lines"},
    ),
    "entry deleted": (
        ["DELETE FROM postings WHERE entry_id = :id", "DELETE FROM journal_entries WHERE id = :id"],
        {"chain", "mirrored", "net_zero", "payable_posted", "totals_match_lines"},
    ),
    "entry deleted, its legs left": (
        ["DELETE FROM journal_entries WHERE id = :id"],
        {"chain", "balanced", "mirrored", "payable_posted", "totals_match_lines"},
    ),
    "account deleted": (
        ["DELETE FROM accounts WHERE key = 'due_from_partners' AND :id = :id"],
        {"balanced"},
    ),
    "month deleted": (
        ["DELETE FROM ledger_periods WHERE :id = :id"],
        {"balanced"},
    ),
    "statement's total": (
        ["UPDATE statements SET total_cents = total_cents + 1 WHERE side = 'issued'"],
        {"mirrored", "totals_match_lines", "payable_posted", "statements_kept"},
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_the_owner_changed_is_found_and_named(billed, empty_database, what):
    statements, wanted = TAMPERED[what]
    target = entry_of(billed, "city")
    tamper(
        empty_database,
        *((each, {"id": target} if ":id" in each else {}) for each in statements),
    )
    assert set(failing(billed)) == wanted
    report = check_books(billed.engine, billed.tenants)
    if "statement" not in what:
        assert str(target) in str(report)
        assert "city entry" in str(report)


TERMS = "UPDATE statements SET terms = jsonb_set(terms, '{due_days}', '90')"
NAMED = "UPDATE statements SET parties = jsonb_set(parties, '{payer,name}', '\"Somebody\"')"
LATER_ISSUED = (
    "UPDATE statement_events SET at = at + interval '20 days' WHERE state IN ('issued', 'received')"
)


@pytest.mark.parametrize("attack", [TERMS, NAMED, LATER_ISSUED])
def test_terms_parties_and_day_changed_with_both_sides_are_found(billed, empty_database, attack):
    tamper(empty_database, (attack,))
    assert failing(billed) == {"statements_kept": {"statement_changed"}}


@pytest.mark.parametrize("attack", [TERMS, NAMED])
def test_terms_and_parties_changed_on_one_side_are_found_without_what_was_kept(
    billed, empty_database, attack
):
    tamper(empty_database, ("DELETE FROM ledger_documents",), (f"{attack} WHERE side = 'issued'",))
    assert failing(billed)["mirrored"] == {"copy_differs"}


def relabel(region, *sides):
    """Give a pool's line another label and basis, and make the content's digest anew."""
    attacks = []
    for slug in ("city", "county"):
        with region.of(slug) as session:
            for each in session.execute(text("SELECT id, side, period_key FROM statements")):
                if each.side not in sides:
                    continue
                lines = [
                    replace(line, label="Another share", basis=line.basis | {"percent": "10"})
                    if line.kind == "pool"
                    else line
                    for line in checks._lines(session, None)[each.id]
                ]
                digest = content_digest(each.period_key, lines)
                which = {"tenant": region.tenants[slug], "id": each.id}
                attacks += [
                    (
                        (
                            "UPDATE statements SET digest = :digest"
                            " WHERE tenant_id = :tenant AND id = :id"
                        ),
                        which | {"digest": digest},
                    )
                ]
    return [
        (
            (
                "UPDATE statement_lines l SET label = 'Another share',"
                " basis = jsonb_set(basis, '{percent}', '\"10\"') FROM statements s"
                " WHERE s.tenant_id = l.tenant_id AND s.id = l.statement_id AND l.kind = 'pool'"
                " AND s.side = ANY(:sides)"
            ),
            {"sides": list(sides)},
        ),
        *attacks,
    ]


def test_a_line_changed_on_one_side_with_its_digest_is_found(billed, empty_database):
    tamper(empty_database, *relabel(billed, "issued"))
    assert failing(billed) == {
        "mirrored": {"copy_differs"},
        "statements_kept": {"statement_changed"},
    }


def test_a_line_changed_on_both_sides_with_the_digests_is_found(billed, empty_database):
    tamper(empty_database, *relabel(billed, "issued", "received"))
    assert failing(billed) == {"statements_kept": {"statement_changed"}}


def test_what_was_kept_cannot_be_made_anew_or_taken_away(billed, empty_database):
    tamper(
        empty_database,
        (TERMS,),
        ("UPDATE ledger_documents SET digest = repeat('a', 64)",),
    )
    assert failing(billed) == {
        "chain": {"entry_changed"},
        "statements_kept": {"statement_changed"},
    }
    tamper(
        empty_database,
        (
            (
                "DELETE FROM ledger_documents d USING (SELECT tenant_id, max(id::text)::uuid AS id"
                " FROM ledger_documents GROUP BY 1) last"
                " WHERE d.tenant_id = last.tenant_id AND d.id = last.id"
            ),
        ),
    )
    assert "statement_missing" in failing(billed)["statements_kept"]


def test_statements_from_before_anything_was_kept_hold_still(billed, empty_database):
    tamper(
        empty_database,
        (
            (
                "DELETE FROM ledger_seal_entries s USING ledger_documents d"
                " WHERE s.tenant_id = d.tenant_id AND s.entry_id = d.id"
            ),
        ),
        ("DELETE FROM ledger_documents",),
    )
    assert "statements_kept" not in failing(billed)


def test_a_statement_number_that_is_missing_is_found(billed, empty_database):
    tamper(
        empty_database,
        ("UPDATE statement_counters SET last_number = last_number + 1",),
    )
    assert failing(billed) == {"numbers_gap_free": {"number_missing"}}


def test_a_cut_tail_is_found_against_the_heads_that_were_kept(billed, empty_database):
    kept = seal(billed)
    with billed.of("city") as session:
        posted = post(
            session,
            NewEntry(
                "2026-10",
                "2026-10",
                "Cash",
                "cash",
                [debit("cash", 5), credit("interest_revenue", 5)],
            ),
            now=LATER,
        )
    newer = seal(billed, LATER + timedelta(hours=1))
    assert newer["city"].number == kept["city"].number + 1
    tamper(
        empty_database,
        ("DELETE FROM ledger_seal_entries WHERE seal_number = 2",),
        ("DELETE FROM ledger_seals WHERE number = 2",),
        ("DELETE FROM postings WHERE entry_id = :id", {"id": posted}),
        ("DELETE FROM journal_entries WHERE id = :id", {"id": posted}),
    )
    assert failing(billed, heads=kept) == {}
    assert failing(billed, heads=newer) == {"chain": {"head_differs"}}


def test_an_entry_slipped_into_a_closed_month_is_named(billed, empty_database):
    with billed.of("city", billed.preparer) as session:
        close_period(session, "2026-10", now=LATER)
        posted = post(
            session,
            NewEntry(
                "2026-11",
                "2026-11",
                "Cash",
                "cash",
                [debit("cash", 5), credit("interest_revenue", 5)],
            ),
            now=LATER + timedelta(hours=1),
        )
    assert failing(billed) == {}
    moved = "UPDATE journal_entries SET period_key = '2026-10' WHERE id = :id"
    tamper(empty_database, (moved, {"id": posted}))
    assert failing(billed) == {"periods_kept": {"posted_after_close"}}


def test_a_batch_that_differs_is_named(billed, empty_database):
    with billed.of("city") as session:
        exports.make_batch(session, layout_key="plain", through_period="2026-10", now=LATER)
    assert failing(billed) == {}
    tamper(
        empty_database,
        ("UPDATE journal_entries SET memo = 'x' WHERE id = :id", {"id": entry_of(billed, "city")}),
    )
    assert failing(billed) == {"chain": {"entry_changed"}, "batches_whole": {"batch_differs"}}


def test_bean_check_accepts_the_books_of_the_month(billed, tmp_path):
    from beancount import loader

    file = tmp_path / "books.beancount"
    with file.open("w") as out:
        out.writelines(beancount.head('The "region"'))
        for slug in sorted(billed.tenants):
            with billed.of(slug) as session:
                out.writelines(beancount.books(session))
    entries, errors, _ = loader.load_file(str(file))
    assert errors == []
    kinds = [type(each).__name__ for each in entries]
    assert kinds.count("Transaction") == 4
    assert kinds.count("Balance") > 6
    spoilt = file.read_text().replace("25014.72 USD", "25014.73 USD", 1)
    file.write_text(spoilt)
    assert loader.load_file(str(file))[1] != []


def test_focus_rows_sum_to_the_statements_and_the_payable(billed):
    with billed.of("city") as session:
        found = list(focus.charge_rows(session))
        total = session.execute(
            text("SELECT sum(total_cents) FROM statements WHERE side = 'issued'")
        ).scalar_one()
        payable = session.execute(
            text("SELECT sum(debit_cents) FROM postings WHERE account_key = 'due_from_partners'")
        ).scalar_one()
        assert list(focus.charge_rows(session, period_key="2026-09")) == []
    assert sum(Decimal(row["BilledCost"]) for row in found) * 100 == total == payable == 25_014_72
    assert {row["ChargeClass"] for row in found} == {None}
    assert {row["BillingAccountId"] for row in found} == {"county"}
    assert {row["ChargePeriodStart"] for row in found} == {"2026-10-01T00:00:00Z"}
    with billed.of("county") as session:
        received = list(focus.charge_rows(session, side="received"))
        lines = "".join(focus.csv_text(iter(received))).splitlines()
    assert [row["BilledCost"] for row in received] == [row["BilledCost"] for row in found]
    assert lines[0].split(",") == list(focus.COLUMNS)
    assert len(lines) == len(found) + 1


def test_late_work_is_a_correction_in_focus():
    class Row:
        public_id, side, period_key, statement_kind = "S-1", "issued", "2026-11", "bill"
        parties = {
            "issuer": {"slug": "city", "name": "City"},
            "payer": {"slug": "county", "name": "=County"},
        }
        payer_kind, payer_key, number, position = "partner", None, "CITY-1", 1
        kind, service_period, line_key, label = "usage", "2026-10", "a|b", "-1 contact"
        agreement_key, quantity, price = "share", Decimal(-1), Decimal("4.5")
        exact_amount, amount_cents = Decimal("-4.5"), -450

    row = focus._row(Row)
    assert row["ChargeClass"] == "Correction"
    assert (row["BilledCost"], row["ChargePeriodEnd"]) == ("-4.50", "2026-11-01T00:00:00Z")
    line = "".join(focus.csv_text(iter([row]))).splitlines()[1]
    assert line.startswith("-4.50,")
    assert ",'=County," in line
    assert ",'-1 contact," in line
