"""Who gets what: every address and method, every role, every partner, and nobody at all.

One row a view. What a role may do is written out here once more, on purpose: the table that the
application uses must not be the one it is tested against. A view without a row fails.

A role that may is let in (a POST without its secret gets 400, which proves it was let in and
changes nothing), a colleague whose role may not gets 403, everybody else 404, and a visitor is
asked to sign in.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select, text, update
from webtest import TestApp

from regional311.allocation.base_changes import draft as draft_base
from regional311.allocation.pool_changes import draft, said_of
from regional311.allocation.snapshots import BaseSaid, save_base
from regional311.allocation.snapshots import newest as newest_base
from regional311.calendars import Period
from regional311.casework.accommodation_letters import Letters
from regional311.casework.accommodations import Asked
from regional311.casework.accommodations import take as take_accommodation
from regional311.casework.models import Accommodation, BulkChange
from regional311.casework.prepared_texts import keep as keep_text
from regional311.catalog.alike import keep_pairs
from regional311.catalog.answers import Kept, Reply
from regional311.catalog.article_writer import write_article
from regional311.catalog.articles import Article, Step
from regional311.catalog.content import Question, QuestionGroup, Synonym
from regional311.catalog.group_writer import write_group
from regional311.catalog.hsds.uploads import upload as send_package
from regional311.catalog.likeness import Likeness
from regional311.catalog.models import AlikePair
from regional311.catalog.synonyms import write_synonym
from regional311.catalog.versions import publish, review, save_draft
from regional311.chargeback import agreements, rate_uploads
from regional311.chargeback.agreements import Content
from regional311.chargeback.billing import draft_statements
from regional311.chargeback.models import StatementItem, StatementLine
from regional311.chargeback.rate_cards import RateSaid
from regional311.chargeback.rate_changes import Change, propose
from regional311.chargeback.rating import run_rating
from regional311.cover.emergencies import Known, Plan
from regional311.cover.emergencies import start as start_emergency
from regional311.cover.handovers import Brought, bring
from regional311.database.ids import new_id, public_id
from regional311.database.rows import put
from regional311.database.session import Scope, acting_for, scope_of, session_scope
from regional311.errors import DomainError
from regional311.exchange.models import ExternalSystem
from regional311.exchange.systems import connect as connect_system
from regional311.forecast.budgets import Party, set_budget
from regional311.forecast.changes import Changes
from regional311.forecast.service import Comparison
from regional311.forecast.service import save as save_scenario
from regional311.identity.clients import make_client
from regional311.identity.models import ApiClient
from regional311.inbox.models import Thread
from regional311.inbox.receiving import Incoming
from regional311.inbox.receiving import receive as receive_message
from regional311.inbox.working import keep_confidential
from regional311.intake.models import Contact, Need, ServiceRequest
from regional311.intake.service import attachment_rows
from regional311.intake.uploads import upload
from regional311.keeping.suggestions import Wish, suggest
from regional311.ledger.books import credit, debit
from regional311.ledger.exports import make_batch
from regional311.ledger.service import NewEntry, open_accounts, post
from regional311.metering.models import UsageEvent
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.referral import backtest
from regional311.referral.acceptance import Acceptance
from regional311.referral.drafting import Content as RuleContent
from regional311.referral.drafting import begin as begin_rules
from regional311.referral.filing import Asker, Intake, Place, take_in
from regional311.referral.models import Backtest, Decision, FollowUp, Referral, RuleSet
from regional311.referral.policies import write_policy
from regional311.referral.snapshot import invalidate, published
from regional311.settlement.models import BalanceConfirmation, Dispute, NettingSet, Payment
from regional311.web.tree import Resource
from tests.pools import next_version

pytestmark = pytest.mark.commits

CITY, COUNTY, INFO, REGION = "city-of-portland", "multnomah-county", "211info", "region"
ROLES = (
    "specialist",
    "supervisor",
    "coordinator",
    "partner",
    "worker",
    "keeper",
    "editor",
    "finance",
    "approver",
    "administrator",
    "auditor",
)
EVERYBODY = " ".join(ROLES)
NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
BATCH = new_id()
MESSAGE = new_id()
PAPER = new_id()
TROUBLE = new_id()

NOT_EVEN_THERE = {"AccommodationRecord"}
"""Whoever may not see one does not learn that there is one."""

TAKES = "specialist supervisor"
CONTACTS = "specialist supervisor partner finance approver auditor"
REQUESTS = "specialist supervisor worker"
WORKS = "supervisor worker"
REFERRALS = "specialist supervisor partner"
ANSWERS = "supervisor partner"
SERVICES = "specialist supervisor coordinator partner worker keeper editor administrator auditor"
KEEPS = "supervisor worker keeper editor administrator"
DRAFTS = "keeper editor administrator"
PUBLISHES = "editor administrator"
EDITS_RULES = "administrator"
RULES = "specialist supervisor administrator auditor"
MONEY = "finance approver auditor"
TERMS = "finance approver administrator auditor"
EMERGENCIES = "specialist supervisor administrator auditor"
RUNS = "supervisor administrator"

PROGRAMS: dict[tuple[str, str, str], tuple[str, str]] = {
    ("Contacts", "", "POST"): ("contacts", TAKES),
    ("Requests", "", "POST"): ("requests", TAKES),
    ("Requests", "followed", "GET"): ("requests/followed", REQUESTS),
    ("Requests", "workers", "GET"): ("requests/workers", WORKS),
    **{
        ("RequestRecord", name, "GET"): (f"requests/{{request}}/{name}", REQUESTS)
        for name in ("attachments", "duplicates", "notes", "tags")
    },
    ("RequestRecord", "attachment", "GET"): (
        "requests/{request}/attachment?question=photo",
        REQUESTS,
    ),
    ("RequestRecord", "attachments", "POST"): ("requests/{request}/attachments", WORKS),
    ("RequestRecord", "claim", "POST"): ("requests/{request}/claim", WORKS),
    ("RequestRecord", "untag", "POST"): ("requests/{request}/untag", WORKS),
    ("ContactRecord", "needs", "GET"): ("contacts/{contact}/needs", CONTACTS),
    ("ReferralRecord", "messages", "GET"): ("referrals/{referral}/messages", REFERRALS),
    ("RequestRecord", "progress", "POST"): ("requests/{request}/progress", WORKS),
}
"""Operations of the API that have no page beside them: they are asked for in JSON."""

ROWS: dict[tuple[str, str, str], tuple[str, str]] = {
    **PROGRAMS,
    ("TenantNode", "", "GET"): ("", EVERYBODY),
    ("TenantNode", "me", "GET"): ("me", EVERYBODY),
    ("TenantNode", "me", "POST"): ("me", EVERYBODY),
    ("Desk", "", "GET"): ("desk", TAKES),
    ("Desk", "", "POST"): ("desk", TAKES),
    ("Desk", "message", "GET"): ("desk/message", TAKES),
    ("Desk", "message", "POST"): ("desk/message", TAKES),
    ("Desk", "call", "POST"): ("desk/call", TAKES),
    ("Desk", "call-back", "POST"): ("desk/call-back", TAKES),
    ("FrontDesk", "", "GET"): ("front-desk", TAKES),
    ("FrontDesk", "", "POST"): ("front-desk", TAKES),
    **{
        ("FrontDesk", name, "POST"): (f"front-desk/{name}", TAKES)
        for name in ("back", "call", "leave")
    },
    ("FrontDesk", "direct", "POST"): ("front-desk/direct", "supervisor"),
    ("ForYou", "", "GET"): ("for-you", EVERYBODY),
    ("ForYou", "count", "GET"): ("for-you/count", EVERYBODY),
    ("ForYou", "seen", "POST"): ("for-you/seen", EVERYBODY),
    ("ForYou", "undo", "POST"): ("for-you/undo", EVERYBODY),
    ("ContactRecord", "caller", "GET"): ("contacts/{contact}/caller", TAKES),
    ("ContactRecord", "caller", "POST"): ("contacts/{contact}/caller", TAKES),
    ("ContactRecord", "known", "POST"): ("contacts/{contact}/known", TAKES),
    ("ContactRecord", "about", "POST"): ("contacts/{contact}/about", TAKES),
    ("ContactRecord", "note", "GET"): ("contacts/{contact}/note", TAKES),
    ("ThreadRecord", "note", "GET"): ("inbox/{thread}/note", TAKES),
    ("ReferralRecord", "note", "GET"): ("referrals/{referral}/note", REFERRALS),
    ("ContactRecord", "note", "POST"): ("contacts/{contact}/note", TAKES),
    ("ThreadRecord", "note", "POST"): ("inbox/{thread}/note", TAKES),
    ("ReferralRecord", "note", "POST"): ("referrals/{referral}/note", REFERRALS),
    ("Floor", "", "GET"): ("floor", "supervisor"),
    ("ContactRecord", "company", "GET"): ("contacts/{contact}/company", TAKES),
    ("ContactRecord", "give", "POST"): ("contacts/{contact}/give", "supervisor"),
    ("ContactRecord", "gone", "POST"): ("contacts/{contact}/gone", TAKES),
    ("SecretContactRecord", "", "GET"): ("contacts/{secret_contact}", CONTACTS),
    ("Inbox", "", "GET"): ("inbox", TAKES),
    ("Inbox", "next", "POST"): ("inbox/next", TAKES),
    ("ThreadRecord", "", "GET"): ("inbox/{thread}", TAKES),
    **{
        ("ThreadRecord", name, "POST"): (f"inbox/{{thread}}/{name}", TAKES)
        for name in (
            *("answer", "claim", "confidential", "danger", "done", "give-back", "hand-on"),
            *("insert", "open", "undo"),
        )
    },
    ("ThreadRecord", "file", "GET"): (
        "inbox/{thread}/file?message={thread_message}&number=1",
        TAKES,
    ),
    ("PreparedTexts", "", "GET"): ("answer-templates", RUNS),
    ("PreparedTexts", "new", "GET"): ("answer-templates/new", RUNS),
    ("PreparedTexts", "new", "POST"): ("answer-templates/new", RUNS),
    ("PreparedTextRecord", "", "GET"): ("answer-templates/{template}", RUNS),
    ("PreparedTextRecord", "", "POST"): ("answer-templates/{template}", RUNS),
    ("PreparedTextRecord", "end", "POST"): ("answer-templates/{template}/end", RUNS),
    ("Messages", "", "GET"): ("messages", RUNS),
    ("Messages", "again", "POST"): ("messages/again", RUNS),
    ("Messages", "aside", "POST"): ("messages/aside", RUNS),
    ("MessageRecord", "", "GET"): ("messages/{message}", RUNS),
    ("MessageRecord", "again", "POST"): ("messages/{message}/again", RUNS),
    ("MessageRecord", "aside", "POST"): ("messages/{message}/aside", RUNS),
    ("MessageRecord", "back", "POST"): ("messages/{message}/back", RUNS),
    ("MailTroubles", "", "GET"): ("mail-addresses", RUNS),
    ("MailTroubleRecord", "lift", "POST"): ("mail-addresses/{trouble}/lift", RUNS),
    ("TenantNode", "notices", "GET"): ("notices", EVERYBODY),
    ("TenantNode", "notices", "POST"): ("notices", EVERYBODY),
    ("Settings", "notices", "GET"): ("settings/notices", "administrator"),
    ("Settings", "notices", "POST"): ("settings/notices", "administrator"),
    ("MessageWords", "", "GET"): ("message-words", "administrator"),
    ("MessageWordsRecord", "", "GET"): ("message-words/request_closed.es", "administrator"),
    ("MessageWordsRecord", "", "POST"): ("message-words/request_closed.es", "administrator"),
    ("MessageWordsRecord", "usual", "POST"): (
        "message-words/request_closed.es/usual",
        "administrator",
    ),
    ("Contacts", "", "GET"): ("contacts", CONTACTS),
    ("ContactRecord", "", "GET"): ("contacts/{contact}", CONTACTS),
    ("ContactRecord", "danger", "POST"): ("contacts/{contact}/danger", TAKES),
    ("ContactRecord", "all-known", "POST"): ("contacts/{contact}/all-known", "supervisor"),
    ("ContactRecord", "guide", "GET"): ("contacts/{contact}/guide?walk={script}", TAKES),
    ("ContactRecord", "guide", "POST"): ("contacts/{contact}/guide", TAKES),
    ("ContactRecord", "need", "POST"): ("contacts/{contact}/need", TAKES),
    ("ContactRecord", "preview", "POST"): ("contacts/{contact}/preview", TAKES),
    ("ContactRecord", "draft", "POST"): ("contacts/{contact}/draft", TAKES),
    ("ContactRecord", "services", "GET"): ("contacts/{contact}/services", TAKES),
    ("ContactRecord", "transfer", "POST"): ("contacts/{contact}/transfer", TAKES),
    ("ContactRecord", "wrap-up", "POST"): ("contacts/{contact}/wrap-up", TAKES),
    ("ContactRecord", "file", "GET"): (
        "contacts/{contact}/file?need={need}&question=photo",
        f"{TAKES} partner",
    ),
    **{
        ("ContactRecord", name, "POST"): (f"contacts/{{contact}}/{name}", TAKES)
        for name in (
            "code",
            "follow-up",
            "outcome",
            "prohibit",
            "refer",
            "refer-later",
            "revoke",
            "word",
        )
    },
    ("ContactRecord", "refer", "GET"): ("contacts/{contact}/refer?need={need}", TAKES),
    ("ContactRecord", "consents", "GET"): ("contacts/{contact}/consents", f"{TAKES} partner"),
    ("FollowUps", "", "GET"): ("follow-ups", TAKES),
    ("FollowUpRecord", "", "GET"): ("follow-ups/{follow_up}", TAKES),
    **{
        ("FollowUpRecord", name, "POST"): (f"follow-ups/{{follow_up}}/{name}", TAKES)
        for name in ("attempt", "claim", "stop")
    },
    ("Outcomes", "", "GET"): ("outcomes", CONTACTS),
    ("Requests", "", "GET"): ("requests", REQUESTS),
    ("RequestRecord", "", "GET"): ("requests/{request}", REQUESTS),
    **{
        ("RequestRecord", name, "POST"): (f"requests/{{request}}/{name}", WORKS)
        for name in (
            "assign",
            "attach",
            "close",
            "hand-on",
            "link",
            "merge",
            "note",
            "reopen",
            "send-back",
            "show-file",
            "split",
            "start",
            "tag",
            "take-out",
            "triage",
            "unlink",
            "wait",
        )
    },
    ("RequestRecord", "hand-on", "GET"): ("requests/{request}/hand-on", WORKS),
    ("RequestRecord", "split", "GET"): ("requests/{request}/split", WORKS),
    **{
        ("Requests", name, "POST"): (f"requests/{name}", REQUESTS)
        for name in ("end-view", "open-with", "save-view")
    },
    ("AccommodationDesk", "", "GET"): ("accommodation", f"{TAKES} coordinator"),
    ("AccommodationDesk", "", "POST"): ("accommodation", f"{TAKES} coordinator"),
    ("Accommodations", "", "GET"): ("accommodations", "coordinator"),
    ("AccommodationRecord", "", "GET"): ("accommodations/{accommodation}", "coordinator"),
    **{
        ("AccommodationRecord", name, "POST"): (
            f"accommodations/{{accommodation}}/{name}",
            "coordinator",
        )
        for name in ("acknowledge", "answer-appeal", "decide", "note", "office", "posted")
    },
    ("AccommodationRecord", "letter", "GET"): (
        "accommodations/{accommodation}/letter?letter={paper}",
        "coordinator",
    ),
    ("AccommodationFigures", "", "GET"): (
        "accommodation-figures",
        "supervisor coordinator administrator auditor",
    ),
    ("Settings", "accommodation", "GET"): ("settings/accommodation", "administrator"),
    ("Settings", "accommodation", "POST"): ("settings/accommodation", "administrator"),
    ("Requests", "change", "POST"): ("requests/change", WORKS),
    ("Requests", "choose", "POST"): ("requests/choose", WORKS),
    ("BulkChanges", "", "GET"): ("requests/changes", WORKS),
    ("BulkChangeRecord", "", "GET"): ("requests/changes/{bulk}", WORKS),
    ("BulkChangeRecord", "undo", "POST"): ("requests/changes/{bulk}/undo", WORKS),
    ("RequestRecord", "file", "GET"): ("requests/{request}/file?question=photo", REQUESTS),
    ("Referrals", "", "GET"): ("referrals", REFERRALS),
    ("Referrals", "find", "GET"): ("referrals/find?q=F-0", REFERRALS),
    ("ReferralRecord", "stop-seen", "POST"): ("referrals/{referral}/stop-seen", ANSWERS),
    ("ReferralRecord", "file", "GET"): ("referrals/{referral}/file?question=photo", REFERRALS),
    ("ReferralRecord", "", "GET"): ("referrals/{referral}", REFERRALS),
    ("ReferralRecord", "cancel", "POST"): ("referrals/{referral}/cancel", REFERRALS),
    ("ReferralRecord", "in-error", "POST"): ("referrals/{referral}/in-error", TAKES),
    **{
        ("ReferralRecord", name, "POST"): (f"referrals/{{referral}}/{name}", ANSWERS)
        for name in (
            "accept",
            "ask",
            "claim",
            "complete",
            "fail",
            "hold",
            "keep-on",
            "move-up",
            "offer-place",
            "progress",
            "reject",
            "revoke",
            "unclaim",
            "undo",
            "waitlist",
            "withdraw-too",
            "word",
        )
    },
    ("Insight", "", "GET"): ("insight", REFERRALS),
    ("InsightFigure", "", "GET"): ("insight/closed", REFERRALS),
    ("Trends", "", "GET"): ("trends", EVERYBODY),
    ("ReferralRecord", "reply", "POST"): ("referrals/{referral}/reply", TAKES),
    ("ReferralRecord", "send-on", "GET"): ("referrals/{referral}/send-on", TAKES),
    ("ReferralRecord", "send-on", "POST"): ("referrals/{referral}/send-on", REFERRALS),
    ("Referrals", "bulk", "POST"): ("referrals/bulk", ANSWERS),
    ("Referrals", "room", "GET"): ("referrals/room?service=code-violation", REFERRALS),
    ("Referrals", "room", "POST"): ("referrals/room?service=code-violation", ANSWERS),
    ("Referrals", "room-now", "POST"): ("referrals/room-now", ANSWERS),
    ("Referrals", "waitlist", "GET"): ("referrals/waitlist", REFERRALS),
    ("Receiving", "", "GET"): ("receiving", SERVICES),
    ("Receiving", "new", "GET"): ("receiving/new", EDITS_RULES),
    ("Receiving", "new", "POST"): ("receiving/new", EDITS_RULES),
    ("Receiving", "words", "GET"): ("receiving/words", SERVICES),
    ("Receiving", "words", "POST"): ("receiving/words", EDITS_RULES),
    ("AcceptanceRecord", "", "GET"): ("receiving/matrix", SERVICES),
    ("AcceptanceRecord", "", "POST"): ("receiving/matrix", EDITS_RULES),
    ("AcceptanceRecord", "end", "POST"): ("receiving/matrix/end", EDITS_RULES),
    ("AcceptanceRecord", "restore", "POST"): ("receiving/matrix/restore", EDITS_RULES),
    ("Services", "", "GET"): ("services", SERVICES),
    ("Desk", "duty", "POST"): ("desk/duty", TAKES),
    ("Desk", "waiting", "GET"): ("desk/waiting", TAKES),
    ("Desk", "ring", "GET"): ("desk/ring?number={ringing}", TAKES),
    ("Desk", "ring", "POST"): ("desk/ring", TAKES),
    ("ContactRecord", "handover", "GET"): ("contacts/{contact}/handover", TAKES),
    ("ContactRecord", "handover", "POST"): ("contacts/{contact}/handover", TAKES),
    ("Emergencies", "", "GET"): ("emergencies", EMERGENCIES),
    ("Emergencies", "new", "GET"): ("emergencies/new?kind=storm", RUNS),
    ("Emergencies", "new", "POST"): ("emergencies/new", RUNS),
    ("Emergencies", "aid", "GET"): ("emergencies/aid", RUNS),
    ("Emergencies", "aid", "POST"): ("emergencies/aid", RUNS),
    ("EmergencyRecord", "", "GET"): ("emergencies/{emergency}", EMERGENCIES),
    ("EmergencyRecord", "edit", "GET"): ("emergencies/{emergency}/edit", RUNS),
    ("EmergencyRecord", "edit", "POST"): ("emergencies/{emergency}/edit", RUNS),
    ("EmergencyRecord", "end", "POST"): ("emergencies/{emergency}/end", RUNS),
    ("EmergencyRecord", "log", "GET"): ("emergencies/{emergency}/log", TAKES),
    ("EmergencyRecord", "log", "POST"): ("emergencies/{emergency}/log", TAKES),
    ("Lines", "", "GET"): ("lines", SERVICES),
    ("LineRecord", "", "GET"): ("lines/main", SERVICES),
    ("LineRecord", "edit", "GET"): ("lines/main/edit", "administrator"),
    ("LineRecord", "edit", "POST"): ("lines/main/edit", "administrator"),
    ("Articles", "", "GET"): ("articles", SERVICES),
    ("Articles", "read", "GET"): (f"articles/read?article={CITY}/matrix", SERVICES),
    ("ArticleRecord", "", "GET"): ("articles/matrix", SERVICES),
    ("Locations", "", "GET"): ("locations", SERVICES),
    ("LocationRecord", "", "GET"): ("locations/city-hall", SERVICES),
    ("Organizations", "", "GET"): ("organizations", SERVICES),
    ("OrganizationRecord", "", "GET"): ("organizations/{organization}", SERVICES),
    ("UnpublishedRecord", "", "GET"): ("services/{drafted}", DRAFTS),
    ("Catalogue", "drafts", "GET"): ("services/drafts", DRAFTS),
    ("Services", "export", "GET"): ("services/export", DRAFTS),
    ("Services", "changes", "GET"): ("services/changes?batch={batch}", DRAFTS),
    ("Services", "changes", "POST"): ("services/changes", DRAFTS),
    **{
        ("Services", name, method): (f"services/{name}", DRAFTS)
        for name in ("bulk", "sheet")
        for method in ("GET", "POST")
    },
    **{("Catalogue", "new", method): ("services/new", DRAFTS) for method in ("GET", "POST")},
    ("CatalogueRecord", "versions", "GET"): ("services/{service}/versions", SERVICES),
    ("CatalogueRecord", "version", "GET"): ("services/{service}/version?number=1", SERVICES),
    **{
        ("CatalogueRecord", name, method): (f"services/{{service}}/{name}{more}", who)
        for name, who, more, methods in (
            ("edit", DRAFTS, "", "GET POST"),
            ("translate", DRAFTS, "?language=es", "GET POST"),
            ("merge", DRAFTS, "?number=1", "GET POST"),
            ("discard", DRAFTS, "", "POST"),
            ("bring-back", DRAFTS, "", "POST"),
            ("undo", DRAFTS, "", "POST"),
            ("review", PUBLISHES, "", "POST"),
            ("publish", PUBLISHES, "", "POST"),
            ("unschedule", PUBLISHES, "", "POST"),
            ("end", PUBLISHES, "", "GET POST"),
            ("resume", PUBLISHES, "", "POST"),
        )
        for method in methods.split()
    },
    ("ServiceRecord", "", "GET"): ("services/{service}", SERVICES),
    ("QuestionGroups", "", "GET"): ("question-groups", SERVICES),
    ("QuestionGroups", "new", "GET"): ("question-groups/new", DRAFTS),
    ("QuestionGroups", "new", "POST"): ("question-groups/new", DRAFTS),
    ("QuestionGroupRecord", "", "GET"): ("question-groups/matrix", SERVICES),
    ("QuestionList", "", "GET"): ("services/{service}/questions", SERVICES),
    **{
        ("QuestionList", name, method): (f"question-groups/matrix/questions/{name}{more}", DRAFTS)
        for name, more, methods in (
            ("add", "?kind=text", "GET POST"),
            ("edit", "?question=name", "GET POST"),
            ("name", "", "GET POST"),
            ("translate", "?language=es", "GET POST"),
            ("move", "", "POST"),
            ("remove", "", "POST"),
            ("undo", "", "POST"),
        )
        for method in methods.split()
    },
    ("ServiceRecord", "verify", "POST"): ("services/{service}/verify", KEEPS),
    ("ArticleRecord", "verify", "POST"): ("articles/matrix/verify", KEEPS),
    ("OrganizationRecord", "verify", "POST"): ("organizations/{organization}/verify", KEEPS),
    ("Reviews", "", "GET"): ("reviews", SERVICES),
    ("Reviews", "", "POST"): ("reviews", KEEPS),
    ("Alike", "", "GET"): ("alike", SERVICES),
    ("Alike", "", "POST"): ("alike", KEEPS),
    ("AlikeRecord", "", "GET"): ("alike/{alike}", SERVICES),
    ("AlikeRecord", "decide", "POST"): ("alike/{alike}/decide", KEEPS),
    ("Packages", "", "GET"): ("hsds", PUBLISHES),
    ("Packages", "", "POST"): ("hsds", PUBLISHES),
    ("Packages", "export", "GET"): ("hsds/export", PUBLISHES),
    ("PackageRecord", "", "GET"): ("hsds/{package}", PUBLISHES),
    ("PackageRecord", "take", "POST"): ("hsds/{package}/take", PUBLISHES),
    ("PackageRecord", "faults", "GET"): ("hsds/{package}/faults", PUBLISHES),
    ("PackageRecord", "discard", "POST"): ("hsds/{package}/discard", PUBLISHES),
    ("Reviews", "keepers", "GET"): ("reviews/keepers", SERVICES),
    ("Reviews", "keepers", "POST"): ("reviews/keepers?service={service}", "editor administrator"),
    ("Clients", "", "GET"): ("clients", "administrator auditor"),
    ("Clients", "new", "GET"): ("clients/new", "administrator"),
    ("Clients", "new", "POST"): ("clients/new", "administrator"),
    ("ClientRecord", "rotate", "POST"): ("clients/{client}/rotate", "administrator"),
    **{
        ("ClientRecord", name, "POST"): (f"clients/{{client}}/{name}", "administrator")
        for name in ("revoke", "webhook", "end-webhook", "try-webhook")
    },
    ("ClientRecord", "webhook", "GET"): ("clients/{client}/webhook", "administrator"),
    ("Hooks", "", "GET"): ("hooks", "administrator auditor"),
    **{
        ("Hooks", name, "POST"): (f"hooks/{name}", "administrator")
        for name in ("make", "replace", "revoke")
    },
    ("Connections", "", "GET"): ("connections", "administrator auditor"),
    **{
        ("Connections", "new", method): ("connections/new", "administrator")
        for method in ("GET", "POST")
    },
    ("Connections", "retry", "POST"): ("connections/retry", "administrator"),
    **{
        ("ConnectionRecord", name, method): (f"connections/{{connection}}/{name}", "administrator")
        for name, method in (
            ("change", "GET"),
            ("change", "POST"),
            ("end", "POST"),
            ("secret", "GET"),
            ("secret", "POST"),
            ("test", "POST"),
        )
    },
    ("Taxonomies", "", "GET"): ("taxonomies", SERVICES),
    ("Taxonomies", "unmapped", "GET"): ("taxonomies/unmapped", SERVICES),
    ("Taxonomies", "crosswalks", "GET"): ("taxonomies/crosswalks", SERVICES),
    ("TaxonomyRecord", "", "GET"): ("taxonomies/regional", SERVICES),
    ("TaxonomyRecord", "unused", "GET"): ("taxonomies/regional/unused", SERVICES),
    ("Taxonomies", "import", "GET"): ("taxonomies/import", "editor administrator"),
    **{
        ("Taxonomies", name, "POST"): (f"taxonomies/{name}", "editor administrator")
        for name in ("crosswalk-sheet", "crosswalks", "end-crosswalk", "import")
    },
    ("Synonyms", "", "GET"): ("synonyms", SERVICES),
    ("Synonyms", "new", "GET"): ("synonyms/new", "editor administrator"),
    ("Synonyms", "new", "POST"): ("synonyms/new", "editor administrator"),
    ("SynonymRecord", "", "GET"): ("synonyms/matrix", SERVICES),
    ("SynonymRecord", "", "POST"): ("synonyms/matrix", "editor administrator"),
    ("SynonymRecord", "end", "POST"): ("synonyms/matrix/end", "editor administrator"),
    ("SynonymRecord", "restore", "POST"): ("synonyms/matrix/restore", "editor administrator"),
    ("Searches", "", "GET"): ("searches", SERVICES),
    ("Searches", "", "POST"): ("searches", "editor administrator"),
    ("Suggestions", "", "GET"): ("suggestions", SERVICES),
    ("Suggestions", "seen", "POST"): ("suggestions/seen", SERVICES),
    **{
        ("Suggestions", "new", method): (f"suggestions/new?about={CITY}/{{service}}", SERVICES)
        for method in ("GET", "POST")
    },
    ("SuggestionRecord", "", "GET"): ("suggestions/{suggestion}", SERVICES),
    ("SuggestionRecord", "approve", "POST"): (
        "suggestions/{suggestion}/approve",
        "keeper editor administrator",
    ),
    **{
        ("SuggestionRecord", name, "POST"): (f"suggestions/{{suggestion}}/{name}", KEEPS)
        for name in ("decline", "erase", "settle")
    },
    ("Rules", "", "GET"): ("rules", RULES),
    ("RuleSetRecord", "", "GET"): ("rules/1", RULES),
    ("RuleSetRecord", "approve", "POST"): ("rules/1/approve", "administrator"),
    ("Rules", "shapes", "GET"): ("rules/shapes", RULES),
    ("ContactRecord", "why", "GET"): ("contacts/{contact}/why", CONTACTS),
    ("Rules", "new", "GET"): ("rules/new", "administrator"),
    ("Rules", "new", "POST"): ("rules/new", "administrator"),
    ("Rules", "read", "POST"): ("rules/read", "administrator"),
    **{
        ("RuleSetRecord", name, "GET"): (f"rules/1/{name}", RULES)
        for name in ("cases", "checks", "diff", "file", "try")
    },
    ("RuleSetRecord", "try", "POST"): ("rules/1/try", RULES),
    ("Backtests", "", "GET"): ("rules/1/backtests", RULES),
    ("Backtests", "", "POST"): ("rules/{rules_draft}/backtests", "administrator"),
    ("BacktestRecord", "", "GET"): ("rules/{rules_draft}/backtests/{backtest}", RULES),
    ("BacktestRecord", "example", "GET"): (
        "rules/{rules_draft}/backtests/{backtest}/example?n=0",
        RULES,
    ),
    ("BacktestRecord", "stop", "POST"): (
        "rules/{rules_draft}/backtests/{backtest}/stop",
        "administrator",
    ),
    ("RuleSetRecord", "rule", "GET"): ("rules/{rules_draft}/rule", "administrator"),
    ("RuleSetRecord", "rule", "POST"): ("rules/{rules_draft}/rule", "administrator"),
    **{
        ("RuleSetRecord", name, "POST"): (f"rules/{{rules_draft}}/{name}", "administrator")
        for name in (
            *("case", "check", "condition", "copy", "discard", "move", "remove", "remove-case"),
            *("switch", "title", "undo"),
        )
    },
    ("Agreements", "", "GET"): ("agreements", TERMS),
    ("AgreementRecord", "", "GET"): ("agreements/city-intake-for-county", TERMS),
    ("Agreements", "calendar", "GET"): ("agreements/calendar", TERMS),
    ("Agreements", "new", "GET"): ("agreements/new", "finance administrator"),
    ("Agreements", "new", "POST"): ("agreements/new", "finance administrator"),
    **{
        ("AgreementRecord", name, method): (
            f"agreements/city-intake-for-county/{name}",
            TERMS if name == "levels" else "finance administrator",
        )
        for name, method in (
            ("edit", "GET"),
            ("edit", "POST"),
            ("levels", "GET"),
            ("reading", "POST"),
            ("share", "POST"),
        )
    },
    ("Proposals", "", "GET"): ("agreements/proposals", TERMS),
    ("ProposalRecord", "", "GET"): ("agreements/proposals/{proposal}", TERMS),
    **{
        ("ProposalRecord", name, method): (f"agreements/proposals/{{proposal}}/{name}", who)
        for name, method, who in (
            ("edit", "GET", "finance administrator"),
            ("edit", "POST", "finance administrator"),
            ("withdraw", "POST", "finance administrator"),
            ("propose", "POST", "approver"),
            ("accept", "POST", "approver"),
            ("decline", "POST", "approver"),
        )
    },
    ("Rates", "", "GET"): ("rates", TERMS),
    ("RateRecord", "", "GET"): ("rates/{rate}", TERMS),
    ("RateRecord", "edit", "GET"): ("rates/{rate}/edit", "finance administrator"),
    ("RateRecord", "edit", "POST"): ("rates/{rate}/edit", "finance administrator"),
    ("Rates", "grid", "GET"): ("rates/grid", TERMS),
    ("Rates", "export", "GET"): ("rates/export", TERMS),
    ("Rates", "price", "GET"): ("rates/price", TERMS),
    ("Rates", "price", "POST"): ("rates/price", TERMS),
    ("Rates", "sheet", "GET"): ("rates/sheet", "finance administrator"),
    ("Rates", "sheet", "POST"): ("rates/sheet", "finance administrator"),
    ("RateSheetRecord", "", "GET"): ("rates/sheets/{rate_sheet}", "finance administrator"),
    ("Rates", "new", "GET"): ("rates/new", "finance administrator"),
    ("Rates", "new", "POST"): ("rates/new", "finance administrator"),
    ("RateProposals", "", "GET"): ("rates/proposals", TERMS),
    ("RateProposalRecord", "", "GET"): ("rates/proposals/{rate_proposal}", TERMS),
    **{
        ("RateProposalRecord", name, "POST"): (f"rates/proposals/{{rate_proposal}}/{name}", who)
        for name, who in (
            ("send", "finance administrator"),
            ("withdraw", "finance administrator"),
            ("approve", "approver"),
            ("refuse", "approver"),
        )
    },
    ("Pools", "", "GET"): ("pools", TERMS),
    ("PoolRecord", "", "GET"): ("pools/i-and-r", TERMS),
    ("Pools", "methods", "GET"): ("pools/methods", TERMS),
    ("Pools", "flow", "GET"): ("pools/flow", TERMS),
    ("Pools", "new", "GET"): ("pools/new", "finance administrator"),
    ("Pools", "new", "POST"): ("pools/new", "finance administrator"),
    ("PoolRecord", "versions", "GET"): ("pools/i-and-r/versions", TERMS),
    ("PoolRecord", "again", "GET"): ("pools/i-and-r/again?version=1", "finance administrator"),
    ("PoolRecord", "again", "POST"): ("pools/i-and-r/again?version=1", "finance administrator"),
    ("PoolProposals", "", "GET"): ("pools/proposals", TERMS),
    ("PoolProposalRecord", "", "GET"): ("pools/proposals/{pool_proposal}", TERMS),
    **{
        ("PoolProposalRecord", name, "POST"): (f"pools/proposals/{{pool_proposal}}/{name}", who)
        for name, who in (
            ("send", "finance administrator"),
            ("withdraw", "finance administrator"),
            ("approve", "approver"),
            ("refuse", "approver"),
        )
    },
    ("PoolRecord", "edit", "GET"): ("pools/i-and-r/edit", "finance administrator"),
    ("PoolRecord", "edit", "POST"): ("pools/i-and-r/edit", "finance administrator"),
    ("Bases", "", "GET"): ("bases", TERMS),
    ("BaseRecord", "", "GET"): ("bases/contacts", TERMS),
    ("BaseRecord", "versions", "GET"): ("bases/contacts/versions", TERMS),
    ("BaseRecord", "again", "GET"): ("bases/contacts/again?version=1", "finance administrator"),
    ("BaseRecord", "again", "POST"): ("bases/contacts/again?version=1", "finance administrator"),
    ("BaseProposals", "", "GET"): ("bases/proposals", TERMS),
    ("BaseProposalRecord", "", "GET"): ("bases/proposals/{base_proposal}", TERMS),
    **{
        ("BaseProposalRecord", name, "POST"): (f"bases/proposals/{{base_proposal}}/{name}", who)
        for name, who in (
            ("send", "finance administrator"),
            ("withdraw", "finance administrator"),
            ("approve", "approver"),
            ("refuse", "approver"),
        )
    },
    ("Splits", "", "GET"): ("splits", TERMS),
    ("SplitRecord", "", "GET"): ("splits/bureaus", TERMS),
    ("StatementRecord", "parts", "GET"): ("statements/{statement}/parts", MONEY),
    **{
        (kind, name, method): (f"{path}/{name}", "finance administrator")
        for kind, path, names in (
            ("Bases", "bases", ("new",)),
            ("BaseRecord", "bases/contacts", ("edit", "snapshot")),
            ("Splits", "splits", ("new",)),
            ("SplitRecord", "splits/bureaus", ("edit",)),
        )
        for name in names
        for method in ("GET", "POST")
    },
    ("BaseRecord", "upload", "POST"): ("bases/contacts/upload", "finance administrator"),
    ("Billing", "", "GET"): ("billing", MONEY),
    ("PeriodRecord", "", "GET"): ("billing/2026-10", MONEY),
    ("PeriodRecord", "usage", "GET"): ("billing/2026-10/usage", MONEY),
    ("PeriodRecord", "checks", "GET"): ("billing/2026-10/checks", MONEY),
    ("RecordedWork", "", "GET"): ("recorded-work", MONEY),
    ("RecordedWorkRecord", "", "GET"): ("recorded-work/{usage}", MONEY),
    ("RecordedWorkRecord", "correct", "POST"): ("recorded-work/{usage}/correct", "finance"),
    ("RecordedWorkRecord", "keep", "POST"): ("recorded-work/{usage}/keep", "finance"),
    ("PeriodRecord", "draft", "POST"): ("billing/2026-10/draft", "finance"),
    ("PeriodRecord", "bills", "GET"): ("billing/2026-10/bills", MONEY),
    ("PeriodRecord", "submit", "POST"): ("billing/2026-10/submit", "finance"),
    ("PeriodRecord", "approve", "POST"): ("billing/2026-10/approve", "approver"),
    ("PeriodRecord", "issue", "POST"): ("billing/2026-10/issue", "finance approver"),
    ("Statements", "", "GET"): ("statements", MONEY),
    ("Statements", "received", "GET"): ("statements/received", MONEY),
    ("StatementRecord", "", "GET"): ("statements/{statement}", MONEY),
    ("StatementRecord", "contact", "GET"): (
        "statements/{statement}/contact?reference={reference}",
        MONEY,
    ),
    ("StatementLineRecord", "", "GET"): ("statements/{statement}/{line}", MONEY),
    ("StatementItemRecord", "", "GET"): ("statements/{statement}/{line}/{item}", MONEY),
    ("StatementRecord", "submit", "POST"): ("statements/{statement}/submit", "finance"),
    ("StatementRecord", "approve", "POST"): ("statements/{statement}/approve", "approver"),
    ("StatementRecord", "issue", "POST"): ("statements/{statement}/issue", "finance approver"),
    ("StatementRecord", "void", "POST"): ("statements/{statement}/void", "finance approver"),
    ("StatementRecord", "memo", "GET"): ("statements/{statement}/memo", "finance"),
    ("StatementRecord", "memo", "POST"): ("statements/{statement}/memo", "finance"),
    ("Memos", "", "GET"): ("memos", MONEY),
    ("Corrections", "", "GET"): ("corrections", MONEY),
    ("LatePeriodRecord", "", "GET"): ("corrections/2026-10", MONEY),
    ("LatePeriodRecord", "preview", "POST"): ("corrections/2026-10/preview", "finance"),
    ("LatePeriodRecord", "draft", "POST"): ("corrections/2026-10/draft", "finance"),
    ("TrueUps", "", "GET"): ("true-ups", MONEY),
    ("FiscalYearRecord", "", "GET"): ("true-ups/2027", MONEY),
    ("FiscalYearRecord", "settle", "POST"): ("true-ups/2027/settle", "finance"),
    ("FiscalYearRecord", "cost", "POST"): ("true-ups/2027/cost", "finance"),
    ("Budgets", "", "GET"): ("budgets", MONEY),
    ("Budgets", "new", "GET"): ("budgets/new", "finance"),
    ("Budgets", "new", "POST"): ("budgets/new", "finance"),
    ("BudgetRecord", "", "GET"): ("budgets/{budget}", MONEY),
    ("Scenarios", "", "GET"): ("scenarios", MONEY),
    ("Scenarios", "new", "GET"): ("scenarios/new", "finance"),
    ("Scenarios", "new", "POST"): ("scenarios/new", "finance"),
    ("ScenarioRecord", "", "GET"): ("scenarios/{scenario}", MONEY),
    ("ScenarioRecord", "share", "POST"): ("scenarios/{scenario}/share", "finance"),
    ("Ledger", "", "GET"): ("ledger", MONEY),
    ("Ledger", "journal", "GET"): ("ledger/journal", MONEY),
    ("EntryRecord", "", "GET"): ("ledger/{entry}", MONEY),
    ("AccountRecord", "", "GET"): ("ledger/accounts/due_from_partners", MONEY),
    ("Accounts", "", "GET"): ("ledger/accounts", MONEY),
    **{
        ("Ledger", name, "GET"): (f"ledger/{name}", MONEY)
        for name in ("balances", "beancount", "checks", "focus", "heads", "recovery", "seals")
    },
    ("LedgerPeriods", "", "GET"): ("ledger/periods", MONEY),
    ("LedgerPeriodRecord", "", "GET"): ("ledger/periods/2026-10", MONEY),
    ("LedgerPeriodRecord", "close", "POST"): ("ledger/periods/2026-10/close", "finance"),
    ("LedgerPeriodRecord", "soft-close", "POST"): ("ledger/periods/2026-10/soft-close", "finance"),
    ("LedgerPeriodRecord", "reopen", "POST"): ("ledger/periods/2026-10/reopen", "finance"),
    ("LedgerPeriodRecord", "approve-reopening", "POST"): (
        "ledger/periods/2026-10/approve-reopening",
        "approver",
    ),
    ("LedgerPeriodRecord", "decline", "POST"): ("ledger/periods/2026-10/decline", "approver"),
    ("LedgerExports", "", "GET"): ("ledger/exports", MONEY),
    ("LedgerExports", "", "POST"): ("ledger/exports", "finance"),
    ("ExportBatchRecord", "", "GET"): ("ledger/exports/1", MONEY),
    ("Settlement", "", "GET"): ("settlement", MONEY),
    ("Settlement", "receivables", "GET"): ("settlement/receivables", MONEY),
    ("Settlement", "payables", "GET"): ("settlement/payables", MONEY),
    ("Settlement", "interest", "GET"): ("settlement/interest", MONEY),
    ("Settlement", "interest", "POST"): ("settlement/interest", "finance"),
    ("NettingSets", "", "GET"): ("settlement/netting", MONEY),
    ("NettingSets", "", "POST"): ("settlement/netting", "finance"),
    ("NettingRecord", "", "GET"): ("settlement/netting/{netting}", MONEY),
    ("NettingRecord", "consent", "POST"): ("settlement/netting/{netting}/consent", "approver"),
    ("NettingRecord", "decline", "POST"): ("settlement/netting/{netting}/decline", "approver"),
    ("NettingRecord", "withdraw", "POST"): ("settlement/netting/{netting}/withdraw", "finance"),
    ("Confirmations", "", "GET"): ("settlement/confirmations", MONEY),
    ("Confirmations", "", "POST"): ("settlement/confirmations", "finance"),
    ("ConfirmationRecord", "", "GET"): ("settlement/confirmations/{balance}", MONEY),
    **{
        ("ConfirmationRecord", name, "POST"): (
            f"settlement/confirmations/{{balance}}/{name}".rstrip("/"),
            "finance",
        )
        for name in ("", "accept", "difference")
    },
    ("Payments", "", "GET"): ("payments", MONEY),
    ("Payments", "new", "GET"): ("payments/new", "finance"),
    ("Payments", "new", "POST"): ("payments/new", "finance"),
    ("Payments", "advances", "GET"): ("payments/advances", MONEY),
    ("Payments", "advances", "POST"): ("payments/advances", "finance"),
    ("Payments", "apply", "POST"): ("payments/apply", "finance"),
    ("PaymentRecord", "", "GET"): ("payments/{payment}", MONEY),
    ("PaymentRecord", "reverse", "POST"): ("payments/{payment}/reverse", "finance"),
    ("Disputes", "", "GET"): ("disputes", MONEY),
    ("Disputes", "new", "GET"): ("disputes/new", "finance"),
    ("Disputes", "new", "POST"): ("disputes/new", "finance"),
    ("Disputes", "owner", "POST"): ("disputes/owner", "finance"),
    ("DisputeRecord", "", "GET"): ("disputes/{dispute}", MONEY),
    **{
        ("DisputeRecord", name, "POST"): (f"disputes/{{dispute}}/{name}", role)
        for name, role in (
            ("assign", "finance"),
            ("comment", "finance"),
            ("withdraw", "finance"),
            ("credit", "approver"),
            ("redraft", "approver"),
            ("uphold", "approver"),
        )
    },
    ("People", "", "GET"): ("people", "supervisor administrator"),
    ("People", "new", "GET"): ("people/new", "administrator"),
    ("People", "new", "POST"): ("people/new", "administrator"),
    ("PersonRecord", "", "GET"): ("people/{person}", "administrator"),
    ("PersonRecord", "", "POST"): ("people/{person}", "administrator"),
    ("PersonRecord", "end", "POST"): ("people/{person}/end", "administrator"),
    ("PersonRecord", "languages", "POST"): ("people/{person}/languages", "administrator"),
    ("Settings", "", "GET"): ("settings", "administrator auditor"),
    ("Settings", "loop", "GET"): ("settings/loop", "administrator"),
    ("Settings", "retention", "GET"): ("settings/retention", "administrator auditor"),
    ("Settings", "erase-person", "GET"): ("settings/erase-person", "administrator"),
    ("Settings", "erase-person", "POST"): ("settings/erase-person", "administrator"),
    ("Settings", "loop", "POST"): ("settings/loop", "administrator"),
    ("Settings", "places", "GET"): ("settings/places", "administrator"),
    ("Settings", "places", "POST"): ("settings/places", "administrator"),
    ("Audit", "", "GET"): ("audit", "supervisor administrator auditor"),
}
REGION_ROWS: dict[tuple[str, str, str], tuple[str, str]] = {
    ("RegionNode", "", "GET"): ("", TERMS),
    ("RegionNode", "checks", "GET"): ("checks", TERMS),
    ("RegionSettlement", "", "GET"): ("settlement", TERMS),
    ("RegionSettlement", "propose", "POST"): ("settlement/propose", "finance administrator"),
    ("RegionSettlement", "withdraw", "POST"): ("settlement/withdraw", "finance administrator"),
}
PUBLIC = {
    "Root",
    "ApiNode",
    "Auth",
    "Track",
    "TrackedRequest",
    "LetterLink",
    "AnswerLinks",
    "AnswerLink",
    "Mine",
    "Mailbox",
    "PersonPage",
    "Fhir",
    "FhirTask",
    "FhirTasks",
    "PublicPartner",
    "PublicServices",
    "PublicServicesOf",
    "PublicService",
    "PublicArticles",
    "PublicArticlesOf",
    "PublicArticle",
    "DirectoryApi",
    "DirectoryList",
    "DirectoryEntry",
    "ChatRoom",
    "ChatThread",
    "WaitingRoom",
    "AccommodationDoor",
    "AccommodationLink",
    "Open311Bulk",
    "Open311Discovery",
    "Open311Services",
    "Open311Service",
    "Open311Requests",
    "Open311Request",
    "Open311Token",
    "Open311Updates",
    "EmergencyCenter",
}
"""What belongs to nobody: tried by the tests of the door, of signing in and of tracking."""

BY_ID = [row for row in ROWS if "{" in ROWS[row][0] and "{rate}" not in ROWS[row][0]]
"""Addresses with an id or number that exists once in the region."""
BY_ID = [row for row in BY_ID if "{service}" not in ROWS[row][0]]


def _photos(session, me, first) -> str:
    """A file with the first contact's need, with the first request and the first referral."""
    need_id = first(Need, "id", Need.contact_id == first(Contact, "id"))
    referral_id = first(Referral, "id")
    for subject in {need_id, first(ServiceRequest, "need_id"), referral_id}:
        photo = upload("photo", "a.pdf", b"%PDF-1.7")
        put(session, *attachment_rows(me, subject, [photo], now=NOW))
    kept = Kept(me, "none", Reply(told={"photo": "a.pdf"})).plain()
    session.execute(
        update(Referral)
        .where(Referral.tenant_id == me, Referral.id == referral_id)
        .values(shared={"answers": kept})
    )
    return str(need_id)


