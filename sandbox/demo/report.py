"""Shows what happened as tables."""

import re
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from sandbox.demo.bank import Reconciled
from sandbox.demo.books import Line, PaymentHistory, TrialBalance
from sandbox.demo.brown_out import Foreseen

# The tables need as much; in a narrower terminal the lines wrap.
MIN_WIDTH = 104
MAX_ACCOUNTS = 36
_LEGS = {
    "BOOKED": "Ledger and Stripe's balance transactions",
    "CONTENT": "Balance transactions and payouts",
    "BANKED": "Payouts and the bank's lines",
}
_MERCHANT = re.compile(r"merchants/[^/]+/")


def show_scenarios(
    console: Console, played: Sequence[tuple[str, Sequence[PaymentHistory]]]
) -> None:
    """One row per payment: the states that it went through and its ledger entries."""
    table = Table(title="Eleven scenarios and their ledger entries", show_lines=True)
    table.add_column("Scenario", width=12)
    table.add_column("States of the payment", width=30)
    table.add_column("Ledger: effect, USD, debit / credit", no_wrap=True)
    for title, histories in played:
        for number, history in enumerate(histories):
            table.add_row(
                title if number == 0 else "",
                f"{dollars(history.payment.amount.minor_units)}: {' → '.join(history.states)}",
                _entries(history.lines) or "none",
            )
    console.print(table)


def show_trial_balance(console: Console, trial: TrialBalance) -> None:
    """The ledger's accounts with their totals, and what the twin says."""
    table = Table(title="Trial balance of the ledger (USD)")
    table.add_column("Account", no_wrap=True)
    for heading in ("Debits", "Credits", "Balance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in trial.lines:
        balance = line.balance
        if balance.posted_debits_minor or balance.posted_credits_minor:
            table.add_row(
                short(balance.account),
                dollars(balance.posted_debits_minor),
                dollars(balance.posted_credits_minor),
                dollars(balance.posted_minor),
            )
    table.add_section()
    table.add_row(
        "Total, and debits less credits",
        dollars(trial.debits),
        dollars(trial.credits),
        dollars(trial.debits - trial.credits),
    )
    console.print(table)
    beside = Table(title="Ledger and Stripe")
    for heading in ("", "Ledger", "Stripe twin"):
        beside.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for part, in_ledger in trial.stripe_in_ledger.items():
        beside.add_row(f"Stripe, {part}", dollars(in_ledger), dollars(trial.stripe_at_twin[part]))
    beside.add_row("Fees", dollars(trial.fees_in_ledger), dollars(trial.fees_at_twin))
    console.print(beside)


def show_foreseen(console: Console, foreseen: Foreseen, seconds: float) -> None:
    """What was foreseen of the corridor that slowed down, and where payments went."""
    console.print(
        "A corridor slowed down: foresight warned before what is promised of it was broken,"
        f" {seconds:.1f} s",
        soft_wrap=True,
    )
    console.print(
        f"A breach within 40 minutes: {foreseen.probability:.0%}. Of {foreseen.payments} new"
        f" payments routing took {foreseen.left} elsewhere, {foreseen.tried} went on as before.",
        soft_wrap=True,
    )


def show_reconciled(console: Console, reconciled: Reconciled) -> None:
    """What was compared down to the bank, and the difference that was found."""
    table = Table(title="Ledger, Stripe, payouts and bank")
    for heading in ("", "Items matched"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for leg, items in reconciled.matched.items():
        table.add_row(_LEGS[leg], str(items))
    console.print(table)
    console.print(f"A difference was found: {reconciled.found}", soft_wrap=True)
    console.print(
        f"The bank has corrected it, an operator matched it. {reconciled.statements} statements of"
        " the bank: nothing is open."
    )


def dollars(amount_minor: int) -> str:
    """`1,234.50` of 123450 cents."""
    sign = "-" if amount_minor < 0 else ""
    whole, cents = divmod(abs(amount_minor), 100)
    return f"{sign}{whole:,}.{cents:02d}"


def short(account: str) -> str:
    """The account without the corridor and without the merchant's id."""
    return _MERCHANT.sub("merchant/", account.removeprefix("default/usd/"))


def _entries(lines: Sequence[Line]) -> str:
    """A text line for each effect of each transaction, with the accounts that it touched."""
    effects: dict[tuple[int, str], list[Line]] = {}
    for line in lines:
        effects.setdefault((line.sequence, line.effect), []).append(line)
    return "\n".join(_entry(effect, group) for (_, effect), group in effects.items())


def _entry(effect: str, lines: Sequence[Line]) -> str:
    amount = dollars(sum(line.amount_minor for line in lines if line.debit))
    begin = f"{effect:8}{amount:>7}  "
    debited, credited = (_accounts(lines, debit=debit) for debit in (True, False))
    # A transaction of three accounts does not fit.
    between = " " if len(debited) + len(credited) < MAX_ACCOUNTS else f"\n{'':{len(begin)}}"
    return f"{begin}{debited}{between}/ {credited}"


def _accounts(lines: Sequence[Line], *, debit: bool) -> str:
    return ", ".join(short(line.account) for line in lines if line.debit is debit)
