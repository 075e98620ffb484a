"""One request to a client's endpoint. What it answers is not read but for its status."""

import ssl
from collections.abc import Mapping
from datetime import timedelta

import aiohttp

from gateway.outgoing.addresses import AddressNotAllowedError, PublicResolver, check_host
from gateway.outgoing.endpoint import Attempt

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
        # No cookies, no proxy of the environment: a request carries what we put into it.
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Sends once. Only a 2xx is success; a redirect is not followed, and so a failure."""
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
    """A Retry-After in seconds; a date is not looked at."""
    if not retry_after.isascii() or not retry_after.isdigit():
        return None
    if len(retry_after) > _MAX_RETRY_AFTER_DIGITS:
        return None
    return timedelta(seconds=int(retry_after))