@pytest.fixture(scope="module")
def found(web_engine, people) -> dict[str, str]:
    """One thing of each kind that the City has."""
    invalidate()
    region = published(web_engine)
    me = people.tenants[CITY]
    for role in ROLES:
        for slug in people.tenants:
            people.account(slug, role)
    person = people.make("leaver@city.example", {CITY: ("worker",)})
    at = datetime(2026, 10, 5, 17, tzinfo=UTC)
    with session_scope(web_engine, Scope(me)) as session:
        wanted = [s for s in region.directory.services if s.tenant in (CITY, COUNTY, INFO)]
        for number, service in enumerate(wanted):
            intake = Intake(
                source="demo",
                key=f"matrix-{number}",
                channel="phone",
                started_at=at,
                ended_at=at,
                handle_seconds=60,
                service=f"{service.tenant}/{service.key}",
                asker=Asker(
                    name="A Person", phone="503-555-0100", safe_to_call=True, may_follow_up=True
                ),
                place=Place("", Decimal("45.52"), Decimal("-122.66")),
                danger_answer="none",
                consent="given",
                after_hours=False,
            )
            try:
                take_in(session, region, intake, now=at)
            except DomainError:
                continue
        run = run_rating(session, period=Period.month("2026-10"), now=NOW)
        drafts = draft_statements(session, run.id, now=NOW)
        statement_id = session.execute(
            text(
                "SELECT s.id FROM statements s JOIN statement_lines l ON l.statement_id = s.id"
                " WHERE s.id = ANY(:drafts) AND s.payer_kind = 'partner' AND l.kind = 'usage'"
                " ORDER BY s.id LIMIT 1"
            ),
            {"drafts": drafts},
        ).scalar_one()
        open_accounts(session)
        entry = post(
            session,
            NewEntry(
                period_key="2026-10",
                service_period="2026-10",
                memo="Try",
                source_key="matrix",
                legs=[debit("due_from_partners", 5), credit("service_revenue", 5)],
            ),
            now=NOW,
        )

        make_batch(session, layout_key="plain", through_period="2026-10", now=NOW)
        steps = (Step(key="one", text="Anybody there?"),)
        write_article(
            session,
            Article(key="matrix", kind="script", title="Matrix", step=steps),
            tenant=CITY,
            known=None,
            today=NOW.date(),
            now=NOW,
            person_id=None,
            source="form",
        )
        asked = Question(key="name", label="Who?", kind="text")
        write_group(
            session,
            QuestionGroup(key="matrix", name="Matrix", question=(asked,)),
            known=None,
            now=NOW,
            person_id=None,
            source="form",
        )
        make_client(session, name="Matrix", scopes=["open311:requests"], now=NOW)
        connect_system(
            session,
            name="Matrix",
            way="they_poll",
            address=None,
            key_id="matrix",
            secret=None,
            known_as="matrix",
            services={},
            hosts=(),
            sealed_by="matrix",
            now=NOW,
        )
        write_policy(session, Acceptance(key="matrix", name="Matrix"), None, now=NOW)
        synonym = Synonym(key="matrix", said=("matrix",), means=("pothole",))
        write_synonym(session, synonym, None, now=NOW)

        def first(model, column, *conditions):
            return session.scalars(
                select(getattr(model, column))
                .where(model.tenant_id == me, *conditions)
                .order_by(model.id)
                .limit(1)
            ).one()

        put(
            session,
            BulkChange(
                tenant_id=me,
                id=BATCH,
                person_id=person,
                action="note",
                wanted={"note": "matrix"},
                state="done",
                total=0,
                made_at=NOW,
            ),
        )
        take_accommodation(
            session,
            Asked("request", "interpreter", "matrix", "matrix", "m" * 30, updates_by="post"),
            Letters(CITY, CITY, ""),
            acknowledge_by=NOW.date(),
            decide_by=NOW.date(),
            now=NOW,
        )
        put(
            session,
            OutboxMessage(
                tenant_id=me,
                id=PAPER,
                event="accommodation_news",
                subject_id=first(Accommodation, "id"),
                channel="post",
                recipient="matrix",
                heading="",
                body="matrix",
                created_at=NOW,
                due_at=NOW,
            ),
        )
        row = agreements.versions(session, "city-intake-for-county")[-1]
        version = Content.of_row(row)
        later = replace(version, valid_from=date(2027, 7, 1))
        proposal_id = agreements.draft(session, later, now=NOW)
        rate = RateSaid("matrix", "matrix", "follow_up", Decimal(1), valid_from=date(2026, 7, 1))
        held = next_version(session, "i-and-r", note="Matrix")
        said = replace(said_of(session, held), note="Matrix again")
        pool_proposal_id = draft(session, "i-and-r", 2027, said, why="Matrix", now=NOW)
        basis = BaseSaid.of_row(newest_base(session, "contacts"))
        held_base = save_base(session, "contacts", replace(basis, note="Matrix"), now=NOW)
        basis = replace(BaseSaid.of_row(held_base), note="Matrix again")
        base_proposal_id = draft_base(session, "contacts", basis, why="Matrix", now=NOW)
        rate_proposal_id = propose(session, [Change("matrix", None, rate)], note=None, now=NOW)
        line_id, position = session.execute(
            select(StatementLine.id, StatementLine.position)
            .where(StatementLine.statement_id == statement_id, StatementLine.kind == "usage")
            .limit(1)
        ).one()
        put(
            session,
            OutboxMessage(
                tenant_id=me,
                id=MESSAGE,
                event="request_received",
                recipient="a@example.org",
                heading="Try",
                body="Try",
                state="dead",
                created_at=NOW,
                due_at=NOW,
            ),
            MailTrouble(
                tenant_id=me,
                id=TROUBLE,
                address="gone@example.org",
                reason="5.1.1",
                last_at=NOW,
                stopped_at=NOW,
            ),
        )
        need_id = _photos(session, me, first)
        came = Incoming(
            line=region.lines[f"{CITY}/email"],
            key="matrix",
            text="Try",
            address="a@example.org",
            files=(upload("1", "a.pdf", b"%PDF-"),),
        )
        written = receive_message(session, region, came, now=NOW)
        hushed = receive_message(
            session, region, replace(came, key="hushed", address="b@example.org"), now=NOW
        )
        keep_confidential(session, hushed.thread_id, None, on=True, now=NOW)
        secret_id = session.scalars(
            select(Thread.contact_id).where(Thread.tenant_id == me, Thread.id == hushed.thread_id)
        ).one()
        return settled(session, people.tenants, statement_id, line_id, position) | {
            "secret_contact": first(Contact, "public_id", Contact.id == secret_id),
            "script": f"{CITY}/matrix:",
            "thread": written.public_id,
            "message": str(MESSAGE),
            "trouble": str(TROUBLE),
            "thread_message": str(written.message_id),
            "template": str(
                keep_text(
                    session,
                    "answer",
                    text_id=None,
                    version=None,
                    name="Try",
                    words={"en": "Try"},
                    now=NOW,
                )
            ),
            "ringing": bring(
                session,
                new_id(),
                Brought("matrix", "noise", "phone", "en", {}, ""),
                line_key=None,
                after_hours=False,
                now=NOW,
            )[0],
            "emergency": start_emergency(
                session,
                Plan("storm", {"en": {"title": "Storm"}}, datetime(2100, 1, 1, tzinfo=UTC)),
                reason="matrix",
                drill=False,
                known=Known({"storm"}, set(), set(), set()),
                now=datetime(2099, 12, 1, tzinfo=UTC),
            ),
            "client": str(first(ApiClient, "id")),
            "connection": str(first(ExternalSystem, "id")),
            "contact": first(Contact, "public_id"),
            "usage": str(first(UsageEvent, "id")),
            "need": need_id,
            "request": first(ServiceRequest, "public_id"),
            "bulk": str(BATCH),
            "accommodation": first(Accommodation, "public_id"),
            "paper": str(PAPER),
            "referral": first(Referral, "public_id"),
            "follow_up": first(FollowUp, "public_id"),
            "service": region.directory.of(CITY, at.date())[0].key,
            "suggestion": str(
                suggest(
                    session,
                    me,
                    Wish("service", "pothole", "Pothole", "phone", "", "503-555-0199"),
                    now=NOW,
                    written_in="en",
                )
            ),
            "drafted": drafted(session),
            **rules_tried(session),
            "batch": str(BATCH),
            "organization": published_organization(session),
            "rate": session.execute(
                text(
                    "SELECT key FROM rates WHERE tenant_id = :me AND upper_inf(recorded)"
                    " ORDER BY key LIMIT 1"
                ),
                {"me": me},
            ).scalar_one(),
            "rate_proposal": str(rate_proposal_id),
            "pool_proposal": str(pool_proposal_id),
            "base_proposal": str(base_proposal_id),
            "rate_sheet": str(
                rate_uploads.send_sheet(session, name="matrix.xlsx", content=b"matrix", now=NOW)
            ),
            "statement": session.execute(
                text("SELECT public_id FROM statements WHERE id = :id"), {"id": statement_id}
            ).scalar_one(),
            "line": str(position),
            "item": str(
                session.scalars(
                    select(StatementItem.id).where(StatementItem.line_id == line_id).limit(1)
                ).one()
            ),
            "budget": str(
                set_budget(
                    session,
                    Party("received", people.tenants[INFO]),
                    fiscal_year=2027,
                    amount_cents=5,
                    now=NOW,
                )
            ),
            "scenario": save_scenario(
                session,
                name="Try",
                note=None,
                changes=Changes(),
                comparison=Comparison("2026-10", "billed", ()),
                now=NOW,
            ),
            "reference": session.scalars(
                select(StatementItem.contact_reference)
                .where(StatementItem.line_id == line_id)
                .limit(1)
            ).one(),
            "entry": str(entry),
            "package": str(
                send_package(session, name="try.csv", content=b"id", bureau=None, feed="", now=NOW)
            ),
            "alike": described_by_both(session, people.tenants[COUNTY]),
            "proposal": str(proposal_id),
            "person": str(person),
        }


