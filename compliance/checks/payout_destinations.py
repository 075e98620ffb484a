"""Whether payouts of a currency reach the bank account or card that they go to.

Each currency has a default external account. One that a payout failed at is `errored`, and nothing
is paid out there until its details are updated, although every requirement is met; one whose
tokenized number was deactivated has to be verified again before money moves. `verification_failed`
says that the owner could not be verified: whether that stops payouts, Stripe says by
`payouts_enabled`. Words and meanings: stripe-python 16.1, `BankAccount.status` and `Card.status`.
"""

from collections.abc import Iterable, Sequence

from compliance.checks.facts import ExternalAccountFacts

ERRORED, DEACTIVATED, FAILED = "ERRORED", "DEACTIVATED", "VERIFICATION_FAILED"
# No money gets there.
STOPPED = frozenset({ERRORED, DEACTIVATED})
# Stripe may stop for it.
DOUBTFUL = frozenset({FAILED})
KNOWN = frozenset({"NEW", "VALIDATED", "VERIFIED", *STOPPED, *DOUBTFUL})


def destinations(
    accounts: Sequence[ExternalAccountFacts], currency_code: str
) -> tuple[ExternalAccountFacts, ...]:
    """Where payouts of the currency go: its default.

    Without one it is any account of the currency, and without that any at all: which one Stripe
    takes is then not known, so that each counts.
    """
    of_currency = [item for item in accounts if item.currency_code == currency_code]
    default = [item for item in of_currency if item.is_default]
    return tuple(default or of_currency or accounts)


def stopped_currencies(accounts: Iterable[ExternalAccountFacts]) -> dict[str, ExternalAccountFacts]:
    """The currencies whose default cannot be paid out to, with that."""
    return {
        item.currency_code: item for item in accounts if item.is_default and item.state in STOPPED
    }
