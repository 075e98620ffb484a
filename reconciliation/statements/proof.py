"""What every statement has to be before it is taken, whatever its format."""

from dataclasses import replace
from datetime import date

from reconciliation.statements.model import (
    MAX_MINOR_UNITS,
    Balance,
    EntryStatus,
    Expected,
    ExpectedAccount,
    Format,
    Kind,
    Statement,
)
from reconciliation.statements.refusal import FieldError, Place, Reason

# Formats of SWIFT whose accounts often have the currency behind the number.
_WITH_CURRENCY = (Format.MT940, Format.MT942)
_ON_THE_ACCOUNT = (EntryStatus.BOOKED, EntryStatus.REPORTED)


def prove(statements: list[Statement], expected: Expected) -> tuple[Statement, ...]:
    """The statements of a file, with balances and proved.

    Raises StatementRefusedError for the first that is of another account or currency, in the
    future, or does not come to its closing balance.
    """
    proved: list[Statement] = []
    for statement in statements:
        place = Place(statement.version, statement.position)
        try:
            account = _expected_account(statement, expected.accounts)
            if statement.kind is Kind.BOOKED:
                statement = _with_balances(statement, account, proved)
            _check_dates(statement, expected.today)
            if statement.kind is Kind.BOOKED:
                _check_sum(statement)
        except FieldError as error:
            raise error.at(place) from None
        except _EntryError as error:
            raise error.field_error.at(replace(place, entry=error.entry)) from None
        proved.append(statement)
    return tuple(proved)


class _EntryError(Exception):
    """What is wrong with one entry."""

    def __init__(self, entry: int, field_error: FieldError) -> None:
        super().__init__(entry)
        self.entry = entry
        self.field_error = field_error


def _expected_account(
    statement: Statement, accounts: tuple[ExpectedAccount, ...]
) -> ExpectedAccount:
    """The account that the statement is of, in its currency."""
    found = statement.account.identification
    same = [account for account in accounts if _is_named(statement, found, account)]
    if not same:
        raise FieldError(Reason.ACCOUNT, "account", "one of the declared accounts was expected")
    # Some banks keep several currencies under one number.
    for account in same:
        if account.currency == statement.currency:
            return account
    raise FieldError(Reason.CURRENCY, "currency", f"{same[0].currency} was expected")


def _is_named(statement: Statement, found: str, account: ExpectedAccount) -> bool:
    name = account.identification.replace(" ", "")
    return found == name or (
        statement.file_format in _WITH_CURRENCY and found == name + account.currency
    )


def _with_balances(
    statement: Statement, account: ExpectedAccount, proved: list[Statement]
) -> Statement:
    """Balances that the file does not have are those that were given for the account, once."""
    opening, closing = statement.opening or account.opening, statement.closing or account.closing
    if account.opening_follows and opening is None and statement.closing is not None:
        return replace(statement, opening=_opening_before(statement, statement.closing))
    for name, balance, is_given in (
        ("opening balance", opening, statement.opening is None),
        ("closing balance", closing, statement.closing is None),
    ):
        is_second = is_given and any(
            (before.account, before.currency) == (statement.account, statement.currency)
            for before in proved
        )
        if balance is None or is_second:
            raise FieldError(
                Reason.PROOF_MISSING,
                name,
                "a balance was expected, in the file or given with its first statement",
            )
    return replace(statement, opening=opening, closing=closing)


def _opening_before(statement: Statement, closing: Balance) -> Balance:
    """What the closing balance and the entries say of the beginning."""
    days = [entry.booking_date for entry in statement.booked() if entry.booking_date is not None]
    first = min([statement.period_start or closing.date, closing.date, *days])
    total = sum(entry.amount_minor for entry in statement.booked())
    if abs(closing.amount_minor - total) > MAX_MINOR_UNITS:
        raise FieldError(Reason.INVALID, "closing balance", "a smaller amount was expected")
    return Balance(closing.amount_minor - total, first)


def _check_dates(statement: Statement, today: date) -> None:
    opening, closing = statement.opening, statement.closing
    for balance, name in ((opening, "opening balance"), (closing, "closing balance")):
        if balance is not None and balance.date > today:
            raise FieldError(Reason.FUTURE_DATE, name, f"a date until {today} was expected")
    if opening is not None and closing is not None and opening.date > closing.date:
        raise FieldError(
            Reason.INVALID, "closing balance", "a date from that of the opening on was expected"
        )
    for entry in statement.entries:
        booking_date = entry.booking_date
        if entry.status in _ON_THE_ACCOUNT and booking_date is not None and booking_date > today:
            raise _EntryError(
                entry.position,
                FieldError(
                    Reason.FUTURE_DATE, "booking date", f"a date until {today} was expected"
                ),
            )


def _check_sum(statement: Statement) -> None:
    opening, closing = _both(statement)
    total = opening.amount_minor + sum(entry.amount_minor for entry in statement.booked())
    if total != closing.amount_minor:
        raise FieldError(
            Reason.BALANCE,
            "closing balance",
            "opening balance and booked entries were expected; it differs by"
            f" {closing.amount_minor - total} minor units",
        )
    # Both ends are within 64 bits; the sum equals one of them.
    assert abs(total) <= MAX_MINOR_UNITS


def _both(statement: Statement) -> tuple[Balance, Balance]:
    assert statement.opening is not None
    assert statement.closing is not None
    return statement.opening, statement.closing
