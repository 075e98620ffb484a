"""The bank: its accounts, found by the Stripe account and currency that are paid out there."""

import re
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from sandbox.twin_bank.bank_account import BankAccount, Terms
from sandbox.twin_bank.books import MAX_MINOR_UNITS, Entry, Transfer
from sandbox.twin_bank.business_days import Calendar
from sandbox.twin_bank.practice import Practice

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_NUMBER = re.compile(r"[A-Z0-9]{4,34}")
_CURRENCY = re.compile("[A-Z]{3}")
_BANK_CODE = "10010010"
MAX_ACCOUNTS = 999


def day_of(time: float) -> date:
    """The bank's day at a Unix time: that of UTC."""
    return datetime.fromtimestamp(time, UTC).date()


class TwinBank:
    """Accounts by the ids of the Stripe accounts that pay out to them, and currency.

    What comes for an account that was not opened is somebody else's, and is let pass.
    """

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], BankAccount] = {}

    def open(
        self,
        owner: str,
        currency: str,
        today: date,
        *,
        identification: str = "",
        opening: int = 0,
        practice: Practice | None = None,
    ) -> BankAccount:
        """Opens an account for the payouts of a Stripe account in a currency (ISO 4217, capitals).

        Without an identification the bank makes one: an IBAN in a TARGET country. Raises
        ValueError if there is one, or files could not say what is given.
        """
        if (owner, currency) in self._accounts:
            raise ValueError(f"{owner} has an account in {currency}")
        if _CURRENCY.fullmatch(currency) is None:
            raise ValueError("currency: three capitals were expected")
        if len(self._accounts) == MAX_ACCOUNTS:
            raise ValueError(f"the bank has no more than {MAX_ACCOUNTS} accounts")
        if abs(opening) > MAX_MINOR_UNITS:
            raise ValueError(f"opening: at most {MAX_MINOR_UNITS} minor units were expected")
        practice = practice or Practice()
        number = len(self._accounts) + 1
        identification = identification or _identification(practice.calendar, number)
        if _NUMBER.fullmatch(identification) is None:
            raise ValueError("identification: 4 to 34 capitals and digits were expected")
        if any(identification == item.terms.identification for item in self._accounts.values()):
            raise ValueError(f"identification: {identification} is another account's")
        is_iban = _IBAN.fullmatch(identification) is not None
        terms = Terms(number, identification, is_iban, currency, opening, practice)
        account = BankAccount(terms, today)
        self._accounts[owner, currency] = account
        return account

    def find(self, owner: str, currency: str) -> BankAccount | None:
        """The account that a Stripe account pays out to in a currency."""
        return self._accounts.get((owner, currency))

    def account(self, identification: str) -> BankAccount:
        """An account by what files call it. Raises KeyError."""
        for account in self._accounts.values():
            if account.terms.identification == identification:
                return account
        raise KeyError(f"no bank account {identification}")

    def described(self) -> list[dict[str, Any]]:
        """All accounts with their owners and what the bank does with payouts."""
        return [
            {
                "owner": owner,
                "identification": account.terms.identification,
                "currency": currency,
                "opening": account.terms.opening,
                "practice": account.terms.practice.model_dump(mode="json"),
            }
            for (owner, currency), account in self._accounts.items()
        ]

    def take(self, owner: str, currency: str, transfer: Transfer, today: date) -> None:
        """A payout of a Stripe account arrives."""
        account = self.find(owner, currency)
        if account is not None:
            account.take(transfer, today)

    def give_back(self, owner: str, currency: str, transfer_id: str, today: date) -> None:
        """A payout that arrived comes back."""
        account = self.find(owner, currency)
        if account is not None:
            account.give_back(transfer_id, today)


def truth(account: BankAccount, today: date) -> dict[str, Any]:
    """What the bank knows of an account: its books, what waits, and each fault of its files."""
    account.close_until(today)
    return {
        "identification": account.terms.identification,
        "currency": account.terms.currency,
        "opening": account.terms.opening,
        "balance": account.balance,
        "told_balance": account.told_balance,
        "entries": [_shown(entry) for entry in account.books],
        "waiting": [
            {
                "day": item.day.isoformat(),
                "transfer": item.transfer.transfer_id if item.transfer else None,
                "is_return": item.is_return,
                "amount": item.amount,
            }
            for item in account.waiting()
        ],
        "injected": [{**asdict(item), "day": item.day.isoformat()} for item in account.injected],
    }


def _shown(entry: Entry) -> dict[str, Any]:
    return {**asdict(entry), "booked": entry.booked.isoformat()}


def _identification(calendar: Calendar, number: int) -> str:
    if calendar is not Calendar.TARGET:
        return f"{_BANK_CODE}{number:04}"
    basic = f"{_BANK_CODE}{number:010}"
    # ISO 13616: letters as numbers from A = 10, the country and 00 at the end, modulo 97.
    check = 98 - int(f"{basic}131400") % 97
    return f"DE{check:02}{basic}"
