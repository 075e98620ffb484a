"""Where webhooks to clients may go: never into our own network, whatever a client's URL or its DNS
says. One table, asked when an endpoint is registered and again for each address before a
connection."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_PORTS = "443,8443"
MAX_NETWORKS = 256
MAX_PORTS = 64

# https://www.iana.org/assignments/iana-ipv4-special-registry, multicast and what is reserved. Not
# Python's `is_global`, which follows the registry of the version that happens to run.
_SPECIAL_V4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by carriers; a cloud's metadata at 100.100.100.200
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's own services, as every virtual machine there sees them
    "169.254.0.0/16",  # link-local; clouds' metadata at 169.254.169.254
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
# https://www.iana.org/assignments/iana-ipv6-special-registry, within what is global unicast.
_SPECIAL_V6 = (
    "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: what is behind it cannot be known from here
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)
# https://www.iana.org/assignments/ipv6-address-space: whatever is outside is loopback, local,
# multicast, translated (64:ff9b::/96) or not given to anybody.
_GLOBAL_V6 = ip_network("2000::/3")
_SPECIAL: tuple[Network, ...] = tuple(map(ip_network, (*_SPECIAL_V4, *_SPECIAL_V6)))
# Names that are looked up on the spot, or nowhere:
# https://www.iana.org/assignments/special-use-domain-names, and what clouds call their insides.
_SPECIAL_NAMES = frozenset(
    ("alt", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "test")
)


class AddressNotAllowedError(OSError):
    """Where nothing is sent to."""


def networks_of(text: str | None) -> tuple[Network, ...]:
    """Comma separated networks of a setting. Raises ValueError, which names the wrong one."""
    found: list[Network] = []
    for part in (text or "").split(","):
        if part.strip():
            try:
                found.append(ip_network(part.strip()))
            except ValueError:
                raise ValueError(f"{part.strip()!r} is not a network such as 10.1.0.0/16") from None
    if len(found) > MAX_NETWORKS:
        raise ValueError(f"has more than {MAX_NETWORKS} networks")
    return tuple(found)


def ports_of(text: str) -> frozenset[int]:
    """Comma separated ports of a setting. Raises ValueError, which names the wrong one."""
    found: set[int] = set()
    for part in text.split(","):
        digits = part.strip()
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65_536):
            raise ValueError(f"{digits!r} is not a port")
        found.add(int(digits))
    if len(found) > MAX_PORTS:
        raise ValueError(f"has more than {MAX_PORTS} ports")
    return frozenset(found)


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet."""
    address = _unmapped(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return False
    return not any(address in network for network in _SPECIAL)


@dataclass(frozen=True, kw_only=True)
class Destinations:
    """What operators let webhooks go to. What is denied is so whatever else is said; what is
    allowed may be inside."""

    anywhere: bool = False
    """In the sandbox, where clients' servers are on this machine; what is denied stays so."""
    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()
    ports: frozenset[int] = ports_of(DEFAULT_PORTS)

    def check_url(self, url: str) -> None:
        """Refuses a URL that leads where nothing is sent to, as far as it says so itself: a name is
        judged by its addresses, whenever it is looked up. Raises `AddressNotAllowedError`."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        literal = _literal(host)
        if literal is not None:
            self.check_addresses([literal])
        if self.anywhere:
            return
        if parts.scheme != "https":
            raise AddressNotAllowedError("not https")
        if (parts.port or 443) not in self.ports:
            raise AddressNotAllowedError("not a port that is sent to")
        labels = host.split(".")
        endings = {".".join(labels[start:]) for start in range(len(labels))}
        if literal is None and (len(labels) == 1 or endings & _SPECIAL_NAMES):
            raise AddressNotAllowedError("not a name of the public internet")

    def check_addresses(self, addresses: Iterable[str]) -> None:
        """Refuses a host any of whose addresses is not sent to. Raises `AddressNotAllowedError`."""
        for text in addresses:
            address = _unmapped(ip_address(text.partition("%")[0]))
            if any(address in network for network in self.denied):
                raise AddressNotAllowedError("denied by the operators")
            inside = not (self.anywhere or is_public(address))
            if inside and not any(address in network for network in self.allowed):
                raise AddressNotAllowedError("not on the public internet")


def _unmapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _literal(host: str) -> str | None:
    """The address that a host is, in any of the ways in which the C library reads one; None for a
    name."""
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        # "127.1", "2130706433" and "0x7f.1" are 127.0.0.1.
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError:
        return None
