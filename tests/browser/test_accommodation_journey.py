"""The accommodation door on a phone, in Spanish, without and with scripts."""

from __future__ import annotations

import pytest

from .conftest import PHONE, follow

CITY = "city-of-portland"


@pytest.mark.parametrize("scripts", [False, True])
def test_somebody_asks_in_spanish_on_a_phone(open_page, examine, scripts):
    page = open_page(width=PHONE, scripts=scripts)
    page.goto("/")
    follow(page.get_by_role("link", name="Español"))
    follow(page.get_by_role("link", name="Pedir un intérprete, otro formato o un cambio"))
    page.get_by_role("heading", name="Accesibilidad e igualdad de trato", level=1).wait_for()
    if scripts:
        examine(page, "accommodation-es")
    page.get_by_label("De qué oficina se trata").select_option(f"{CITY}/parks")
    page.get_by_text("Necesito algo para poder participar").click()
    page.get_by_label("Si necesita algo: qué es").select_option("interpreter")
    page.get_by_label("Dígalo con sus propias palabras").fill("Un intérprete para la reunión.")
    follow(page.get_by_role("button", name="Enviar"))
    page.get_by_text("Lo recibimos. Su número es A-").wait_for()
    if scripts:
        examine(page, "accommodation-own-es")
    page.get_by_label("Lo que quiere decir").fill("El martes.")
    follow(page.get_by_role("button", name="Enviar"))
    page.get_by_text("El martes.").wait_for()
    follow(page.get_by_role("button", name="Retirarlo"))
    page.get_by_text("Lo ha retirado.").wait_for()


def test_pages_of_a_coordinator(open_page, examine):
    page = open_page("coordinator", CITY, width=PHONE)
    page.goto(f"/{CITY}/accommodation")
    page.get_by_label("Which office it is about").select_option(f"{CITY}/")
    page.get_by_text("I was treated worse for who I am").click()
    page.get_by_label("If you were treated worse: for what").select_option("language")
    page.get_by_label("Say it in your own words").fill("They hung up on me.")
    follow(page.get_by_role("button", name="Take it in"))
    examine(page, "accommodation-taken")
    page.goto(f"/{CITY}/accommodations")
    examine(page, "accommodations")
    follow(page.locator("main table a").first)
    examine(page, "accommodation-one")
    page.goto(f"/{CITY}/accommodation-figures")
    examine(page, "accommodation-figures")
