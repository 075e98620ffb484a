"""What must not be in texts that go to Stripe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sensitive import (
    holds_card_number,
    holds_secret,
    problem_with_metadata,
    problem_with_text,
)

# https://docs.stripe.com/testing#cards, one of each network and length.
CARDS = [
    *("4242424242424242", "4000056655665556", "5555555555554444", "2223003122003222"),
    *("5105105105105100", "378282246310005", "371449635398431", "6011111111111117"),
    *("6011000990139424", "3056930009020004", "36227206271667", "3566002020360505"),
    *("6200000000000005", "6205500000000000004", "6759649826438453"),
]
OTHERS = [
    *("", "two books", "42", "order 4242-4242", "+49 30 901820 4242"),
    # A wrong check digit; no network's; too long; an epoch time, an EAN and an IMEI.
    *("4242424242424241", "1234567812345670", "42424242424242424242", "1764381600004"),
    *("4006381333931", "490154203237518", "0000000000000000"),
]


@pytest.mark.parametrize("card", CARDS)
def test_card_numbers_are_found_however_they_are_written(card: str) -> None:
    groups = [card[start : start + 4] for start in range(0, len(card), 4)]
    for written in (
        card,
        " ".join(groups),
        "-".join(groups),
        f"paid 2026-11-29 {card}.",
        f"x{card}y",
    ):
        assert holds_card_number(written), written
    assert holds_card_number(f"12 {' '.join(groups)} 7")
    # Next to another digit it is another number.
    assert not holds_card_number(f"{card}00000000")


@pytest.mark.parametrize("text", OTHERS)
def test_other_numbers_are_let_through(text: str) -> None:
    assert not holds_card_number(text)


@given(st.sampled_from(CARDS), st.data())
def test_one_wrong_digit_is_no_card(card: str, data: st.DataObject) -> None:
    # The check digit finds every single wrong digit.
    place = data.draw(st.integers(0, len(card) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != card[place]]))
    assert not holds_card_number(card[:place] + wrong + card[place + 1 :])


@pytest.mark.parametrize(
    "key", ["sk_live_1", "sk_test_4eC39", "rk_live_x", "rk_test_x", "sk_live_org_1", "whsec_abc"]
)
def test_secret_keys_are_found(key: str) -> None:
    for text in (key, f"key={key}", f"({key})"):
        assert holds_secret(text)
        assert problem_with_text(text) == "holds a secret key"


@pytest.mark.parametrize("text", ["pk_live_1", "task_live_1", "sk_", "sk_prod_1", "whsec_", "risk"])
def test_what_is_no_secret_key_is_let_through(text: str) -> None:
    assert not holds_secret(text)


def test_metadata_is_looked_at_key_by_key_and_quotes_nothing() -> None:
    assert problem_with_metadata({"order": "42", "a.b-c d": "[x]"}) is None
    assert problem_with_metadata({"a[0]": "x"}) == "has a key with a square bracket"
    assert problem_with_metadata({"a]": "x"}) == "has a key with a square bracket"
    for metadata in ({CARDS[0]: "x"}, {"card": CARDS[0]}):
        assert problem_with_metadata(metadata) == "holds what looks like a card number"
    for metadata in ({"sk_live_1": "x"}, {"key": "sk_live_1"}):
        assert problem_with_metadata(metadata) == "holds a secret key"