def drafted(session) -> str:
    """A service that only has a draft."""
    said = {
        "key": "matrix-draft",
        "name": "Try",
        "summary": "Try.",
        "verb": "find",
        "bureau": "pbot",
        "term": "try",
        "group": "Try",
        "disposition": [{"valid_from": "2026-11-01", "kind": "resolve"}],
    }
    save_draft(session, "service", said, seen=None, now=NOW, batch=BATCH)
    return "matrix-draft"


def rules_tried(session) -> dict[str, str]:
    """A draft of rules with a backtest."""
    version = begin_rules(session, RuleContent(()), now=NOW)
    row = session.execute(
        select(RuleSet.__table__).where(
            RuleSet.tenant_id == scope_of(session).tenant_id, RuleSet.version == version
        )
    ).one()
    day = NOW.date()
    asked = backtest.ask(session, row, first_on=day, last_on=day, today=day, now=NOW)
    decided = new_id()
    put(
        session,
        Decision(
            tenant_id=scope_of(session).tenant_id,
            id=decided,
            contact_id=new_id(),
            need_id=None,
            rule_set_version=1,
            rule_key=None,
            outcome="information",
            target_tenant_id=None,
            facts={"service": "pothole", "owner": CITY, "partner": CITY},
            trace={},
            decided_at=NOW,
        ),
    )
    moved = {"decision": str(decided), "contact": str(new_id()), "on": day.isoformat()}
    moved |= {"move": "information||information|", "rule": "", "service": f"{CITY}/pothole"}
    session.execute(
        update(Backtest).where(Backtest.id == asked).values(result={"examples": [moved]})
    )
    return {"rules_draft": str(version), "backtest": str(asked)}


