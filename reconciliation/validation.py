"""The rules of every request of this service; the runtime enforces them before a handler runs."""

import re
from datetime import date
from typing import Any

from money.v1 import money_pb2
from reconciliation.closing.closing import MAX_CARRIED_BREAKS
from reconciliation.matching.item import MAX_KEY_BYTES
from reconciliation.v1 import (
    adjustment_service_pb2,
    item_service_pb2,
    liquidity_service_pb2,
    operator_act_service_pb2,
    period_service_pb2,
    reconciliation_pb2,
    statement_pb2,
    statement_service_pb2,
)
from reconciliation.v1 import reconciliation_service_pb2 as pb
from runtime.act_messages import RULES as OPERATOR_ACT_RULES
from runtime.admission import MAX_REQUEST_BYTES
from runtime.rule import Rule
from runtime.rules import (
    IDENTIFIER,
    MAX_REQUEST_ID_BYTES,
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    enum,
    integer,
    message,
    repeated,
    text,
    timestamp,
)
from runtime.validation import Validator

MAX_NOTE_BYTES = 512
# A DNS name is not longer.
MAX_ASSIGNEE_BYTES = 253
MAX_RESOLVED_ITEMS = 1_000
MAX_ADJUSTED_CURRENCIES = 20

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_CLIENT = re.compile(r"[a-z0-9_.-]+")
_ACCOUNT = re.compile(r"[a-z0-9-]+")


def _note(*, required: bool = True) -> Rule:
    return text("note", required=required, max_bytes=MAX_NOTE_BYTES)


def _assignee() -> Rule:
    return text("assignee", max_bytes=MAX_ASSIGNEE_BYTES, pattern=_CLIENT)


def _is_a_start_or_a_piece(request: Any) -> str | None:
    """Of a file the first message says what it is, and the others bring its bytes."""
    if request.content:
        said = [name for name in _OF_A_START if request.HasField(name)] + [
            name for name in _TEXTS_OF_A_START if getattr(request, name)
        ]
        return f"is for the first message, which has no content: {said[0]}" if said else None
    return None if request.request_id else "is required"


def _is_a_piece(request: Any) -> str | None:
    size = len(request.content)
    return f"has {size} bytes, more than {MAX_PIECE_BYTES}" if size > MAX_PIECE_BYTES else None


def _has_an_account(request: Any) -> str | None:
    return None if request.content or request.bank_account else "is required"


_OF_A_START = ("opening", "closing")
_TEXTS_OF_A_START = ("request_id", "bank_account", "file_name", "format")
# Less than a message may have, so that the rest of it fits.
MAX_PIECE_BYTES = MAX_REQUEST_BYTES - 64
MAX_BANK_ACCOUNT_BYTES = 63
MAX_FILE_NAME_BYTES = 255
DAY_BYTES = 10
CLOSABLE_YEARS = range(2000, 9999)


def _day(field: str, *, required: bool = False) -> list[Rule]:
    """A day such as "2026-11-30"."""

    def problem(given: Any) -> str | None:
        value = getattr(given, field)
        if not value or not _DAY.fullmatch(value):
            return None
        try:
            date.fromisoformat(value)
        except ValueError:
            return "is no day of the calendar"
        return None

    return [
        text(field, required=required, max_bytes=DAY_BYTES, pattern=_DAY),
        check(field, problem),
    ]


def _one_moment(given: Any) -> str | None:
    both = given.HasField("as_of_time") and given.as_of_change
    return "goes without as_of_time" if both else None


def _closable(given: Any) -> str | None:
    """Beyond these years nobody has business, and at the ends of the calendar days have no days
    before or after them."""
    day = given.first_day
    if not _DAY.fullmatch(day) or int(day[:4]) in CLOSABLE_YEARS:
        return None
    return f"is outside the years {CLOSABLE_YEARS[0]} to {CLOSABLE_YEARS[-1]}"


def _first_of_month(given: Any) -> str | None:
    is_month = given.kind == period_service_pb2.PERIOD_KIND_MONTH
    first = given.first_day
    return "is not the first day of a month" if is_month and first[-3:] != "-01" else None


def _break_id(break_id: int) -> str | None:
    return None if break_id > 0 else "is less than 1"


# A time or a change.
_MOMENT = [
    timestamp("as_of_time"),
    integer("as_of_change", minimum=0),
    check("as_of_change", _one_moment),
]
_BREAK = integer("break_id", minimum=1)

