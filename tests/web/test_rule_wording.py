"""What came of trying a rule, in every language, for every letter that a decision has ever kept."""

from __future__ import annotations

import pytest

from regional311.locale.sentences import in_language
from regional311.referral.conditions import Facts
from regional311.referral.rules import TRACE_CODES
from regional311.web.rule_wording import WHY, RuleWords

FACTS = Facts(partner="city", channel="phone", language="es", urgency="urgent", verb="report")


def words(language: str) -> RuleWords:
    def translate(message) -> str:
        said = in_language(str(message), language)
        return message.interpolate(said) if hasattr(message, "interpolate") else said

    return RuleWords(translate, str, lambda _target, key: key)


def test_every_letter_of_a_decision_has_its_words():
    assert TRACE_CODES.keys() <= WHY.keys()
    assert words("en").why("?", FACTS) == "It does not fit."


@pytest.mark.parametrize("language", ["es", "vi", "zh-Hant", "ru"])
@pytest.mark.parametrize("code", sorted({*WHY, "?"}))
def test_what_came_of_a_rule_is_said_in_the_specialists_language(language, code):
    said = words(language).why(code, FACTS)
    assert said != words("en").why(code, FACTS)
    assert "${" not in said


def test_the_values_are_in_that_language_too():
    assert words("es").why("u", FACTS) == "No es para esta urgencia: urgente."
    assert "español" in words("es").why("l", FACTS).lower()
