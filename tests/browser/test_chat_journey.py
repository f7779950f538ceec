"""Somebody chats in Spanish on a phone; the specialist's answer comes by itself."""

from __future__ import annotations

from .conftest import follow

INFO = "211info"


def test_a_chat_in_spanish_on_a_phone(open_page, examine):
    visitor = open_page(width=360)
    visitor.goto(f"/chat/{INFO}?lang=es")
    examine(visitor, "chat-start")
    visitor.get_by_label("Su mensaje").fill("¿Dónde hay comida?")
    follow(visitor.get_by_role("button", name="Empezar el chat"))
    page = open_page("specialist", INFO)
    page.goto(f"/{INFO}/inbox")
    follow(page.get_by_role("button", name="Take who has waited longest"))
    page.get_by_label("Answer", exact=True).fill("En la calle Division.")
    follow(page.get_by_role("button", name="Send", exact=True))
    visitor.locator("#said").get_by_text("En la calle Division.").wait_for(timeout=30_000)
    assert visitor.locator("#news").inner_text() == "211info: En la calle Division."
    examine(visitor, "chat")
