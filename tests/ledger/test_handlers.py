"""The handlers by themselves: no socket, no database, a committer that answers as it is told."""

import asyncio
from typing import Any

import grpc
import grpc_testing
import pytest

from ledger.accounts import NO_LIMITS, Account, Effect, Side
from ledger.answers import Answers
from ledger.commands import Command, Decided, Operation, Outcome, Prior, Record
from ledger.encoding import encode_failure
from ledger.posting import Kind, Posted
from ledger.refusal import Reason, Refusal
from ledger.service import LedgerService
from ledger.v1 import ledger_service_pb2
from ledger.v1 import transaction_mutations_pb2 as mutations
from runtime.errors import ServiceError
from tests.ledger.client import transfer

SERVICE = ledger_service_pb2.DESCRIPTOR.services_by_name["LedgerService"]
CREATE = SERVICE.methods_by_name["CreateTransaction"]


class FakeLedgers:
    """Ledgers with one committer, itself, that gives every command the same outcome."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.commands: list[Command] = []

    async def id_of(self, name: str) -> int:
        return 1

    def committer(self, ledger_id: int, name: str) -> "FakeLedgers":
        return self

    async def submit(self, command: Command) -> Outcome:
        self.commands.append(command)
        return self.outcome


class Blocking:
    """A servicer for grpc_testing, which knows no coroutines; errors become the call's status."""

    def __init__(self, servicer: LedgerService) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        handler = getattr(self._servicer, name)

        def call(request: Any, context: Any) -> Any:
            try:
                return asyncio.run(handler(request, context))
            except ServiceError as error:
                context.abort(error.code, f"{error.reason}: {error.message}")

        return call


def answer_to(outcome: Outcome) -> tuple[FakeLedgers, Any, grpc.StatusCode, str]:
    """What CreateTransaction answers when the committer comes to that outcome."""
    ledgers: Any = FakeLedgers(outcome)
    unused: Any = None
    service = LedgerService(ledgers, Answers(unused), unused, unused, unused, unused)
    server = grpc_testing.server_from_dictionary(
        {SERVICE: Blocking(service)}, grpc_testing.strict_real_time()
    )
    request = mutations.CreateTransactionRequest(
        request_id="r-1", ledger="main", transaction=transfer("wallet", "cash", 5)
    )
    call = server.invoke_unary_unary(CREATE, (), request, None)
    encoded, _, code, details = call.termination()
    response = encoded and mutations.CreateTransactionResponse.FromString(encoded)
    return ledgers, response, code, details


def record() -> Record:
    wallet = Account(1, "wallet", "EUR", Side.CREDIT, NO_LIMITS, 0)
    posted: list[Posted] = [(wallet, Side.CREDIT, Effect.POST, 5, None, 0, 5, 0, 0, 1)]
    return Record(7, Kind.DIRECT, "r-1", b"", "", posted, 1_000_000, None)


def test_a_record_becomes_the_answer() -> None:
    ledgers, response, code, _ = answer_to(Decided([record()]))
    assert code is grpc.StatusCode.OK
    assert response.transaction.sequence == 7
    assert response.transaction.entries[0].balance_after.posted_minor == 5
    assert response.transaction.record_time.seconds == 1
    (command,) = ledgers.commands
    assert (command.operation, command.request_id) == (Operation.CREATE, "r-1")


@pytest.mark.parametrize("kept", [False, True])
def test_a_refusal_becomes_the_error_fresh_or_kept(kept: bool) -> None:
    refusal = Refusal(Reason.FLOOR_BREACHED, "too low", {"account": "wallet"})
    prior = Prior(Operation.CREATE, b"", None, True, encode_failure(refusal), None)
    _, _, code, details = answer_to(prior if kept else refusal)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert details == "FLOOR_BREACHED: too low"
