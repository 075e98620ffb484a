"""Checks of parameters that the SDK's types do not make, worded as Stripe's answers."""

from typing import Any

from sandbox.stripe_twin.errors import invalid_request


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
