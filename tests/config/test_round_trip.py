"""Files into the database and back, and what happens when both sides move."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from regional311.audit.models import AuditEvent
from regional311.catalog import versions
from regional311.catalog.hsds.importing import Order
from regional311.catalog.models import Article, Location, Synonym
from regional311.chargeback.models import Agreement, Rate
from regional311.config.apply import ChangedOnBothSides, NeedsApproval, apply, apply_directories
from regional311.config.directories import import_directory
from regional311.config.export import export
from regional311.config.files import ConfigInvalid, read_region
from regional311.config.plan import NOBODY, KeyImported, Verdict, plan
from regional311.database.session import Scope, open_session, session_scope
from regional311.errors import AlreadyInForce, Forbidden, NotFound
from regional311.exchange import systems
from regional311.notices.quiet_settings import set_hours
from regional311.notices.wording import Words
from regional311.notices.wording_settings import set_wording
from regional311.referral.loop_settings import set_loop
from regional311.referral.models import RuleSet
from regional311.referral.snapshot import Published
from regional311.tenancy.models import Bureau, Line, Policy, Tenant

from .conftest import NOW
from .test_files import CITY, refused

pytestmark = pytest.mark.commits


def replace(path, old, new):
    before = path.read_text(encoding="utf-8")
    assert old in before
    path.write_text(before.replace(old, new, 1), encoding="utf-8")


def tenant_id(engine, slug):
    with open_session(engine, NOBODY) as session:
        return session.execute(select(Tenant.id).where(Tenant.slug == slug)).scalar_one()


@pytest.fixture
def applied(empty_engine, root):
    apply_directories(empty_engine, root / "tenants", root / "policies", now=NOW)
    return empty_engine


def test_apply_then_plan_says_no_changes(applied, root):
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_applying_twice_changes_nothing(applied, root):
    with open_session(applied, NOBODY) as session:
        before = session.execute(select(func.sum(Tenant.revision))).scalar_one()
    done = apply(applied, root, now=NOW + timedelta(days=1))
    assert str(done) == "No changes."
    with open_session(applied, NOBODY) as session:
        assert session.execute(select(func.sum(Tenant.revision))).scalar_one() == before


def test_an_empty_database_plans_everything_as_added(empty_engine, root):
    planned = plan(empty_engine, root, now=NOW)
    assert {item.verdict for item in planned.items} == {Verdict.ADDED}
    assert "  + service pothole" in str(planned)


def test_export_writes_files_that_plan_as_no_changes(applied, tmp_path):
    target = tmp_path / "exported"
    written = export(applied, target, now=NOW).written
    assert "tenants/city-of-portland/rates.toml" in written
    assert "policies/agreements/referrals-city.toml" in written
    assert str(plan(applied, target, now=NOW)) == "No changes."
    assert read_region(target).tenants.keys() == {
        "city-of-portland",
        "multnomah-county",
        "211info",
    }
    assert export(applied, target, now=NOW).written == ()


ARTICLE = """
[[article]]
key = "ground-water"
kind = "script"
title = "Water in the street"
services = ["pothole", "multnomah-county/bridge-pothole"]

[[article.step]]
key = "source"
text = "Is water coming out of the ground?"

[[article.step.choice]]
key = "yes"
label = "Yes"
to = "danger"

[[article.step.choice]]
key = "no"
label = "No"
to = "service:pothole"
"""
NOTICE = '''
[[article]]
key = "storm"
kind = "notice"
title = "Storm"
text = """
# Stay in

