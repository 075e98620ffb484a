"""Signatures, with the SDK's own signer as a second opinion."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from gateway.webhooks_in.signature import SignatureProblem, find_signature_problem
from tests.gateway.webhooks_in.conftest import SECRET, START, event_body, signature

BODY = event_body()
HEADER = signature(BODY)


def problem(body: bytes, header: str) -> SignatureProblem | None:
    return find_signature_problem(body, header, ["whsec_unused", SECRET], START)


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_what_the_sdk_signs_is_taken(body: str) -> None:
    header = WebhookSignature.generate_signature_header(
        body, SECRET, timestamp=int(START.timestamp())
    )
    assert problem(body.encode(), header) is None


@given(st.integers(min_value=0, max_value=len(BODY) - 1), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_of_the_body_passes(position: int, flip: int) -> None:
    changed = bytearray(BODY.encode())
    changed[position] ^= flip
    assert problem(bytes(changed), HEADER) is SignatureProblem.MISMATCH


@given(
    st.integers(min_value=0, max_value=len(HEADER) - 1),
    st.characters(min_codepoint=32, max_codepoint=126),
)
def test_no_changed_character_of_the_header_passes(position: int, character: str) -> None:
    changed = HEADER[:position] + character + HEADER[position + 1 :]
    if changed != HEADER:
        assert problem(BODY.encode(), changed) is not None


@given(st.text(max_size=100))
def test_no_header_breaks_it(header: str) -> None:
    assert problem(BODY.encode(), header) is not None


@given(st.integers(min_value=-10_000, max_value=10_000))
def test_only_a_time_near_ours_passes(seconds: int) -> None:
    header = signature(BODY, when=START + timedelta(seconds=seconds))
    found = problem(BODY.encode(), header)
    if abs(seconds) <= 300:
        assert found is None
    else:
        expected = SignatureProblem.IN_FUTURE if seconds > 0 else SignatureProblem.TOO_OLD
        assert found is expected
