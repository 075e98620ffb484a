"""The rows of Stripe's financial reports, made of an account's balance transactions.

Columns and their words are those of https://docs.stripe.com/reports/report-types, read on
2026-11-30: balance, payout reconciliation. Amounts are in major units of their currency, times
without a zone, once in UTC and once in the zone that is asked for.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.currencies import minor_units
from sandbox.stripe_twin.invoices import invoice_of_intent, subscription_of
from sandbox.stripe_twin.report_faults import ReportFaultKind
from sandbox.stripe_twin.store import JsonObject
from sandbox.twin_bank.statement import major

ACTIVITY = "balance_change_from_activity.itemized.3"
PAYOUTS = "payouts.itemized.3"
PAYOUT_RECONCILIATION = "payout_reconciliation.itemized.5"
ENDING_BALANCE = "ending_balance_reconciliation.itemized.4"
SUMMARY = "balance.summary.1"
# What a payout is, and one that came back, among the reporting categories.
PAYOUT_CATEGORIES = frozenset({"payout", "payout_reversal"})

_TRANSACTION = (
    "balance_transaction_id",
    "created_utc",
    "created",
    "available_on_utc",
    "available_on",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "description",
    "customer_facing_amount",
    "customer_facing_currency",
)
_PAYMENT = (
    "customer_id",
    "charge_id",
    "payment_intent_id",
    "charge_created_utc",
    "charge_created",
    "payment_method_type",
    "invoice_id",
    "subscription_id",
)
_AUTOMATIC = (
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "automatic_payout_effective_at",
)
_TRACE = ("trace_id", "trace_id_status")
_PAYOUT = (
    "payout_id",
    "effective_at_utc",
    "effective_at",
    "balance_transaction_id",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "description",
    "payout_expected_arrival_date",
    "payout_status",
    "payout_reversed_at_utc",
    "payout_type",
    "payout_description",
    "payout_destination_id",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """A report type: its name for people, what it has if nothing is asked for, and what more."""

    name: str
    default: tuple[str, ...]
    more: tuple[str, ...] = ()
    needs: tuple[str, ...] = ("interval_start", "interval_end")


LAYOUTS = {
    SUMMARY: Layout("Balance summary", ("category", "description", "net_amount", "currency")),
    ACTIVITY: Layout(
        "Itemized balance change from activity", _TRANSACTION, (*_PAYMENT, *_AUTOMATIC, *_TRACE)
    ),
    PAYOUTS: Layout("Itemized payouts", _PAYOUT, _TRACE),
    PAYOUT_RECONCILIATION: Layout(
        "Itemized payout reconciliation",
        (*_AUTOMATIC[:1], _AUTOMATIC[2], *_TRANSACTION),
        (_AUTOMATIC[1], *_PAYMENT, *_TRACE),
    ),
    ENDING_BALANCE: Layout(
        "Itemized ending balance reconciliation",
        _TRANSACTION,
        (*_PAYMENT, *_AUTOMATIC, *_TRACE),
        needs=("interval_end",),
    ),
}


@dataclass(frozen=True, slots=True)
class Query:
    """A run's parameters; the interval's end is exclusive."""

    report_type: str
    start: int
    end: int
    columns: tuple[str, ...]
    zone: ZoneInfo
    currency: str | None = None
    category: str | None = None


def write_report(account: TwinAccount, query: Query, available_end: int) -> bytes:
    """The CSV of a run, with what a test has wrong in it. `available_end` is how far the data of
    its type reaches."""
    text = io.StringIO(newline="")
    rows = csv.DictWriter(
        text, query.columns, restval="", extrasaction="ignore", quoting=csv.QUOTE_ALL
    )
    rows.writeheader()
    rows.writerows(
        _summary(account, query)
        if query.report_type == SUMMARY
        else _itemized(account, query, available_end)
    )
    return text.getvalue().encode("utf-8")


def _itemized(account: TwinAccount, query: Query, available_end: int) -> Iterator[JsonObject]:
    for transaction in _chosen(account, query):
        injected = account.report_faults.of_row(
            query.report_type, transaction["id"], transaction["net"], available_end
        )
        kind = injected.kind if injected else None
        if kind in (ReportFaultKind.ROW_MISSING, ReportFaultKind.ROW_LATE):
            continue
        wrong = injected.amount if injected and kind is ReportFaultKind.ROW_OTHER_AMOUNT else 0
        row = _Row(account, transaction, query.zone, wrong).cells(query.report_type)
        yield row
        if kind is ReportFaultKind.ROW_DOUBLED:
            yield row


def _chosen(account: TwinAccount, query: Query) -> Iterator[JsonObject]:
    """The balance transactions of a report, oldest first."""
    for transaction in account.books.transactions:
        is_payout = transaction["reporting_category"] in PAYOUT_CATEGORIES
        payout = _automatic_payout(account, transaction)
        match query.report_type:
            case "balance_change_from_activity.itemized.3":
                chosen = not is_payout and query.start <= transaction["created"] < query.end
            case "payouts.itemized.3":
                chosen = is_payout and query.start <= transaction["created"] < query.end
            case "payout_reconciliation.itemized.5":
                # The transactions that a payout is made of, not the payout's own.
                chosen = (
                    payout is not None
                    and not is_payout
                    and query.start <= payout["created"] < query.end
                )
            case _:
                is_left = payout is None or payout["created"] >= query.end
                chosen = not is_payout and transaction["created"] < query.end and is_left
        if (
            chosen
            and query.currency in (None, transaction["currency"])
            and query.category in (None, transaction["reporting_category"])
        ):
            yield transaction


def _summary(account: TwinAccount, query: Query) -> Iterator[JsonObject]:
    """What the balance was, what changed it, and what it became, by currency."""
    figures: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for transaction in account.books.transactions:
        if transaction["created"] >= query.end:
            continue
        part = "activity"
        if transaction["created"] < query.start:
            part = "starting_balance"
        elif transaction["reporting_category"] in PAYOUT_CATEGORIES:
            part = "payouts"
        figures[transaction["currency"]][part] += transaction["net"]
    first, last = (
        datetime.fromtimestamp(moment, query.zone).date() for moment in (query.start, query.end)
    )
    descriptions = {
        "starting_balance": f"Starting balance ({first})",
        "activity": "Activity",
        "payouts": "Total payouts",
        "ending_balance": f"Ending balance ({last})",
    }
    for currency, parts in sorted(figures.items()):
        if query.currency not in (None, currency):
            continue
        parts["ending_balance"] = sum(parts.values())
        for part, description in descriptions.items():
            yield {
                "category": part,
                "description": description,
                "net_amount": decimal(parts[part], currency),
                "currency": currency,
            }


def decimal(amount: int, currency: str) -> str:
    """An amount of Stripe's minor units in major ones: 12.34, -1234 of yen."""
    sign = "-" if amount < 0 else ""
    return sign + major(minor_units(amount, currency), currency.upper())


