"""StatementService: the handlers."""

import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import grpc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.bank import store
from reconciliation.bank.accounts import BankAccount, BankAccounts
from reconciliation.bank.asking import ReaderFailedError
from reconciliation.bank.messages import FORMATS, line_message, statement_message, to_balance
from reconciliation.bank.store import BankFile, StatementFilter
from reconciliation.bank.taking import MAX_FILE_BYTES, StatementTaking, Told
from reconciliation.breaks.messages import to_datetime
from reconciliation.errors import (
    ERRORS,
    bank_account_not_found,
    cursor_outdated,
    file_too_large,
    statement_refused,
)
from reconciliation.statements.model import Format
from reconciliation.statements.reading import Declared
from reconciliation.v1 import statement_pb2
from reconciliation.v1 import statement_service_pb2 as pb
from reconciliation.v1.statement_service_pb2_grpc import StatementServiceServicer
from runtime.admission import Quota
from runtime.auth import client_name
from runtime.child_process import nameless_file
from runtime.errors import FieldViolation, ServiceError
from runtime.interceptor import RETRY_DELAY
from runtime.logs import get_logger
from runtime.mutations import Mutations
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
# Statements that are read at a time for somebody who watches, and how long he waits for a
# notification before he looks by himself.
WATCH_BATCH = 100
WATCH_POLL_SECONDS = 1.0
# Files that are brought at a moment. Each is in memory, and in a process that reads it.
MAX_UPLOADS = 2

log = get_logger(__name__)


class StatementService(StatementServiceServicer):
    """Takes files of banks, and shows what is in them."""

    def __init__(
        self,
        engine: AsyncEngine,
        mutations: Mutations,
        accounts: BankAccounts,
        taking: StatementTaking,
        notifier: Notifier,
    ) -> None:
        """`notifier` is notified of statements."""
        self._engine = engine
        self._mutations = mutations
        self._accounts = accounts
        self._taking = taking
        self._notifier = notifier
        self._uploads = Quota("files of banks at once", MAX_UPLOADS, reserve=0)
        self._tokens = PageTokens(ERRORS)

    async def UploadStatement(
        self, request: AsyncIterator[pb.UploadStatementRequest], _context: Any
    ) -> pb.UploadStatementResponse:
        first = await anext(aiter(request))
        if first.content:
            raise _out_of_place("request_id", "is required")
        self._uploads.enter(operator=True)
        try:
            file_number = nameless_file("statement")
            try:
                return await self._upload(first, request, file_number)
            finally:
                os.close(file_number)
        finally:
            self._uploads.leave()

    async def _upload(
        self,
        first: pb.UploadStatementRequest,
        pieces: AsyncIterator[pb.UploadStatementRequest],
        file_number: int,
    ) -> pb.UploadStatementResponse:
        account = self._accounts.get(first.bank_account)
        hashed, count = hashlib.sha256(), 0
        async for piece in pieces:
            if not piece.content:
                raise _out_of_place("content", "is required after the first message")
            count += len(piece.content)
            if count > MAX_FILE_BYTES:
                raise file_too_large(first.bank_account, MAX_FILE_BYTES)
            hashed.update(piece.content)
            _write(file_number, piece.content)
        kept = pb.UploadStatementRequest()
        kept.CopyFrom(first)
        # Instead of the bytes, which are kept as a file.
        kept.content = hashed.digest()

        async def take(connection: AsyncConnection) -> pb.UploadStatementResponse:
            if account is None:
                raise bank_account_not_found(first.bank_account)
            file = BankFile(
                account, first.file_name, file_number, count, hashed.digest(), client_name()
            )
            told = _told(account, first)
            try:
                rows = await self._taking.take_in(connection, file, told)
            except ReaderFailedError as error:
                log.error("statement_reader_failed", problem=str(error))
                raise _reader_failed() from error
            return pb.UploadStatementResponse(statements=[statement_message(row) for row in rows])

        response = await self._mutations.run(kept, pb.UploadStatementResponse, take)
        self._taking.tell()
        return response

    async def GetStatement(
        self, request: pb.GetStatementRequest, _context: Any
    ) -> pb.GetStatementResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            row = await store.get_statement(connection, request.statement_id)
            lines = await store.lines_of(
                connection, request.statement_id, int(position[0]) if position else 0, size + 1
            )
        page = lines[:size]
        return pb.GetStatementResponse(
            statement=statement_message(row),
            lines=[line_message(line, row.currency) for line in page],
            next_page_token=self._tokens.encode(request, [page[-1].position])
            if len(lines) > size
            else "",
        )

    async def ListStatements(
        self, request: pb.ListStatementsRequest, _context: Any
    ) -> pb.ListStatementsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        kind = statement_pb2.StatementKind.Name(request.kind).removeprefix("STATEMENT_KIND_")
        wanted = StatementFilter(
            account=request.bank_account,
            kind=kind if request.kind else "",
            as_of=to_datetime(request.as_of_time) if request.HasField("as_of_time") else None,
        )
        async with self._engine.connect() as connection:
            rows = await store.list_statements(
                connection, wanted, int(position[0]) if position else 0, size + 1
            )
        page = rows[:size]
        return pb.ListStatementsResponse(
            statements=[statement_message(row) for row in page],
            next_page_token=self._tokens.encode(request, [page[-1].statement_id])
            if len(rows) > size
            else "",
        )

    async def WatchStatements(
        self, request: pb.WatchStatementsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchStatementsResponse]:
        after = request.after_statement_id
        async with self._engine.connect() as connection:
            last = await store.last_id(connection)
        if after > last:
            raise cursor_outdated(last)
        while True:  # Until the caller goes away.
            token = self._notifier.token()
            async with self._engine.connect() as connection:
                rows = await store.list_statements(
                    connection, StatementFilter(), after, WATCH_BATCH
                )
            for row in rows:
                after = row.statement_id
                yield pb.WatchStatementsResponse(statement=statement_message(row))
            if len(rows) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)


def _told(account: BankAccount, first: pb.UploadStatementRequest) -> Told:
    """What a file is by the upload, else by the declaration. Raises what is in the way."""
    balances = {}
    for name in ("opening", "closing"):
        if first.HasField(name):
            given = getattr(first, name)
            if given.amount.currency_code != account.currency:
                expected = f"{account.currency} was expected"
                raise statement_refused(account.name, "CURRENCY", name, expected)
            balances[name] = to_balance(given)
    return Told(_declared(account, first.format), **balances)


def _declared(account: BankAccount, given: Any) -> Declared | None:
    if given == statement_pb2.STATEMENT_FORMAT_UNSPECIFIED:
        return account.declared
    if given == statement_pb2.STATEMENT_FORMAT_DETECT:
        return None
    wanted = FORMATS[given]
    if account.declared is not None and account.declared.file_format is wanted:
        return account.declared
    if wanted is Format.CSV:
        expected = "a CSV mapping in the account's declaration was expected"
        raise statement_refused(account.name, "UNSUPPORTED", "CSV", expected)
    return Declared(wanted)


def _write(file_number: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file_number, rest) :]


def _out_of_place(field: str, description: str) -> ServiceError:
    return ERRORS.runtime_error(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        f"{field} {description}",
        violations=[FieldViolation(field, description)],
    )


def _reader_failed() -> ServiceError:
    return ERRORS.runtime_error(
        grpc.StatusCode.UNAVAILABLE,
        "DEPENDENCY_UNAVAILABLE",
        "the file could not be read to its end; send the same request again",
        metadata={"dependency": "reader"},
        retry_delay=RETRY_DELAY,
    )
