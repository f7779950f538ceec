"""A partner's books for auditors: chart, balances by age, checks, seals, recovery."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyramid.response import Response
from pyramid.view import view_config

from regional311.chargeback import true_up
from regional311.chargeback.verification import own_books
from regional311.identity.permissions import Permissions as P
from regional311.ledger import beancount, queries, seals
from regional311.ledger.books import entry_problems
from regional311.ledger.mirrors import mirror_with
from regional311.settlement.verification import payment_problems
from regional311.web.billing_wording import Check, Words, as_of
from regional311.web.book_pages import book_page, ledger_url, link, section
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Filter
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.tree import Accounts, Ledger


@view_config(
    context=Accounts,
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def chart(context: Accounts, request: Any) -> Any:
    """The chart of accounts, and where the partner's own general ledger has each."""
    words = Words(request)
    rows = queries.chart(request.dbsession)
    rules = queries.mappings(request.dbsession)
    form = wanted(request)
    if form == "json":
        return json_response(
            {"accounts": [asdict(row) for row in rows], "mappings": [asdict(r) for r in rules]}
        )
    if form == "csv":
        columns = ["key", "name", "type", "external_code", "fund_code", "cost_centre"]
        columns += ["ended_on", "balance_cents"]
        return csv_response(
            request, "accounts.csv", columns, [[getattr(r, c) for c in columns] for r in rows]
        )
    url = ledger_url(request)
    accounts = section(
        request,
        _("Chart of accounts"),
        [
            (_("Account"), False),
            (_("Type"), False),
            (_("Our own account"), False),
            (_("Fund"), False),
            (_("Cost centre"), False),
            (_("Postings"), True),
            (_("Balance"), True),
        ],
        [
            [
                link(f"{url}/accounts/{row.key}", row.name),
                words("account_type", row.type),
                row.external_code,
                row.fund_code,
                row.cost_centre,
                words.number(row.postings),
                words.balance(row.balance_cents),
            ]
            for row in rows
        ],
        empty=_("This partner has no accounts yet."),
        csv=True,
    )
    names = {row.key: row.name for row in rows}
    mapped = section(
        request,
        _("Mappings that say more"),
        [
            (_("Mapping"), False),
            (_("Account"), False),
            (_("Party"), False),
            (_("Agreement"), False),
            (_("Our own account"), False),
            (_("Fund"), False),
            (_("Cost centre"), False),
        ],
        [
            [
                row.key,
                names.get(row.account_key or "", row.account_key) or _("any"),
                row.party or _("any"),
                row.family or _("any"),
                row.external_code,
                row.fund_code,
                row.cost_centre,
            ]
            for row in rules
        ],
        lead=_("Of several that fit a posting, the one that says most counts."),
        empty=_("None: every posting goes where its account goes. ledger.toml says otherwise."),
    )
    return book_page(
        request,
        "accounts",
        title=_("Accounts"),
        lead=_("What these books post to, and where our own general ledger has it."),
        sections=[accounts, mapped],
    )