def _automatic_payout(account: TwinAccount, transaction: JsonObject) -> JsonObject | None:
    payout_id = account.paid_out.get(transaction["id"])
    return account.objects("payout").find(payout_id) if payout_id else None


class _Row:
    """The cells of one balance transaction; those that do not apply are empty."""

    def __init__(
        self, account: TwinAccount, transaction: JsonObject, zone: ZoneInfo, wrong: int
    ) -> None:
        self._account = account
        self._transaction = transaction
        self._zone = zone
        self._wrong = wrong

    def cells(self, report_type: str) -> JsonObject:
        """All columns that the type may have."""
        transaction = self._transaction
        source = self._source()
        cells = {
            "balance_transaction_id": transaction["id"],
            **self._times("created", transaction["created"]),
            **self._times("available_on", transaction["available_on"]),
            "currency": transaction["currency"],
            "gross": self._decimal(transaction["amount"] + self._wrong),
            "fee": self._decimal(transaction["fee"]),
            "net": self._decimal(transaction["net"] + self._wrong),
            "reporting_category": transaction["reporting_category"],
            "source_id": transaction["source"],
            "description": transaction["description"],
        }
        payout = _automatic_payout(self._account, transaction)
        if payout is not None:
            cells["automatic_payout_id"] = payout["id"]
            cells |= self._times("automatic_payout_effective_at", payout["created"])
        if report_type == PAYOUTS:
            payout = source
            cells |= self._payout(source)
        if payout is not None:
            cells["trace_id"] = payout["trace_id"]["value"]
            cells["trace_id_status"] = payout["trace_id"]["status"]
        if report_type != PAYOUTS and source is not None:
            cells |= self._payment(source)
        return cells

    def _source(self) -> JsonObject | None:
        name = self._transaction["source"]
        for kind in ("charge", "refund", "dispute", "payout"):
            found = self._account.objects(kind).find(name) if name else None
            if found is not None:
                return found
        return None

    def _payment(self, source: JsonObject) -> JsonObject:
        """Of charges, refunds and disputes: what the customer saw, and the charge."""
        if source["object"] not in ("charge", "refund", "dispute"):
            return {}
        charge = source
        if source["object"] != "charge":
            found = self._account.objects("charge").find(source["charge"])
            assert found is not None
            charge = found
        details: Any = charge.get("payment_method_details") or {}
        invoice = invoice_of_intent(self._account, charge["payment_intent"])
        return {
            "invoice_id": invoice["id"] if invoice else None,
            "subscription_id": subscription_of(invoice) if invoice else None,
            "customer_facing_amount": decimal(source["amount"], source["currency"]),
            "customer_facing_currency": source["currency"],
            "customer_id": charge.get("customer"),
            "charge_id": charge["id"],
            "payment_intent_id": charge["payment_intent"],
            **self._times("charge_created", charge["created"]),
            "payment_method_type": details.get("type"),
        }

    def _payout(self, payout: JsonObject | None) -> JsonObject:
        if payout is None:
            return {}
        failed = payout["status"] == "failed"
        return {
            "payout_id": payout["id"],
            **self._times("effective_at", self._transaction["created"]),
            "payout_expected_arrival_date": _time(payout["arrival_date"], self._zone),
            "payout_status": payout["status"],
            "payout_reversed_at_utc": _time(self._transaction["created"], UTC) if failed else "",
            "payout_type": payout["type"],
            "payout_description": payout["description"],
            "payout_destination_id": payout["destination"],
        }

    def _times(self, name: str, moment: int) -> JsonObject:
        return {f"{name}_utc": _time(moment, UTC), name: _time(moment, self._zone)}

    def _decimal(self, amount: int) -> str:
        return decimal(amount, self._transaction["currency"])


def _time(moment: int, zone: Any) -> str:
    return f"{datetime.fromtimestamp(moment, zone):%Y-%m-%d %H:%M:%S}"


def names(columns: Iterable[str]) -> str:
    """Columns as a message lists them."""
    return ", ".join(columns)
