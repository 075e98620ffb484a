"""Checks of more than one field, or deeper than a rule can: each says what is wrong."""

import re

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import export_pb2 as export
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from money.v1.money_pb2 import Money

MAX_AMOUNT_MINOR = 10**18
MAX_ENTRIES_PER_BATCH = 20_000
# Of the whole request: its answer repeats the texts and adds the balances, and has to fit 32 MiB.
MAX_BATCH_BYTES = 16 * 1024 * 1024
# Of a transaction with as many legs as there may be, each with the longest names and texts.
MAX_TRANSACTION_BYTES = 8 * 1024 * 1024
MAX_RATE_DIGITS = 18
# Zeros in front are no digits of a rate, but it must not be made of them.
MAX_RATE_BYTES = 40

RATE = re.compile(r"[0-9]+(\.[0-9]+)?")


def money_problem(money: Money) -> str | None:
    """An amount is above zero and below what no ledger should see."""
    if not 1 <= money.minor_units <= MAX_AMOUNT_MINOR:
        return f"is not between 1 and {MAX_AMOUNT_MINOR}"
    return None


def limits_problem(limits: accounts.BalanceLimits) -> str | None:
    """A floor lies at or below its ceiling."""
    for low, high in (
        ("min_posted_minor", "max_posted_minor"),
        ("min_available_minor", "max_available_minor"),
    ):
        both = limits.HasField(low) and limits.HasField(high)  # type: ignore[arg-type]
        if both and getattr(limits, low) > getattr(limits, high):
            return f"is above {high}"
    return None


def rate_problem(exchange: transactions.Exchange) -> str | None:
    """A rate is a plain decimal above zero."""
    rate = exchange.rate
    if len(rate) > MAX_RATE_BYTES:
        return f"is longer than {MAX_RATE_BYTES} bytes"
    if not RATE.fullmatch(rate):
        return "is not a plain decimal number"
    digits = rate.replace(".", "").lstrip("0")
    if not digits:
        return "is zero"
    return None if len(digits) <= MAX_RATE_DIGITS else f"has more than {MAX_RATE_DIGITS} digits"


def expiry_problem(draft: transactions.TransactionInput) -> str | None:
    """Only a hold can expire."""
    if draft.HasField("expire_time") and not draft.pending:
        return "is only for pending transactions"
    return None


def remainder_problem(post: transactions.PostInput) -> str | None:
    """A rest can be kept only where parts leave one."""
    if post.remainder == transactions.REMAINDER_KEEP and not post.parts:
        return "leaves no rest to keep without parts"
    return None


def batch_problem(
    batch: mutations.BatchCreateTransactionsRequest, max_bytes: int = MAX_BATCH_BYTES
) -> str | None:
    """A batch is bounded in all, and its items' ids are their own."""
    legs = 0
    for item in batch.items:
        legs += len(item.create.entries) + len(item.post.parts) + len(item.reversal.parts)
        if item.request_id and batch.mode == mutations.BATCH_MODE_ATOMIC:
            return "have a request_id of their own, which an atomic batch does not allow"
    if legs > MAX_ENTRIES_PER_BATCH:
        return f"have more than {MAX_ENTRIES_PER_BATCH} entries and parts in total"
    if batch.ByteSize() > max_bytes:
        return f"have more than {max_bytes} bytes in total"
    ids = [item.request_id for item in batch.items if item.request_id]
    if len(ids) != len(set(ids)) or batch.request_id in ids:
        return "have a request_id twice"
    return None


def inclusion_problem(request: audit.GetInclusionProofRequest) -> str | None:
    """A tree that proves a transaction has it."""
    return "is below sequence" if 0 < request.tree_size < request.sequence else None


def consistency_problem(request: audit.GetConsistencyProofRequest) -> str | None:
    """A log only grows."""
    later = request.second_tree_size
    return "is below first_tree_size" if 0 < later < request.first_tree_size else None


def key_problem(key: transactions.TransactionKey) -> str | None:
    """A sequence is above zero."""
    if key.WhichOneof("key") == "sequence" and key.sequence <= 0:
        return "is not above zero"
    return None


def key_id_problem(key: transactions.TransactionKey) -> str | None:
    """A request_id that names a transaction is not empty."""
    return "is empty" if key.WhichOneof("key") == "request_id" and not key.request_id else None


def target_problem(request: balances.GetBalanceRequest) -> str | None:
    """An account that is asked for has a name."""
    return "is empty" if request.HasField("account") and not request.account else None


def account_span_problem(request: export.ExportLogRequest) -> str | None:
    """A span of accounts does not end before it begins."""
    return "is below after_account" if request.through_account < request.after_account else None


def sequence_span_problem(request: export.ExportLogRequest) -> str | None:
    """A span of the log does not end before it begins."""
    return "is below after_sequence" if request.through_sequence < request.after_sequence else None
