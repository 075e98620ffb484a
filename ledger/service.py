"""The RPC handlers of LedgerService that change something, and the class that has them all.

Those that make transactions answer in wire format: see ledger.wire.
"""

from typing import Any

from ledger.commands import Command, Operation, Outcome
from ledger.decoding import (
    account_batch_command,
    account_command,
    batch_command,
    close_command,
    item_command,
)
from ledger.errors import ledger_not_found
from ledger.reading import ReadingService
from ledger.store import LedgerGoneError
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_mutations_pb2 as mutations
from runtime.beside import beside
from runtime.telemetry import child_span, tracer

Context = Any
# The bytes of the method's response, of which the stubs know nothing.
Encoded = Any
_tracer = tracer(__name__)


class LedgerService(ReadingService):
    """All of `ledger.v1.LedgerService` for the ledgers of one shard, but for their list."""

    async def CreateLedger(
        self, request: ledgers.CreateLedgerRequest, _context: Context
    ) -> ledgers.CreateLedgerResponse:
        return ledgers.CreateLedgerResponse(ledger=await self.ledgers.create(request))

    async def CreateAccount(
        self, request: accounts.CreateAccountRequest, _context: Context
    ) -> accounts.CreateAccountResponse:
        _, outcome = await self._submit(request.ledger, account_command(request))
        (account,) = self.answers.accounts(request.ledger, outcome)
        return accounts.CreateAccountResponse(account=account)

    async def BatchCreateAccounts(
        self, request: accounts.BatchCreateAccountsRequest, _context: Context
    ) -> accounts.BatchCreateAccountsResponse:
        _, outcome = await self._submit(request.ledger, account_batch_command(request))
        made = self.answers.accounts(request.ledger, outcome)
        return accounts.BatchCreateAccountsResponse(accounts=made)

    async def CloseAccount(
        self, request: accounts.CloseAccountRequest, _context: Context
    ) -> accounts.CloseAccountResponse:
        _, outcome = await self._submit(request.ledger, close_command(request))
        (account,) = self.answers.accounts(request.ledger, outcome)
        return accounts.CloseAccountResponse(account=account)

    async def CreateTransaction(
        self, request: mutations.CreateTransactionRequest, _context: Context
    ) -> Encoded:
        command = item_command(request.request_id, Operation.CREATE, request.transaction)
        ledger_id, outcome = await self._submit(request.ledger, command)
        return await self.answers.transaction(ledger_id, request.ledger, outcome)

    async def PostTransaction(
        self, request: mutations.PostTransactionRequest, _context: Context
    ) -> Encoded:
        command = item_command(request.request_id, Operation.POST, request.post)
        ledger_id, outcome = await self._submit(request.ledger, command)
        return await self.answers.transaction(ledger_id, request.ledger, outcome)

    async def VoidTransaction(
        self, request: mutations.VoidTransactionRequest, _context: Context
    ) -> Encoded:
        command = item_command(request.request_id, Operation.VOID, request.void)
        ledger_id, outcome = await self._submit(request.ledger, command)
        return await self.answers.transaction(ledger_id, request.ledger, outcome)

    async def ReverseTransaction(
        self, request: mutations.ReverseTransactionRequest, _context: Context
    ) -> Encoded:
        command = item_command(request.request_id, Operation.REVERSE, request.reversal)
        ledger_id, outcome = await self._submit(request.ledger, command)
        return await self.answers.transaction(ledger_id, request.ledger, outcome)

    async def BatchCreateTransactions(
        self, request: mutations.BatchCreateTransactionsRequest, _context: Context
    ) -> Encoded:
        command = await beside(batch_command, request)
        ledger_id, outcome = await self._submit(request.ledger, command)
        return await self.answers.batch(
            ledger_id,
            request.ledger,
            command,
            outcome,
            view=request.view,
        )

    async def _submit(self, ledger: str, command: Command) -> tuple[int, Outcome]:
        """Waits for the ledger's committer; the span covers queue, decision and commit."""
        ledger_id = await self.ledgers.id_of(ledger)
        attributes = {"db.system": "postgresql", "ledger.operation": command.operation.name}
        with child_span(_tracer, "ledger.commit", attributes):
            try:
                return ledger_id, await self.ledgers.committer(ledger_id, ledger).submit(command)
            except LedgerGoneError:
                self.ledgers.forget(ledger_id, ledger)
                raise ledger_not_found(ledger) from None
