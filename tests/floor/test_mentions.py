"""`@name` in a note: who is meant, whoever writes it how."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regional311.errors import InvalidInput
from regional311.floor.mentions import MayNotRead, handles, mentioned, who_is_meant

ANA, BO = UUID(int=1), UUID(int=2)


@dataclass(frozen=True)
class Someone:
    person_id: UUID
    name: str


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@ana.lopez please", ["ana.lopez"]),
        ("(@Bo) and @bo.", ["bo"]),
        ("write to ana@example.org or @@ana", []),
        ("at 5 @ the hall", []),
        ("@o-brien_2, @ana...", ["o-brien_2", "ana"]),
        ("@" + "a" * 5000, ["a" * 5000]),
    ],
)
def test_what_is_a_mention(text, found):
    assert mentioned(text) == found


@given(st.lists(st.text(max_size=20), max_size=12))
def test_every_colleague_has_a_handle_that_mentions_them(names):
    people = [Someone(UUID(int=number), name) for number, name in enumerate(names, 1)]
    known = handles(people)
    assert sorted(known.values(), key=str) == [each.person_id for each in people]
    for handle in known:
        assert mentioned(f"Ask @{handle}, please") == [handle]


def test_the_first_keeps_the_plain_handle_when_another_of_that_name_comes():
    first = handles([Someone(ANA, "Ana Lopez")])
    both = handles([Someone(BO, "Ana López"), Someone(ANA, "Ana Lopez")])
    assert first.items() <= both.items()
    assert both["ana.lopez.2"] == BO


def test_who_may_not_read_it_is_named_and_strangers_are_told_apart():
    known, names = {"ana": ANA, "bo": BO}, {ANA: "Ana", BO: "Bo"}
    people, unknown = who_is_meant("@ana @zed", known, lambda _who: True, names, number="R-1")
    assert (list(people), list(unknown)) == ([ANA], ["zed"])
    with pytest.raises(MayNotRead, match=r"Bo \(@bo\) may not read R-1\. Nothing was kept"):
        who_is_meant("@ana @bo", known, lambda who: who == ANA, names, number="R-1")
    crowd = " ".join(f"@p{number}" for number in range(21))
    with pytest.raises(InvalidInput, match="at most 20"):
        who_is_meant(crowd, {}, lambda _who: True, {}, number="R-1")
