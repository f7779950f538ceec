"""The examples of docs/exchange.md are messages that are taken."""

from __future__ import annotations

import json
import re
from pathlib import Path

from regional311.exchange.fhir import read_message, read_task, write_bundle
from tests.exchange.test_fhir import check_shape

PAGE = Path(__file__).parents[2] / "docs" / "exchange.md"


def test_the_examples_are_read():
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    referral, answer, refusal = (json.loads(each) for each in blocks)
    check_shape(referral)
    progress, handover = read_message(referral)
    assert handover is not None
    assert write_bundle(handover, referral["entry"][0]["resource"]["id"]) == referral
    answered = read_task(answer)
    assert (answered.state, answered.outcome) == ("completed", "met")
    assert answered.identifier == progress.identifier
    assert refusal["resourceType"] == "OperationOutcome"