def described_by_both(session, county) -> str:
    """A pair of organisations that the City has a row of; the County's is its own."""
    with acting_for(session, county):
        published_organization(session, "other-body")
    me = session.scope.tenant_id
    likeness = {
        (("organization", me, "matrix-body"), ("organization", county, "other-body")): Likeness(
            75, ("name",)
        )
    }
    keep_pairs(session, likeness, now=NOW)
    return str(session.scalars(select(AlikePair.id).where(AlikePair.tenant_id == me)).one())


def published_organization(session, key: str = "matrix-body") -> str:
    """An organisation of the bound partner's."""
    said = {"key": key, "name": "Try", "description": "Try."}
    number = save_draft(session, "organization", said, seen=None, now=NOW).number
    review(session, "organization", key, number, now=NOW)
    publish(session, "organization", key, number, today=NOW.date(), now=NOW)
    return key


def settled(session, tenants, statement_id, line_id, position) -> dict[str, str]:
    """A payment, a dispute, a netting set and a balance that only the City has a row of."""
    me, other, day = tenants[CITY], tenants[COUNTY], NOW.date()
    names = {
        "payment": public_id("P"),
        "dispute": public_id("D"),
        "netting": public_id("N"),
        "balance": public_id("B"),
    }
    put(
        session,
        Payment(
            tenant_id=me,
            id=new_id(),
            public_id=names["payment"],
            side="received",
            kind="payment",
            counterparty_id=other,
            paid_on=day,
            period_key="2026-11",
            cash_cents=5,
            applied_cents=0,
            advance_cents=5,
            reference="Try",
            method="check",
            recorded_at=NOW,
        ),
        Dispute(
            tenant_id=me,
            id=new_id(),
            public_id=names["dispute"],
            side="issued",
            counterparty_id=other,
            statement_id=statement_id,
            line_id=line_id,
            line_position=position,
            reason="other",
            evidence="Try",
            amount_cents=5,
            open_cents=5,
            opened_on=day,
            answer_by=day,
            opened_at=NOW,
        ),
        NettingSet(
            tenant_id=me,
            id=new_id(),
            public_id=names["netting"],
            proposer_id=other,
            period_key="2026-11",
            parties=[str(me), str(other)],
            positions=[],
            digest="",
            proposed_at=NOW,
        ),
        BalanceConfirmation(
            tenant_id=me,
            id=new_id(),
            public_id=names["balance"],
            counterparty_id=other,
            asked_by_us=False,
            as_of_on=day,
            their_claims_cents=5,
            their_owes_cents=0,
            state="asked",
            asked_at=NOW,
        ),
    )
    return names


