"""One request to a client's endpoint, and no more of its answer than it takes to see the status.

The endpoint is anybody's server, and a general HTTP client does not bound what it reads before the
status: a hostile answer stalled the event loop for seconds. Here that is bounded in bytes and time,
and what comes after it is not read at all.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from runtime.descriptors import is_own_shortage
from runtime.webhook_addresses import AddressNotAllowedError, Destinations
from runtime.webhooks import Attempt

# From looking the name up to the status.
REQUEST_SECONDS = 15.0
# Of these, for the name, the connection and TLS.
CONNECT_SECONDS = 5.0
# Of one host, in the order in which they were found.
MAX_ADDRESSES = 4
# Of an answer until the end of its head, interim ones (1xx) included.
MAX_HEAD_BYTES = 16 * 1024
_HEADERS = {"content-type": "application/json", "user-agent": "payment-engine-webhooks/1"}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_RETRY_AFTER = re.compile(rb"^retry-after:[ \t]*([0-9]{1,9})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_END_OF_HEAD = b"\r\n\r\n"


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


@cache
def system_authorities() -> ssl.SSLContext:
    """The machine's certificate authorities; read once, for it takes a twentieth of a second."""
    return ssl.create_default_context()


class _BadAnswerError(Exception):
    """What is no HTTP, or has no end."""


class _Answer(NamedTuple):
    status: int
    retry_after: timedelta | None


class Sender:
    """Posts to endpoints, where they may be sent to."""

    def __init__(self, destinations: Destinations, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says whom to trust; by default the machine's certificate authorities."""
        self._destinations = destinations
        self._tls = tls or system_authorities()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Attempt:
        """Sends once. Only a 2xx is success; a redirect is not followed, and so a failure.

        Raises OSError where this machine has no descriptor left: that is no attempt.
        """
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await self._send(urlsplit(url), body, headers)
        except _BadAnswerError:
            return Attempt(failure="bad_answer")
        except (OSError, UnicodeError) as error:
            if is_own_shortage(error):
                # Nothing was sent, and the endpoint is not at fault.
                raise OSError(errno.EMFILE, "no descriptor left to send a webhook with") from error
            return Attempt(failure=_failure_of(error))
        if 200 <= answer.status < 300:
            return Attempt(http_status=answer.status)
        if 300 <= answer.status < 400:
            return Attempt(http_status=answer.status, failure="redirect")
        return Attempt(answer.status, "http_status", answer.retry_after)

    async def _send(self, url: SplitResult, body: bytes, headers: Mapping[str, str]) -> _Answer:
        self._destinations.check_url(url.geturl())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await self._connect(url)
        except (ssl.SSLError, AddressNotAllowedError, TimeoutError):
            raise
        except OSError as error:
            raise ConnectionRefusedError from error
        try:
            # Not waited for until it is sent: a server may answer without reading it.
            writer.write(_head(url, len(body), headers) + body)
            return await _read_answer(reader)
        finally:
            # The rest of the answer is not waited for.
            writer.transport.abort()

    async def _connect(self, url: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to one of the host's addresses, all of which have to be allowed. They are
        looked up each time: what was public may not be any more."""
        host, secure = url.hostname or "", url.scheme == "https"
        port = url.port or (443 if secure else 80)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
        self._destinations.check_addresses(addresses)
        failure: OSError = ConnectionRefusedError("the name has no address")
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return await asyncio.open_connection(
                    address,
                    port,
                    limit=MAX_HEAD_BYTES,
                    ssl=self._tls if secure else None,
                    server_hostname=host if secure else None,
                )
            except ssl.SSLError:
                raise
            except OSError as error:
                failure = error
        raise failure


def _head(url: SplitResult, length: int, headers: Mapping[str, str]) -> bytes:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"POST {target} HTTP/1.1", f"host: {url.netloc}"]
    fields = {**_HEADERS, **headers, "content-length": str(length), "connection": "close"}
    lines += [f"{name}: {value}" for name, value in fields.items()]
    assert not any("\r" in line or "\n" in line for line in lines), "one line each"
    return ("\r\n".join(lines)).encode("ascii") + _END_OF_HEAD


async def _read_answer(reader: asyncio.StreamReader) -> _Answer:
    """The status of the final answer. Raises `_BadAnswerError`, or OSError if it is cut short."""
    received, left = bytearray(), MAX_HEAD_BYTES
    while True:  # Bounded by the bytes that are left.
        end = received.find(_END_OF_HEAD)
        if end >= 0:
            answer = _answer_of(bytes(received[:end]))
            if answer.status >= 200:
                return answer
            del received[: end + len(_END_OF_HEAD)]
            continue
        if left <= 0:
            raise _BadAnswerError
        part = await reader.read(left)
        if not part:
            raise ConnectionResetError
        received += part
        left -= len(part)


def _answer_of(head: bytes) -> _Answer:
    line, _, fields = head.partition(b"\r\n")
    status = _STATUS_LINE.fullmatch(line)
    if status is None:
        raise _BadAnswerError
    # A date is ignored.
    wait = _RETRY_AFTER.search(fields.replace(b"\r\n", b"\n"))
    return _Answer(int(status[1]), timedelta(seconds=int(wait[1])) if wait else None)


def _failure_of(error: BaseException) -> str:
    """A failure in one word; never the error's text, which quotes the URL."""
    if isinstance(error, AddressNotAllowedError):
        return "address_not_allowed"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError | UnicodeError):
        return "connect"
    return "connection_lost"