@view_config(
    context=Ledger,
    name="balances",
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def balances(context: Ledger, request: Any) -> Any:
    """What is owed between this partner and others at the end of a day, by age."""
    words = Words(request)
    day = as_of(request, words)
    rows = queries.aged_balances(request.dbsession, day)
    names = {row.key: row.name for row in queries.chart(request.dbsession)}
    form = wanted(request)
    columns = ["party", "account", "to_30_cents", "to_60_cents", "to_90_cents", "older_cents"]
    if form != "html":
        facts = [
            dict(
                zip(
                    [*columns, "total_cents"],
                    [row.party, row.account_key, *row.cents, row.total_cents],
                    strict=True,
                )
            )
            for row in rows
        ]
        if form == "json":
            return json_response({"as_of": day, "balances": facts})
        return csv_response(
            request,
            f"balances-{day}.csv",
            [*columns, "total_cents"],
            [list(each.values()) for each in facts],
        )
    url = ledger_url(request)
    table = section(
        request,
        _("Balances with other parties"),
        [
            (_("Party"), False),
            (_("Account"), False),
            (_("To 30 days"), True),
            (_("31 to 60"), True),
            (_("61 to 90"), True),
            (_("Older"), True),
            (_("Altogether"), True),
        ],
        [
            [
                link(f"{url}/journal?partner={row.counterparty_id}", row.party)
                if row.counterparty_id
                else row.party,
                names.get(row.account_key, row.account_key),
                *(words.balance(cents) if cents else "" for cents in row.cents),
                words.balance(row.total_cents),
            ]
            for row in rows
        ],
        lead=_(
            "Debits are owed to us, credits are owed by us. Age counts from the end of the month"
            " in which an amount was booked; what lowers a balance is set against the oldest first."
        ),
        empty=_("Nothing is owed either way."),
        filters=[Filter("as_of", _("At the end of"), type="date", value=day.isoformat())],
        csv=True,
    )
    table.listing.filters[0].value = day.isoformat()
    return book_page(
        request,
        "balances",
        title=_("Balances by age"),
        lead=_("Statement of interagency balances at the end of a day."),
        sections=[table],
    )


@view_config(
    context=Ledger,
    name="checks",
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def checks(context: Ledger, request: Any) -> Any:
    """Whether the books hold: by themselves, and beside each other partner's."""
    session, words = request.dbsession, Words(request)
    me = request.tenant.id
    looked, problems = own_books(session)
    unbalanced = [
        problem for each in queries.entries_to_check(session) for problem in entry_problems(each)
    ]
    partners = [each for each in request.registry.partners.all() if each.id != me]
    mirrors = [(each, mirror_with(session, each.id)) for each in partners]
    mirrors = [(each, found) for each, found in mirrors if found.entries or found.their_entries]
    of_mirrors = [problem for _each, found in mirrors for problem in found.problems]
    of_payments = payment_problems(session)
    named = [
        *unbalanced,
        *(each for every in problems.values() for each in every),
        *of_payments,
        *of_mirrors,
    ]
    made = [
        Check(
            _("Every entry balances and has the legs and the total it was made with."),
            not unbalanced,
            _(
                "${entries} entries, ${legs} legs: ${debits} debited, ${credits} credited.",
                mapping={
                    "entries": words.number(looked.entries),
                    "legs": words.number(looked.legs),
                    "debits": words.cents(looked.debit_cents),
                    "credits": words.cents(looked.credit_cents),
                },
            ),
        ),
        Check(
            _("Nothing that was sealed was changed or removed, and no entry slipped in."),
            not problems["chain"],
            _(
                "${seals} seals over ${entries} entries and documents;"
                " ${waiting} wait for the next.",
                mapping={
                    "seals": words.number(looked.seals),
                    "entries": words.number(looked.sealed_entries),
                    "waiting": words.number(looked.unsealed_entries),
                },
            ),
        ),
        Check(
            _("Every statement is posted once, over its total."),
            not problems["payable_posted"],
            _(
                "${statements} statements with ${lines} lines.",
                mapping={
                    "statements": words.number(looked.statements),
                    "lines": words.number(looked.lines),
                },
            ),
        ),
        Check(
            _("Every statement has the parties, terms, day and lines that it was issued with."),
            not problems["statements_kept"],
        ),
        Check(
            _("Every payment is as it was recorded and as its entry posts it."),
            not of_payments,
        ),
        Check(
            _("Nothing was posted to a month after it was closed."),
            not problems["periods_kept"],
            _("${count} months.", mapping={"count": words.number(looked.periods)}),
        ),
        Check(
            _("Every batch for our own general ledger comes out as it was sent."),
            not problems["batches_whole"],
            _("${count} batches.", mapping={"count": words.number(looked.batches)}),
        ),
        Check(
            _("Every entry between partners has its mirror in the other's books."),
            not of_mirrors,
            _(
                "${count} entries with ${partners} partners.",
                mapping={
                    "count": words.number(sum(found.entries for _each, found in mirrors)),
                    "partners": len(mirrors),
                },
            ),
        ),
        Check(
            _("What we claim and what others owe, and the other way round, come to nothing."),
            all(found.net_zero for _each, found in mirrors),
        ),
    ]
    if wanted(request) == "json":
        return json_response(
            {
                "looked_at": asdict(looked),
                "holds": all(each.ok for each in made),
                "problems": [[each.kind, each.subject_id, each.message] for each in named],
            }
        )
    url = ledger_url(request)
    beside = section(
        request,
        _("Beside the other partners' books"),
        [
            (_("Partner"), False),
            (_("Entries here and there"), True),
            (_("We claim"), True),
            (_("They owe"), True),
            (_("We owe"), True),
            (_("They claim"), True),
            (_("Mirror and net-zero"), False),
        ],
        [
            [
                link(f"{url}/journal?partner={each.id}", each.short_name),
                f"{words.number(found.entries)} / {words.number(found.their_entries)}",
                words.cents(found.we_claim),
                words.cents(found.they_owe),
                words.cents(found.we_owe),
                words.cents(found.they_claim),
                _("holds") if found.mirrored and found.net_zero else _("does not hold"),
            ]
            for each, found in mirrors
        ],
        empty=_("These books have nothing with another partner yet."),
    )
    what = section(
        request,
        _("Problems"),
        [(_("Problem"), False), (_("Where"), False)],
        [
            [
                each.message,
                link(f"{url}/{each.subject_id}", _("Entry"))
                if each.kind in ("unbalanced", "entry_changed", "posted_after_close")
                else str(each.subject_id or ""),
            ]
            for each in named[:200]
        ],
        empty=_("There are none."),
    )
    return book_page(
        request,
        "checks",
        title=_("Checks"),
        lead=_("Worked out now, from every entry of these books."),
        checks=made,
        sections=[beside, what],
    )


@view_config(
    context=Ledger,
    name="seals",
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def seal_list(context: Ledger, request: Any) -> Any:
    """The chain of seals, the latest first."""
    session, words = request.dbsession, Words(request)
    before = request.GET.get("after", "")
    rows = seals.seals(
        session,
        before=int(before) if before.isascii() and before.isdecimal() else None,
        limit=PAGE_SIZE + 1,
    )
    if wanted(request) == "json":
        return json_response([asdict(row) for row in rows])
    shown = rows[:PAGE_SIZE]
    last = seals.head(session)
    table = section(
        request,
        _("Chain of seals"),
        [
            (_("Seal"), True),
            (_("Sealed"), False),
            (_("Entries"), True),
            (_("Hash"), False),
            (_("Follows"), False),
        ],
        [
            [
                row.number,
                words.when(row.sealed_at),
                words.number(row.entry_count),
                row.hash[:16],
                row.previous_hash[:16],
            ]
            for row in shown
        ],
        empty=_("Nothing has been sealed yet. The worker does so once a minute."),
        after=str(shown[-1].number) if len(rows) > PAGE_SIZE else None,
    )
    return book_page(
        request,
        "seals",
        title=_("Seals"),
        lead=_(
            "Each seal is a digest over entries and over the seal before. Keep the head elsewhere:"
            " with it, a chain that was cut off or rewritten is found."
        ),
        facts=[
            (_("Head"), f"{last.number}"),
            (_("Hash"), last.hash if last.number else None),
            (_("Entries that wait for a seal"), words.number(seals.unsealed(session))),
        ],
        sections=[table],
        links=[(f"{ledger_url(request)}/heads", _("The head as a file (JSON)"))],
    )


@view_config(context=Ledger, name="heads", permission=P.LEDGER_READ, request_method="GET")
def heads(context: Ledger, request: Any) -> Response:
    """The head of the chain as a file to keep elsewhere."""
    slug = request.tenant.slug
    content = seals.heads_text({slug: seals.head(request.dbsession)}, now=request.now)
    response = Response(content.encode(), content_type="application/json", charset="utf-8")
    response.content_disposition = f'attachment; filename="{slug}-heads.json"'
    return response


@view_config(context=Ledger, name="beancount", permission=P.LEDGER_READ, request_method="GET")
def as_beancount(context: Ledger, request: Any) -> Response:
    """The whole books as beancount text, for bean-check and whatever else reads it."""
    slug = request.tenant.slug
    pieces = [*beancount.head(request.tenant.name), *beancount.books(request.dbsession)]
    response = Response("".join(pieces).encode(), content_type="text/plain", charset="utf-8")
    response.content_disposition = f'attachment; filename="{slug}.beancount"'
    return response


@view_config(
    context=Ledger,
    name="recovery",
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def recovery(context: Ledger, request: Any) -> Any:
    """Whether what was billed recovers what it cost, and the 60-day test, by fiscal year."""
    session, words = request.dbsession, Words(request)
    known = true_up.years(session)
    asked = request.GET.get("year", "")
    year = int(asked) if asked in {str(each) for each in known} else next(iter(known), None)
    rows = true_up.year_rows(session, year) if year is not None else []
    test = true_up.working_capital(rows)
    columns = ["subject", "key", "name", "opening_cents", "billed_cents", "owed_cents"]
    columns += ["closing_cents", "recovery_percent"]
    form = wanted(request)
    if form != "html":
        facts = [{name: getattr(row, name) for name in columns} for row in rows]
        if form == "json":
            return json_response(
                {
                    "year": year,
                    "rows": facts,
                    "reserve_cents": test.reserve_cents,
                    "limit_cents": test.limit_cents,
                    "holds": test.holds,
                }
            )
        return csv_response(
            request, f"recovery-{year}.csv", columns, [list(each.values()) for each in facts]
        )
    table = section(
        request,
        _("Recovery by pool and service"),
        [
            (_("Pool or service"), False),
            (_("Opening"), True),
            (_("Billed"), True),
            (_("Allowable cost"), True),
            (_("Closing"), True),
            (_("Recovered"), True),
        ],
        [
            [
                row.name,
                words.cents(row.opening_cents),
                words.cents(row.billed_cents),
                _("not entered") if row.owed_cents is None else words.cents(row.owed_cents),
                words.cents(row.closing_cents),
                "" if row.recovery_percent is None else words.percent(row.recovery_percent),
            ]
            for row in rows
        ],
        lead=_("Opening over- or under-recovery + billed - allowable cost = closing."),
        empty=_("No pool and no cost has been entered for this year."),
        filters=[Filter("year", _("Fiscal year"), choices=[(str(y), str(y)) for y in known])],
        csv=True,
    )
    table.listing.filters[0].value = str(year or "")
    spent = test.year_expense_cents
    return book_page(
        request,
        "recovery",
        title=_("Recovery"),
        lead=_("Whether what we bill recovers what it costs, no less and no more."),
        checks=[
            Check(
                _("The reserve of the billed services is no more than 60 days of cash expense."),
                test.holds,
                _(
                    "${reserve} kept; ${limit} is a sixth of ${expense} of cash expense a year.",
                    mapping={
                        "reserve": words.cents(test.reserve_cents),
                        "limit": words.cents(test.limit_cents),
                        "expense": words.cents(spent),
                    },
                ),
            )
        ]
        if spent
        else [],
        sections=[table],
    )