*Lines* are "busy".
"""
to_time = "18:00"
valid_to = 2026-11-20
'''


def test_articles_go_into_the_database_and_back(applied, root, tmp_path):
    article, notice = root / f"{CITY}/articles.toml", root / "policies/articles.toml"
    for path, said in ((article, ARTICLE), (notice, NOTICE)):
        path.write_text((path.read_text() if path.exists() else "") + said)
    added = apply(applied, root, now=NOW).plan.changes
    assert [(each.tenant, each.kind, each.key) for each in added] == [
        ("region", "article", "storm"),
        ("city-of-portland", "article", "ground-water"),
    ]
    with open_session(applied, NOBODY) as session:
        row = session.execute(select(Article).where(Article.key == "ground-water")).scalar_one()
        assert row.services == ["city-of-portland/pothole", "multnomah-county/bridge-pothole"]
        assert (row.public, row.version, row.kind) == (False, 1, "script")
        assert session.execute(select(Article.public).where(Article.key == "storm")).scalar_one()
    replace(notice, "# Stay in", "# Stay at home")
    assert [each.name for each in apply(applied, root, now=NOW).plan.changes] == ["article storm"]
    target = tmp_path / "exported"
    export(applied, target, now=NOW)
    assert str(plan(applied, target, now=NOW)) == "No changes."
    assert (
        '# Stay at home\n\n*Lines* are "busy".' in (target / "policies/articles.toml").read_text()
    )
    replace(notice, "# Stay at home", "# Stay")
    apply(applied, root, now=NOW)
    assert export(applied, target, now=NOW).written == ("policies/articles.toml",)
    replace(notice, NOTICE.replace("# Stay in", "# Stay"), "")
    replace(article, ARTICLE, "")
    done = apply(applied, root, now=NOW).plan
    assert {each.verdict for each in done.changes} == {Verdict.ENDED}
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_articles_that_are_wrong_say_where(root):
    path = root / f"{CITY}/articles.toml"
    path.write_text(
        ARTICLE.replace('"danger"', '"step:wires"')
        .replace('"pothole"', '"pothol"')
        .replace("/bridge-pothole", "/bridge-potole")
    )
    found = {
        "services: there is no service city-of-portland/pothol": "city-of-portland/pothole",
        "services: there is no service multnomah-county/bridge-potole": (
            "multnomah-county/bridge-pothole"
        ),
    }
    said = [f"{wrong}; did you mean {meant}?" for wrong, meant in found.items()]
    said.append("step[source].choice[yes].to: there is no step wires")
    where = f"{CITY}/articles.toml: article[ground-water]"
    assert refused(root) == [f"{where}.{each}" for each in said]


SYNONYMS = """
[[synonym]]
key = "chuckhole"
said = ["chuckhole", "Crater in the road"]
means = ["pothole"]
"""


def test_synonyms_go_into_the_database_and_back(applied, root, tmp_path):
    own, shared = root / f"{CITY}/synonyms.toml", root / "policies/synonyms.toml"
    for path in (own, shared):
        path.write_text((path.read_text() if path.exists() else "") + SYNONYMS)
    added = apply(applied, root, now=NOW).plan.changes
    assert [(each.tenant, each.kind, each.key) for each in added] == [
        ("region", "synonym", "chuckhole"),
        ("city-of-portland", "synonym", "chuckhole"),
    ]
    with open_session(applied, NOBODY) as session:
        stems = session.scalars(
            select(Synonym.said_stems).where(Synonym.key == "chuckhole").distinct()
        ).one()
    assert stems == ["chuckhol", "crater in the road"]
    replace(own, '"chuckhole", ', "")
    assert [each.name for each in apply(applied, root, now=NOW).plan.changes] == [
        "synonym chuckhole"
    ]
    target = tmp_path / "exported"
    export(applied, target, now=NOW)
    assert str(plan(applied, target, now=NOW)) == "No changes."
    own.write_text(own.read_text().partition(SYNONYMS[:20])[0])
    assert {each.verdict for each in apply(applied, root, now=NOW).plan.changes} == {Verdict.ENDED}


def test_synonyms_that_are_wrong_say_where(root):
    path = root / f"{CITY}/synonyms.toml"
    path.write_text(
        SYNONYMS.replace('["pothole"]', '["the", "chuckhole"]').replace("road", "road outside here")
        + SYNONYMS
    )
    where = f"{CITY}/synonyms.toml: synonym[chuckhole]"
    assert refused(root) == [
        f"{where}.key: chuckhole is used twice (entry 2)",
        f"{where}.means: “chuckhole” means itself",
        f"{where}.means: “the” has no word that says what is asked for",
        f"{where}.said: “Crater in the road outside here” is longer than 4 words",
    ]


def test_exported_files_bootstrap_another_database(applied, server, migrated_template, tmp_path):
    export(applied, tmp_path / "exported", now=NOW)
    other = server.clone(migrated_template)
    engine = other.engine()
    try:
        apply(engine, tmp_path / "exported", now=NOW)
        export(engine, tmp_path / "again", now=NOW)
    finally:
        engine.dispose()
        server.drop(other.name)
    first = {
        p.relative_to(tmp_path / "exported"): p.read_bytes()
        for p in (tmp_path / "exported").rglob("*.*")
    }
    second = {
        p.relative_to(tmp_path / "again"): p.read_bytes() for p in (tmp_path / "again").rglob("*.*")
    }
    assert first == second


def test_an_export_keeps_every_service_in_one_place(applied, tmp_path):
    target = tmp_path / "exported"
    export(applied, target, now=NOW)
    folder = target / "tenants/211info/services"
    alone = target / "tenants/211info/services.toml"
    alone.write_text("\n".join(path.read_text() for path in sorted(folder.glob("*.toml"))))
    (folder / "closed.toml").write_text("# a bureau that is no more\n")
    again = export(applied, target, now=NOW)
    assert again.removed == (
        "tenants/211info/services.toml",
        "tenants/211info/services/closed.toml",
    )
    assert "services.toml removed" in str(again)
    assert again.as_dict()["removed"] == list(again.removed)
    assert str(plan(applied, target, now=NOW)) == "No changes."


def test_an_edited_rate_is_shown_and_applied_as_a_new_version(applied, root):
    replace(root / "tenants/city-of-portland/rates.toml", 'amount = "4.90"', 'amount = "5.15"')
    planned = plan(applied, root, now=NOW)
    assert "  ~ rate phone-2026\n      amount: 4.90 -> 5.15" in str(planned)
    apply(applied, root, now=NOW)
    city = tenant_id(applied, "city-of-portland")
    with open_session(applied, Scope(city)) as session:
        rows = session.execute(
            select(Rate.amount, Rate.recorded)
            .where(Rate.tenant_id == city, Rate.key == "phone-2026")
            .order_by(Rate.amount)
        ).all()
        assert [f"{row.amount:.2f}" for row in rows] == ["4.90", "5.15"]
        assert rows[0].recorded.upper == NOW
        assert rows[1].recorded.lower == NOW
        trail = (
            session.execute(select(AuditEvent.detail).where(AuditEvent.action == "rate:change"))
            .scalars()
            .all()
        )
        assert [one["fields"] for one in trail] == [["amount"]]
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_moving_the_day_between_two_prices_moves_both(applied, root):
    rates = root / "tenants/city-of-portland/rates.toml"
    rates.write_text(rates.read_text().replace("2026-07-01", "2026-12-01"))
    apply(applied, root, now=NOW)
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_changed_in_file_and_in_forms_is_a_conflict_that_changes_nothing(applied, root):
    city = tenant_id(applied, "city-of-portland")
    with session_scope(applied, Scope(city)) as session:
        session.execute(
            text("UPDATE bureaus SET name = 'Streets' WHERE tenant_id = :t AND key = 'pbot'"),
            {"t": city},
        )
    replace(
        root / "tenants/city-of-portland/bureaus.toml", "Bureau of Transportation", "Roads Bureau"
    )
    replace(root / "tenants/city-of-portland/rates.toml", 'amount = "4.90"', 'amount = "5.15"')
    with pytest.raises(ChangedOnBothSides) as refused:
        apply(applied, root, now=NOW)
    assert "name: file Roads Bureau, forms Streets" in refused.value.message
    with open_session(applied, Scope(city)) as session:
        assert (
            session.execute(
                select(func.count()).select_from(Rate).where(Rate.amount == 5.15)
            ).scalar_one()
            == 0
        )


def test_changed_in_forms_only_stays_and_is_exported(applied, root, tmp_path):
    city = tenant_id(applied, "city-of-portland")
    with session_scope(applied, Scope(city)) as session:
        session.execute(
            text("UPDATE bureaus SET name = 'Streets' WHERE tenant_id = :t AND key = 'pbot'"),
            {"t": city},
        )
    planned = plan(applied, root, now=NOW)
    assert [item.name for item in planned.of(Verdict.AHEAD)] == ["bureau pbot"]
    assert apply(applied, root, now=NOW).plan.changes == ()
    export(applied, root, tenant="city-of-portland", now=NOW)
    assert str(plan(applied, root, now=NOW)) == "No changes."
    apply(applied, root, now=NOW)
    replace(root / "tenants/city-of-portland/bureaus.toml", "Streets", "Roads Bureau")
    assert [item.verdict for item in plan(applied, root, now=NOW).changes] == [Verdict.CHANGED]


def test_leaving_a_key_out_ends_it_and_naming_it_again_takes_it_up(applied, root):
    path = root / "tenants/city-of-portland/bureaus.toml"
    its_services = root / "tenants/city-of-portland/services/pfr.toml"
    whole, services = path.read_text(), its_services.read_text()
    its_services.unlink()
    start = whole.index('[[bureau]]\nkey = "pfr"')
    path.write_text(whole[:start] + whole[whole.index("[[bureau]]", start + 5) :])
    assert "  - bureau pfr" in str(plan(applied, root, now=NOW))
    apply(applied, root, now=NOW)
    city = tenant_id(applied, "city-of-portland")

    def ended():
        with open_session(applied, Scope(city)) as session:
            return session.execute(
                select(Bureau.ended_on).where(Bureau.tenant_id == city, Bureau.key == "pfr")
            ).scalar_one()

    assert ended() == date(2026, 11, 2)
    assert str(plan(applied, root, now=NOW)) == "No changes."
    path.write_text(whole)
    its_services.write_text(services)
    apply(applied, root, now=NOW)
    assert ended() is None
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_a_rate_left_out_holds_until_today(applied, root):
    path = root / "tenants/211info/rates.toml"
    whole = path.read_text()
    start = whole.index('[[rate]]\nkey = "chat-2026"')
    path.write_text(whole[:start] + whole[whole.index("[[rate]]", start + 5) :])
    apply(applied, root, now=NOW)
    info = tenant_id(applied, "211info")
    with open_session(applied, Scope(info)) as session:
        rows = session.execute(
            select(Rate.valid, Rate.recorded).where(Rate.tenant_id == info, Rate.key == "chat-2026")
        ).all()
    assert len(rows) == 2
    assert [row.valid.upper for row in rows if row.recorded.upper is None] == [date(2026, 11, 2)]
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_changed_rules_are_a_new_version_from_today(applied, root):
    replace(
        root / "tenants/city-of-portland/rules.toml", "follow_up_days = 7", "follow_up_days = 9"
    )
    planned = str(plan(applied, root, now=NOW))
    assert "  ~ rules\n      rule[community-services].follow_up_days: 7 -> 9" in planned
    apply(applied, root, now=NOW)
    apply(applied, root, now=NOW)
    replace(
        root / "tenants/city-of-portland/rules.toml", "follow_up_days = 9", "follow_up_days = 8"
    )
    apply(applied, root, now=NOW)
    city = tenant_id(applied, "city-of-portland")
    with open_session(applied, Scope(city)) as session:
        rows = session.execute(
            select(RuleSet.version, RuleSet.state, RuleSet.published)
            .where(RuleSet.tenant_id == city)
            .order_by(RuleSet.version)
        ).all()
        published = Published.load(session)
    assert [(row.version, row.state, row.published.isempty) for row in rows] == [
        (1, "published", False),
        (2, "retired", True),
        (3, "published", False),
    ]
    assert rows[0].published.upper == date(2026, 11, 2) == rows[2].published.lower
    for day, version in ((date(2026, 10, 1), 1), (date(2026, 11, 2), 3)):
        assert published.region(day).rulebooks["city-of-portland"].rule_set.version == version
    assert published.rule_book("city-of-portland", 2) is not None


def test_an_amended_agreement_is_a_new_version(applied, root):
    replace(root / "policies/agreements/referrals-city.toml", "due_days = 30", "due_days = 45")
    assert "~ agreement referrals-city" in str(plan(applied, root, now=NOW))
    apply(applied, root, now=NOW)
    region = tenant_id(applied, "region")
    with open_session(applied, Scope(region)) as session:
        rows = session.execute(
            select(Agreement.version, Agreement.valid, Agreement.terms)
            .where(Agreement.key == "referrals-city")
            .order_by(Agreement.version)
        ).all()
    assert [(row.version, row.terms["due_days"]) for row in rows] == [(1, 30), (2, 45)]
    assert rows[0].valid.upper == rows[1].valid.lower == date(2026, 11, 2)
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_a_changed_policy_is_a_new_version(applied, root):
    replace(root / "policies/danger-screen.toml", "on fire", "is on fire")
    apply(applied, root, now=NOW)
    with open_session(applied, Scope(tenant_id(applied, "region"))) as session:
        days = session.execute(
            select(Policy.valid_from, Policy.valid_to)
            .where(Policy.key == "danger-screen")
            .order_by(Policy.valid_from)
        ).all()
    assert [tuple(day) for day in days] == [
        (date(2019, 7, 1), date(2026, 11, 2)),
        (date(2026, 11, 2), None),
    ]
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_a_disposition_in_force_is_not_rewritten(applied, root):
    services = root / "tenants/city-of-portland/services/pbot.toml"
    replace(services, 'kind = "resolve"', 'kind = "refer"')
    with pytest.raises(AlreadyInForce, match="service pothole is resolve since 2019-07-01"):
        apply(applied, root, now=NOW)


def test_a_disposition_to_come_may_move(applied, root):
    services = root / "tenants/city-of-portland/services/ppb.toml"
    services.write_text(services.read_text().replace("2027-01-01", "2027-07-01"))
    apply(applied, root, now=NOW)
    assert str(plan(applied, root, now=NOW)) == "No changes."
    lines = services.read_text().splitlines()
    day = lines.index("valid_from = 2027-07-01")
    start = max(at for at in range(day) if lines[at] == "[[service.disposition]]")
    lines[start : day + 1] = []
    lines.remove("valid_to = 2027-07-01")
    services.write_text("\n".join(lines))
    apply(applied, root, now=NOW)
    assert str(plan(applied, root, now=NOW)) == "No changes."
    with open_session(applied, NOBODY) as session:
        service = Published.load(session).directory.find("city-of-portland/alarm-permit")
    assert service.disposition(date(2028, 1, 1)) == "undecided"


def test_what_was_agreed_for_a_closed_line_is_published(applied):
    with open_session(applied, NOBODY) as session:
        published = Published.load(session)
        line = session.execute(
            select(Line.hours, Line.closed_answer).where(
                Line.tenant_id == published.ids["city-of-portland"], Line.key == "main"
            )
        ).one()
    assert line.closed_answer == "211info"
    assert line.hours["mon"] == [["08:00", "18:00"]]
    assert published.lines["city-of-portland/main"].is_open(NOW)
    assert not published.lines["city-of-portland/main"].is_open(NOW + timedelta(hours=10))
    night = datetime(2026, 10, 11, 10, tzinfo=UTC)
    assert published.lines["211info/main"].is_open(night)
    assert published.unplaced_queue("city-of-portland") == "unplaced"
    assert published.screen(NOW.date()).number == "911"
    assert published.sharing(NOW.date()).consent_text


def test_one_partner_alone(applied, root):
    replace(root / "tenants/city-of-portland/rates.toml", 'amount = "4.90"', 'amount = "5.15"')
    replace(root / "tenants/211info/rates.toml", 'amount = "5.30"', 'amount = "5.25"')
    done = apply(applied, root, tenant="211info", now=NOW)
    assert [item.tenant for item in done.plan.changes] == ["211info"]
    assert [item.tenant for item in plan(applied, root, now=NOW).changes] == ["city-of-portland"]
    with pytest.raises(NotFound):
        plan(applied, root, tenant="nowhere", now=NOW)


@pytest.fixture
def administrator(applied):
    city = tenant_id(applied, "city-of-portland")
    person = tenant_id(applied, "211info")
    with session_scope(applied, Scope(city)) as session:
        session.execute(
            text(
                "INSERT INTO memberships (tenant_id, person_id, name, email, roles)"
                " VALUES (:t, :p, 'A. Admin', 'admin@portland.example', '{administrator}')"
            ),
            {"t": city, "p": person},
        )
    return "admin@portland.example"


def test_a_persons_rules_wait_for_approval(applied, root, administrator):
    replace(
        root / "tenants/city-of-portland/rules.toml", "follow_up_days = 7", "follow_up_days = 9"
    )
    done = apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)
    assert [item.kind for item in done.drafts] == ["rules"]
    assert "waits for approval" in str(done)
    city = tenant_id(applied, "city-of-portland")
    with open_session(applied, Scope(city)) as session:
        states = session.execute(
            select(RuleSet.state, RuleSet.drafted_by)
            .where(RuleSet.tenant_id == city)
            .order_by(RuleSet.version)
        ).all()
    assert [row.state for row in states] == ["published", "draft"]
    assert states[1].drafted_by is not None
    again = apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)
    assert again.plan.changes == ()


def test_a_person_needs_a_tenant_a_membership_and_rights(applied, root, administrator):
    with pytest.raises(Forbidden, match="name it"):
        apply(applied, root, person=administrator, now=NOW)
    with pytest.raises(Forbidden, match="does not work for 211info"):
        apply(applied, root, tenant="211info", person=administrator, now=NOW)
    rates = root / "tenants/city-of-portland/rates.toml"
    replace(rates, 'amount = "4.90"', 'amount = "5.15"')
    done = apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)
    assert [item.name for item in done.plan.changes] == ["rate phone-2026"]
    city = tenant_id(applied, "city-of-portland")
    with session_scope(applied, Scope(city)) as session:
        trail = session.execute(
            select(AuditEvent.person_id).where(AuditEvent.action == "rate:change")
        ).scalar_one()
        assert trail is not None
        session.execute(
            text("UPDATE memberships SET roles = '{specialist}' WHERE tenant_id = :t"), {"t": city}
        )
    replace(rates, 'amount = "5.15"', 'amount = "5.25"')
    with pytest.raises(Forbidden, match="may not change rate phone-2026: rate:edit"):
        apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)


def test_a_keepers_part_of_the_catalogue_waits_for_an_editor(applied, root, administrator):
    city = tenant_id(applied, "city-of-portland")
    with session_scope(applied, Scope(city)) as session:
        session.execute(
            text("UPDATE memberships SET roles = '{keeper}' WHERE tenant_id = :t"), {"t": city}
        )
    locations = root / "tenants/city-of-portland/locations.toml"
    said = locations.read_text(encoding="utf-8")
    named = re.search(r'key = "(.+)"\nname = "(.+)"', said)
    key, name = named.groups()
    replace(locations, f'name = "{name}"', f'name = "{name}, renamed"')
    locations.write_text(
        locations.read_text(encoding="utf-8") + '\n[[location]]\nkey = "kiosk"\nname = "Kiosk"\n',
        encoding="utf-8",
    )
    for _ in range(2):
        done = apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)
        assert {item.key for item in done.drafts} == {key, "kiosk"}
        with open_session(applied, Scope(city)) as session:
            drafts = versions.open_versions(session, "location")
            assert {each.key for each in drafts} == {key, "kiosk"}
            assert all(each.made_by is not None for each in drafts)
            assert session.scalar(select(Location.name).where(Location.key == key)) == name
    with session_scope(applied, Scope(city)) as session:
        for each in versions.open_versions(session, "location"):
            versions.review(session, "location", each.key, each.number, now=NOW)
            versions.publish(session, "location", each.key, each.number, today=NOW.date(), now=NOW)
    assert apply(applied, root, now=NOW).plan.changes == ()
    locations.write_text(said, encoding="utf-8")
    with pytest.raises(Forbidden, match="may not end location kiosk: service:publish"):
        apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)


def test_a_shared_cost_is_not_one_persons_to_change(applied, root, administrator):
    replace(root / "tenants/city-of-portland/pools.toml", "600000.00", "610000.00")
    with pytest.raises(NeedsApproval, match="pool i-and-r 2026"):
        apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)
    replace(root / "tenants/city-of-portland/pools.toml", "610000.00", "600000.00")
    replace(root / "tenants/city-of-portland/bases.toml", 'kind = "fte"', 'kind = "budget"')
    with pytest.raises(NeedsApproval, match="base positions"):
        apply(applied, root, tenant="city-of-portland", person=administrator, now=NOW)
    apply(applied, root, now=NOW)
    assert str(plan(applied, root, now=NOW)) == "No changes."


def test_the_key_of_something_imported_is_not_taken_over_by_files(applied, root, tmp_path):
    (tmp_path / "package").mkdir()
    for table, said in {
        "organizations": "id,name,description\n1,Rose,Food\n",
        "services": "id,organization_id,name,status\n10,1,Pantry,active\n",
    }.items():
        (tmp_path / "package" / f"{table}.csv").write_text(said)
    import_directory(
        applied, tmp_path / "package", tenant="211info", order=Order(), now=NOW, url="http://x"
    )
    with applied.connect() as connection:
        key = connection.execute(
            text("SELECT key FROM services WHERE name = 'Pantry' AND source = 'imported'")
        ).scalar_one()
    assert not plan(applied, root, now=NOW).changes
    own = root / "tenants/211info/services/community.toml"
    with own.open("a", encoding="utf-8") as file:
        file.write(
            f"""
