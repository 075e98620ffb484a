"""What every request of the ledger has to look like."""

import re
from typing import Any

from ledger import checks
from ledger.checks import MAX_AMOUNT_MINOR
from ledger.currencies import currency_problem
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import export_pb2 as export
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import operator_act_service_pb2
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from money.v1.money_pb2 import Money
from runtime.act_messages import RULES as OPERATOR_ACT_RULES
from runtime.merkle import HASH_BYTES
from runtime.rule import NOTHING, Found, Quick, Rule
from runtime.rules import (
    IDENTIFIER,
    MAX_REQUEST_ID_BYTES,
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    each_enum,
    enum,
    integer,
    mapping,
    message,
    one_of,
    repeated,
    text,
    timestamp,
)
from runtime.validation import Validator

MAX_LEDGER_NAME_BYTES = 64
MAX_ACCOUNT_NAME_BYTES = 256
MAX_ACCOUNT_SEGMENTS = 16
MAX_SHARD_NAME_BYTES = 32
MAX_TEXT_BYTES = 256
MAX_METADATA_ENTRIES = 32
MAX_METADATA_KEY_BYTES = 64
MAX_METADATA_VALUE_BYTES = 512
MAX_ACCOUNT_NUMBER = 2**31 - 1
MIN_ENTRIES = 2
MAX_ENTRIES = 10_000
MAX_EXCHANGES = 10
MAX_KINDS = 6
MAX_ACCOUNTS_PER_BATCH = 1_000
MAX_ITEMS_PER_BATCH = 8_000

LEDGER_NAME = re.compile(r"[a-z][a-z0-9_-]*")
SHARD_NAME = re.compile(r"[a-z][a-z0-9_-]*")
ACCOUNT_NAME = re.compile(rf"[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+){{0,{MAX_ACCOUNT_SEGMENTS - 1}}}")


def _ledger(field: str = "ledger") -> Rule:
    return text(field, required=True, max_bytes=MAX_LEDGER_NAME_BYTES, pattern=LEDGER_NAME)


def _account(field: str, *, required: bool = True) -> Rule:
    return text(field, required=required, max_bytes=MAX_ACCOUNT_NAME_BYTES, pattern=ACCOUNT_NAME)


def _note(field: str) -> Rule:
    return text(field, max_bytes=MAX_TEXT_BYTES)


def _metadata() -> Rule:
    return mapping(
        "metadata",
        max_items=MAX_METADATA_ENTRIES,
        max_key_bytes=MAX_METADATA_KEY_BYTES,
        max_value_bytes=MAX_METADATA_VALUE_BYTES,
    )


def _sequence(field: str, minimum: int = 0) -> Rule:
    return integer(field, minimum=minimum)


def _hash(field: str) -> Rule:
    def find(message: Any) -> Found:
        length = len(getattr(message, field))
        return NOTHING if length in (0, HASH_BYTES) else ((field, f"is not {HASH_BYTES} bytes"),)

    quick = Quick(f"len(m.{field}) in {{0}}", ((0, HASH_BYTES),))
    return Rule(field, lambda _: find, lambda _: quick)


_POSTING_TEXTS = [_note("reference"), _metadata()]
_MUTATION = [REQUEST_ID, _ledger()]

