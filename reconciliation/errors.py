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


def cursor_outdated(after_sequence: int) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.OUT_OF_RANGE,
        error_reason_pb2.ERROR_REASON_CURSOR_OUTDATED,
        "there is no event with this sequence: the database was restored since",
        metadata={"after_sequence": str(after_sequence)},
    )


def _names(key: ItemKey) -> dict[str, str]:
    return {"source": key.source.value, "corridor": key.corridor, "key": key.key}