@pytest.fixture(scope="module")
def browsers(application, people, found, web_engine):
    """A signed-in browser for each role of each partner; sessions are put in without a password."""
    from regional311.database.ids import new_token, token_hash

    made = {}
    for slug in people.tenants:
        for role in ROLES:
            person = people.known[people.account(slug, role)]
            token = new_token()
            with web_engine.begin() as connection:
                connection.execute(
                    text(
                        "SELECT start_session(:token, :person, 'csrf', now(),"
                        " now() + interval '1 hour')"
                    ),
                    {"token": token_hash(token), "person": person},
                )
            browser = TestApp(application)
            browser.set_cookie("session", token)
            made[slug, role] = browser
    return made


def ask(browser, row: tuple[str, str, str], path: str) -> int:
    if row[2] == "POST":
        send = browser.post_json if row in PROGRAMS else browser.post
        return send(path, *([{}] if row in PROGRAMS else []), expect_errors=True).status_int
    accept = {"Accept": "application/json"} if row in PROGRAMS else {}
    return browser.get(path, headers=accept, expect_errors=True).status_int


def test_every_view_of_the_tree_has_a_row(application):
    there = set()
    for entry in application.registry.introspector.get_category("views"):
        view = entry["introspectable"]
        context = view["context"]
        if not (isinstance(context, type) and issubclass(context, Resource)):
            continue
        if context.__name__ in PUBLIC or not context.__module__.startswith("regional311."):
            continue
        methods = view["request_methods"]
        for method in (methods,) if isinstance(methods, str) else methods:
            there.add((context.__name__, view["name"] or "", method))
    assert there == set(ROWS) | set(REGION_ROWS)


