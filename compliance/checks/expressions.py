"""The operator's own rules: CEL expressions over typed facts, checked before they are stored.

The language is the Common Expression Language (https://cel.dev): no loops but over lists, no
clock, no state. An expression is compiled against the types of `FACTS`, so that one which asks for
a fact that there is not, or compares amounts with fractions, is never stored. What it may cost is
bounded twice: by `MAX_EXPRESSION_BYTES` and one comprehension at most, and by the engine's own
budget of iterations and nesting, beyond which evaluating ends with an error.

An expression that ends with an error says neither yes nor no; what follows is the caller's to say.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

from cel_expr_python.cel import Env, Expression, NewEnv, Type

from compliance.checks.facts import CheckFacts, Role, SubjectFacts
from compliance.checks.history import HistoryFacts, Scope, Window
from compliance.checks.identity import proofs
from compliance.checks.rates import RateFacts, RateWindow

MAX_EXPRESSION_BYTES = 1_024
MAX_COMPREHENSIONS = 1
# Stands for the days since something that never was: longer ago than anything.
NEVER_DAYS = 1_000_000
# Sums beyond it stay there.
MAX_INT = 2**63 - 1
# Compiled expressions that are kept: those of the policies in use and of a few backtests.
MAX_COMPILED = 1_000

# Also where it stands in a text: nobody has to know how texts are written.
_COMPREHENSION = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_POSITION = re.compile(r"^INVALID_ARGUMENT: ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE)


class ExpressionError(ValueError):
    """Why an expression cannot be a rule."""


def _countries(facts: CheckFacts) -> list[str]:
    return sorted(set(facts.country_codes))


def _owner_countries(facts: CheckFacts) -> list[str]:
    return sorted({owner.country_code for owner in facts.owners if owner.country_code})


def _requirements(facts: CheckFacts) -> list[str]:
    if facts.account is None:
        return []
    return sorted({item.field for item in facts.account.requirements if not item.future})


def _of_merchant(name: str) -> Callable[[CheckFacts], Any]:
    return lambda facts: _of(facts.merchant, name)


def _of_customer(name: str) -> Callable[[CheckFacts], Any]:
    return lambda facts: _of(facts.customer, name)


def _of(subject: SubjectFacts | None, name: str) -> Any:
    return "" if subject is None else getattr(subject, name)


def _days_verified(role: Role) -> Callable[[CheckFacts], int]:
    """Whole days since the newest verification that counts; of owners the longest."""

    def read(facts: CheckFacts) -> int:
        if role is Role.OWNER:
            owners = (owner for owner in facts.owners if owner.state != "CLOSED")
            return max((_days_of(owner, facts) for owner in owners), default=0)
        return _days_of(facts.merchant if role is Role.MERCHANT else facts.customer, facts)

    return read


def _days_of(subject: SubjectFacts | None, facts: CheckFacts) -> int:
    found = proofs(subject.verifications) if subject is not None else ()
    if not found:
        return NEVER_DAYS
    return min(max((facts.as_of - found[0][0]) // timedelta(days=1), 0), NEVER_DAYS)


def _of_history(scope: Scope, name: str, window: Window) -> Callable[[CheckFacts], int]:
    index = list(Window).index(window)

    def read(facts: CheckFacts) -> int:
        history = _history(facts, scope)
        figures = getattr(history, name) if history is not None else ()
        return min(figures[index], MAX_INT) if figures else 0

    return read


def _days_since(scope: Scope) -> Callable[[CheckFacts], int]:
    def read(facts: CheckFacts) -> int:
        history = _history(facts, scope)
        if history is None or history.last_time is None:
            return -1
        return max((facts.as_of - history.last_time) // timedelta(days=1), 0)

    return read


def _history(facts: CheckFacts, scope: Scope) -> HistoryFacts | None:
    return next((history for history in facts.history if history.scope is scope), None)


def _history_facts() -> Iterator[tuple[str, tuple[Type, Callable[[CheckFacts], Any], str]]]:
    """Of each scope, by window; all without the payment itself, and 0 where nothing is known."""
    figures = (
        ("payments", "counts", "let through within that time, in any currency"),
        ("amount_minor", "amounts_minor", "their sum in the currency of this one"),
        ("near_limit", "near_counts", "those of them just under the review limit"),
    )
    for scope in Scope:
        for word, name, meaning in figures:
            for window in Window:
                yield (
                    f"{scope.lower()}_{word}_{window}",
                    (Type.INT, _of_history(scope, name, window), meaning),
                )
        yield (
            f"{scope.lower()}_idle_days",
            (Type.INT, _days_since(scope), "whole days since the last one; -1 without one"),
        )
    for window in Window:
        yield (
            f"card_other_customers_{window}",
            (
                Type.INT,
                _of_history(Scope.CARD, "other_customers", window),
                "that the card paid for",
            ),
        )


def _of_rates(read_rate: Callable[[RateFacts, int], int], window: RateWindow, unknown: int) -> Any:
    index = list(RateWindow).index(window)

    def read(facts: CheckFacts) -> int:
        return unknown if facts.rates is None else min(read_rate(facts.rates, index), MAX_INT)

    return read


def _rate_facts() -> Iterator[tuple[str, tuple[Type, Callable[[CheckFacts], Any], str]]]:
    """Of the merchant's payments, by window."""
    figures: tuple[tuple[str, Callable[[RateFacts, int], int], int, str], ...] = (
        ("succeeded", lambda r, i: r.payments[i], 0, "payments that succeeded, in any currency"),
        ("disputes", lambda r, i: r.disputes[i], 0, "disputes that were opened"),
        ("refunds", lambda r, i: r.refunds[i], 0, "refunds that Stripe has made"),
        ("captured_minor", lambda r, i: r.captured_minor[i], 0, "captured in this currency"),
        ("refunded_minor", lambda r, i: r.refunded_minor[i], 0, "refunded in this currency"),
        ("disputed_minor", lambda r, i: r.disputed_minor[i], 0, "disputed in this currency"),
        ("chargeback_bp", RateFacts.chargeback_bp, -1, "disputes in basis points of payments"),
        ("refund_bp", RateFacts.refund_bp, -1, "refunds in basis points of payments"),
        (
            "refunded_amount_bp",
            RateFacts.refunded_amount_bp,
            -1,
            "what was refunded in basis points of what was captured, in this currency",
        ),
    )
    for word, read_rate, unknown, meaning in figures:
        for window in RateWindow:
            yield (
                f"merchant_{word}_{window}",
                (Type.INT, _of_rates(read_rate, window, unknown), meaning),
            )


