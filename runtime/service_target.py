"""Where another service is reached: one server, or replicas that share the calls.

The forms are those of gRPC's name syntax
(https://github.com/grpc/grpc/blob/master/doc/naming.md), of which these are taken:

- `host:port`: one server, or a balancer before several.
- `dns:///name:port`: every address of the name is a replica.
- `ipv4:address:port,address:port` and `ipv6:[address]:port,…`: each is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from runtime.addresses import is_loopback, split_address

# A client keeps a connection to each.
MAX_REPLICAS = 64
FORMS = "is not host:port, dns:///name:port, ipv4:address:port,… or ipv6:[address]:port,…"
_DNS = "dns:///"
_ADDRESSES: dict[str, Callable[[str], IPv4Address | IPv6Address]] = {
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
}


@dataclass(frozen=True)
class ServiceTarget:
    """A service's address as gRPC takes it."""

    uri: str
    shares_calls: bool
    """Whether calls are shared among all addresses that are well, rather than sent to the first."""
    is_loopback: bool
    """Whether nothing of it can be reached from another machine."""
    certificate_name: bool = True
    """Whether it has one name that certificates can be checked against."""


def parse_target(text: str) -> ServiceTarget:
    """Raises `ValueError`, whose message goes on after the setting's name."""
    scheme, separator, rest = text.partition(":")
    if text.startswith(_DNS):
        return _of_name(text.removeprefix(_DNS), text)
    if separator and scheme in _ADDRESSES:
        return _of_addresses(scheme, rest, text)
    if "," in text:
        raise ValueError(f"{FORMS}: several addresses need one of the last three")
    if "/" in text:
        raise ValueError(FORMS)
    _split(text, FORMS)
    return ServiceTarget(text, shares_calls=False, is_loopback=is_loopback(text))


def check_target(text: str) -> str:
    """The same text, for a setting's validator. Raises `ValueError` as `parse_target` does."""
    parse_target(text)
    return text


def tls_problem(text: str) -> str | None:
    """Why certificates of what is there cannot be checked, if they cannot."""
    if parse_target(text).certificate_name:
        return None
    return (
        "several IP addresses have no one name that certificates could be checked against:"
        " over TLS say dns:///name:port, of a name that has all of these addresses"
    )


def _of_name(authority: str, text: str) -> ServiceTarget:
    if "," in authority or "/" in authority:
        raise ValueError("is not dns:///name:port: it takes one name, whose addresses are replicas")
    host, _ = _split(authority, "is not dns:///name:port")
    return ServiceTarget(text, shares_calls=True, is_loopback=host == "localhost")


def _of_addresses(scheme: str, rest: str, text: str) -> ServiceTarget:
    form = "ipv4:address:port,…" if scheme == "ipv4" else "ipv6:[address]:port,…"
    addresses = rest.split(",")
    if len(addresses) > MAX_REPLICAS:
        raise ValueError(f"has {len(addresses)} addresses; at most {MAX_REPLICAS} are taken")
    hosts = []
    for number, address in enumerate(addresses, 1):
        problem = f"is not {form}: see number {number}"
        host, _ = _split(address, problem)
        try:
            _ADDRESSES[scheme](host)
        except ValueError:
            raise ValueError(problem) from None
        if address.startswith("[") != (scheme == "ipv6"):
            raise ValueError(problem)
        hosts.append(host)
    if len(set(addresses)) < len(addresses):
        raise ValueError("names an address twice")
    return ServiceTarget(
        text,
        shares_calls=True,
        is_loopback=all(ip_address(host).is_loopback for host in hosts),
        certificate_name=len(addresses) == 1,
    )


def _split(address: str, problem: str) -> tuple[str, int]:
    try:
        host, port = split_address(address)
    except ValueError:
        raise ValueError(problem) from None
    if port == 0:
        raise ValueError("names port 0, which nobody listens on")
    return host, port
