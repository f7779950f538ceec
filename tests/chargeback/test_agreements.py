"""How an agreement comes into force between two partners, and inside one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range

from regional311.audit.models import AuditEvent
from regional311.chargeback import agreements
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.agreements import (
    BilledAlready,
    Content,
    NotOurs,
    Signed,
    WorkAgreedAlready,
)
from regional311.chargeback.models import Agreement, AgreementProposal
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound, Stale
from regional311.exchange.models import Envelope
from regional311.tenancy.models import Bureau
from regional311.tenancy.proposals import SecondPersonNeeded

from .conftest import JULY, Region

pytestmark = pytest.mark.commits

NOW = datetime(2026, 11, 2, 18, tzinfo=UTC)
NEW_YEAR = date(2027, 1, 1)
BY_CITY = Signed("Ann Lee", "Director", date(2026, 11, 2))
BY_COUNTY = Signed("Bo Chen", "Chair", date(2026, 11, 3))
DRAFTER, APPROVER, OTHER = uuid4(), uuid4(), uuid4()


@pytest.fixture
def three(region: Region) -> Region:
    region.rate("city", "phone", "contact_handled", "4.90")
    region.agree("share", "city", "county", "contact_handled", terms=terms())
    return region


def terms(**changes):
    said = {
        "due_days": 30,
        "number_prefix": "CITY",
        "kind": "iga",
        "reference": "IGA-1",
        "purpose": "Contacts for the County.",
    }
    return said | changes


def content(region: Region, **changes) -> Content:
    said = Content(
        key="share",
        name="Contacts for the County",
        provider_id=region.tenants["city"],
        payer_id=region.tenants["county"],
        payer_kind="partner",
        payer_key=None,
        activities=("contact_handled",),
        payer_rule="service_owner",
        rate_card_key="card",
        pool_key=None,
        valid_from=NEW_YEAR,
        valid_to=None,
        terms=terms(not_to_exceed_cents=5_000_000),
    )
    return replace(said, **changes)


def drafted(region: Region, by="city", **changes) -> UUID:
    with region.of(by, DRAFTER) as session:
        return agreements.draft(session, content(region, **changes), note="A cap.", now=NOW)


def proposed(region: Region, by="city", **changes) -> UUID:
    proposal_id = drafted(region, by, **changes)
    with region.of(by, APPROVER) as session:
        agreements.propose(session, proposal_id, version=1, signed=BY_CITY, now=NOW)
    return proposal_id


def stored(region: Region, slug: str, proposal_id: UUID):
    with region.of(slug) as session:
        return session.execute(
            select(AgreementProposal).where(AgreementProposal.id == proposal_id)
        ).scalar_one_or_none()


def published(region: Region, key="share"):
    with region.of("region") as session:
        return list(
            session.execute(
                select(Agreement).where(Agreement.key == key).order_by(Agreement.version)
            ).scalars()
        )


def test_one_side_drafts_the_other_accepts_and_the_version_is_published(three: Region) -> None:
    proposal_id = drafted(three)
    assert stored(three, "county", proposal_id) is None
    with three.of("city", APPROVER) as session:
        step = agreements.propose(session, proposal_id, version=1, signed=BY_CITY, now=NOW)
    assert (step.state, step.version) == ("proposed", 2)
    theirs = stored(three, "county", proposal_id)
    assert (theirs.side, theirs.state, theirs.note) == ("received", "proposed", "A cap.")
    assert theirs.counterparty_id == three.tenants["city"]
    assert theirs.drafted_by is theirs.proposed_by is None
    assert stored(three, "community", proposal_id) is None
    assert len(published(three)) == 1
    with three.of("region") as session:
        before = session.execute(
            text("SELECT revision FROM tenants WHERE kind = 'region'")
        ).scalar_one()
    with three.of("county", OTHER) as session:
        step = agreements.accept(session, proposal_id, version=1, signed=BY_COUNTY, now=NOW)
    assert step.published_version == 2
    first, second = published(three)
    assert first.valid == Range(JULY, NEW_YEAR)
    assert second.valid == Range(NEW_YEAR, None)
    assert Terms.of(second.terms).not_to_exceed_cents == 5_000_000
    assert [(each.partner, each.name) for each in Terms.of(second.terms).signatures] == [
        ("city", "Ann Lee"),
        ("county", "Bo Chen"),
    ]
    for slug in ("city", "county"):
        row = stored(three, slug, proposal_id)
        assert (row.state, row.published_version, len(row.signatures)) == ("accepted", 2, 2)
        assert row.answered_at == NOW
    assert stored(three, "city", proposal_id).answered_by is None
    with three.of("region") as session:
        after = session.execute(
            text("SELECT revision FROM tenants WHERE kind = 'region'")
        ).scalar_one()
    assert after == before + 1
    with three.of("county") as session:
        kinds = session.execute(
            select(Envelope.kind).where(Envelope.tenant_id == three.tenants["county"])
        ).scalars()
        assert list(kinds) == [agreements.PROPOSAL]
    with three.of("city") as session:
        kinds = session.execute(
            select(Envelope.kind).where(Envelope.tenant_id == three.tenants["city"])
        ).scalars()
        assert list(kinds) == [agreements.ANSWER]
        actions = session.execute(select(AuditEvent.action).order_by(AuditEvent.id)).scalars()
        assert list(actions) == ["agreement:draft", "agreement:propose", "agreement:accept"]


def test_a_new_agreement_is_its_first_version(three: Region) -> None:
    proposal_id = proposed(three, key="walk-in", activities=("warm_transfer",))
    with three.of("county", OTHER) as session:
        agreements.accept(session, proposal_id, version=1, signed=BY_COUNTY, now=NOW)
    assert [row.version for row in published(three, "walk-in")] == [1]


def test_the_payer_may_draft_too(three: Region) -> None:
    proposal_id = proposed(three, by="county")
    with three.of("city", OTHER) as session:
        agreements.accept(session, proposal_id, version=1, signed=BY_CITY, now=NOW)
    assert len(published(three)) == 2


def test_the_drafter_does_not_approve(three: Region) -> None:
    proposal_id = drafted(three)
    for person in (DRAFTER, None):
        with pytest.raises(SecondPersonNeeded), three.of("city", person) as session:
            agreements.propose(session, proposal_id, version=1, signed=BY_CITY, now=NOW)
    with three.of("city", APPROVER) as session:
        agreements.edit(session, proposal_id, content(three), version=1, now=NOW)
    with pytest.raises(SecondPersonNeeded), three.of("city", APPROVER) as session:
        agreements.propose(session, proposal_id, version=2, signed=BY_CITY, now=NOW)
    assert stored(three, "city", proposal_id).state == "draft"


def test_a_decline_is_told_with_its_reason(three: Region) -> None:
    proposal_id = proposed(three)
    with pytest.raises(InvalidInput), three.of("county", OTHER) as session:
        agreements.decline(session, proposal_id, version=1, reason=" ", now=NOW)
    with three.of("county", OTHER) as session:
        agreements.decline(session, proposal_id, version=1, reason="Too low a cap.", now=NOW)
    for slug in ("city", "county"):
        row = stored(three, slug, proposal_id)
        assert (row.state, row.reason) == ("declined", "Too low a cap.")
    assert len(published(three)) == 1
    with pytest.raises(Conflict, match="is declined"), three.of("county", OTHER) as session:
        agreements.accept(session, proposal_id, version=2, signed=BY_COUNTY, now=NOW)


def test_a_proposal_is_withdrawn_on_both_sides(three: Region) -> None:
    proposal_id = proposed(three)
    with pytest.raises(NotOurs), three.of("county", OTHER) as session:
        agreements.withdraw(session, proposal_id, version=1, reason="No.", now=NOW)
    with pytest.raises(NotOurs), three.of("city", APPROVER) as session:
        agreements.accept(session, proposal_id, version=2, signed=BY_CITY, now=NOW)
    with three.of("city", DRAFTER) as session:
        agreements.withdraw(session, proposal_id, version=2, reason="A mistake.", now=NOW)
    assert stored(three, "county", proposal_id).state == "withdrawn"
    again = drafted(three)
    with three.of("city", DRAFTER) as session:
        step = agreements.withdraw(session, again, version=1, reason="Not yet.", now=NOW)
    assert step.state == "withdrawn"


def test_own_bureaus_need_two_persons_of_the_provider_only(three: Region) -> None:
    own = {
        "key": "overhead",
        "payer_id": three.tenants["city"],
        "payer_kind": "bureau",
        "activities": (),
        "rate_card_key": None,
        "pool_key": "contact-center",
        "terms": terms(),
    }
    with pytest.raises(InvalidInput, match="no pool contact-center"):
        drafted(three, **own)
    with pytest.raises(InvalidInput, match="no bureau water"):
        drafted(three, **own | {"payer_key": "water"})
    three.pool("city", "contact-center", 12_000_00, {"bureau:water": "100"})
    with pytest.raises(InvalidInput, match="The payer has no share in contact-center"):
        drafted(three, pool_key="contact-center")
    with three.of("city") as session:
        put(
            session,
            Bureau(
                tenant_id=three.tenants["city"],
                id=new_id(),
                key="water",
                name="Water",
                kind="bureau",
            ),
        )
    proposal_id = drafted(three, **own)
    with three.of("city", APPROVER) as session:
        step = agreements.propose(session, proposal_id, version=1, signed=BY_CITY, now=NOW)
    assert (step.state, step.published_version) == ("accepted", 1)
    (row,) = published(three, "overhead")
    assert (row.payer_kind, row.payer_key, row.pool_key) == ("bureau", None, "contact-center")
    with pytest.raises(WorkAgreedAlready, match="contact-center"):
        drafted(three, **own | {"key": "second", "payer_key": "water"})


def test_an_outside_body_is_named(three: Region) -> None:
    outside = {
        "key": "transit",
        "payer_id": three.tenants["city"],
        "payer_kind": "outside",
        "payer_key": "transit-district",
    }
    with pytest.raises(InvalidInput, match="outside body needs a name"):
        drafted(three, **outside)
    named = terms(outside={"name": "Transit"})
    with pytest.raises(InvalidInput, match="no partner's"):
        drafted(three, **outside | {"payer_key": "county"}, terms=named)
    with pytest.raises(InvalidInput, match="no service bus-stop"):
        drafted(three, **outside, terms={**named, "services": ["bus-stop"]})
    proposal_id = drafted(three, **outside, terms=named)
    with three.of("city", APPROVER) as session:
        agreements.propose(session, proposal_id, version=1, signed=BY_CITY, now=NOW)
    assert published(three, "transit")[0].payer_key == "transit-district"


def test_what_was_billed_stays(three: Region) -> None:
    put_statement(three, "2027-01")
    proposal_id = proposed(three)
    with (
        pytest.raises(BilledAlready, match="Work before 2027-02-01 has been billed"),
        three.of("county", OTHER) as session,
    ):
        agreements.accept(session, proposal_id, version=1, signed=BY_COUNTY, now=NOW)
    assert len(published(three)) == 1
    assert stored(three, "county", proposal_id).state == "proposed"


def put_statement(region: Region, period: str) -> None:
    from regional311.chargeback.models import Statement, StatementEvent, StatementLine

    city, statement_id = region.tenants["city"], new_id()
    with region.of("city") as session:
        put(
            session,
            Statement(
                tenant_id=city,
                id=statement_id,
                public_id="S-TEST",
                side="issued",
                counterparty_id=region.tenants["county"],
                period_key=period,
                total_cents=0,
                line_count=1,
                item_count=0,
                digest="",
                parties={},
                terms={},
                created_at=NOW,
            ),
            StatementLine(
                tenant_id=city,
                id=new_id(),
                statement_id=statement_id,
                position=1,
                kind="usage",
                service_period=period,
                line_key="share|x",
                label="x",
                agreement_key="share",
                basis={},
                quantity=0,
                exact_amount=0,
                amount_cents=0,
                item_count=0,
            ),
            StatementEvent(
                tenant_id=city,
                id=new_id(),
                statement_id=statement_id,
                position=1,
                state="issued",
                number="CITY-1",
                at=NOW,
            ),
        )


def test_two_amendments_at_once_are_not_both_accepted(three: Region) -> None:
    ours = proposed(three)
    theirs = proposed_by_county_before(three)
    with three.of("city", OTHER) as session:
        agreements.accept(session, theirs, version=1, signed=BY_CITY, now=NOW)
    with pytest.raises(Conflict, match="has changed since"), three.of("county", OTHER) as session:
        agreements.accept(session, ours, version=1, signed=BY_COUNTY, now=NOW)


def proposed_by_county_before(region: Region) -> UUID:
    """The County drafted its own amendment before the City's reached it."""
    with region.of("county") as session:
        session.execute(text("UPDATE agreement_proposals SET state = 'withdrawn', reason = 'x'"))
    found = proposed(region, by="county")
    with region.of("county") as session:
        session.execute(
            text("UPDATE agreement_proposals SET state = 'proposed' WHERE side = 'received'")
        )
    return found


