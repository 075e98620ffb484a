"""JSON Lines: each line one account, or one transaction, post, void or reversal with its id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ledger.load.columns import column_of, path_of
from ledger.load.fields import FieldError, message_of
from ledger.load.fields import Path as FieldPath
from ledger.load.given import Bad, Given, Line, file_identity
from ledger.v1.account_pb2 import AccountInput
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.validation import VALIDATOR

# 10,000 legs, each with a name, a note and a precondition, are below it.
MAX_LINE_BYTES = 32 * 1024 * 1024
READ_BYTES = 1024 * 1024
REQUEST_ID_KEYS = ("request_id", "requestId")
OPERATIONS = {"transaction": "create", "post": "post", "void": "void", "reversal": "reversal"}
KEYS = {operation: key for key, operation in OPERATIONS.items()}
KINDS = ("account", *OPERATIONS)


class JsonLines:
    """A file of lines; empty ones are passed over."""

    total = None

    def __init__(self, path: Path) -> None:
        self._path = path

    def given(self, after: int) -> Iterator[Line]:
        """What the lines after that one say."""
        with self._path.open("rb", buffering=READ_BYTES) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    yield Bad(number, 0, f"has more than {MAX_LINE_BYTES:,} bytes")
                    return
                if number > after and (text := line.strip()):
                    yield read_line(number, text)

    def locate(self, place: int) -> tuple[str, int]:
        return "line", place

    def identity(self) -> str:
        return file_identity(self._path)


def read_line(number: int, line: bytes) -> Line:
    """What one line says, or what is wrong with it."""
    try:
        text = line.decode()
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        message = _message(value)
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode()) + 1
        return Bad(number, column, "is not UTF-8")
    except json.JSONDecodeError as error:
        return Bad(number, error.colno, f"is not JSON: {error.msg}")
    except FieldError as error:
        return _bad_field(number, text, error.path, error.problem)
    except RecursionError:
        return Bad(number, 1, "is nested too deeply")
    except ValueError as error:
        return Bad(number, 1, str(error))
    violations = VALIDATOR.violations(message)
    if violations:
        first = violations[0]
        return _bad_field(number, text, _path_in_line(message, first.field), first.description)
    if isinstance(message, AccountInput):
        return Given(number, message, len(line), line)
    return Given(number, message, len(line), line)


def _message(value: Any) -> AccountInput | BatchItem:
    if not isinstance(value, dict):
        raise FieldError("is not an object")
    kinds = [key for key in value if key in KINDS]
    if len(kinds) != 1:
        raise FieldError(f"needs exactly one of {', '.join(KINDS)}")
    kind = kinds[0]
    for key in value:
        if key != kind and (kind == "account" or key not in REQUEST_ID_KEYS):
            raise FieldError("is no field here", (key,))
    try:
        if kind == "account":
            account: AccountInput = message_of(AccountInput, value[kind])
            return account
        arguments = {"request_id": _request_id(value), OPERATIONS[kind]: value[kind]}
        item: BatchItem = message_of(BatchItem, arguments)
    except FieldError as error:
        raise FieldError(error.problem, _step_in_line(kind, error.path)) from None
    return item


def _request_id(value: dict[str, Any]) -> str:
    ids = [value[key] for key in REQUEST_ID_KEYS if key in value]
    if len(ids) != 1 or not isinstance(ids[0], str) or not ids[0]:
        raise FieldError("needs one request_id, which is a string")
    return ids[0]


def _step_in_line(kind: str, path: FieldPath) -> FieldPath:
    """A path within the account or the batch's item as one within the line."""
    if kind == "account":
        return (kind, *path)
    return (kind, *path[1:]) if path and path[0] == OPERATIONS[kind] else path


def _path_in_line(message: AccountInput | BatchItem, field: str) -> FieldPath:
    path = path_of(field)
    if isinstance(message, AccountInput):
        return ("account", *path)
    return (KEYS.get(str(path[0]), path[0]), *path[1:]) if path else path


def _bad_field(number: int, text: str, path: FieldPath, problem: str) -> Bad:
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return Bad(number, column_of(text, path), f"{name.lstrip('.') or 'the line'} {problem}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, of whose values none is lost because its key came twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{twice}" comes twice in one object')
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