[[service]]
key = "{key}"
name = "Try"
summary = "Try."
verb = "find"
bureau = "community"
term = "try"
group = "Try"

[[service.disposition]]
valid_from = 2026-01-01
kind = "refer"
"""
        )
    for verb in (plan, apply):
        with pytest.raises(KeyImported) as refused:
            verb(applied, root, tenant="211info", now=NOW)
        assert f"211info: the key is that of something imported: service {key}." in str(
            refused.value
        )


def test_days_set_in_the_form_are_the_databases_own(applied, root):
    city = tenant_id(applied, "city-of-portland")
    numbers = {"attempts": 4, "retry_days": 1, "remind_days": 2, "escalate_days": 3}
    numbers |= {"expire_days": 20, "outcome_days": 45}
    with session_scope(applied, Scope(city)) as session:
        revision = session.execute(
            text("SELECT revision FROM tenants WHERE id = :t"), {"t": city}
        ).scalar_one()
        set_loop(
            session,
            now=NOW,
            revision=revision,
            numbers=numbers,
            follow_up_days={"normal": 7},
        )
    planned = plan(applied, root, now=NOW)
    assert [item.name for item in planned.of(Verdict.AHEAD)] == ["tenant"]
    export(applied, root, tenant="city-of-portland", now=NOW)
    assert "expire_days = 20" in (root / "tenants/city-of-portland/tenant.toml").read_text()
    assert str(plan(applied, root, now=NOW)) == "No changes."


CONNECTION = """\
[connection]
name = "Care platform"
way = "push"
address = "https://care.example/city/fhir"
key_id = "care-1"
known_as = "pdx"

