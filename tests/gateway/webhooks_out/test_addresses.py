"""Where webhooks to clients go, and where they never do: the table, and what operators say."""

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings
from runtime.config import Environment
from runtime.webhook_addresses import (
    MAX_NETWORKS,
    MAX_PORTS,
    AddressNotAllowedError,
    Destinations,
    is_public,
    networks_of,
    ports_of,
)
from runtime.webhook_sending import Sender

# From the registries of IANA, and where clouds keep what every machine of theirs may read.
INSIDE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("168.63.129.16/32", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),
    *("::/128", "::1/128", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23"),
    *("2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10"),
    *("fec0::/10", "ff00::/8", "2620:4f:8000::/48", "4000::/2", "8000::/1"),
)
OUTSIDE = (
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0"),
    *("172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255", "8.8.8.8"),
    *("2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700::1111"),
    *("3ffe:ffff::", "3fff:1000::"),
)
PUBLIC = Destinations()


def edges(network: IPv4Network | IPv6Network) -> list[IPv4Address | IPv6Address]:
    return [network[0], network[-1]]


@pytest.mark.parametrize("network", INSIDE)
def test_special_addresses_are_not_public_to_their_edges(network: str) -> None:
    for address in edges(ip_network(network)):
        assert not is_public(address)
        with pytest.raises(AddressNotAllowedError):
            PUBLIC.check_addresses(["8.8.8.8", str(address)])
        if isinstance(address, IPv4Address):
            assert not is_public(IPv6Address(f"::ffff:{address}"))


@pytest.mark.parametrize("address", OUTSIDE)
def test_their_neighbours_are(address: str) -> None:
    assert is_public(ip_address(address))
    PUBLIC.check_addresses([address])


def test_what_python_calls_private_is_never_public_here() -> None:
    numbers = random.Random(12)
    for _ in range(20_000):
        address = IPv4Address(numbers.getrandbits(32))
        assert address.is_global or not is_public(address), address
        wide = IPv6Address(numbers.getrandbits(128))
        assert wide.is_global or not is_public(wide), wide


@pytest.mark.parametrize(
    "url",
    [
        *("http://a.example/", "https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1:8443/"),
        *("https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/"),
        *("https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://169.254.169.254./"),
        *("https://localhost/", "https://LOCALHOST./", "https://shop.localhost/", "https://db/"),
        *("https://metadata.google.internal/", "https://router.home.arpa/", "https://nas.local/"),
        *("https://a.example:22/", "https://a.example:80/", "https://a.example:8444/"),
    ],
)
def test_urls_that_lead_inside_are_refused_at_registration(url: str) -> None:
    with pytest.raises(AddressNotAllowedError):
        PUBLIC.check_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://a.example/", "https://a.example:8443/x", "https://8.8.8.8/", "https://10.example/"],
)
def test_urls_that_lead_outside_are_taken(url: str) -> None:
    PUBLIC.check_url(url)


def test_operators_allow_and_deny_networks_and_name_ports() -> None:
    destinations = Destinations(
        allowed=networks_of("10.1.0.0/16, fd00:1::/32"),
        denied=networks_of("10.1.9.0/24,8.8.8.0/24"),
        ports=ports_of("443, 9443"),
    )
    destinations.check_addresses(["10.1.0.1", "fd00:1::1", "1.1.1.1", "::ffff:10.1.0.1"])
    destinations.check_url("https://10.1.0.1:9443/")
    for address in ("10.2.0.1", "fd00:2::1", "10.1.9.1", "8.8.8.8", "::ffff:10.1.9.1"):
        with pytest.raises(AddressNotAllowedError):
            destinations.check_addresses([address])
    for url in ("https://10.1.9.1/", "https://10.1.0.1:8443/", "https://8.8.8.8/"):
        with pytest.raises(AddressNotAllowedError):
            destinations.check_url(url)


def test_in_the_sandbox_anything_is_taken_but_what_is_denied() -> None:
    sandbox = Destinations(anywhere=True, denied=networks_of("127.0.0.2/32"))
    sandbox.check_url("http://localhost:1234/")
    sandbox.check_addresses(["127.0.0.1", "10.0.0.1"])
    with pytest.raises(AddressNotAllowedError):
        sandbox.check_url("http://127.0.0.2/")


def test_settings_name_what_is_no_network_or_port(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, told in (("10.1.0.1/16", "not a network"), (",".join(["10.0.0.0/8"] * 257), "more")):
        with pytest.raises(ValidationError, match=told):
            GatewaySettings(webhook_endpoint_allowed_networks=value)
    for value, told in (("0", "not a port"), ("65536", "not a port"), ("443,", "not a port")):
        with pytest.raises(ValidationError, match=told):
            GatewaySettings(webhook_endpoint_ports=value)
    assert len(networks_of(",".join(["10.0.0.0/8"] * MAX_NETWORKS))) == MAX_NETWORKS
    assert len(ports_of(",".join(map(str, range(1, MAX_PORTS + 1))))) == MAX_PORTS
    with pytest.raises(ValueError, match="more than"):
        ports_of(",".join(map(str, range(1, MAX_PORTS + 2))))
    settings = GatewaySettings(webhook_endpoint_denied_networks="8.8.8.0/24")
    assert settings.env is Environment.SANDBOX
    assert settings.webhook_destinations == Destinations(
        anywhere=True, denied=networks_of("8.8.8.0/24")
    )


@pytest.mark.parametrize("url", ["https://127.0.0.1:443/", "https://localhost.:8443/"])
async def test_nothing_is_sent_inside_whatever_was_registered(url: str) -> None:
    attempt = await Sender(PUBLIC).post(url, b"{}", {})
    assert attempt.failure == "address_not_allowed"


async def test_a_name_is_judged_by_every_address_that_it_has() -> None:
    """The name is public, as far as it says; what it leads to is this machine."""
    destinations = Destinations(anywhere=True, denied=networks_of("127.0.0.0/8,::1/128"))
    attempt = await Sender(destinations).post("http://localhost:1/", b"{}", {})
    assert attempt.failure == "address_not_allowed"
