"""Where requests may go: never to our own network, whatever a client's URL or its DNS says.

An endpoint's URL is the client's input, and the gateway stands inside. Names are looked up by the
connection itself through `PublicResolver`, so what was checked is what is connected to; a name
that changes its address between two look-ups gains nothing.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

# Addresses that stand for IPv4 ones: NAT64 and 6to4. What is behind them cannot be told from here.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("2002::/16"))


class AddressNotAllowedError(OSError):
    """A host that is not on the public internet."""


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet."""
    parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif any(parsed in network for network in _TRANSLATED):
            return False
    return parsed.is_global and not parsed.is_multicast


def url_problem(url: str) -> str | None:
    """What is wrong with an endpoint's URL, wherever it leads to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "is not an http or https URL"
    if parts.username is not None or parts.password is not None:
        return "has a user or a password"
    if parts.fragment or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        return "has a fragment, or characters that a URL cannot have"
    return None


def check_host(url: str) -> None:
    """Refuses a URL that is not https, or whose host is an address of a private network.

    Raises AddressNotAllowedError. A name is judged when it is looked up.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise AddressNotAllowedError("not https")
    assert parts.hostname is not None, "it was validated"
    try:
        public = is_public(parts.hostname)
    except ValueError:
        return
    if not public:
        raise AddressNotAllowedError("not on the public internet")


class PublicResolver(AbstractResolver):
    """Looks names up, and refuses those with any address that is not public."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises AddressNotAllowedError, or OSError for an unknown one."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise AddressNotAllowedError("not on the public internet")
        return found

    async def close(self) -> None:
        """Nothing is held open."""
        await self._resolver.close()
