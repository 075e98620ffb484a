"""What this service answers when it cannot do what it was asked; see error_reason.proto."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

import grpc

from reconciliation.matching.item import ItemKey, Leg
from reconciliation.v1 import error_reason_pb2
from runtime.errors import ErrorDomain, ServiceError

# Ids that an error quotes; more do not fit into its trailers.
MAX_NAMED_BREAKS = 100

ERRORS = ErrorDomain("reconciliation", error_reason_pb2.ErrorReason)


def break_not_found(break_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_BREAK_NOT_FOUND,
        "no break has this id",
        metadata={"break_id": str(break_id)},
    )


def match_not_found(match_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_MATCH_NOT_FOUND,
        "no match has this id",
        metadata={"match_id": str(match_id)},
    )


def item_not_found(key: ItemKey) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_ITEM_NOT_FOUND,
        "no item has this source, corridor and key",
        metadata=_names(key),
    )


def break_ended(break_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_BREAK_ENDED,
        "the break has ended",
        metadata={"break_id": str(break_id)},
    )


def break_of_items(break_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_BREAK_OF_ITEMS,
        "the break is of items, and those are matched or ignored",
        metadata={"break_id": str(break_id)},
    )


def break_without_items(break_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_BREAK_WITHOUT_ITEMS,
        "the break has no items that could be matched",
        metadata={"break_id": str(break_id)},
    )


def match_revoked(match_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_MATCH_REVOKED,
        "the match was revoked before",
        metadata={"match_id": str(match_id)},
    )


def item_not_open(key: ItemKey, leg: Leg) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ITEM_NOT_OPEN,
        "the item is in no break or expectation of the leg",
        metadata={**_names(key), "leg": leg.value},
    )


def items_of_another_break(break_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ITEMS_OF_ANOTHER_BREAK,
        "none of the items is in the break",
        metadata={"break_id": str(break_id)},
    )


def sums_differ(differences: Mapping[str, int]) -> ServiceError:
    unequal = {code: amount for code, amount in differences.items() if amount}
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_SUMS_DIFFER,
        "the two sides are not equal: post the difference in the ledger first",
        metadata={
            "differences": ",".join(f"{code} {amount}" for code, amount in sorted(unequal.items()))
        },
    )


def needs_another_person(client: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_NEEDS_ANOTHER_PERSON,
        "the same client asked for it before: another one has to agree",
        metadata={"client": client},
    )


def item_not_ignored(key: ItemKey, leg: Leg) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ITEM_NOT_IGNORED,
        "the item is not ignored in the leg",
        metadata={**_names(key), "leg": leg.value},
    )


def change_not_found(number: int, last: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_CHANGE_NOT_FOUND,
        "there is no such change yet",
        metadata={"as_of_change": str(number), "last_change": str(last)},
    )


def period_not_over(earliest: datetime) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        error_reason_pb2.ERROR_REASON_PERIOD_NOT_OVER,
        "the period may not be closed yet",
        metadata={"earliest_time": earliest.astimezone(UTC).isoformat()},
    )


def sources_behind(sources: Iterable[tuple[str, str]]) -> ServiceError:
    """Each with what it lacks."""
    return ERRORS.error(
        grpc.StatusCode.UNAVAILABLE,
        error_reason_pb2.ERROR_REASON_SOURCES_BEHIND,
        "not everything of the period has come",
        metadata={"sources": "; ".join(f"{name}: {why}" for name, why in sources)},
    )


def period_out_of_order(corridor: str, next_day: date) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_PERIOD_OUT_OF_ORDER,
        "another day has to be closed first",
        metadata={"corridor": corridor, "next_day": next_day.isoformat()},
    )


def period_closed(corridor: str, closing_number: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_PERIOD_CLOSED,
        "the period is closed",
        metadata={"corridor": corridor, "closing_number": str(closing_number)},
    )


def breaks_open(break_ids: Sequence[int], most: int) -> ServiceError:
    count = str(len(break_ids)) if len(break_ids) <= most else f"{most}+"
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_BREAKS_OPEN,
        "the breaks that are open are not those that the request names",
        metadata={
            "break_count": count,
            "break_ids": ",".join(map(str, break_ids[:MAX_NAMED_BREAKS])),
        },
    )


def period_too_large(most: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_PERIOD_TOO_LARGE,
        "the period has more items than a statement takes",
        metadata={"most": str(most)},
    )


def period_not_found(closing_number: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_PERIOD_NOT_FOUND,
        "no closing has this number",
        metadata={"closing_number": str(closing_number)},
    )


def corridor_not_found(corridor: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_CORRIDOR_NOT_FOUND,
        "no item is of this corridor",
        metadata={"corridor": corridor},
    )


def break_not_adjustable(break_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_BREAK_NOT_ADJUSTABLE,
        "a transaction of the ledger would not make its sides equal",
        metadata={"break_id": str(break_id)},
    )


def adjustment_not_allowed(why: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ADJUSTMENT_NOT_ALLOWED,
        "the adjustment is not allowed",
        metadata={"why": why},
    )


def adjustment_under_way(break_id: int, adjustment_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        error_reason_pb2.ERROR_REASON_ADJUSTMENT_UNDER_WAY,
        "another adjustment of the break is under way",
        metadata={"break_id": str(break_id), "adjustment_id": str(adjustment_id)},
    )


def adjustment_not_found(adjustment_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_ADJUSTMENT_NOT_FOUND,
        "no adjustment has this id",
        metadata={"adjustment_id": str(adjustment_id)},
    )


def cursor_outdated(after_sequence: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.OUT_OF_RANGE,
        error_reason_pb2.ERROR_REASON_CURSOR_OUTDATED,
        "there is nothing with this sequence: the database was restored since",
        metadata={"after_sequence": str(after_sequence)},
    )


def bank_account_not_found(name: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_BANK_ACCOUNT_NOT_FOUND,
        "no bank account of this name is declared",
        metadata={"bank_account": name},
    )


def statement_not_found(statement_id: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        error_reason_pb2.ERROR_REASON_STATEMENT_NOT_FOUND,
        "no statement has this id",
        metadata={"statement_id": str(statement_id)},
    )


def file_too_large(bank_account: str, max_bytes: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT,
        error_reason_pb2.ERROR_REASON_STATEMENT_TOO_LARGE,
        f"the file has more than {max_bytes} bytes",
        metadata={"bank_account": bank_account, "max_bytes": str(max_bytes)},
    )


# What the readers of files say, by its reason here; anything else is STATEMENT_UNREADABLE.
_REFUSALS = {
    "STATEMENTS_OF_DAYS": error_reason_pb2.ERROR_REASON_STATEMENT_TOO_LARGE,
    "TOO_LARGE": error_reason_pb2.ERROR_REASON_STATEMENT_TOO_LARGE,
    "ACCOUNT": error_reason_pb2.ERROR_REASON_STATEMENT_OF_ANOTHER_ACCOUNT,
    "CURRENCY": error_reason_pb2.ERROR_REASON_STATEMENT_CURRENCY_DIFFERS,
    "FUTURE_DATE": error_reason_pb2.ERROR_REASON_STATEMENT_IN_THE_FUTURE,
    "BALANCE": error_reason_pb2.ERROR_REASON_STATEMENT_BALANCE_FALSE,
    "BATCH": error_reason_pb2.ERROR_REASON_STATEMENT_BALANCE_FALSE,
    "TOTALS": error_reason_pb2.ERROR_REASON_STATEMENT_BALANCE_FALSE,
    "PROOF_MISSING": error_reason_pb2.ERROR_REASON_STATEMENT_BALANCE_FALSE,
}


def statement_refused(bank_account: str, problem: str, place: str, expected: str) -> ServiceError:
    """A file that is refused by its readers, which say nothing of what stands in it."""
    reason = _REFUSALS.get(problem, error_reason_pb2.ERROR_REASON_STATEMENT_UNREADABLE)
    is_too_large = reason == error_reason_pb2.ERROR_REASON_STATEMENT_TOO_LARGE
    return ERRORS.error(
        grpc.StatusCode.INVALID_ARGUMENT if is_too_large else grpc.StatusCode.FAILED_PRECONDITION,
        reason,
        f"{place}: {expected}",
        metadata={
            "bank_account": bank_account,
            "problem": problem,
            "place": place,
            "expected": expected,
        },
    )


def _names(key: ItemKey) -> dict[str, str]:
    return {"source": key.source.value, "corridor": key.corridor, "key": key.key}