[[connection.service]]
key = "pothole"
known_as = "STREET-1"
"""


def test_a_connection_goes_by_files_without_its_secret(applied, root, tmp_path):
    """What a file makes waits for its secret; the secret is in no file, and changes keep it."""
    file = root / "tenants/211info/connection.toml"
    file.write_text(CONNECTION, encoding="utf-8")
    apply(applied, root, now=NOW)
    scope = Scope(tenant_id(applied, "211info"))
    sealed = "the secret of this installation.."
    with session_scope(applied, scope) as session:
        (made,) = systems.systems(session)
        assert made.waits_for_secret
        assert systems.opened(session, sealed_by=sealed) is None
        systems.change_secret(session, made.id, None, sealed_by=sealed, now=NOW)
        opened = systems.opened(session, sealed_by=sealed)
    assert str(plan(applied, root, now=NOW)) == "No changes."
    replace(file, 'address = "https://care.example/city/fhir"', 'address = "https://b.example/f"')
    apply(applied, root, now=NOW)
    with session_scope(applied, scope) as session:
        now_opened = systems.opened(session, sealed_by=sealed)
        assert now_opened.system.address == "https://b.example/f"
        assert (now_opened.secret, now_opened.system.id) == (opened.secret, made.id)
        # changed in the forms: the export takes it into the file
        values = {"name": "Care", "way": "they_poll", "address": None, "key_id": "care-2"}
        systems.amend(session, made.id, **values, known_as="pdx", services={}, now=NOW)
    (ahead,) = [each for each in plan(applied, root, now=NOW).items if each.kind == "connection"]
    assert ahead.verdict is Verdict.AHEAD
    export(applied, tmp_path, now=NOW)
    written = file.read_text(encoding="utf-8")
    assert 'way = "they_poll"' in written
    assert "secret" not in written
    assert str(plan(applied, root, now=NOW)) == "No changes."
    apply(applied, root, now=NOW)
    file.unlink()
    apply(applied, root, now=NOW)
    with session_scope(applied, scope) as session:
        (ended,) = systems.systems(session)
        assert ended.ended_at is not None
    assert str(plan(applied, root, now=NOW)) == "No changes."


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('address = "https://care.example/city/fhir"', "", "connection.address"),
        ('way = "push"', 'way = "they_poll"', "connection.address"),
        ('way = "push"', 'way = "carrier-pigeon"', "connection.way"),
        ('key_id = "care-1"', 'key_id = "A key"', "connection.key_id"),
        ('key_id = "care-1"', 'key_id = "care-1"\nsecret = "x"', "connection.secret"),
    ],
)
def test_what_is_wrong_with_a_connection_is_named(root, old, new, says):
    file = root / "tenants/211info/connection.toml"
    file.write_text(CONNECTION.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigInvalid) as raised:
        read_region(root)
    assert f"tenants/211info/connection.toml: {says}" in str(raised.value)


WORDED = '''
[notices]
texts = "09:00-20:00"

[[wording]]
event = "request_closed"
language = "es"
heading = "Listo: {number}"
body = """{message}

