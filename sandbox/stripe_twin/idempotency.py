"""Idempotency keys: https://docs.stripe.com/api/idempotent_requests.

The first answer of an endpoint that began to execute is kept under the key, whatever it was, and
given again with `Idempotent-Replayed: true`. What failed before executing is not kept.
"""

from dataclasses import dataclass
from hashlib import blake2b

from sandbox.stripe_twin.errors import ApiError, invalid_request

# Stripe may forget a key once it is at least 24 hours old; the twin does so at once, which is the
# case that hurts.
RETENTION_SECONDS = 24 * 60 * 60
MAX_KEY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a finished request answered."""

    status: int
    body: bytes
    request_id: str


@dataclass(slots=True)
class _Record:
    path: str
    fingerprint: bytes
    created: float
    answer: StoredAnswer | None = None


class IdempotencyKeys:
    """The keys of one account. Not shared: Stripe scopes keys to the account they act on."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def begin(self, key: str, path: str, body: bytes, now: float) -> StoredAnswer | None:
        """Claims the key for a request, or gives the answer to replay.

        Raises ApiError: 400 for a key that was used otherwise, 409 while one is in flight.
        """
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise invalid_request(
                f"Idempotency keys must be between 1 and {MAX_KEY_LENGTH} characters long.",
                stored=False,
            )
        self._forget_expired(now)
        # Stripe compares parameters, whose order does not matter.
        fields = b"&".join(sorted(body.split(b"&")))
        fingerprint = blake2b(fields, digest_size=16).digest()
        record = self._records.get(key)
        if record is None:
            self._records[key] = _Record(path, fingerprint, now)
            return None
        if record.path != path:
            raise _misused(
                "Keys for idempotent requests can only be used for the same endpoint they were "
                f"first used for ('{path}' vs '{record.path}'). Try using a key other than "
                f"'{key}' if you meant to execute a different request."
            )
        if record.fingerprint != fingerprint:
            raise _misused(
                "Keys for idempotent requests can only be used with the same parameters they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request."
            )
        if record.answer is None:
            raise _in_use(key)
        return record.answer

    def finish(self, key: str, answer: StoredAnswer) -> None:
        """Keeps the answer of the request that holds the key."""
        self._records[key].answer = answer

    def release(self, key: str) -> None:
        """Gives the key up: the request ended before its endpoint executed."""
        del self._records[key]

    def __len__(self) -> int:
        return len(self._records)

    def _forget_expired(self, now: float) -> None:
        # Records are in the order of their creation, so the oldest is always the first.
        while self._records:
            oldest, record = next(iter(self._records.items()))
            if record.answer is None or now - record.created < RETENTION_SECONDS:
                return
            del self._records[oldest]


def _misused(message: str) -> ApiError:
    return ApiError(400, {"message": message, "type": "idempotency_error"}, stored=False)


def _in_use(key: str) -> ApiError:
    message = (
        "There is currently another in-progress request using this Stripe idempotent key (that "
        f"probably means you submitted twice, and the other request is still going through): {key}"
        ". Please try again later."
    )
    error = {"message": message, "type": "idempotency_error", "code": "idempotency_key_in_use"}
    return ApiError(409, error, stored=False, headers={"Stripe-Should-Retry": "true"})
