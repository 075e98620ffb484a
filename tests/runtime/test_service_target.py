"""The forms in which a setting says where another service is."""

import re

import pytest

from runtime.service_target import MAX_REPLICAS, ServiceTarget, parse_target, tls_problem

FORMS = "is not host:port, dns:///name:port, ipv4:address:port,… or ipv6:[address]:port,…"


@pytest.mark.parametrize(
    ("text", "shares_calls", "is_loopback", "has_name"),
    [
        ("127.0.0.1:50051", False, True, True),
        ("ledger.internal:50051", False, False, True),
        ("[::1]:50051", False, True, True),
        ("dns:///ledger.internal:50051", True, False, True),
        ("dns:///localhost:50051", True, True, True),
        ("ipv4:127.0.0.1:1", True, True, True),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", True, True, False),
        ("ipv4:127.0.0.1:1,10.0.0.2:1", True, False, False),
        ("ipv6:[::1]:1,[2001:db8::1]:65535", True, False, False),
    ],
)
def test_a_form_that_is_taken(
    text: str, shares_calls: bool, is_loopback: bool, has_name: bool
) -> None:
    assert parse_target(text) == ServiceTarget(text, shares_calls, is_loopback, has_name)
    assert (tls_problem(text) is None) == has_name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ledger", FORMS),
        ("ledger:http", FORMS),
        ("https://ledger:50051", FORMS),
        ("xds:///ledger:50051", FORMS),
        ("one:1,two:1", f"{FORMS}: several addresses need one of the last three"),
        ("ledger:0", "names port 0, which nobody listens on"),
        ("dns:ledger:1/", FORMS),
        ("dns:///ledger", "is not dns:///name:port"),
        (
            "dns:///one:1,two:1",
            "is not dns:///name:port: it takes one name, whose addresses are replicas",
        ),
        ("ipv4:", "is not ipv4:address:port,…: see number 1"),
        ("ipv4:10.0.0.1:1,ledger:1", "is not ipv4:address:port,…: see number 2"),
        ("ipv4:10.0.0.1:1,[::1]:1", "is not ipv4:address:port,…: see number 2"),
        ("ipv4:10.0.0.1:65536", "is not ipv4:address:port,…: see number 1"),
        ("ipv4:10.0.0.1:1, 10.0.0.2:1", "is not ipv4:address:port,…: see number 2"),
        ("ipv6:::1:50051", "is not ipv6:[address]:port,…: see number 1"),
        ("ipv4:10.0.0.1:1,10.0.0.1:1", "names an address twice"),
    ],
)
def test_another_form_is_refused_by_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_target(text)


def test_there_may_be_so_many_replicas_and_no_more() -> None:
    addresses = [f"10.0.0.1:{port}" for port in range(1, MAX_REPLICAS + 2)]
    assert parse_target("ipv4:" + ",".join(addresses[:-1])).shares_calls
    with pytest.raises(ValueError, match=f"has {MAX_REPLICAS + 1} addresses; at most"):
        parse_target("ipv4:" + ",".join(addresses))
