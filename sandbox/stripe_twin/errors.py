"""Stripe's error answers, worded and shaped as its API gives them.

And the checks of parameters that the SDK's types do not make.
"""

from typing import Any

DOC_URL = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer that is an error. `stored` says whether an idempotency key replays it."""

    def __init__(
        self,
        status: int,
        error: dict[str, Any],
        *,
        stored: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.error = error
        self.stored = stored
        self.headers = headers or {}


def invalid_request(
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    status: int = 400,
    stored: bool = True,
    **more: Any,
) -> ApiError:
    """`invalid_request_error`; `more` are further members such as `payment_intent`."""
    error: dict[str, Any] = {"message": message, "type": "invalid_request_error", **more}
    if code is not None:
        error |= {"code": code, "doc_url": DOC_URL + code.replace("_", "-")}
    if param is not None:
        error["param"] = param
    return ApiError(status, error, stored=stored)


def missing(kind: str, identifier: str, param: str, status: int = 404) -> ApiError:
    """`resource_missing`: 404 for the object in the path, 400 for one named in the parameters."""
    name = kind.replace("_", "")
    return invalid_request(
        f"No such {name}: '{identifier}'", code="resource_missing", param=param, status=status
    )


def unknown_route(method: str, path: str) -> ApiError:
    """The answer to a URL that Stripe, or this twin, does not have."""
    return invalid_request(
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, "
        "remove the trailing slash. If you are trying to retrieve an object, make sure you "
        "passed a valid (non-empty) identifier in your code.",
        status=404,
        stored=False,
    )


def unauthenticated(message: str) -> ApiError:
    """401; never stored under an idempotency key."""
    return ApiError(401, {"message": message, "type": "invalid_request_error"}, stored=False)


def account_invalid(key_hint: str, account_id: str) -> ApiError:
    """403: the key does not reach the account that `Stripe-Account` names."""
    message = (
        f"The provided key '{key_hint}' does not have access to account '{account_id}' (or that "
        "account does not exist). Application access may have been revoked."
    )
    error = {"message": message, "type": "invalid_request_error", "code": "account_invalid"}
    return ApiError(403, error, stored=False)


def permission_denied(message: str) -> ApiError:
    """403: the key reaches the account, and may not do this there."""
    return ApiError(403, {"message": message, "type": "invalid_request_error"}, stored=False)


def api_error(status: int, *, stored: bool) -> ApiError:
    """A 5xx as Stripe answers it."""
    message = (
        "An unknown error occurred. If this persists, reach out to Stripe support at "
        "https://support.stripe.com/"
    )
    return ApiError(status, {"message": message, "type": "api_error"}, stored=stored)


def rate_limited(reason: str = "global-rate") -> ApiError:
    """429 for load; the header says which limit was reached."""
    message = (
        "Request rate limit exceeded. You can learn more about rate limits here "
        "https://stripe.com/docs/rate-limits."
    )
    error = {"message": message, "type": "invalid_request_error", "code": "rate_limit"}
    headers = {"Stripe-Rate-Limited-Reason": reason}
    return ApiError(429, error, stored=False, headers=headers)


def lock_timeout() -> ApiError:
    """429 for contention on one object; says nothing about load."""
    message = (
        "This object cannot be accessed right now because another API request or Stripe process "
        "is currently accessing it. If you see this error intermittently, retry the request. If "
        "you see this error frequently and are making multiple concurrent requests to a single "
        "object, make your requests serially or at a lower rate."
    )
    error = {
        "message": message,
        "type": "invalid_request_error",
        "code": "lock_timeout",
        "doc_url": DOC_URL + "lock-timeout",
    }
    return ApiError(429, error, stored=False, headers={"Stripe-Should-Retry": "true"})


def check_choice(params: dict[str, Any], name: str, allowed: frozenset[str]) -> None:
    """Raises ApiError (400) if a parameter is given that is none of the allowed values."""
    if name in params and params[name] not in allowed:
        raise invalid_request(
            f"Invalid {name}: must be one of {', '.join(sorted(allowed))}", param=name
        )


def check_positive(amount: int, param: str = "amount") -> None:
    """Raises ApiError (400) for an amount below one."""
    if amount < 1:
        raise invalid_request(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=param,
        )
