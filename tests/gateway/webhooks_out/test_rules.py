"""Signatures, waits, URLs and secrets at rest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.webhooks_out.domain import (
    DISABLE_AFTER,
    DisableCause,
    Endpoint,
    EndpointState,
    Feed,
    disabled,
    enabled,
    endpoint_after,
)
from runtime.sealing import KEY_BYTES, Sealer, UnreadableSecretError, keys_of
from runtime.webhook_sending import url_problem
from runtime.webhooks import (
    MAX_ATTEMPTS,
    MAX_JITTER,
    MAX_RETRY_AFTER,
    RETRY_SCHEDULE,
    Attempt,
    DeliveryState,
    after_attempt,
    new_secret,
    signed_headers,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FAILED = Attempt(500, "http_status")
ENDPOINT = Endpoint(
    id="whe_1",
    feed=Feed.PAYMENTS,
    url="https://shop.example/hook",
    description="",
    merchant_id="",
    transitions=(),
    max_in_flight=4,
    state=EndpointState.ENABLED,
    disable_cause="",
    dispatched_sequence=0,
    failing_since=None,
    create_time=NOW,
    update_time=NOW,
)


def test_the_specifications_own_example_is_signed_as_it_says() -> None:
    # From the specification's reference libraries.
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_each_active_secret_signs_and_none_is_an_error() -> None:
    secrets = [new_secret(), new_secret()]
    headers = signed_headers("evt_1", NOW, b"{}", secrets)
    assert len(headers["webhook-signature"].split(" ")) == 2
    with pytest.raises(ValueError, match="at least one secret"):
        signed_headers("evt_1", NOW, b"{}", [])


def test_attempts_go_on_for_three_days_and_then_end() -> None:
    waits = []
    for attempts in range(1, MAX_ATTEMPTS):
        verdict = after_attempt(attempts, FAILED, lambda: 0.0)
        assert verdict.state is DeliveryState.PENDING
        assert verdict.wait is not None
        waits.append(verdict.wait)
    assert tuple(waits) == RETRY_SCHEDULE
    assert timedelta(days=3) < sum(waits, timedelta(0)) < timedelta(days=3.5)
    assert after_attempt(MAX_ATTEMPTS, FAILED, lambda: 0.0).state is DeliveryState.DEAD
    assert after_attempt(MAX_ATTEMPTS, Attempt(204), lambda: 0.0).state is DeliveryState.DELIVERED


def test_waits_are_spread_and_heed_the_endpoint_within_bounds() -> None:
    assert after_attempt(1, FAILED, lambda: 1.0).wait == RETRY_SCHEDULE[0] * (1 + MAX_JITTER)
    busy = replace(FAILED, retry_after=timedelta(minutes=2))
    assert after_attempt(1, busy, lambda: 0.0).wait == timedelta(minutes=2)
    never = replace(FAILED, retry_after=timedelta(days=900))
    assert after_attempt(1, never, lambda: 0.0).wait == MAX_RETRY_AFTER


def test_an_endpoint_that_fails_for_days_is_disabled_and_one_that_is_gone_at_once() -> None:
    failing = endpoint_after(ENDPOINT, FAILED, NOW)
    assert (failing.state, failing.failing_since) == (EndpointState.ENABLED, NOW)
    still = endpoint_after(failing, FAILED, NOW + DISABLE_AFTER - timedelta(seconds=1))
    assert still.state is EndpointState.ENABLED
    given_up = endpoint_after(failing, FAILED, NOW + DISABLE_AFTER)
    assert (given_up.state, given_up.disable_cause) == (EndpointState.DISABLED, "failing")
    assert endpoint_after(failing, Attempt(200), NOW).failing_since is None
    assert endpoint_after(ENDPOINT, Attempt(410, "http_status"), NOW).disable_cause == "gone"
    assert enabled(given_up, NOW).failing_since is None
    # What comes in after a client has disabled it does not change why.
    by_client = disabled(ENDPOINT, DisableCause.CLIENT, NOW)
    assert endpoint_after(by_client, Attempt(410, "http_status"), NOW).disable_cause == "client"


@pytest.mark.parametrize(
    ("merchant", "transitions", "taken"),
    [
        *(("", (), True), ("m_1", (), True), ("m_2", (), False), ("", ("captured",), True)),
        *(("", ("declined",), False), ("m_1", ("declined", "captured"), True)),
    ],
)
def test_filters(merchant: str, transitions: tuple[str, ...], taken: bool) -> None:
    endpoint = replace(ENDPOINT, merchant_id=merchant, transitions=transitions)
    assert endpoint.takes("m_1", "captured") is taken


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://a.example",
            "https://",
            "https:///x",
            "//a.example",
            "https://u:p@a.example/",
            "x",
        ),
        *("https://u@a.example/", "https://a.example/#f", "https://a.example:0/", "https://[::1"),
        *("https://a.example/\u00e4", "https://a.example/ x", "https://a.example:99999/"),
    ],
)
def test_what_is_no_url_of_an_endpoint(url: str) -> None:
    assert url_problem(url) is not None


@pytest.mark.parametrize("url", ["https://a.example/hook?x=1", "http://127.0.0.1:8000/hook"])
def test_what_is_one(url: str) -> None:
    assert url_problem(url) is None


def test_secrets_at_rest_are_sealed_bound_to_their_endpoint_and_keys_can_be_rolled() -> None:
    secret = new_secret().encode()
    old, new = bytes(KEY_BYTES), bytes(range(KEY_BYTES))
    sealed = Sealer([old]).seal("whe_1", secret)
    assert secret not in sealed
    assert Sealer([new, old]).open("whe_1", sealed) == secret
    with pytest.raises(UnreadableSecretError):
        Sealer([old]).open("whe_2", sealed)
    with pytest.raises(UnreadableSecretError):
        Sealer([new]).open("whe_1", sealed)
    with pytest.raises(UnreadableSecretError):
        Sealer([]).open("whe_1", sealed)
    assert Sealer([new]).open("whe_1", Sealer([]).seal("whe_1", secret)) == secret


@pytest.mark.parametrize("listed", ["", "AAAA", "no base 64", "AAAA,"])
def test_what_is_no_key(listed: str) -> None:
    with pytest.raises(ValueError, match="a key"):
        keys_of(listed)