def _rates_age(facts: CheckFacts) -> int:
    if facts.rates is None:
        return -1
    return max((facts.as_of - facts.rates.follow_time) // timedelta(minutes=1), 0)


# Name: type, how it is read, what it is. Texts are empty and lists have no elements where nothing
# is known. A name never changes its meaning: stored expressions go by it.
FACTS: Mapping[str, tuple[Type, Callable[[CheckFacts], Any], str]] = MappingProxyType(
    {
        "kind": (Type.STRING, lambda f: f.kind.value, '"PAYMENT", "TRANSFER" or "PAYOUT"'),
        "amount_minor": (Type.INT, lambda f: f.amount_minor, "minor units of the currency"),
        "currency_code": (Type.STRING, lambda f: f.currency_code, "ISO 4217"),
        "corridor": (Type.STRING, lambda f: f.corridor, "the Stripe account it goes through"),
        "payment_method_type": (
            Type.STRING,
            lambda f: f.payment_method_type,
            'as Stripe calls it ("sepa_debit"); empty for a card',
        ),
        "country_codes": (
            Type.List(Type.STRING),
            _countries,
            "of the billing address, the payment method and the network",
        ),
        "as_of": (Type.TIMESTAMP, lambda f: f.as_of, "when it is checked"),
        "merchant_id": (Type.STRING, lambda f: f.merchant_id, "as it was asked for"),
        "merchant_known": (Type.BOOL, lambda f: f.merchant is not None, "there is such a merchant"),
        "merchant_country_code": (Type.STRING, _of_merchant("country_code"), "ISO 3166-1 alpha-2"),
        "merchant_kyc_state": (
            Type.STRING,
            _of_merchant("kyc_state"),
            '"VERIFIED" and the other words of KycState',
        ),
        "customer_id": (Type.STRING, lambda f: f.customer_id, "empty for a guest"),
        "customer_known": (Type.BOOL, lambda f: f.customer is not None, "there is such a customer"),
        "customer_country_code": (Type.STRING, _of_customer("country_code"), "ISO 3166-1 alpha-2"),
        "owner_country_codes": (
            Type.List(Type.STRING),
            _owner_countries,
            "of the merchant's owners",
        ),
        "connected_account_id": (
            Type.STRING,
            lambda f: f.expected_account_id,
            "the account that evidence is needed of; empty where there is none",
        ),
        "charges_enabled": (
            Type.BOOL,
            lambda f: f.account is not None and f.account.charges_enabled,
            "Stripe lets the account charge",
        ),
        "payouts_enabled": (
            Type.BOOL,
            lambda f: f.account is not None and f.account.payouts_enabled,
            "Stripe lets the account pay out",
        ),
        "disabled_reason": (
            Type.STRING,
            lambda f: "" if f.account is None else f.account.disabled_reason,
            "Stripe's word",
        ),
        "requirement_fields": (
            Type.List(Type.STRING),
            _requirements,
            "what Stripe wants of the account now",
        ),
        **{
            f"{role.lower()}_identity_days": (
                Type.INT,
                _days_verified(role),
                f"whole days since Stripe Identity verified {whom}; {NEVER_DAYS} where it has not",
            )
            for role, whom in (
                (Role.MERCHANT, "the merchant"),
                (Role.CUSTOMER, "the customer"),
                (Role.OWNER, "every owner, 0 without owners"),
            )
        },
        **dict(_history_facts()),
        **dict(_rate_facts()),
        "merchant_rates_age_minutes": (
            Type.INT,
            _rates_age,
            "since the feed behind these was followed to its end; -1 if it never was",
        ),
    }
)


def check_expression(expression: str) -> None:
    """Raises `ExpressionError`, with the place and what is wrong there, unless it can be a rule."""
    size = len(expression.encode())
    if size > MAX_EXPRESSION_BYTES:
        raise ExpressionError(f"{size} bytes, {MAX_EXPRESSION_BYTES} are the most")
    comprehensions = len(_COMPREHENSION.findall(expression))
    if comprehensions > MAX_COMPREHENSIONS:
        raise ExpressionError(
            f"{comprehensions} of all, exists, exists_one, map and filter,"
            f" {MAX_COMPREHENSIONS} is the most: write two rules"
        )
    compiled = _compile(expression)
    if compiled.return_type() != Type.BOOL:
        raise ExpressionError(f"is {compiled.return_type().name()}, has to be BOOL")


def values_of(facts: CheckFacts) -> dict[str, Any]:
    """The facts by the names that expressions know them by."""
    return {name: read(facts) for name, (_type, read, _meaning) in FACTS.items()}


def holds(expression: str, values: Mapping[str, Any]) -> bool:
    """What the expression says of the facts. Raises `ExpressionError` if it ends with an error."""
    try:
        value = _compile(expression).eval(data=values)
    except RuntimeError as error:  # The budget of iterations or of nesting is used up.
        raise ExpressionError(str(error)) from error
    # An error is a value, too, and a text that is true.
    if value.type() != Type.BOOL:
        raise ExpressionError(f"{value.type().name()}: {value.value()}")
    return value.value() is True


@cache
def _environment() -> Env:
    return NewEnv(variables={name: kind for name, (kind, _read, _meaning) in FACTS.items()})


def _compile(expression: str) -> Expression:
    compiled = _COMPILED.get(expression)
    if compiled is None:
        try:
            compiled = _environment().compile(expression)
        except RuntimeError as error:
            raise ExpressionError(_defect(str(error))) from error
        if len(_COMPILED) >= MAX_COMPILED:
            _COMPILED.clear()
        _COMPILED[expression] = compiled
    return compiled


_COMPILED: dict[str, Expression] = {}


def _defect(message: str) -> str:
    """The engine's first complaint without the picture that it draws of it."""
    found = _POSITION.search(message)
    if found is None:
        return message.splitlines()[0]
    line, column, what = found.groups()
    return f"line {line}, column {column}: {what}"
