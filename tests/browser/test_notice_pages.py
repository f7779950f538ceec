"""Messages and what people get of them in a browser: axe, 360 px, without scripts, in Spanish."""

from __future__ import annotations

from datetime import UTC, datetime

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.ways_out import make_token

from .conftest import PHONE, follow

CITY = "city-of-portland"
NOW = datetime(2026, 10, 5, 17, tzinfo=UTC)
SECRET = "a secret for tests of forty characters.."


def written(site, **said):
    message_id, tenant_id = new_id(), site.tenants[CITY]
    given = {
        "event": "request_closed",
        "subject_id": new_id(),
        "recipient": "ana@example.org",
        "language": "es",
        "heading": "Su solicitud R-7K3M9-QP4TX está cerrada",
        "body": "El bache está reparado.\n",
        "created_at": NOW,
        "due_at": NOW,
    } | said
    with session_scope(site.engine, Scope(tenant_id)) as session:
        put(session, OutboxMessage(tenant_id=tenant_id, id=message_id, **given))
    return message_id


def test_the_pages_of_who_looks_after_messages(open_page, examine, site):
    dead = written(site, state="dead", last_error="The mail server refused the recipient (550).")
    written(site, state="sent", sent_at=NOW)
    with session_scope(site.engine, Scope(site.tenants[CITY])) as session:
        trouble = MailTrouble(
            tenant_id=site.tenants[CITY],
            id=new_id(),
            address="gone@example.org",
            reason="5.1.1",
            last_at=NOW,
            stopped_at=NOW,
        )
        put(session, trouble)
    page = open_page("administrator", CITY, width=PHONE)
    for name, path in (
        ("messages", "messages"),
        ("messages-dead", "messages?state=dead"),
        ("message", f"messages/{dead}"),
        ("message-words", "message-words"),
        ("message-worded", "message-words/request_closed.es"),
        ("mail-addresses", "mail-addresses"),
        ("my-notices", "notices"),
        ("notice-hours", "settings/notices"),
    ):
        page.goto(f"/{CITY}/{path}")
        assert page.locator("h1").count() == 1, name
        examine(page, name)
    page.goto(f"/{CITY}/messages/{dead}")
    follow(page.get_by_role("button", name="Set it aside"))
    page.get_by_text("The message was set aside.").wait_for()
    follow(page.get_by_role("button", name="Bring it back"))
    page.get_by_text("It waits for somebody again.").wait_for()


def test_a_person_stops_messages_without_a_script(open_page, examine, site):
    token = make_token(SECRET, site.tenants[CITY], written(site, state="sent"))
    looked = open_page(width=PHONE)
    looked.goto(f"/letters/{token}?lang=es")
    examine(looked, "letters")
    page = open_page(width=PHONE, scripts=False)
    page.goto(f"/letters/{token}?lang=es")
    follow(page.get_by_role("button", name="No recibir mensajes sobre esto"))
    page.get_by_text("Ya no recibirá estos mensajes.").wait_for()
    follow(page.get_by_role("button", name="Volver a recibir mensajes sobre esto"))
    page.get_by_text("Vuelve a recibir estos mensajes.").wait_for()
