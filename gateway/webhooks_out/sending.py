"""One request to a client's endpoint: where it may go (never to our own network, whatever a
client's URL or its DNS says), and sending it. What it answers is not read but for its status."""

import errno
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateway.webhooks_out.domain import Attempt
from runtime.descriptors import is_own_shortage

# Addresses that stand for IPv4 ones: NAT64 and 6to4. What is behind them cannot be known from here.
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


REQUEST_SECONDS = 15.0
CONNECT_SECONDS = 5.0
_HEADERS = {"content-type": "application/json", "user-agent": "payment-engine-webhooks/1"}
_MAX_RETRY_AFTER_DIGITS = 9


class Sender:
    """Posts to endpoints; open as a context. `public_only` holds outside the sandbox."""

    def __init__(
        self, *, public_only: bool, max_connections: int, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` says whom to trust; by default the machine's certificate authorities."""
        self._public_only = public_only
        self._max_connections = max_connections
        self._tls = tls or ssl.create_default_context()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Sender":
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            ssl=self._tls,
            resolver=PublicResolver() if self._public_only else None,
            # An address is asked for each time: what was public may not be any more.
            use_dns_cache=False,
        )
        # No cookies, no proxy of the environment: a request has what we put into it.
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Sends once. Only a 2xx is success; a redirect is not followed, and so a failure.

        Raises OSError where this machine has no descriptor left: that is no attempt.
        """
        assert self._session is not None, "the sender is open"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            if self._public_only:
                check_host(url)
            async with self._session.post(
                url,
                data=body,
                headers={**_HEADERS, **headers},
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                status, retry_after = answer.status, answer.headers.get("retry-after", "")
                # The rest of the answer is not waited for.
                answer.close()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if is_own_shortage(error):
                # Nothing was sent, and the endpoint is not at fault.
                raise OSError(errno.EMFILE, "no descriptor left to send a webhook with") from error
            return Attempt(failure=_failure_of(error))
        if 200 <= status < 300:
            return Attempt(http_status=status)
        if 300 <= status < 400:
            return Attempt(http_status=status, failure="redirect")
        return Attempt(status, "http_status", _seconds(retry_after))


def _failure_of(error: BaseException) -> str:
    """A failure in one word; never the error's text, which quotes the URL."""
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, AddressNotAllowedError)
        return "address_not_allowed" if refused else "connect"
    if isinstance(error, AddressNotAllowedError):
        return "address_not_allowed"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "connection_lost"


def _seconds(retry_after: str) -> timedelta | None:
    """A Retry-After in seconds; a date is ignored."""
    if not retry_after.isascii() or not retry_after.isdigit():
        return None
    if len(retry_after) > _MAX_RETRY_AFTER_DIGITS:
        return None
    return timedelta(seconds=int(retry_after))
