"""The frame: addresses, methods, headers, errors, static files, transactions."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import pytest
from pyramid.httpexceptions import HTTPConflict, HTTPSeeOther, HTTPServiceUnavailable
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import create_engine, text
from sqlalchemy.exc import InternalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from webtest import TestApp

import regional311
from regional311.app import main, settings_from_ini
from regional311.database.ids import new_id, new_token, token_hash
from regional311.errors import Conflict, Forbidden, InvalidInput, NotFound, Stale
from regional311.identity.permissions import Permissions
from regional311.web.forms import start_over
from regional311.web.i18n import _, printed
from regional311.web.listing import Column, Filter, Listing
from regional311.web.partners import Partners
from regional311.web.pipeline import clock as real_clock
from regional311.web.sessions import flash
from regional311.web.tree import Collection, Record, Resource, Root, TenantNode, collection, enter

STATIC = Path(regional311.__file__).parent / "web" / "static"
HOME = "/city-of-portland"


def boom(error):
    def view(context, request):
        raise error

    return view


def touch(context, request):
    """Write one row by set-based SQL, then do as told."""
    request.dbsession.execute(
        text("UPDATE tenants SET settings = '{\"touched\": true}' WHERE tenant_id = :tenant"),
        {"tenant": request.tenant.id},
    )
    request.dbsession.mark_changed(request.dbsession)
    if request.GET["then"] == "fail":
        raise InvalidInput("Told to fail.")
    if request.GET["then"] == "refuse":
        return Response("no", status=400)
    if request.GET["then"] == "start over":
        start_over(request)
        return Response("fine")
    return Response("done")


ERRORS = {
    "invalid": (InvalidInput("Choose another day."), 400),
    "conflict": (Conflict("It is closed already."), 409),
    "not-found": (NotFound("secret reason"), 404),
    "forbidden": (Forbidden("Only its author may."), 403),
    "stale": (
        Stale("Rosa saved first.", current={"price": "2.00"}, submitted={"price": "3.00"}),
        409,
    ),
    "http-conflict": (HTTPConflict("As it is."), 409),
    "unavailable": (HTTPServiceUnavailable(), 500),
    "mistake": (ZeroDivisionError("canary-in-a-trace"), 500),
    "internal": (InternalError("SELECT canary", {}, Exception("canary")), 500),
    "busy": (PoolTimeout(), 503),
    "encoding": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), 400),
    "elsewhere": (HTTPSeeOther(location="/there"), 303),
}


def extend(config):
    for name, (error, _status) in ERRORS.items():
        config.add_view(
            boom(error),
            context=TenantNode,
            name=f"raise-{name}",
            permission=Permissions.TENANT_ENTER,
            request_method="GET",
        )
    config.add_view(
        touch,
        context=TenantNode,
        name="touch",
        permission=Permissions.TENANT_ENTER,
        request_method="GET",
    )
    config.add_view(
        lambda context, request: Response("read"),
        context=TenantNode,
        name="ledger-only",
        permission=Permissions.LEDGER_READ,
        request_method="GET",
    )
    config.add_view(
        lambda context, request: Response(str(request.dbsession)),
        context=Root,
        name="no-tenant",
        permission=NO_PERMISSION_REQUIRED,
        request_method="GET",
    )


@pytest.fixture(scope="module")
def application(web_engine, configured, clock):
    return main({}, configured=configured, engine=web_engine, clock=clock, extend=extend)


@pytest.fixture
def city(sign_in):
    return sign_in("specialist", "city-of-portland")


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_a_page(city, name):
    _error, status = ERRORS[name]
    page = city.get(f"{HOME}/raise-{name}", status=status)
    if status >= 400:
        assert "<h1>" in page
        assert page.headers["Cache-Control"] == "no-store"
    for secret in ("canary", "Traceback", "secret reason", "SELECT"):
        assert secret not in page


@pytest.mark.parametrize("name", ["invalid", "stale", "mistake", "busy", "forbidden"])
def test_programs_get_a_problem(city, name):
    _error, status = ERRORS[name]
    answer = city.get(f"{HOME}/raise-{name}", status=status, headers={"Accept": "application/json"})
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert "canary" not in answer


def test_htmx_gets_a_part_of_a_page(city):
    part = city.get(f"{HOME}/raise-invalid", status=400, headers={"HX-Request": "true"})
    assert "Choose another day." in part
    assert "<html" not in part


def test_a_stale_form_shows_both_versions(city):
    page = city.get(f"{HOME}/raise-stale", status=409)
    assert "2.00" in page
    assert "<strong>3.00</strong>" in page


def test_a_busy_database_says_when_to_come_back(city):
    assert city.get(f"{HOME}/raise-busy", status=503).headers["Retry-After"] == "30"


def test_the_wrong_role_is_told_so(city):
    assert "Your role does not include this" in city.get(f"{HOME}/ledger-only", status=403)


def test_a_page_without_a_partner_has_no_database_session(testapp):
    assert "belongs to no partner" in testapp.get("/no-tenant", status=400)


@pytest.mark.parametrize(
    ("then", "status", "written"),
    [
        ("fail", 400, False),
        ("refuse", 400, False),
        ("start over", 200, False),
        ("commit", 200, True),
    ],
)
def test_only_a_good_answer_writes(city, web_engine, then, status, written):
    city.get(f"{HOME}/touch", {"then": then}, status=status)
    with web_engine.connect() as connection:
        settings = connection.execute(
            text("SELECT settings FROM tenants WHERE slug = 'city-of-portland'")
        ).scalar_one()
    assert ("touched" in settings) is written


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD"),
        ("GET", "/auth/sign-out", "POST"),
        ("PUT", "/auth/sign-in", "GET, HEAD, POST"),
        ("DELETE", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405(testapp, method, path, allow):
    answer = testapp.request(path, method=method, status=405)
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/x",
        "/auth/sign-in/x",
        "/auth/nothing",
        "/track/short",
        "/track/" + "x" * 43,
        "/track/" + "x" * 101,
        "/static/nothing.css",
        "/static/../app.py",
        "/nothing/at/all",
        "/city-of-portland/nothing",
    ],
)
def test_nothing_is_there(testapp, path):
    testapp.get(path, status=404)


def test_an_address_that_is_not_utf8_cannot_be_read(testapp):
    testapp.get("/%ff", status=400)
    testapp.get("/?q=%ff", status=400)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[", ""])
def test_a_forged_host_is_refused(testapp, host):
    answer = testapp.get("/", headers={"Host": host}, status=400)
    assert "evil" not in answer


def test_the_health_of_a_machine_is_asked_by_its_address(testapp):
    assert testapp.get("/healthz", headers={"Host": "192.0.2.1"}).json == {
        "ok": True,
        "database": True,
        "migrations_current": True,
    }


def test_a_client_cannot_move_the_root(testapp):
    page = testapp.get("/", headers={"X-Vhm-Root": "/city-of-portland"})
    assert "Who helps with what" in page


# pyramid_retry has webob copy the body to a temporary file, which only its deletion closes
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_too_large_is_refused(testapp):
    testapp.post("/auth/sign-in", b"x" * (2 * 1024 * 1024 + 1), status=413)
    gc.collect()


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/icon.svg", "/healthz"])
def test_every_answer_carries_the_policy(testapp, path):
    answer = testapp.get(path, status="*")
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_private_pages_are_not_stored(city, testapp):
    assert city.get(HOME).headers["Cache-Control"] == "no-store"
    assert testapp.get("/").headers["Cache-Control"] == "private, no-cache"


def test_static_files_are_kept_and_compressed(testapp):
    page = testapp.get("/")
    sheet = re.search(r'href="(/static/vendor/uswds[^"]+)"', page.text)[1]
    # webtest would unpack it
    answer = Request.blank(sheet, accept_encoding="gzip").get_response(testapp.app)
    assert "max-age=31536000" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) < 70_000
    answer.app_iter.close()


def test_whatever_the_stylesheet_points_at_is_there():
    sheet = STATIC / "vendor/uswds/css/uswds.min.css"
    missing = {
        reference
        for reference in re.findall(r"url\(\"?(\.\./[^)\"]+)", sheet.read_text())
        if not (sheet.parent / reference).resolve().is_file()
    }
    # images of components that no page here uses
    assert {name.rpartition("/")[2] for name in missing} <= {
        "hero.jpg",
        "file.svg",
        "file-pdf.svg",
        "file-word.svg",
        "file-excel.svg",
        "file-video.svg",
    }


def test_no_template_carries_a_script_or_a_style():
    for path in (STATIC.parent / "templates").rglob("*.jinja2"):
        source = path.read_text()
        data = r'type="application/ld\+json">'  # a browser runs nothing of it
        assert not re.search(rf"<script (?!{data})(?![^>]*\bsrc=)|<script>", source), path
        assert not re.search(r"\s(style|on[a-z]+)=", source), path
        assert "<style" not in source, path
        assert "|safe" not in source, path
        assert "autoescape" not in source, path


def test_a_database_that_is_down_gets_a_page(configured, clock):
    down = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    browser = TestApp(main({}, configured=configured, engine=down, clock=clock))
    page = browser.get(HOME, status=503)
    assert "Nothing was saved or half done" in page
    assert page.headers["Retry-After"] == "30"
    browser.set_cookie("session", "x" * 43)
    assert browser.get("/auth/sign-in", status=503)
    assert browser.get("/healthz", status=503).json["ok"] is False


def test_a_page_that_cannot_even_be_an_error_page(configured, web_engine, clock, monkeypatch):
    browser = TestApp(main({}, configured=configured, engine=web_engine, clock=clock))
    monkeypatch.setattr("regional311.web.views.errors.render", lambda *_, **__: 1 / 0)
    answer = browser.get("/nothing", status=500)
    assert answer.text == "Something went wrong. Nothing was saved."
    assert "Content-Security-Policy" in answer.headers


def test_a_page_asks_the_database_little(city, statements):
    city.get(HOME)
    statements.clear()
    city.get(HOME)
    assert len(statements) == 1


def test_following_a_request_without_a_code(testapp):
    page = testapp.get("/track", {"code": " "}).follow()
    assert "Paste the tracking link" in page
    for end in ("", "/", "?lang=es", "#status"):
        found = testapp.get("/track", {"code": "http://localhost/track/" + "A-b_c" * 8 + end})
        assert found.location == "http://localhost/track/" + "A-b_c" * 8


def test_a_tracking_link_enters_its_partner(testapp, people, web_engine):
    token = new_token()
    with web_engine.begin() as connection:
        connection.execute(
            text("INSERT INTO tracking_tokens VALUES (:hash, :tenant, :request)"),
            {
                "hash": token_hash(token),
                "tenant": people.tenants["211info"],
                "request": new_id(),
            },
        )
    root = root_of(testapp)
    node = root["track"][token]
    assert node.request.tenant.slug == "211info"
    assert node.partner.slug == "211info"
    root.request.registry.partners = Partners(root.request.registry.engine)
    root.request.registry.partners.by_id = lambda _: None
    assert root["track"].child(token) is None


def root_of(testapp):
    request = Request.blank("/")
    request.registry = type("Registry", (), {})()
    request.registry.__dict__.update(testapp.app.registry.__dict__)
    return Root(request)


def test_a_request_enters_one_partner_only(testapp):
    root = root_of(testapp)
    partner = root.request.registry.partners.by_slug
    enter(root.request, partner("211info"))
    enter(root.request, partner("211info"))
    with pytest.raises(RuntimeError):
        enter(root.request, partner("region"))


def test_a_mistake_in_a_look_up_is_not_a_404():
    class Odd(Resource):
        def child(self, name):
            return {}[name]

    with pytest.raises(RuntimeError):
        Odd(None)["x"]
    with pytest.raises(KeyError):
        Resource(None)["x"]


def test_a_collection_has_one_name():
    with pytest.raises(ValueError, match="desk"):
        collection("desk")(Collection)
    assert Collection(None).find("x") is None
    assert Record(None, "x", None, "row").record == "row"


def test_partners_are_read_every_few_seconds(web_engine, statements):
    now = [0.0]
    partners = Partners(web_engine, clock=lambda: now[0])
    assert [each.slug for each in partners.all()][-1] == "region"
    partners.by_slug("211info")
    assert len(statements) == 1
    now[0] = 6.0
    partners.by_slug("nowhere")
    assert len(statements) == 2
    partners.forget()
    partners.all()
    assert len(statements) == 3


def test_a_listing_says_what_it_shows():
    columns = [Column("number", "Number", sort=True), Column("state", "State")]
    filters = [Filter("state", "State", choices=[("open", "Open")]), Filter("q", "Words")]
    request = Request.blank("/r?sort=-number&state=open&q=pot%20hole&after=x")
    listing = Listing(request, columns=columns, filters=filters, sort="number", csv=True)
    assert listing.values == {"state": "open", "q": "pot hole"}
    assert listing.filtered
    assert listing.direction(columns[0]) == "descending"
    assert listing.direction(columns[1]) is None
    assert listing.sort_url(columns[0]).endswith("?state=open&q=pot+hole&sort=number")
    listing.fill([1], after="next", total=9)
    assert listing.next_url.endswith("after=next")
    assert listing.previous_url
    assert listing.total is None
    plain = Listing(Request.blank("/r?sort=evil&state=gone"), columns=columns, filters=filters[:1])
    assert plain.sort is None
    assert plain.values == {"state": None}
    assert plain.fill([1, 2], total=2).total == 2
    assert (plain.first, plain.last, plain.next_url) == (1, 2, None)
    plain.sort = "number"
    assert plain.direction(columns[0]) == "ascending"
    assert plain.sort_url(columns[0]).endswith("sort=-number")
    assert Listing(Request.blank("/r"), columns=[])._url() == "http://localhost/r"


def test_a_message_has_a_kind(testapp):
    with pytest.raises(ValueError, match="loud"):
        flash(None, "loud", "x")


def test_marked_strings_print_without_a_request():
    assert printed(_("Hello ${name}", mapping={"name": "Ada"})) == "Hello Ada"
    assert printed(None) == ""
    assert printed(3) == 3


def test_an_ini_file_overrules_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIONAL311_URL", "http://environment.example")
    found = settings_from_ini(
        {"regional311_url": "https://ini.example/", "regional311_var": str(tmp_path)}
    )
    assert found.url == "https://ini.example"
    assert found.var == tmp_path


def test_the_clock_knows_its_zone():
    assert real_clock().tzinfo is not None
