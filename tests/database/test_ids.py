from hypothesis import given
from hypothesis import strategies as st

from regional311.database.ids import (
    ALPHABET,
    is_public_id,
    new_id,
    new_token,
    parse_public_id,
    public_id,
    public_id_of,
    token_hash,
)

numbers = st.integers(min_value=0, max_value=len(ALPHABET) ** 9 - 1)


def test_ids_made_later_sort_later() -> None:
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(ids)
    assert {each.version for each in ids} == {7}


@given(numbers)
def test_a_public_number_is_read_back_however_it_is_typed(number: int) -> None:
    text = public_id_of("R", number)

    assert is_public_id(text, "R")
    assert parse_public_id(f" {text.lower().replace('-', ' ')} ", "R") == text
    assert parse_public_id(text.replace("0", "o").replace("1", "l"), "R") == text


@given(numbers, st.integers(0, 9), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_caught(number: int, place: int, other: str) -> None:
    prefix, body = public_id_of("R", number).split("-", 1)
    compact = list(body.replace("-", ""))
    if compact[place] == other:
        return
    compact[place] = other

    assert parse_public_id(prefix + "".join(compact), "R") is None


@given(numbers, st.integers(0, 8))
def test_two_swapped_characters_are_caught(number: int, place: int) -> None:
    compact = list(public_id_of("R", number)[1:].replace("-", ""))
    if compact[place] == compact[place + 1]:
        return
    compact[place], compact[place + 1] = compact[place + 1], compact[place]

    assert parse_public_id("R" + "".join(compact), "R") is None


def test_a_number_of_another_kind_is_refused() -> None:
    assert parse_public_id(public_id("F"), "R") is None
    assert parse_public_id("", "R") is None
    assert parse_public_id("R-123", "R") is None


def test_only_the_hash_of_a_secret_is_kept() -> None:
    token = new_token()

    assert len(token) >= 43
    assert token_hash(token) != token.encode()
    assert len(token_hash(token)) == 32
