"""The request encoding, against the SDK's own encoder."""

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from sandbox.stripe_twin.params import FormError, decode_form

names = st.text("abcdefghij_", min_size=1, max_size=6)
# The SDK writes a list or map without members as nothing at all.
values = st.recursive(
    st.text(max_size=8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(names, inner, min_size=1)
    ),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=5))
def test_what_the_sdk_encodes_is_decoded(params: dict[str, Any]) -> None:
    assert decode_form(urlencode(list(_api_encode(params)))) == params


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("expand[]=x&expand[]=y", {"expand": ["x", "y"]}),
        ("metadata[0]=x&metadata[1]=y", {"metadata": {"0": "x", "1": "y"}}),
        ("a[0][b]=1&a[1][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
    ],
)
def test_forms(raw: str, decoded: dict[str, Any]) -> None:
    assert decode_form(raw) == decoded


@pytest.mark.parametrize("raw", ["a", "a[b=1", "a=1&a[b]=2", "a" + "[b]" * 20 + "=1"])
def test_broken_forms(raw: str) -> None:
    with pytest.raises(FormError):
        decode_form(raw)
