"""What this service answers when it cannot do what it was asked; see error_reason.proto."""

from collections.abc import Mapping

import grpc

from reconciliation.matching.item import ItemKey, Leg
from reconciliation.v1 import error_reason_pb2
from runtime.errors import ErrorDomain, ServiceError

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
