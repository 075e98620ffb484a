"""The accounts that histories begin with: every kind of limit, three currencies, paths."""

from ledger.v1 import account_pb2 as accounts

DEBIT, CREDIT = accounts.NORMAL_BALANCE_DEBIT, accounts.NORMAL_BALANCE_CREDIT


def account(
    name: str,
    normal: accounts.NormalBalance.ValueType,
    currency: str = "EUR",
    **limits: int,
) -> accounts.AccountInput:
    made = accounts.AccountInput(
        name=name, currency_code=currency, normal_balance=normal, metadata={"made": "first"}
    )
    for limit, value in limits.items():
        setattr(made.limits, limit, value)
    return made


ACCOUNTS = (
    account("cash", DEBIT),
    account("receivable", DEBIT),
    account("payable", CREDIT),
    account("wallet/a", CREDIT, min_available_minor=0),
    account("wallet/b", CREDIT, min_posted_minor=0),
    account("wallet", CREDIT, min_posted_minor=-50, max_available_minor=900),
    account("wallets", DEBIT, max_available_minor=300),
    account("roof", CREDIT, max_posted_minor=400, min_available_minor=-100),
    account("deposit", CREDIT, min_posted_minor=150),
    account("narrow", DEBIT, min_posted_minor=-20, max_posted_minor=20, min_available_minor=-40),
    account("usd/cash", DEBIT, "USD"),
    account("usd/payable", CREDIT, "USD", min_available_minor=0),
    account("usd/trading", CREDIT, "USD"),
    account("jpy/cash", DEBIT, "JPY"),
    account("jpy/payable", CREDIT, "JPY"),
    account("jpy/trading", CREDIT, "JPY"),
)
NAMES = {
    "EUR": tuple(a.name for a in ACCOUNTS if a.currency_code == "EUR"),
    "USD": ("usd/cash", "usd/payable", "usd/trading"),
    "JPY": ("jpy/cash", "jpy/payable", "jpy/trading"),
}
PREFIXES = ("wallet", "usd", "wallets", "nobody", "cash")
FUNDING = (("wallet/a", 300), ("wallet/b", 300), ("payable", 500), ("deposit", 100))
