"""A bank on this machine, which the payouts of the Stripe twin arrive at. See docs/stripe-twin.md.

It is a judge of reconciliation, so it takes no code from the engine: its holidays, its decimals
and the files that it writes are its own.
"""

from sandbox.twin_bank.bank import TwinBank
from sandbox.twin_bank.books import EntryKind, OwnEntry, Transfer
from sandbox.twin_bank.business_days import Calendar
from sandbox.twin_bank.faults import BankFault, BankFaultKind
from sandbox.twin_bank.files import FileFormat, write
from sandbox.twin_bank.practice import Practice

__all__ = [
    "BankFault",
    "BankFaultKind",
    "Calendar",
    "EntryKind",
    "FileFormat",
    "OwnEntry",
    "Practice",
    "Transfer",
    "TwinBank",
    "write",
]