def test_a_version_that_could_not_hold_is_refused(three: Region) -> None:
    for changes, message in (
        ({"key": "No Key"}, "small letters"),
        ({"name": ""}, "Give the agreement a name"),
        ({"valid_from": JULY}, "must begin after 2026-07-01"),
        ({"valid_to": NEW_YEAR}, "end after it begins"),
        ({"activities": ()}, "bills nothing"),
        ({"pool_key": "p", "activities": ()}, "Activities, and only these"),
        ({"activities": ("golf",)}, "golf is no activity"),
        ({"payer_rule": "nobody"}, "Choose the rule"),
        ({"rate_card_key": "cart"}, "no rate card cart"),
        ({"terms": {}}, "due_days: is missing"),
        ({"terms": terms(number_prefix="COP")}, "numbers its statements with CITY"),
        ({"terms": terms(supersedes="share")}, "does not replace itself"),
        ({"key": "second"}, "bills this payer for contact_handled already"),
    ):
        with pytest.raises((InvalidInput, Conflict), match=message):
            drafted(three, **changes)


def test_parties_stay_and_others_stay_out(three: Region) -> None:
    with pytest.raises(Conflict, match="parties of an agreement stay"):
        drafted(three, payer_id=three.tenants["community"])
    with pytest.raises(NotOurs):
        drafted(three, by="community")
    with pytest.raises(Conflict, match="another agreement's"), three.of("community") as session:
        mine = content(three, provider_id=three.tenants["community"])
        agreements.draft(session, mine, now=NOW)
    proposal_id = proposed(three)
    with pytest.raises(NotFound), three.of("community", OTHER) as session:
        agreements.accept(session, proposal_id, version=1, signed=BY_COUNTY, now=NOW)


