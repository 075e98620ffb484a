"""A plan as the columns that its statement takes."""

import json
from typing import Any

from ledger.accounts import Account
from ledger.commands import Record
from ledger.leaf import leaf_of
from ledger.plan import Plan
from ledger.posting import Kind
from runtime import arrays
from runtime.merkle import leaf_hash

Columns = dict[str, Any]
# How many values a `posting.Posted` has.
_ENTRY_WIDTH = 10
_TOTALS = ("posted_debits", "posted_credits", "pending_debits", "pending_credits", "version")


def of(ledger: str, plan: Plan) -> tuple[str, Columns]:
    """The name of the statement that commits the plan, and its columns."""
    if _is_postings_only(plan):
        return "commit_postings", {
            **_transactions(ledger, plan.records),
            **_entries(plan.records, hot=True),
            **_balances("b", list(plan.balances_changed.values())),
            **_decisions(plan),
        }
    return "commit", {
        "last_account_number": plan.last_account_number,
        **_transactions(ledger, plan.records),
        **_transaction_links(plan.records),
        **_entries(plan.records, hot=False),
        **_balances("b", list(plan.balances_changed.values())),
        **_accounts(plan.accounts_added),
        **_balances("a", plan.accounts_added),
        **_closures(plan),
        **_holds(plan),
        **_settled_holds(plan),
        **_decisions(plan),
    }


def _is_postings_only(plan: Plan) -> bool:
    """Whether it has no transactions but direct ones, which the shorter statement takes."""
    return (
        bool(plan.records)
        and not (plan.accounts_added or plan.accounts_closed)
        and all(record.kind is Kind.DIRECT for record in plan.records)
    )


def _transactions(ledger: str, records: list[Record]) -> Columns:
    return {
        "t_sequence": arrays.int8s([r.sequence for r in records]),
        "t_kind": arrays.int2s([r.kind for r in records]),
        "t_entry_count": arrays.int2s([len(r.entries) for r in records]),
        "t_effective_time": arrays.timestamps([r.effective_us for r in records]),
        "t_request_id": arrays.texts([r.request_id or None for r in records]),
        "t_reference": arrays.texts([r.reference or None for r in records]),
        "t_body": arrays.byteas([r.body for r in records]),
        "t_leaf_hash": arrays.hashes([leaf_hash(leaf_of(ledger, r)) for r in records]),
    }


def _transaction_links(records: list[Record]) -> Columns:
    return {
        "t_expire_time": arrays.timestamps([r.expire_us for r in records]),
        "t_settles": arrays.nullable_int8s([r.settles for r in records]),
        "t_reverses": arrays.nullable_int8s([r.reverses for r in records]),
    }


def _entries(records: list[Record], *, hot: bool) -> Columns:
    """Columns of the entries; the hot statement takes neither effects nor what they settle."""
    sequences: list[int] = []
    indexes: list[int] = []
    effective: list[int | None] = []
    for record in records:
        count = len(record.entries)
        sequences += [record.sequence] * count
        indexes += range(count)
        effective += [record.effective_us] * count
    entries = [entry for record in records for entry in record.entries]
    # Turned from entries to columns in one call; of none there are columns all the same.
    turned = list(zip(*entries, strict=True)) or [()] * _ENTRY_WIDTH
    accounts, sides, effects, amounts, sources, *totals = turned
    columns: Columns = {
        "e_sequence": arrays.int8s(sequences),
        "e_entry_index": arrays.int2s(indexes),
        "e_account_number": arrays.int4s([account.number for account in accounts]),
        "e_direction": arrays.int2s(sides),
        "e_amount": arrays.int8s(amounts),
        "e_effective_time": arrays.timestamps(effective),
    }
    for name, values in zip(_TOTALS, totals, strict=True):
        columns[f"e_{name}"] = arrays.int8s(values)
    if not hot:
        columns["e_effect"] = arrays.int2s(effects)
        columns["e_source"] = arrays.nullable_int2s(sources)
    return columns


def _balances(prefix: str, accounts: list[Account]) -> Columns:
    columns: Columns = {
        f"{prefix}_account_number": arrays.int4s([account.number for account in accounts])
    }
    for index, name in enumerate(_TOTALS):
        columns[f"{prefix}_{name}"] = arrays.int8s([account.totals[index] for account in accounts])
    return columns


def _accounts(accounts: list[Account]) -> Columns:
    return {
        "a_name": arrays.texts([a.name for a in accounts]),
        "a_currency_code": arrays.texts([a.currency for a in accounts]),
        "a_normal_balance": arrays.int2s([a.normal for a in accounts]),
        "a_min_posted": arrays.nullable_int8s([a.limits.min_posted for a in accounts]),
        "a_max_posted": arrays.nullable_int8s([a.limits.max_posted for a in accounts]),
        "a_min_available": arrays.nullable_int8s([a.limits.min_available for a in accounts]),
        "a_max_available": arrays.nullable_int8s([a.limits.max_available for a in accounts]),
        "a_metadata": arrays.texts(
            [json.dumps(a.metadata) if a.metadata else None for a in accounts]
        ),
        "a_create_time": arrays.timestamps([a.create_us for a in accounts]),
    }


def _closures(plan: Plan) -> Columns:
    closed = plan.accounts_closed
    return {
        "c_account_number": arrays.int4s([account.number for account, _ in closed]),
        "c_last_sequence": arrays.int8s([sequence for _, sequence in closed]),
        "c_close_time": arrays.timestamps([account.closed_us for account, _ in closed]),
    }


def _holds(plan: Plan) -> Columns:
    """Entries held by this commit's transactions, less what this same commit settled of them."""
    held = [
        (record.sequence, entry, posted[0], source.expire_us)
        for source, record in plan.holds_added
        for entry, posted in zip(source.entries, record.entries, strict=True)
    ]
    return {
        "h_sequence": arrays.int8s([sequence for sequence, *_ in held]),
        "h_entry_index": arrays.int2s([entry.index for _, entry, *_ in held]),
        "h_account_number": arrays.int4s([account.number for _, _, account, _ in held]),
        "h_direction": arrays.int2s([entry.side for _, entry, *_ in held]),
        "h_remaining": arrays.int8s([entry.remaining for _, entry, *_ in held]),
        "h_expire_time": arrays.timestamps([expire_us for *_, expire_us in held]),
    }


def _settled_holds(plan: Plan) -> Columns:
    """What is left of holds that were there before this commit."""
    settled = [
        (source.sequence, entry)
        for source in plan.sources_changed.values()
        if source.sequence <= plan.head.last_sequence
        for entry in source.entries
    ]
    return {
        "s_sequence": arrays.int8s([sequence for sequence, _ in settled]),
        "s_entry_index": arrays.int2s([entry.index for _, entry in settled]),
        "s_remaining": arrays.int8s([entry.remaining for _, entry in settled]),
    }


def _decisions(plan: Plan) -> Columns:
    decisions = plan.decisions
    return {
        "d_request_id": arrays.texts([d.request_id for d in decisions]),
        "d_operation": arrays.int2s([d.operation for d in decisions]),
        "d_body": arrays.byteas([d.body for d in decisions]),
        "d_fingerprint": arrays.byteas([d.fingerprint for d in decisions]),
        "d_failed": arrays.int2s([int(d.failed) for d in decisions]),
        "d_answer": arrays.byteas([d.answer for d in decisions]),
    }