VALIDATOR = Validator(
    {
        reconciliation_pb2.ItemKey: [
            enum("source", required=True),
            text("corridor", required=True, max_bytes=MAX_KEY_BYTES),
            text("key", required=True, max_bytes=MAX_KEY_BYTES),
        ],
        pb.GetBreakRequest: [_BREAK],
        pb.ListBreaksRequest: [
            enum("state"),
            enum("kind"),
            enum("leg"),
            text("corridor", max_bytes=MAX_KEY_BYTES),
            _assignee(),
            timestamp("as_of_time"),
            *PAGE,
        ],
        pb.WatchBreaksRequest: [integer("after_sequence", minimum=0)],
        pb.ListMatchesRequest: [
            enum("leg"),
            message("item"),
            boolean("include_revoked"),
            *_MOMENT,
            *PAGE,
        ],
        pb.AssignBreakRequest: [REQUEST_ID, _BREAK, _assignee(), _note(required=False)],
        pb.AddNoteRequest: [REQUEST_ID, _BREAK, _note()],
        pb.ResolveBreakRequest: [
            REQUEST_ID,
            _BREAK,
            repeated("items", max_items=MAX_RESOLVED_ITEMS),
            _note(),
        ],
        pb.IgnoreItemRequest: [
            REQUEST_ID,
            message("item", required=True),
            enum("leg", required=True),
            _note(),
        ],
        pb.UnignoreItemRequest: [
            REQUEST_ID,
            message("item", required=True),
            enum("leg", required=True),
            _note(),
        ],
        pb.AcceptBreakRequest: [REQUEST_ID, _BREAK, _note()],
        pb.RevokeMatchRequest: [REQUEST_ID, integer("match_id", minimum=1), _note()],
        liquidity_service_pb2.GetLiquidityRequest: [
            timestamp("as_of_time"),
            text("corridor", max_bytes=MAX_KEY_BYTES),
            text("currency_code", max_bytes=3, pattern=_CURRENCY),
        ],
        money_pb2.Money: [
            text("currency_code", required=True, max_bytes=3, pattern=_CURRENCY),
            integer("minor_units"),
        ],
        statement_pb2.StatementBalance: [
            message("amount", required=True),
            *_day("date", required=True),
        ],
        statement_service_pb2.UploadStatementRequest: [
            text("request_id", max_bytes=MAX_REQUEST_ID_BYTES, pattern=IDENTIFIER),
            check("request_id", _is_a_start_or_a_piece),
            text("bank_account", max_bytes=MAX_BANK_ACCOUNT_BYTES, pattern=_ACCOUNT),
            check("bank_account", _has_an_account),
            text("file_name", max_bytes=MAX_FILE_NAME_BYTES),
            enum("format"),
            message("opening"),
            message("closing"),
            check("content", _is_a_piece),
        ],
        statement_service_pb2.GetStatementRequest: [integer("statement_id", minimum=1), *PAGE],
        statement_service_pb2.ListStatementsRequest: [
            text("bank_account", max_bytes=MAX_BANK_ACCOUNT_BYTES),
            enum("kind"),
            timestamp("as_of_time"),
            *PAGE,
        ],
        statement_service_pb2.WatchStatementsRequest: [integer("after_statement_id", minimum=0)],
        item_service_pb2.ListItemsRequest: [
            enum("source"),
            text("corridor", max_bytes=MAX_KEY_BYTES),
            enum("standing"),
            enum("leg"),
            *_day("first_book_day"),
            *_day("last_book_day"),
            *_MOMENT,
            *PAGE,
        ],
        item_service_pb2.GetItemRequest: [message("key", required=True), timestamp("as_of_time")],
        period_service_pb2.ClosePeriodRequest: [
            REQUEST_ID,
            enum("kind", required=True),
            *_day("first_day", required=True),
            check("first_day", _closable),
            check("first_day", _first_of_month),
            text("corridor", max_bytes=MAX_KEY_BYTES),
            repeated("carried_break_ids", max_items=MAX_CARRIED_BREAKS, each=_break_id),
            _note(),
        ],
        period_service_pb2.GetPeriodRequest: [integer("closing_number", minimum=1)],
        period_service_pb2.ExportPeriodRequest: [integer("closing_number", minimum=1)],
        period_service_pb2.ListPeriodsRequest: [
            enum("kind"),
            text("corridor", max_bytes=MAX_KEY_BYTES),
            *_day("first_day"),
            *_day("last_day"),
            *PAGE,
        ],
        adjustment_service_pb2.AdjustmentAccounts: [
            text("currency_code", required=True, max_bytes=3, pattern=_CURRENCY),
            text("balance_account", required=True, max_bytes=MAX_KEY_BYTES),
            text("counter_account", required=True, max_bytes=MAX_KEY_BYTES),
        ],
        adjustment_service_pb2.AdjustBreakRequest: [
            REQUEST_ID,
            _BREAK,
            repeated("accounts", min_items=1, max_items=MAX_ADJUSTED_CURRENCIES),
            _note(),
        ],
        adjustment_service_pb2.GetAdjustmentRequest: [integer("adjustment_id", minimum=1)],
        operator_act_service_pb2.ListOperatorActsRequest: OPERATOR_ACT_RULES,
    }
)
