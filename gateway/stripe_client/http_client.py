"""The HTTP client under the Stripe SDK.

Its own aiohttp client is not used: it calls every exception retryable, so that "never sent" and
"sent, answer lost" look alike; it reads the answer outside its error handling, so that a reset in
mid-answer escapes as another type; and its time limit is 80 seconds.

The SDK makes an object of every value in an answer, which takes fifty times as long as reading the
JSON: a page of 100 balance transactions held up the event loop for 130 ms. So every answer is read
here, and the SDK gets an empty object, or an empty error, to make its own of; `answer_of` and
`error_of` give the real one. What is not in Stripe's form (https://docs.stripe.com/api/errors), as
the answers of proxies are, is one exception here: the SDK would raise AttributeError for an `error`
that is a text, null or a list. What the SDK is for stays with it: the request, its parameters and
headers.
"""

import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any

import aiohttp
import stripe
from multidict import CIMultiDict

from runtime.descriptors import is_own_shortage

# Stripe's largest answers are pages of 100 objects, below 2 MB.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
# The SDK prints this header's value to standard error.
NOTICE_HEADER = "Stripe-Notice"
# The code of a connection that this machine had no descriptor or memory for.
OWN_SHORTAGE = "OWN_SHORTAGE"


class TransportError(stripe.APIConnectionError):
    """No whole answer came. `sent` is False only if no byte of the request can have gone out."""

    def __init__(self, transport_code: str, *, sent: bool) -> None:
        message = f"no answer from Stripe: {transport_code}"
        super().__init__(message)  # type: ignore[no-untyped-call]
        self.transport_code = transport_code
        self.sent = sent


class UnreadableAnswerError(stripe.APIError):
    """An answer that does not have Stripe's form, whatever its status. Quotes nothing of it."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__("not an answer of Stripe's", None, status, None, dict(headers))


class _AnswerHeaders(CIMultiDict[str]):
    """An answer's headers, through which what was read travels past the SDK."""

    answer: dict[str, Any] | None = None
    error: Mapping[str, Any] | None = None


def answer_of(made: stripe.StripeObject) -> dict[str, Any]:
    """What Stripe answered, as JSON has it, given what the SDK made of it."""
    headers = made.last_response.headers if made.last_response else None
    if not isinstance(headers, _AnswerHeaders) or headers.answer is None:
        raise TypeError("not an answer to a request of StripeHttpClient")
    return headers.answer


def error_of(raised: stripe.StripeError) -> Mapping[str, Any]:
    """The `error` of Stripe's answer that the SDK raised this for; empty if there is none."""
    headers: object = raised.headers
    if isinstance(headers, _AnswerHeaders) and headers.error is not None:
        return headers.error
    return {}


@cache
def _authorities(bundle: str) -> ssl.SSLContext:
    """The certificate authorities in a file; read once, for every client opens with them."""
    return ssl.create_default_context(cafile=bundle)


class StripeHttpClient(stripe.HTTPClient):
    """Sends the SDK's requests over one pool of connections. Open it inside the event loop."""

    name = "aiohttp"

    def __init__(self, *, max_connections: int, connect_timeout_seconds: float) -> None:
        super().__init__()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=max_connections, ssl=_authorities(stripe.ca_bundle_path)
            ),
            # The whole call is bounded by the caller, who knows the deadline.
            timeout=aiohttp.ClientTimeout(
                total=None, connect=connect_timeout_seconds, sock_connect=connect_timeout_seconds
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            async with self._session.request(
                method, url, headers=headers, data=_body(post_data), allow_redirects=False
            ) as response:
                body = await _read_bounded(response.content)
                answer_headers = _AnswerHeaders(response.headers)
                answer_headers.popall(NOTICE_HEADER, None)
                answer = _read_object(body)
                if answer is not None and 200 <= response.status < 300:
                    answer_headers.answer = answer
                    return b"{}", response.status, answer_headers
                error = answer.get("error") if answer is not None else None
                if not isinstance(error, dict):
                    raise UnreadableAnswerError(response.status, answer_headers)
                answer_headers.error = error
                return b'{"error": {}}', response.status, answer_headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _transport_error(error) from error

    async def request_stream_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
    ) -> tuple[AsyncIterator[bytes], int, Mapping[str, str]]:
        try:
            response = await self._session.request(
                method, url, headers=headers, data=_body(post_data), allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _transport_error(error) from error
        answer_headers = _AnswerHeaders(response.headers)
        answer_headers.popall(NOTICE_HEADER, None)
        if 200 <= response.status < 300:
            return _pieces(response), response.status, answer_headers
        try:
            answer = _read_object(await _read_bounded(response.content))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _transport_error(error) from error
        finally:
            response.close()
        error_object = answer.get("error") if answer is not None else None
        if not isinstance(error_object, dict):
            raise UnreadableAnswerError(response.status, answer_headers)
        answer_headers.error = error_object
        return _one_piece(b'{"error": {}}'), response.status, answer_headers

    async def close_async(self) -> None:
        await self._session.close()


def _transport_error(error: BaseException) -> TransportError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        if is_own_shortage(error):
            return TransportError(OWN_SHORTAGE, sent=False)
        return TransportError("CONNECT_FAILED", sent=False)
    return TransportError("CONNECTION_LOST", sent=True)


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """What comes, as it comes; the connection is given up with the iterator."""
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _transport_error(error) from error
    finally:
        response.close()


async def _one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _body(post_data: Any) -> Any:
    """A body of many bytes is sent piece by piece: aiohttp writes bytes as they are at once, with
    nothing else done meanwhile, and warns of that above 1 MiB."""
    return io.BytesIO(post_data) if isinstance(post_data, bytes) else post_data


def _read_object(body: bytes) -> dict[str, Any] | None:
    """None if it is not a JSON object."""
    try:
        answer = json.loads(body)
    # Deep nesting ends in a RecursionError.
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise TransportError("ANSWER_TOO_LARGE", sent=True)
        parts.append(part)
    return b"".join(parts)