{link}"""
'''


def test_words_and_hours_of_messages_go_into_the_database_and_back(applied, root):
    path = root / "tenants/city-of-portland/tenant.toml"
    path.write_text(path.read_text() + WORDED)
    apply(applied, root, now=NOW)
    assert str(plan(applied, root, now=NOW)) == "No changes."
    city = tenant_id(applied, "city-of-portland")
    with session_scope(applied, Scope(city)) as session:
        row = session.execute(
            select(Tenant.settings, Tenant.revision).where(Tenant.id == city)
        ).one()
        assert row.settings["notices"] == {"texts": "09:00-20:00"}
        assert row.settings["wording"][0]["heading"] == "Listo: {number}"
        set_hours(session, texts=None, mail="07:00-22:00", revision=row.revision, now=NOW)
        own = Words("{number}!", "{message} {link}")
        set_wording(session, event="request_closed", language="vi", words=own, seen="", now=NOW)
    export(applied, root, tenant="city-of-portland", now=NOW)
    written = path.read_text()
    assert 'mail = "07:00-22:00"' in written
    assert 'heading = "{number}!"' in written
    assert str(plan(applied, root, now=NOW)) == "No changes."


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("09:00-20:00", "9-20", "Write hours like 08:00-21:00"),
        ("{link}", "", "The text needs {link}"),
        ("{message}", "{message.__class__}", "Braces stand only around"),
        ("request_closed", "reviews_due", "there is no 'reviews_due'"),
        ("{number}", "{who}", "There is no {who}"),
    ],
)
def test_words_and_hours_that_are_wrong_say_where(root, old, new, says):
    path = root / f"{CITY}/tenant.toml"
    path.write_text(path.read_text() + WORDED.replace(old, new, 1))
    (said,) = refused(root)
    assert said.startswith(f"{CITY}/tenant.toml: ")
    assert says in said


def test_an_event_is_worded_once_in_a_language(root):
    path = root / f"{CITY}/tenant.toml"
    again = WORDED.partition("[[wording]]")
    path.write_text(path.read_text() + WORDED + "".join(again[1:]))
    (said,) = refused(root)
    assert "request_closed is worded twice in es" in said