@pytest.mark.parametrize("row", [*ROWS], ids="-".join)
def test_every_role_of_every_partner(row, browsers, found):
    path, allowed = ROWS[row]
    address = f"/{CITY}/{path.format(**found)}".rstrip("/")
    method = row[2]
    wrong = {}
    for (slug, role), browser in browsers.items():
        if slug != CITY:
            wanted = {404}
        elif role in allowed.split():
            wanted = {400} if method == "POST" else {200}
        else:
            wanted = {404} if row[0] in NOT_EVEN_THERE else {403}
        got = ask(browser, row, address)
        if got not in wanted:
            wrong[slug, role] = (got, wanted)
    assert wrong == {}


@pytest.mark.parametrize("row", [*REGION_ROWS], ids="-".join)
def test_the_regions_own_pages(row, browsers):
    path, allowed = REGION_ROWS[row]
    for (slug, role), browser in browsers.items():
        let_in = 400 if row[2] == "POST" else 200
        wanted = 404 if slug != REGION else let_in if role in allowed.split() else 403
        assert ask(browser, row, f"/{REGION}/{path}".rstrip("/")) == wanted, (slug, role)


@pytest.mark.parametrize("row", BY_ID, ids="-".join)
def test_anothers_id_below_ones_own_partner_is_not_there(row, browsers, found):
    path, allowed = ROWS[row]
    # a referral is its receiver's too, under the same number
    others = (COUNTY, REGION) if "{referral}" in path else (COUNTY, INFO, REGION)
    for slug in others:
        for role in allowed.split():
            address = f"/{slug}/{path.format(**found)}"
            assert ask(browsers[slug, role], row, address) == 404, (slug, role)


@pytest.mark.parametrize("row", [*ROWS, *REGION_ROWS], ids="-".join)
def test_a_visitor_is_asked_to_sign_in(row, application, found):
    tenant = REGION if row in REGION_ROWS else CITY
    path = (ROWS.get(row) or REGION_ROWS[row])[0].format(**found)
    browser = TestApp(application)
    got = ask(browser, row, f"/{tenant}/{path}".rstrip("/"))
    assert got == (401 if row in PROGRAMS else 403 if row[2] == "POST" else 303)
    assert browser.get(f"/{tenant}/nothing/{new_id()}", expect_errors=True).status_int == 404
