"""Page tokens are good for the list that made them, and for nothing else."""

import base64

import pytest

from runtime.errors import ServiceError
from runtime.paging import PageTokens, clamp_page_size
from tests.runtime.echo import ERRORS, pb

TOKENS = PageTokens(ERRORS)


@pytest.mark.parametrize(("requested", "size"), [(0, 50), (1, 1), (200, 200), (201, 200)])
def test_page_sizes_are_clamped(requested: int, size: int) -> None:
    assert clamp_page_size(requested, default=50, maximum=200) == size


def test_the_first_page_has_no_position() -> None:
    assert TOKENS.decode(pb.ListRequest(prefix="a")) is None


def test_a_token_carries_the_position_and_survives_another_page_size() -> None:
    token = TOKENS.encode(pb.ListRequest(prefix="a", page_size=10), ["x", 7])
    assert TOKENS.decode(pb.ListRequest(prefix="a", page_size=3, page_token=token)) == ["x", 7]


MADE = TOKENS.encode(pb.ListRequest(prefix="a"), [1])


@pytest.mark.parametrize(
    ("prefix", "token"),
    [
        ("b", MADE),
        ("a", MADE[:-4]),
        ("a", "nonsense!"),
        ("a", base64.b64encode(b"[1]").decode()),
        ("a", base64.b64encode(b"{}").decode()),
        ("a", base64.b64encode(b"\xff").decode()),
    ],
)
def test_foreign_and_broken_tokens_are_refused(prefix: str, token: str) -> None:
    with pytest.raises(ServiceError) as caught:
        TOKENS.decode(pb.ListRequest(prefix=prefix, page_token=token))
    assert caught.value.reason == "INVALID_PAGE_TOKEN"
