"""The words for codes: what a channel, a state, an outcome or a reason is called on a page.

A table maps a code to (words, kind of tag); kinds are those of `macros/page.jinja2`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from regional311.web.i18n import _

CHANNELS: Final[Mapping[str, Any]] = {
    "phone": _("Phone"),
    "walk_in": _("Walk-in"),
    "web": _("Web form"),
    "email": _("Email"),
    "text": _("Text message"),
    "chat": _("Chat"),
    "social": _("Social media"),
    "app": _("Mobile app"),
    "voicemail": _("Voicemail"),
}

LANGUAGES: Final[Mapping[str, Any]] = {
    "en": _("English"),
    "es": _("Spanish"),
    "vi": _("Vietnamese"),
    "zh-Hant": _("Chinese"),
    "ru": _("Russian"),
    "other": _("Another language"),
}

DISPOSITIONS: Final[Mapping[str, tuple[Any, str]]] = {
    "answered": (_("Answered"), "done"),
    "request_filed": (_("Request filed"), "done"),
    "referred": (_("Referred"), "done"),
    "transferred": (_("Transferred"), "done"),
    "declined": (_("Declined"), "refused"),
    "hang_up": (_("Hung up"), "neutral"),
    "danger": (_("Danger: 911"), "danger"),
}

NEED_STATES: Final[Mapping[str, tuple[Any, str]]] = {
    "open": (_("Open"), "open"),
    "referred": (_("Referred"), "waiting"),
    "partially_met": (_("Partly met"), "waiting"),
    "met": (_("Met"), "done"),
    "unmet": (_("Not met"), "refused"),
    "unknown": (_("Not known"), "neutral"),
}

REQUEST_STATES: Final[Mapping[str, tuple[Any, str]]] = {
    "in_transit": (_("On its way"), "neutral"),
    "received": (_("Received"), "open"),
    "triaged": (_("Sorted"), "open"),
    "assigned": (_("Assigned"), "open"),
    "in_progress": (_("In progress"), "open"),
    "waiting_person": (_("Waiting for the person"), "waiting"),
    "waiting_partner": (_("Waiting for a partner"), "waiting"),
    "closed": (_("Closed"), "done"),
    "merged": (_("Joined with another"), "done"),
}

HELPED: Final[Mapping[str, Any]] = {"yes": _("Yes"), "partly": _("Partly"), "no": _("No")}
"""Whether it helped, as the person says."""

FILE_AUDIENCES: Final[Mapping[str, Any]] = {
    "staff": _("Staff only"),
    "person": _("The person who asked, too, by their link"),
}
"""Who may have a file of a request."""

PRIORITIES: Final[Mapping[str, Any]] = {
    "low": _("Low"),
    "normal": _("Normal"),
    "high": _("High"),
    "urgent": _("Urgent"),
}

REFERRAL_STATES: Final[Mapping[str, tuple[Any, str]]] = {
    "draft": (_("Draft"), "draft"),
    "requested": (_("Waiting for an answer"), "waiting"),
    "accepted": (_("Accepted"), "open"),
    "rejected": (_("Rejected"), "refused"),
    "in_progress": (_("In progress"), "open"),
    "on_hold": (_("On hold"), "waiting"),
    "completed": (_("Completed"), "done"),
    "failed": (_("Failed"), "refused"),
    "cancelled": (_("Cancelled"), "neutral"),
    "entered_in_error": (_("Entered in error"), "neutral"),
}

DECLINE_REASONS: Final[Mapping[str, Any]] = {
    "no_capacity": _("No capacity"),
    "waitlist_only": _("Waiting list only"),
    "out_of_area": _("Out of our area"),
    "not_eligible": _("Not eligible"),
    "missing_documents": _("Documents are missing"),
    "out_of_funds": _("Out of funds"),
    "service_ended": _("The service has ended"),
    "duplicate": _("Already referred"),
    "needs_assessment": _("Needs an assessment first"),
    "wrong_agency": _("Another agency is responsible"),
    "other": _("Another reason"),
}

END_REASONS: Final[Mapping[str, Any]] = {
    "person_declined": _("The person declined"),
    "could_not_contact": _("The person could not be reached"),
    "no_show": _("The person did not come"),
    "resolved_elsewhere": _("Resolved elsewhere"),
    "sender_withdrew": _("The sender withdrew it"),
    "consent_ended": _("The time of the consent was up"),
    "expired": _("Nobody answered in time"),
    "taken_elsewhere": _("Another partner took it first"),
    "partner_left": _("The partner takes part no more"),
    "error": _("Sent by mistake"),
    "other": _("Another reason"),
}

ROOM_STATES: Final[Mapping[str, Any]] = {
    "has": _("Has room"),
    "none": _("No room"),
    "none_waitlist": _("No room, with a waitlist"),
    "assessment": _("After an assessment"),
    "unknown": _("Not known"),
}

ACCEPTANCE_MODES: Final[Mapping[str, Any]] = {
    "accept": _("Taken at once"),
    "ask": _("Somebody answers"),
    "warm": _("Only with the person on the line"),
    "closed": _("Nothing is taken"),
}

OUTCOMES: Final[Mapping[str, Any]] = {
    "met": _("The need is met"),
    "partially_met": _("The need is partly met"),
    "unmet": _("The need is not met"),
    "unknown": _("Not known"),
}

UNMET_REASONS: Final[Mapping[str, Any]] = {
    "no_service_exists": _("No such service exists"),
    "none_in_area": _("None in the area"),
    "none_open_now": _("None open now"),
    "all_at_capacity": _("All are full"),
    "out_of_funds": _("Out of funds"),
    "not_eligible": _("Not eligible"),
    "inaccessible": _("Cannot be reached: transport, language or disability"),
    "cost": _("Too expensive"),
    "person_refused": _("The person refused"),
    "other": _("Another reason"),
}

HOLD_REASONS: Final[Mapping[str, Any]] = {
    "waiting_for_person": _("Waiting for the person"),
    "waiting_for_documents": _("Waiting for documents"),
    "waitlist": _("On a waiting list"),
    "needs_assessment": _("Needs an assessment first"),
    "other": _("Another reason"),
}

RESOLUTIONS: Final[Mapping[str, Any]] = {
    "completed": _("Done"),
    "no_action_needed": _("Nothing had to be done"),
    "not_found": _("Nothing was found there"),
    "duplicate": _("Reported before"),
    "not_our_responsibility": _("Somebody else is responsible"),
    "out_of_funds": _("No funds for it"),
    "person_withdrew": _("The person withdrew it"),
    "other": _("Another reason"),
}

CONSENT_METHODS: Final[Mapping[str, Any]] = {
    "spoken": _("Spoken"),
    "written": _("Written"),
    "online": _("Online"),
}

LINKS: Final[Mapping[str, Any]] = {
    "whole": _("Part of"),
    "part": _("Its part"),
    "related": _("Has to do with"),
    "follows": _("Comes after"),
    "precedes": _("Comes before"),
    "blocks": _("Holds up"),
    "blocked_by": _("Held up by"),
}
"""What another request is to this one."""

ACTIONS: Final[Mapping[str, Any]] = {
    "work:correct": _("Recorded work corrected"),
    "work:take_back": _("Recorded work taken back"),
    "work:keep": _("Recorded work looked at and kept"),
    "aid:accepted": _("Help accepted"),
    "aid:declined": _("Help declined"),
    "aid:ended": _("Help ended"),
    "aid:offer": _("Help offered"),
    "aid:withdrawn": _("Help withdrawn"),
    "contact:start": _("Contact started"),
    "contact:note": _("Note added"),
    "referral:note": _("Note added"),
    "referral:sent_file": _("The person sent a file"),
    "thread:note": _("Note added"),
    "contact:lookup": _("Caller looked up, with consent"),
    "contact:caller": _("Who is calling was said"),
    "contact:look": _("A colleague looked along"),
    "contact:give": _("Given to a colleague"),
    "contact:gone": _("The person has gone: wrap-up"),
    "contact:still_there": _("The person is still there"),
    "visit:direct": _("Waits for somebody"),
    "duty:end": _("Off duty"),
    "duty:start": _("On duty"),
    "emergency:edit": _("Emergency changed"),
    "emergency:end": _("Emergency ended"),
    "emergency:start": _("Emergency started"),
    "handover:bring": _("Handed over by 911"),
    "handover:returned": _("Hand-over let pass"),
    "handover:danger": _("Somebody was in danger when called back"),
    "handover:later": _("To be rung through when the line opens"),
    "handover:later-taken": _("A colleague calls them back"),
    "handover:later-dropped": _("Not to be rung through any more"),
    "handover:not-reached": _("Called back, and not reached"),
    "handover:prohibit": _("Contact prohibited: it is not safe"),
    "handover:ring": _("Rung through to another desk"),
    "handover:take": _("Hand-over taken over"),
    "handover:erase": _("What was shared was erased"),
    "handover:stop-seen": _("It was said that it is not used any more"),
    "handover:told-refused": _("Stopped ringing"),
    "handover:told-returned": _("Came back from the other desk"),
    "handover:told-taken-over": _("Taken over by the other desk"),
    "handover:unanswered": _("Hand-over not answered"),
    "handover:withdrawn": _("Hand-over withdrawn"),
    "line:edit": _("Line changed"),
    "contact:edit": _("Contact changed"),
    "contact:close": _("Contact finished"),
    "contact:file": _("Need filed"),
    "consent:revoke": _("Consent taken back"),
    "contact:take": _("Contact taken in"),
    "contact:transfer": _("Transfer offered"),
    "need:file": _("Need filed"),
    "need:status": _("Status of a need set"),
    "consent:expire": _("Time of a consent was up"),
    "consent:seen": _("Receiver saw that the consent has ended"),
    "contact:prohibit": _("Contact prohibited: it is not safe"),
    "settings:loop": _("Follow-ups and reminders set"),
    "link:give": _("Code given to the person"),
    "link:end": _("Code ended"),
    "link:word": _("Word set for the code"),
    "link:withdraw": _("Taken back by the person"),
    "follow_up:plan": _("Follow-up planned"),
    "follow_up:claim": _("Follow-up taken by somebody"),
    "follow_up:attempt": _("Tried to ask"),
    "follow_up:stop": _("Follow-up stopped"),
    "referral:reminded": _("Reminder sent"),
    "referral:escalated": _("Supervisors told"),
    "referral:expired": _("Expired: nobody said anything"),
    "referral:overtaken": _("Said by a partner's own system when it did not fit any more"),
    "referral:prohibit": _("Contact prohibited: it is not safe"),
    "request:erase": _("Who asked was erased"),
    "request:open": _("Request opened"),
    "request:prohibit": _("Contact prohibited: it is not safe"),
    "request:receive": _("Request received"),
    "request:send": _("Request sent"),
    "system:connect": _("Own system connected"),
    "system:secret": _("Secret of the own system replaced"),
    "system:end": _("Own system disconnected"),
    "system:change": _("Own system changed"),
    "hook:make": _("Secret for texts or calls made"),
    "hook:replace": _("Secret for texts or calls replaced"),
    "hook:revoke": _("Secret for texts or calls revoked"),
    "client:hook": _("Webhook of a program set"),
    "client:hook_end": _("Webhook of a program ended"),
    "person:give": _("Everything known given to the person"),
    "person:erase": _("Person erased, as they asked"),
    "contact:forget": _("Erased, but for what is counted"),
    "inquirer:forget": _("Who asked was erased"),
    "request:forget": _("Erased, but for what is counted"),
    "referral:forget": _("Erased, but for what is counted"),
    "thread:forget": _("Conversation forgotten, its time was up"),
    "thread:undelivered": _("Answer did not arrive: the thread came back"),
    "system:retry": _("Message to the own system tried again"),
    "trend:publish": _("Month published without persons"),
    "request:triage": _("Sorted"),
    "request:assign": _("Assigned"),
    "request:start": _("Work started"),
    "request:wait": _("Put on wait"),
    "request:close": _("Closed"),
    "request:reopen": _("Opened again"),
    "request:merge": _("Joined with another"),
    "visit:arrive": _("Came to the front desk"),
    "visit:call": _("Called at the front desk"),
    "visit:leave": _("Left the front desk"),
    "visit:back": _("Put back in the queue"),
    "request:me_too": _("Somebody else has it too"),
    "request:me_too_stop": _("Somebody wants no more news"),
    "request:heard": _("The person wrote"),
    "request:rate": _("The person said whether it helped"),
    "request:note": _("Note added"),
    "request:attach": _("File added"),
    "request:sent_file": _("The person sent a file"),
    "request:show_file": _("Who may have a file was changed"),
    "settings:accommodation": _("Terms of accommodations set"),
    "accommodation:take": _("Taken in"),
    "accommodation:acknowledge": _("Acknowledged"),
    "accommodation:decide": _("Decided"),
    "accommodation:note": _("Note added"),
    "accommodation:appeal": _("Appealed by the person"),
    "accommodation:answer_appeal": _("Appeal answered"),
    "accommodation:give": _("Given to another office"),
    "accommodation:posted": _("A letter is in the post"),
    "accommodation:forget": _("Erased, but for what is counted"),
    "bulk:ask": _("Change of several asked for"),
    "bulk:undo": _("Change of several undone"),
    "request:tag": _("Tag put on"),
    "request:untag": _("Tag taken off"),
    "request:undo": _("Change undone"),
    "request:hand_on": _("Handed on to another partner"),
    "request:send_back": _("Sent back to who handed it on"),
    "request:came_back": _("Came back from another partner"),
    "request:link": _("Linked with another"),
    "request:unlink": _("Link with another ended"),
    "request:part_ended": _("A part of it ended"),
    "request:split": _("Split into parts"),
    "request:status": _("Status received from the owner"),
    "referral:send": _("Referral sent"),
    "referral:receive": _("Referral received"),
    "referral:open": _("Referral opened"),
    "referral:claim": _("Referral taken by somebody"),
    "referral:unclaim": _("Referral given back to everybody"),
    "referral:progress": _("Progress said"),
    "referral:ask": _("Question asked back"),
    "referral:asked": _("The receiver asked a question"),
    "referral:late": _("Said what became of it, after it had expired"),
    "referral:told_late": _("The receiver said what became of it, after it had expired"),
    "referral:reply": _("Question answered"),
    "referral:replied": _("The sender answered"),
    "referral:waitlist": _("Put on the waitlist"),
    "referral:move_up": _("Moved up on the waitlist"),
    "referral:offer_place": _("Place offered"),
    "referral:undo": _("Last step taken back"),
    "referral:onward": _("Referred onward"),
    "referral:draft": _("Kept as a draft"),
    "referral:draft_left": _("Reminded that it is still a draft"),
    "referral:ended_above": _("Asked what becomes of it: what it is part of has ended"),
    "referral:ended_above_again": _("Supervisors asked what becomes of it"),
    "referral:keep_on": _("Kept, although what it is part of has ended"),
    "referral:again": _("Referred to somebody else"),
    "referral:others": _("Offered to others as well"),
    "referral:link": _("Answered by the link in the message"),
    "referral:link_ask": _("It was asked by the link in the message"),
    "capacity:set": _("Room said"),
    "acceptance:edit": _("Acceptance policy changed"),
    "acceptance:end": _("Acceptance policy ended"),
    "progress:edit": _("Own word for progress changed"),
    "progress:end": _("Own word for progress ended"),
    "referral:withdraw": _("Referral marked as entered in error"),
    "referral:erase": _("What was shared was erased"),
    "referral:accept": _("Referral accepted"),
    "referral:reject": _("Referral rejected"),
    "referral:start": _("Work on the referral started"),
    "referral:hold": _("Referral put on hold"),
    "referral:complete": _("Referral completed"),
    "referral:fail": _("Referral failed"),
    "referral:cancel": _("Referral cancelled"),
    "referral:error": _("Referral marked as entered in error"),
    "referral:answer": _("Answer received"),
    "service:verify": _("Looked at: still right"),
    "article:verify": _("Article looked at: still right"),
    "organization:verify": _("Organisation looked at: still right"),
    "taxonomy:import": _("Taxonomy taken in"),
    "crosswalk:import": _("Crosswalk taken in"),
    "crosswalk:add": _("Terms tied"),
    "crosswalk:end": _("Terms untied"),
    "suggestion:send": _("Suggestion sent"),
    "suggestion:receive": _("Suggestion received"),
    "suggestion:approve": _("Suggestion taken over"),
    "suggestion:decline": _("Suggestion declined"),
    "suggestion:erase": _("Suggestion erased"),
    "service:keepers": _("Keepers named"),
    "bureau:keepers": _("Keepers of a bureau named"),
    "article:keepers": _("Keepers of an article named"),
    "organization:keepers": _("Keepers of an organisation named"),
    "payment:record": _("Payment recorded"),
    "payment:receive": _("Payment received from its recorder"),
    "interest:assess": _("Interest assessed"),
    "dispute:opened": _("Dispute opened"),
    "dispute:comment": _("Comment on a dispute"),
    "dispute:assigned": _("Somebody named to answer a dispute"),
    "dispute:owner": _("Somebody named to answer a partner's disputes"),
    "dispute:upheld": _("Dispute: the charge stands"),
    "dispute:credited": _("Dispute credited"),
    "dispute:redrafted": _("Credit memo of a dispute drafted again"),
    "dispute:withdrawn": _("Dispute withdrawn"),
    "netting:propose": _("Netting proposed"),
    "netting:consented": _("Netting consented to"),
    "netting:declined": _("Netting declined"),
    "netting:withdrawn": _("Netting withdrawn"),
    "netting:executed": _("Netting executed"),
    "balance:ask": _("Confirmation of a balance asked for"),
    "balance:receive": _("Asked to confirm a balance"),
    "balance:agreed": _("Balance agreed"),
    "balance:differs": _("Balance differs"),
    "balance:difference_open": _("Difference open"),
    "balance:difference_explained": _("Difference explained"),
    "balance:difference_resolved": _("Difference resolved"),
}

ACTIVITIES: Final[Mapping[str, Any]] = {
    "contact_handled": _("Contact handled"),
    "request_taken_in": _("Request taken in"),
    "warm_transfer": _("Warm transfer"),
    "referral_closed": _("Referral closed"),
    "follow_up": _("Follow-up"),
    "after_hours_answer": _("After-hours answer"),
    "interpreter_minute": _("Interpreter minute"),
    "lent_minute": _("Minute of lent help"),
}

DECISIONS: Final[Mapping[str, tuple[Any, str]]] = {
    "resolve_here": (_("Answer here"), "done"),
    "open_request": (_("Open a request"), "open"),
    "refer": (_("Refer"), "waiting"),
    "warm_transfer": (_("Warm transfer"), "waiting"),
    "information": (_("Give information"), "neutral"),
    "decline": (_("Decline"), "refused"),
    "danger": (_("911 first"), "danger"),
}

VERBS: Final[Mapping[str, Any]] = {
    "find": _("Find"),
    "report": _("Report"),
    "request": _("Request"),
    "apply": _("Apply or register"),
    "pay": _("Pay"),
}

SERVICE_DISPOSITIONS: Final[Mapping[str, tuple[Any, str]]] = {
    "resolve": (_("311 resolves it"), "done"),
    "refer": (_("311 refers it"), "waiting"),
    "undecided": (_("Not decided yet"), "draft"),
}

TRANSFER_RESULTS: Final[Mapping[str, tuple[Any, str]]] = {
    "offered": (_("Offered"), "waiting"),
    "taken_over": (_("Taken over"), "done"),
    "returned": (_("Came back"), "refused"),
    "refused": (_("Refused"), "refused"),
}

PLACE_KINDS: Final[Mapping[str, Any]] = {
    "address": _("Address or crossing"),
    "neighbourhood": _("Neighborhood, road or bridge"),
    "point": _("Point: latitude and longitude"),
    "none": _("No place"),
}

WEEKDAYS: Final[Mapping[str, Any]] = {
    "mon": _("Monday"),
    "tue": _("Tuesday"),
    "wed": _("Wednesday"),
    "thu": _("Thursday"),
    "fri": _("Friday"),
    "sat": _("Saturday"),
    "sun": _("Sunday"),
    "holiday": _("Holidays"),
}


def choices(words: Mapping[str, Any], keys: Iterable[str] | None = None) -> list[tuple[str, Any]]:
    """Return (code, words) pairs for a field or a filter, all of them or those named."""
    return [(key, said(words, key)) for key in (words if keys is None else keys)]


def said(words: Mapping[str, Any], key: str | None) -> Any:
    """Return the words for a code; a code without words is shown as it is, None as nothing."""
    found = words.get(key or "", key or "")
    return found[0] if isinstance(found, tuple) else found


def kind(words: Mapping[str, tuple[Any, str]], key: str | None) -> str:
    """Return the kind of tag in which a state is shown."""
    found = words.get(key or "")
    return found[1] if found else "neutral"


def read_out(text: str, language: str, english: str, spoken: str) -> dict[str, Any]:
    """Give the words of a consent as pages show them: in `language`, with the English beside it.

    `untranslated` names the language that the person speaks when the region has not said it so.
    """
    return {
        "text": text,
        "language": language,
        "language_name": said(LANGUAGES, language),
        "english": english,
        "untranslated": None if spoken in ("en", language) else said(LANGUAGES, spoken),
    }