def test_one_open_proposal_an_agreement_and_no_stale_change(three: Region) -> None:
    proposal_id = drafted(three)
    with pytest.raises(Conflict, match="still open"):
        drafted(three)
    with three.of("city", OTHER) as session:
        agreements.edit(session, proposal_id, content(three), version=1, now=NOW)
    with pytest.raises(Stale), three.of("city", OTHER) as session:
        agreements.edit(session, proposal_id, content(three), version=1, now=NOW)
    with pytest.raises(InvalidInput, match="keeps its key"), three.of("city", OTHER) as session:
        agreements.edit(session, proposal_id, content(three, key="other"), version=2, now=NOW)
    with pytest.raises(InvalidInput), three.of("city", APPROVER) as session:
        agreements.propose(
            session, proposal_id, version=2, signed=Signed("", "x", NEW_YEAR), now=NOW
        )


def test_content_goes_to_json_and_back(three: Region) -> None:
    said = content(three, valid_to=date(2030, 1, 1))
    assert Content.of(said.json()) == said
    changed = agreements.amended(said, name="New", not_to_exceed_cents=None, due_days=60)
    assert changed.name == "New"
    assert changed.terms == terms(due_days=60)


def test_errors_are_the_kinds_that_pages_know() -> None:
    assert issubclass(SecondPersonNeeded, Forbidden)
    assert issubclass(BilledAlready, Conflict)
