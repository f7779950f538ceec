"""A referral is rejected and made again; the person looks at it on a phone and takes it back."""

from __future__ import annotations

from datetime import UTC, datetime

from regional311.database.ids import new_token
from regional311.database.session import Scope, session_scope
from regional311.referral.filing import Asker, Intake, take_in
from regional311.referral.snapshot import published

from .conftest import DESK, PHONE, follow

CITY, HELP = "city-of-portland", "211info"


def refer(site):
    """Refer somebody to 211info, as the desk does on a working day: at night it would transfer."""
    intake = Intake(
        source="desk",
        key=new_token(),
        channel="phone",
        started_at=datetime(2026, 10, 13, 18, tzinfo=UTC),
        ended_at=datetime.now(UTC),
        service="211info/shelter",
        description="sleeps in a car",
        asker=Asker("Dana Reed", "503 555 0101", safe_to_call=True, may_follow_up=True),
        danger_answer="none",
        consent="given",
    )
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        return take_in(session, published(site.engine), intake, now=datetime.now(UTC))


def test_rejected_referred_again_seen_and_taken_back(open_page, examine, site):
    filed = refer(site)
    number, code = filed.referral_public_id, filed.code
    contact = f"/{CITY}/contacts/{filed.contact_public_id}"
    desk = open_page("specialist", CITY, width=DESK)
    receiver = open_page("partner", HELP)
    receiver.goto(f"/{HELP}/referrals")
    receiver.locator("#find").fill(code)
    follow(receiver.get_by_role("button", name="Find it"))
    receiver.get_by_text("sleeps in a car").wait_for()
    receiver.get_by_text("Reject it", exact=True).first.click()
    receiver.locator("#reject-reason").select_option("no_capacity")
    follow(receiver.get_by_role("button", name="Reject it"))
    receiver.get_by_text("Rejected", exact=True).first.wait_for()

    desk.goto(f"/{CITY}/referrals/{number}")
    examine(desk, "loop-rejected")
    follow(desk.get_by_role("link", name="Refer again"))
    options = desk.locator("#service option")
    desk.locator("#service").select_option(options.nth(1).get_attribute("value"))
    follow(desk.get_by_role("button", name="See what would go there"))
    desk.get_by_text("Read out:").wait_for()
    examine(desk, "loop-again")
    desk.get_by_text("The person agrees", exact=True).click()
    follow(desk.get_by_role("button", name="Refer", exact=True))
    desk.get_by_text("Referred: F-").wait_for()
    examine(desk, "loop-contact")
    follow(desk.get_by_role("link", name="Consent, code and follow-up"))
    examine(desk, "loop-consents")

    person = open_page(width=PHONE, height=740)
    person.goto(f"/mine/{code}?lang=es")
    person.get_by_text("Les preguntamos. Todavía no han respondido.").wait_for()
    assert "Dana" not in person.content()
    examine(person, "loop-mine")
    person.get_by_text("Ya no quiero esto").click()
    follow(person.get_by_role("button", name="Retirarlo"))
    person.get_by_text("Se retiró.").first.wait_for()
    examine(person, "loop-mine-taken-back")

    desk.goto(f"/{CITY}/follow-ups?view=ahead")
    examine(desk, "loop-follow-ups")
    follow(desk.locator("th a").first)
    examine(desk, "loop-follow-up")
    desk.get_by_text("Reached: they said what became of it").click()
    desk.locator("#attempt-outcome").select_option("unmet:all_at_capacity")
    follow(desk.get_by_role("button", name="Keep this try"))
    desk.get_by_text("Asked", exact=True).first.wait_for()
    examine(desk, "loop-follow-up-done")
    desk.goto(contact)
    desk.get_by_text("Not met because: All are full").wait_for()
    desk.goto(f"/{CITY}/outcomes")
    examine(desk, "loop-outcomes")


def test_esc_leaves_the_persons_page(open_page, examine):
    page = open_page(width=360)
    page.route("https://www.weather.gov/**", lambda route: route.fulfill(body="The weather"))
    page.goto("/")
    page.goto("/mine")
    page.get_by_text("Or press the Esc key.").wait_for()
    examine(page, "mine-code")
    for _skip in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Leave this page now"
    page.get_by_label("Code", exact=True).fill("M-")
    page.keyboard.press("Escape")
    page.wait_for_url("https://www.weather.gov/")
    # it is not left in the history
    page.go_back()
    page.wait_for_url(lambda address: not address.endswith("/mine"))
    assert "/mine" not in page.url
