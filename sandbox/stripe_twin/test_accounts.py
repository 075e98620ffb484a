"""Stripe's documented test bank accounts, and what their banks say days after a debit.

https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test-integration,
https://docs.stripe.com/payments/sepa-debit/accept-a-payment#test-integration and the pages of the
other debits beside them. Those that are named by a token are verified.
"""

from sandbox.stripe_twin.cards import Decline, RefundOutcome, TestCard

ACH, SEPA = "us_bank_account", "sepa_debit"
BACS, BECS, ACSS = "bacs_debit", "au_becs_debit", "acss_debit"
# What each can be charged in: the pages of each method under https://docs.stripe.com/payments.
CURRENCIES = {
    ACH: ("usd",),
    SEPA: ("eur",),
    BACS: ("gbp",),
    BECS: ("aud",),
    ACSS: ("cad", "usd"),
}
BANK_DEBITS = frozenset(CURRENCIES)
# Accounts of these have to be verified, as far as they are given by their numbers.
VERIFIED_BY_MICRODEPOSITS = frozenset({ACH, ACSS})
_COUNTRIES = {ACH: "US", SEPA: "AT", BACS: "GB", BECS: "AU", ACSS: "CA"}


def _failure(code: str, message: str) -> Decline:
    """What a bank refuses has a code alone: neither advice nor a network speaks of it."""
    return Decline(code, None, message, None)


ACCOUNT_CLOSED = _failure("account_closed", "The customer's bank account has been closed.")
NO_ACCOUNT = _failure("no_account", "The customer's bank account could not be located.")
NO_MONEY = _failure("insufficient_funds", "The customer's account has insufficient funds.")
NOT_AUTHORIZED = _failure(
    "debit_not_authorized", "The customer has told their bank that this payment is unauthorized."
)
INVALID_CURRENCY = _failure("invalid_currency", "The account cannot be debited in this currency.")
OVER_LIMIT = _failure("charge_exceeds_source_limit", "The account has reached its weekly limit.")
COULD_NOT_PROCESS = _failure("generic_could_not_process", "The payment could not be processed.")
FAILURES: dict[str, Decline] = {
    failure.code: failure
    for failure in (
        *(ACCOUNT_CLOSED, NO_ACCOUNT, NO_MONEY, NOT_AUTHORIZED),
        *(INVALID_CURRENCY, OVER_LIMIT, COULD_NOT_PROCESS),
    )
}


def _account(
    kind: str,
    number: str,
    failure: Decline | None = None,
    *,
    dispute: str | None = None,
    undecided: bool = False,
) -> TestCard:
    return TestCard(
        number,
        brand=kind,
        country=_COUNTRIES[kind],
        decline=failure,
        dispute=dispute,
        # A bank takes days to book what it is sent: the refund is pending until then.
        refund=RefundOutcome.PENDING_THEN_SUCCEEDS,
        kind=kind,
        undecided=undecided,
    )


ACCOUNTS_BY_TOKEN: dict[str, TestCard] = {
    "pm_usBankAccount_success": _account(ACH, "000123456789"),
    "pm_usBankAccount_accountClosed": _account(ACH, "000111111113", ACCOUNT_CLOSED),
    "pm_usBankAccount_noAccount": _account(ACH, "000111111116", NO_ACCOUNT),
    "pm_usBankAccount_insufficientFunds": _account(ACH, "000222222227", NO_MONEY),
    "pm_usBankAccount_debitNotAuthorized": _account(ACH, "000333333335", NOT_AUTHORIZED),
    "pm_usBankAccount_invalidCurrency": _account(ACH, "000444444440", INVALID_CURRENCY),
    "pm_usBankAccount_dispute": _account(ACH, "000555555559", dispute="debit_not_authorized"),
    "pm_usBankAccount_processing": _account(ACH, "000000000009", undecided=True),
    "pm_usBankAccount_weeklyLimitExceeded": _account(ACH, "000777777771", OVER_LIMIT),
    "pm_sepaDebit_success_at": _account(SEPA, "AT611904300234573201"),
    "pm_sepaDebit_failed_at": _account(SEPA, "AT861904300235473202", COULD_NOT_PROCESS),
    "pm_sepaDebit_disputed_at": _account(
        SEPA, "AT591904300235473203", dispute="debit_not_authorized"
    ),
    "pm_sepaDebit_exceedsWeeklyVolumeLimit_at": _account(SEPA, "AT981904300000343434", OVER_LIMIT),
    "pm_sepaDebit_insufficientFunds_at": _account(SEPA, "AT981904300002222227", NO_MONEY),
    "pm_bacsDebit_success": _account(BACS, "00012345"),
    "pm_bacsDebit_accountClosed": _account(BACS, "11111113", ACCOUNT_CLOSED),
    "pm_auBecsDebit_success": _account(BECS, "000123456"),
    "pm_auBecsDebit_accountClosed": _account(BECS, "111111113", ACCOUNT_CLOSED),
    "pm_acssDebit_success": _account(ACSS, "000123456789"),
    "pm_acssDebit_accountClosed": _account(ACSS, "000111111113", ACCOUNT_CLOSED),
}
ACCOUNTS_BY_NUMBER: dict[tuple[str, str], TestCard] = {
    (account.kind, account.number): account for account in ACCOUNTS_BY_TOKEN.values()
}
