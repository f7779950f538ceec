"""Go on duty and off, on the own desk or as help lent to another partner."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.cover.duty import AlreadyOnDuty, go_off_duty, go_on_duty
from regional311.cover.spoken import speak
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.web.i18n import _
from regional311.web.telling import telling
from regional311.web.tree import Desk
from regional311.web.wording import LANGUAGES


@view_config(context=Desk, name="duty", permission=P.CONTACT_TAKE, request_method="POST")
def change_duty(context: Desk, request: Any) -> HTTPSeeOther:
    """Say that one is there, in which languages; or that one is not."""
    tell = telling(request)
    if request.POST.get("verb") == "off":
        if go_off_duty(request.dbsession, now=request.now):
            request.flash("success", _("You are off duty."))
    else:
        languages = request.POST.getall("language")
        if not set(languages) <= set(LANGUAGES):
            raise InvalidInput(_("Choose among the languages listed."), field="language")
        try:
            aid_id = UUID(str(request.POST["aid"])) if request.POST.get("aid") else None
        except ValueError:
            raise InvalidInput(_("There is no such help."), field="aid") from None
        # which languages one speaks is the person's, whatever they are on duty for
        if languages:
            speak(request.dbsession, request.identity.person_id, languages, now=request.now)
        try:
            with request.dbsession.begin_nested():
                go_on_duty(
                    request.dbsession,
                    name=request.identity.name,
                    languages=languages or ["en"],
                    now=request.now,
                    aid_id=aid_id,
                )
        except AlreadyOnDuty as error:
            request.flash("info", error.message)
        else:
            request.flash("success", _("You are on duty: others see it."))
    return HTTPSeeOther(location=f"/{tell.slug}/desk")
