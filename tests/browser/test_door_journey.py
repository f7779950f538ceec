"""A photo and a place from a telephone, what comes of them on the person's page and on staff's."""

from __future__ import annotations

from tests.intake.pictures_sent import JPEG, PNG

from .conftest import PHONE, follow, visit

CITY = "city-of-portland"
PICTURE = {"name": "hole.jpg", "mimeType": "image/jpeg", "buffer": JPEG}
ANOTHER = {"name": "wider.png", "mimeType": "image/png", "buffer": PNG}


def test_a_place_by_device_or_map_and_a_photo(open_page, examine):
    page = open_page(width=PHONE)
    page.context.grant_permissions(["geolocation"])
    page.context.set_geolocation({"latitude": 45.4871, "longitude": -122.6301})
    visit(page, f"/report?service={CITY}/pothole&danger=none")
    page.get_by_role("button", name="Use where I am now").click()
    page.get_by_text("Where you are now is filled in below.").wait_for()
    assert page.locator("input[name=latitude]").input_value() == "45.487100"
    page.get_by_text("Show it on a map").click()
    page.locator(".leaflet-container").wait_for()
    page.locator(".leaflet-container").click(position={"x": 140, "y": 140})
    page.get_by_text("The place on the map is filled in below.").wait_for()
    assert page.locator("input[name=latitude]").input_value() != "45.487100"
    examine(page, "report-where")
    page.get_by_role("button", name="Use where I am now").click()
    page.get_by_text("Where you are now is filled in below.").wait_for()
    page.locator("input[name=file]").set_input_files(PICTURE)
    follow(page.get_by_role("button", name="Send it"))
    number = page.locator(".d-number").inner_text()
    follow(page.locator("a.d-token"))
    page.get_by_text("Add something").click()
    page.locator("input[name=file]").set_input_files(ANOTHER)
    follow(page.get_by_role("button", name="Send it"))
    page.get_by_role("link", name="wider.png").wait_for()
    examine(page, "tracked-files")
    staff = open_page("worker", CITY, width=PHONE)
    staff.goto(f"/{CITY}/requests/{number}")
    staff.get_by_text("Add a file").click()
    staff.get_by_text("The person sent a file").first.wait_for()
    examine(staff, "request-files")


def test_a_letter_on_paper(open_page, examine):
    page = open_page(width=PHONE, scripts=False)
    page.goto("/accommodation")
    page.get_by_label("Which office it is about").select_option(f"{CITY}/")
    page.get_by_text("I need something so that I can take part").click()
    page.get_by_label("If you need something: what it is").select_option("interpreter")
    page.get_by_label("Say it in your own words").fill("For the meeting.")
    page.get_by_text("By a letter on paper").click()
    page.get_by_label("Your postal address, for letters").fill("PO Box 7\nPortland OR 97201")
    follow(page.get_by_role("button", name="Send it"))
    number = page.get_by_role("heading", level=2).first.inner_text().split()[-1].rstrip(".")
    staff = open_page("coordinator", CITY, width=PHONE)
    staff.goto(f"/{CITY}/accommodations/{number}")
    staff.get_by_label("Words for the person").fill("We look for one.")
    follow(staff.get_by_role("button", name="Say that you have it"))
    staff.goto(f"/{CITY}/accommodations")
    examine(staff, "accommodations-letters")
    staff.goto(f"/{CITY}/accommodations/{number}")
    examine(staff, "accommodation-letters")
    follow(staff.get_by_role("link", name="Letter of"))
    staff.get_by_text("We look for one.").wait_for()
    examine(staff, "accommodation-letter")
    follow(staff.get_by_role("button", name="It is in the post"))
    staff.get_by_text("in the post since").wait_for()
