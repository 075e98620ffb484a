"""Plays a random history in the twin and its bank, and does things wrong in it.

All follows from the seed. Nobody sleeps: the twin's clock jumps from one part of a day to the next.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from runtime.clock import ManualClock
from sandbox.stripe_twin.accounts import AUTOMATIC, TwinAccount
from sandbox.stripe_twin.calls import Call, Handler
from sandbox.stripe_twin.controls import TwinControls
from sandbox.stripe_twin.errors import ApiError
from sandbox.stripe_twin.intents import create_intent
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.payouts import available, cancel_payout, create_payout
from sandbox.stripe_twin.refunds import create_refund
from sandbox.stripe_twin.settings import Conversion, TwinSettings
from sandbox.stripe_twin.store import JsonObject
from sandbox.twin_bank import BankFaultKind, Calendar, EntryKind, FileFormat, OwnEntry
from sandbox.twin_bank.bank_account import BankAccount
from sandbox.twin_bank.faults import ROW_FAULTS
from tests.reconciliation.judge.booking import Bookkeeping
from tests.reconciliation.judge.feeds import Feeds
from tests.reconciliation.judge.history import File, History
from tests.reconciliation.judge.telling import tell

# A Monday some weeks before Easter, so that the banks' holidays count.
START = datetime(2026, 3, 16, tzinfo=UTC)
MAX_DAYS = 42
# Days on which nothing new happens: all that is missing is due after them.
QUIET_DAYS = 16
# Of those the last ones on which some banks tell nothing any more: long enough to be noticed, and
# after all that is still to be booked.
SILENT_DAYS = 5
SILENT_SHARE = 0.2
DAY_SECONDS = 24 * 60 * 60
# A payment makes about so many items by itself and by what becomes of it.
ITEMS_OF_A_PAYMENT = 2.6
NEVER_SECONDS = 400.0 * DAY_SECONDS
MAX_AMOUNT = 20_000
# Of a thousand movements so many are booked wrong in each way.
WRONG_BOOKINGS_PERMILLE = 6


@dataclass
class Corridor:
    """A Stripe account, the bank account that it pays out to, and what a foreign card pays in."""

    name: str
    currency: str
    foreign: str
    file_format: FileFormat
    account: TwinAccount
    bank: BankAccount
    feeds: Feeds
    charges: list[JsonObject]
    disputes: list[str]
    lost: set[str]
    """Balance transactions and payouts that no feed ever tells of."""


class Player:
    """One history, drawn of a seed, of about so many items."""

    def __init__(self, seed: int, items: int) -> None:
        self.random = Random(seed)
        self.items = items
        settings = TwinSettings(
            conversions={
                "gbp": Conversion(currency="eur", rate=1.1713),
                "cad": Conversion(currency="usd", rate=0.7312),
            },
            instant_fee_basis_points=100,
            trace_seconds=2.0 * DAY_SECONDS,
            minimum_balances={"eur": 5_00},
            payout_limits={"usd": 800_00},
            parts_listed_in_primary=self.random.random() < 0.5,
            # Nobody asks for them.
            max_events=1,
        )
        self.clock = ManualClock(START)
        self.twin = TwinControls(settings, self.clock, seed)
        self.history = History(seed, START.date())
        self.corridors = [
            self._corridor("eu", "europe", "eur", "gbp", FileFormat.CAMT_053, Calendar.TARGET),
            self._corridor(
                "us", "default", "usd", "cad", FileFormat.BAI2, Calendar.FEDERAL_RESERVE
            ),
            self._corridor("jp", "japan", "jpy", "jpy", FileFormat.MT940, Calendar.TARGET),
        ]
        self.reports: list[File] = []

    def play(self) -> History:
        """All days of it, and what is told of them."""
        payments = max(1, round(self.items / ITEMS_OF_A_PAYMENT))
        days = min(MAX_DAYS, max(10, payments // 20))
        for day in range(days):
            share = payments * (day + 1) // days - payments * day // days
            self._day(share)
        self._set_right()
        for day in range(QUIET_DAYS):
            if day == QUIET_DAYS - SILENT_DAYS:
                self._silence_banks()
            self._pass(DAY_SECONDS)
            self._look()
        self.twin.books()
        books = Bookkeeping(self.random)
        for corridor in self.corridors:
            self._book(books, corridor)
        tell(self.history, self.corridors, books, self.today())
        self.history.files += self.reports
        return self.history

    def today(self) -> date:
        """Of the twin and its bank."""
        return self.twin.bank.today()

    # One day

    def _day(self, payments: int) -> None:
        random, settings = self.random, self.twin.settings
        settings.trace_seconds = random.choice([2.0 * DAY_SECONDS] * 7 + [NEVER_SECONDS])
        late = random.choice([0.0] * 12 + [1.0 * DAY_SECONDS, NEVER_SECONDS])
        settings.reconciliation_seconds = late
        for _ in range(payments):
            self._payment(random.choice(self.corridors))
        for corridor in self.corridors:
            self._pass(600)
            self._take_back(corridor)
            self._dispute(corridor)
            self._charge_late_fees(corridor)
            self._disturb_the_bank(corridor)
        self._pass(6 * 3600)
        for corridor in self.corridors:
            self._pay_out(corridor)
        self._pass(3600)
        for corridor in self.corridors:
            self._report(corridor)
            self._return(corridor)
        if late == NEVER_SECONDS:
            self.history.injected["content late"] += 1
        self._pass(DAY_SECONDS - self.twin.clock.now() % DAY_SECONDS)
        self._look()

    def _payment(self, corridor: Corridor) -> None:
        is_foreign = self.random.random() < 0.12 and corridor.foreign != corridor.currency
        currency = corridor.foreign if is_foreign else corridor.currency
        intent = self._call(
            create_intent,
            corridor,
            amount=self.random.randint(500, MAX_AMOUNT),
            currency=currency,
            confirm=True,
            payment_method="pm_card_visa",
            capture_method="automatic",
            automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
        )
        corridor.charges.append(corridor.account.objects("charge").get(intent["latest_charge"]))
        self.history.happened["converted"] += is_foreign

    def _take_back(self, corridor: Corridor) -> None:
        """Refunds, of which some fail later."""
        for charge in self._some(corridor.charges, 0.06):
            left = charge["amount_captured"] - charge["amount_refunded"]
            if charge["disputed"] or left < 2:
                continue
            amount = left if self.random.random() < 0.5 else self.random.randint(1, left - 1)
            refund = self._call(create_refund, corridor, charge=charge["id"], amount=amount)
            self.history.happened["refund"] += 1
            if self.random.random() < 0.2:
                self.twin.fail_refund(refund["id"])
                self.history.happened["refund failed"] += 1

    def _dispute(self, corridor: Corridor) -> None:
        for charge in self._some(corridor.charges, 0.03):
            if not charge["disputed"] and charge["amount_refunded"] < charge["amount_captured"]:
                corridor.disputes.append(self.twin.open_dispute(charge["id"])["id"])
                self.history.happened["dispute"] += 1
        for dispute in self._some(corridor.disputes, 0.2):
            corridor.disputes.remove(dispute)
            if corridor.account.objects("dispute").get(dispute)["status"] == "lost":
                # Nobody has answered in time.
                continue
            self.twin.decide_dispute(dispute, won=self.random.random() < 0.6)

    def _charge_late_fees(self, corridor: Corridor) -> None:
        if self.random.random() < 0.2:
            self._record(corridor, "stripe_fee", -self.random.randint(1, 900))
            self.history.happened["late fee"] += 1
        if self.random.random() < 0.04:
            # The balance falls below zero, and Stripe debits the bank.
            below = available(corridor.account, corridor.currency) + self.random.randint(500, 9_000)
            self._record(corridor, "adjustment", -below)
            self.history.happened["below zero"] += 1

    def _pay_out(self, corridor: Corridor) -> None:
        """Now and then a manual or an instant one before that of the schedule."""
        account, currency = corridor.account, corridor.currency
        there = available(account, currency)
        if there > 2_000 and self.random.random() < 0.15:
            part = there // 3
            payout = self._call(create_payout, corridor, amount=part, currency=currency)
            self.history.happened["manual payout"] += 1
            if self.random.random() < 0.3:
                call = Call(account, {"id": payout["id"]}, {}, AUTOMATIC)
                cancel_payout(call)
                self.history.happened["canceled payout"] += 1
        elif there > 2_000 and self.random.random() < 0.15:
            more = there + self.random.randint(100, 2_000)
            try:
                self._call(
                    create_payout, corridor, amount=more, currency=currency, method="instant"
                )
            except ApiError:
                # What is pending does not come to it.
                self.history.happened["instant payout refused"] += 1
            else:
                self.history.happened["instant payout"] += 1
        if available(account, currency) and self.random.random() < 0.9:
            try:
                primary = self.twin.pay_out(corridor.account.name, currency)
            except ValueError:
                # Not more than the minimum is there.
                return
            self.history.happened["payout"] += 1
            self.history.happened["negative payout"] += primary["amount"] < 0
            parts = primary["id"] in account.split_payouts.values()
            self.history.happened["split payout"] += parts

    def _return(self, corridor: Corridor) -> None:
        """A bank sends a payout back, before it has booked it or days later."""
        young = [
            payout
            for payout in corridor.account.objects("payout")
            if payout["status"] not in ("failed", "canceled")
            and payout["created"] > self.twin.clock.now() - 7 * DAY_SECONDS
        ]
        for payout in self._some(young, 0.03):
            self.twin.fail_payout(payout["id"])
            self.history.injected["payout returned"] += 1

    def _disturb_the_bank(self, corridor: Corridor) -> None:
        """Faults of statements, and lines that have nothing to do with Stripe."""
        random, number = self.random, corridor.bank.terms.identification
        if random.random() < 0.25:
            amount = random.choice((-1, 1)) * random.randint(100, 50_000)
            own = OwnEntry(amount=amount, counterparty="A TENANT", remittance="RENT OF MAY")
            self.twin.bank.book(number, own)
            self.history.injected["line of nobody"] += 1
        if random.random() < 0.25:
            kinds = list(BankFaultKind)
            if corridor.file_format is FileFormat.BAI2:
                # All lines of a file of BAI2 have its day: two days in one are other lines.
                kinds.remove(BankFaultKind.STATEMENT_OVERLAPPING)
            kind = random.choice(kinds)
            fault: dict[str, Any] = {"kind": kind}
            if kind in (BankFaultKind.ROW_OTHER_AMOUNT, BankFaultKind.FALSE_CLOSING_BALANCE):
                fault["by"] = random.choice((-1, 1)) * random.randint(1, 900)
            if kind in ROW_FAULTS:
                fault["balances"] = random.choice(("hide", "hide", "hide", "show"))
                fault["entries"] = {random.choice((EntryKind.PAYOUT, EntryKind.DEBIT))}
            self.twin.bank.add_fault(number, **fault)

    def _report(self, corridor: Corridor) -> None:
        """What the bank will book today, which is never matched: some of it never comes."""
        if corridor.file_format is FileFormat.CAMT_053 and self.random.random() < 0.3:
            number = corridor.bank.terms.identification
            report = self.twin.bank.content(number, "today", FileFormat.CAMT_052)
            self.reports.append(File(corridor.name, report, "report"))
            self.history.happened["report of the day"] += 1
            for waiting in corridor.bank.waiting():
                # What was to be booked today, and never is.
                is_due = waiting.day == self.today() and not waiting.is_return
                if is_due and waiting.transfer and self.random.random() < 0.3:
                    self.twin.fail_payout(waiting.transfer.transfer_id)
                    self.history.injected["payout returned"] += 1
                    self.history.happened["reported and never booked"] += 1

    def _set_right(self) -> None:
        for corridor in self.corridors:
            self.twin.bank.clear_faults(corridor.bank.terms.identification)

    def _silence_banks(self) -> None:
        """Some statements never come; a draw of its own, so that it changes no other."""
        random = Random(f"{self.history.seed}/silent banks")
        for corridor in self.corridors:
            if random.random() < SILENT_SHARE:
                self.twin.bank.add_fault(
                    corridor.bank.terms.identification,
                    kind=BankFaultKind.STATEMENT_MISSING,
                    count=SILENT_DAYS,
                )
                self.history.happened["silent bank"] += 1

    def _look(self) -> None:
        """Feeds tell of the day, and the bank closes it: else it would when somebody asks."""
        for corridor in self.corridors:
            corridor.feeds.look()
            self.twin.bank.files(corridor.bank.terms.identification)

    # The books

    def _book(self, books: Bookkeeping, corridor: Corridor) -> None:
        """Books all, some of it wrong; of what has one source one movement at most."""
        random, injected = self.random, self.history.injected
        wrong: set[str] = set()
        ways = ("unbooked", "other amount", "booked twice", "gone at Stripe", "lost in the feed")
        for moved in corridor.account.books.transactions:
            source = moved["source"] or moved["id"]
            way = ""
            if source not in wrong and random.randrange(1000) < WRONG_BOOKINGS_PERMILLE * len(ways):
                way = random.choice(ways)
                wrong.add(source)
                injected[way] += moved["net"] != 0
            if moved["net"] == 0 or way == "unbooked":
                continue
            off_by = 0
            if way == "other amount":
                off_by = random.randint(1, 999) * (1 if moved["net"] > 0 else -1)
            times = 2 if way == "booked twice" else 1
            books.book(corridor.name, moved, off_by=off_by, times=times)
            if way == "gone at Stripe":
                corridor.feeds.tell_missing(moved)
            if way == "lost in the feed":
                corridor.lost.add(moved["id"])
            if random.randrange(1000) < WRONG_BOOKINGS_PERMILLE:
                amount = random.choice((-1, 1)) * random.randint(1, MAX_AMOUNT)
                code = moved["currency"].upper()
                books.invent(corridor.name, code, amount, moved["created"])
                injected["invented"] += 1
        for payout in corridor.account.objects("payout"):
            if random.random() < 0.02:
                corridor.lost.add(payout["id"])
                injected["payout lost in the feed"] += 1

    # Means

    def _corridor(
        self,
        name: str,
        account_name: str,
        currency: str,
        foreign: str,
        file_format: FileFormat,
        calendar: Calendar,
    ) -> Corridor:
        random = self.random
        practices: list[dict[str, Any]] = [
            {},
            {"business_days_late": 2},
            {"merges": True},
            {"splits_above": 400_00},
            {"fee_charged": 35},
            {"fee_taken_off": 20},
            {"shows_traces": False},
            {"shows_traces": False, "business_days_late": 1},
        ]
        if file_format is FileFormat.CAMT_053:
            practices.append({"merges": True, "itemizes": True})
        practice = random.choice(practices)
        bank = self.twin.bank.open(
            account_name, currency, opening=random.randint(0, 10**6), calendar=calendar, **practice
        )
        account = self.twin.account(account_name)
        return Corridor(
            name, currency, foreign, file_format, account, bank, Feeds(name, account), [], [], set()
        )

    def _call(self, handler: Handler, corridor: Corridor, **params: Any) -> Any:
        answer = handler(Call(corridor.account, {}, params, AUTOMATIC))
        self.twin.clock.run_due()
        return answer

    def _record(self, corridor: Corridor, kind: str, amount: int) -> None:
        entry = BalanceEntry(type=kind, amount=amount, currency=corridor.currency)
        self.twin.record_transaction(corridor.account.name, entry)

    def _pass(self, seconds: float) -> None:
        self.twin.advance(seconds=seconds)

    def _some(self, of: list[Any], share: float) -> list[Any]:
        """A few of the newest."""
        newest = of[-max(60, len(of) // 6) :]
        return [each for each in newest if self.random.random() < share / 3]


def play(seed: int, items: int) -> History:
    """The history of a seed."""
    return Player(seed, items).play()


def figures(counted: Counter[str]) -> str:
    """What was counted, in one line."""
    return ", ".join(f"{name} {number}" for name, number in sorted(counted.items()) if number)