RULES: dict[type, list[Rule]] = {
    operator_act_service_pb2.ListOperatorActsRequest: OPERATOR_ACT_RULES,
    Money: [
        check("currency_code", lambda money: currency_problem(money.currency_code)),
        check("minor_units", checks.money_problem),
    ],
    ledgers.CreateLedgerRequest: [
        REQUEST_ID,
        _ledger("name"),
        _note("display_name"),
        _metadata(),
        text("shard", max_bytes=MAX_SHARD_NAME_BYTES, pattern=SHARD_NAME),
    ],
    ledgers.GetLedgerRequest: [_ledger("name")],
    ledgers.ListLedgersRequest: [*PAGE],
    accounts.BalanceLimits: [
        integer("min_posted_minor"),
        integer("max_posted_minor"),
        integer("min_available_minor"),
        integer("max_available_minor"),
        check("min_posted_minor", checks.limits_problem),
    ],
    accounts.AccountInput: [
        _account("name"),
        check("currency_code", lambda account: currency_problem(account.currency_code)),
        enum("normal_balance", required=True),
        message("limits", empty_is_unset=True),
        _metadata(),
    ],
    accounts.CreateAccountRequest: [*_MUTATION, message("account", required=True)],
    accounts.BatchCreateAccountsRequest: [
        *_MUTATION,
        repeated("accounts", min_items=1, max_items=MAX_ACCOUNTS_PER_BATCH),
    ],
    accounts.GetAccountRequest: [_ledger(), _account("name")],
    accounts.ListAccountsRequest: [_ledger(), _account("prefix", required=False), *PAGE],
    accounts.CloseAccountRequest: [*_MUTATION, _account("name")],
    balances.AsOf: [
        one_of("point"),
        _sequence("sequence"),
        timestamp("record_time"),
        timestamp("effective_time"),
    ],
    balances.GetBalanceRequest: [
        _ledger(),
        one_of("target"),
        _account("account", required=False),
        _account("prefix", required=False),
        message("as_of"),
        boolean("include_holds"),
        *PAGE,
        check("account", checks.target_problem),
    ],
    balances.GetTrialBalanceRequest: [
        _ledger(),
        _account("prefix", required=False),
        message("as_of"),
        *PAGE,
    ],
    entries.Precondition: [
        integer("expected_version", minimum=0),
        integer("min_posted_minor"),
        integer("max_posted_minor"),
        integer("min_available_minor"),
        integer("max_available_minor"),
    ],
    entries.EntryInput: [
        _account("account"),
        enum("direction", required=True),
        message("amount", required=True),
        message("precondition", empty_is_unset=True),
        _note("description"),
    ],
    entries.EntryPart: [
        integer("entry_index", minimum=0),
        integer("amount_minor", minimum=1, maximum=MAX_AMOUNT_MINOR),
    ],
    entries.StatementPeriod: [
        _sequence("after_sequence"),
        _sequence("through_sequence"),
        timestamp("start_record_time"),
        timestamp("end_record_time"),
    ],
    entries.ListEntriesRequest: [_ledger(), _account("account"), message("period"), *PAGE],
    transactions.Exchange: [
        message("sold", required=True),
        message("bought", required=True),
        check("rate", checks.rate_problem),
        _account("remainder_account", required=False),
    ],
    transactions.TransactionInput: [
        repeated("entries", min_items=MIN_ENTRIES, max_items=MAX_ENTRIES),
        boolean("pending"),
        timestamp("expire_time"),
        check("expire_time", checks.expiry_problem),
        timestamp("effective_time"),
        *_POSTING_TEXTS,
        repeated("exchanges", max_items=MAX_EXCHANGES),
    ],
    transactions.TransactionKey: [
        one_of("key"),
        check("sequence", checks.key_problem),
        text("request_id", max_bytes=MAX_REQUEST_ID_BYTES, pattern=IDENTIFIER),
        check("request_id", checks.key_id_problem),
    ],
    transactions.PostInput: [
        message("pending", required=True),
        repeated("parts", max_items=MAX_ENTRIES),
        enum("remainder", default=transactions.REMAINDER_RELEASE),
        check("remainder", checks.remainder_problem),
        timestamp("effective_time"),
        *_POSTING_TEXTS,
    ],
    transactions.VoidInput: [message("pending", required=True), *_POSTING_TEXTS],
    transactions.ReversalInput: [
        message("original", required=True),
        repeated("parts", max_items=MAX_ENTRIES),
        timestamp("effective_time"),
        *_POSTING_TEXTS,
    ],
    mutations.CreateTransactionRequest: [*_MUTATION, message("transaction", required=True)],
    mutations.PostTransactionRequest: [*_MUTATION, message("post", required=True)],
    mutations.VoidTransactionRequest: [*_MUTATION, message("void", required=True)],
    mutations.ReverseTransactionRequest: [*_MUTATION, message("reversal", required=True)],
    mutations.BatchItem: [
        text("request_id", max_bytes=MAX_REQUEST_ID_BYTES, pattern=IDENTIFIER),
        one_of("operation"),
        message("create"),
        message("post"),
        message("void"),
        message("reversal"),
    ],
    mutations.BatchCreateTransactionsRequest: [
        *_MUTATION,
        enum("mode", required=True),
        repeated("items", min_items=1, max_items=MAX_ITEMS_PER_BATCH),
        check("items", checks.batch_problem),
        enum("view"),
    ],
    reads.GetTransactionRequest: [_ledger(), message("key", required=True)],
    reads.ListTransactionsRequest: [
        _ledger(),
        _account("account", required=False),
        _note("reference"),
        repeated("kinds", max_items=MAX_KINDS, each=each_enum(transactions.TransactionKind)),
        _sequence("after_sequence"),
        boolean("descending"),
        enum("view"),
        *PAGE,
    ],
    reads.WatchTransactionsRequest: [
        _ledger(),
        _sequence("after_sequence"),
        _account("account_prefix", required=False),
        _hash("after_leaf_hash"),
    ],
    audit.GetCheckpointRequest: [_ledger(), _sequence("min_tree_size")],
    audit.GetInclusionProofRequest: [
        _ledger(),
        _sequence("sequence", minimum=1),
        _sequence("tree_size"),
        check("tree_size", checks.inclusion_problem),
    ],
    audit.GetConsistencyProofRequest: [
        _ledger(),
        _sequence("first_tree_size", minimum=1),
        _sequence("second_tree_size"),
        check("second_tree_size", checks.consistency_problem),
    ],
    audit.VerifyLedgerRequest: [_ledger(), _sequence("after_sequence")],
    export.ExportLogRequest: [
        _ledger(),
        _sequence("after_account"),
        integer("through_account", minimum=0, maximum=MAX_ACCOUNT_NUMBER),
        _sequence("after_sequence"),
        _sequence("through_sequence"),
        check("through_account", checks.account_span_problem),
        check("through_sequence", checks.sequence_span_problem),
    ],
}

VALIDATOR = Validator(RULES)
