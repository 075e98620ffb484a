"""The rules of every request of this service; the runtime enforces them before a handler runs."""

import re
from datetime import date
from typing import Any

from money.v1 import money_pb2
from reconciliation.matching.item import MAX_KEY_BYTES
from reconciliation.v1 import (
    liquidity_service_pb2,
    operator_act_service_pb2,
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

_CLIENT = re.compile(r"[a-z0-9_.-]+")
_ACCOUNT = re.compile(r"[a-z0-9-]+")
_CURRENCY = re.compile(r"[A-Z]{3}")


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


def _is_a_day(balance: Any) -> str | None:
    try:
        is_a_day = date.fromisoformat(balance.date).isoformat() == balance.date
    except ValueError:
        is_a_day = False
    return None if is_a_day else 'is not a day as "2026-11-30"'


_OF_A_START = ("opening", "closing")
_TEXTS_OF_A_START = ("request_id", "bank_account", "file_name", "format")
# Less than a message may have, so that the rest of it fits.
MAX_PIECE_BYTES = MAX_REQUEST_BYTES - 64
MAX_BANK_ACCOUNT_BYTES = 63
MAX_FILE_NAME_BYTES = 255
DAY_BYTES = 10


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
            timestamp("as_of_time"),
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
            text("date", required=True, max_bytes=DAY_BYTES),
            check("date", _is_a_day),
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
        operator_act_service_pb2.ListOperatorActsRequest: OPERATOR_ACT_RULES,
    }
)
