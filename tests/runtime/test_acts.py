"""Who did it: what is written down of operators' calls, and that it stays."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest

from gateway.config import DATABASE_ROLE
from gateway.rights import RIGHTS as GATEWAY
from gateway.v1 import corridor_pb2, corridor_service_pb2, payment_service_pb2
from ledger.rights import RIGHTS as LEDGER
from ledger.v1 import account_pb2, transaction_mutations_pb2, transaction_pb2
from runtime.acts import MAX_ABOUT_CHARACTERS, Act, ActLog, act_of, is_act, open_act_log
from runtime.clock import ManualClock
from runtime.errors import ServiceError
from runtime.rights import Caller, Role, changes, reads
from tests.runtime.echo import ERRORS

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ANNA = Caller("anna.staff.example", Role.OPERATOR)


@pytest.mark.parametrize(
    ("role", "rule", "kept"),
    [
        (Role.OPERATOR, changes("text", Role.OPERATOR), True),
        (Role.OPERATOR, changes("text", Role.CLIENT, Role.OPERATOR), True),
        (Role.OPERATOR, reads(Role.OPERATOR), False),
        (Role.CLIENT, changes("text", Role.CLIENT, Role.OPERATOR), False),
        (Role.SERVICE, changes("text", Role.SERVICE, Role.OPERATOR), False),
        # Without TLS.
        (None, changes("text", Role.OPERATOR), True),
        (None, changes("text", Role.CLIENT, Role.OPERATOR), False),
        (None, reads(Role.OPERATOR), False),
    ],
)
def test_what_operators_change_is_an_act(role: Role | None, rule: Any, kept: bool) -> None:
    assert is_act(Caller("a", role), rule) == kept


@pytest.mark.parametrize(
    ("request_", "rule", "about"),
    [
        (
            corridor_service_pb2.SetCorridorModeRequest(
                request_id="r", corridor="eu", mode=corridor_pb2.CORRIDOR_MODE_DRAIN
            ),
            GATEWAY["gateway.v1.CorridorService"]["SetCorridorMode"],
            {"corridor": "eu", "mode": "CORRIDOR_MODE_DRAIN"},
        ),
        (
            payment_service_pb2.RefundPaymentRequest(request_id="r", payment_id="p" * 300),
            GATEWAY["gateway.v1.PaymentService"]["RefundPayment"],
            {"payment_id": "p" * MAX_ABOUT_CHARACTERS},
        ),
        (
            account_pb2.CreateAccountRequest(
                request_id="r", ledger="l", account=account_pb2.AccountInput(name="a")
            ),
            LEDGER["ledger.v1.LedgerService"]["CreateAccount"],
            {"ledger": "l", "account.name": "a"},
        ),
        (
            transaction_mutations_pb2.PostTransactionRequest(
                request_id="r",
                ledger="l",
                post=transaction_pb2.PostInput(pending=transaction_pb2.TransactionKey(sequence=7)),
            ),
            LEDGER["ledger.v1.LedgerService"]["PostTransaction"],
            {"ledger": "l", "post.pending": "7"},
        ),
        (
            transaction_mutations_pb2.CreateTransactionRequest(request_id="r", ledger="l"),
            LEDGER["ledger.v1.LedgerService"]["CreateTransaction"],
            {"ledger": "l"},
        ),
    ],
)
def test_an_act_names_what_it_is_about(request_: Any, rule: Any, about: dict[str, str]) -> None:
    assert act_of(ANNA, "s/M", request_, rule) == Act(ANNA.name, "s/M", "r", about)


@pytest.fixture
async def acts(database_url: str) -> AsyncIterator[ActLog]:
    async with open_act_log(database_url, DATABASE_ROLE, ManualClock(NOW)) as log:
        yield log


async def test_an_act_is_there_before_it_is_done_and_then_how_it_ended(
    acts: ActLog, database_url: str
) -> None:
    drain = Act("anna", "gateway.v1.CorridorService/SetCorridorMode", "r1", {"corridor": "eu"})
    async with acts.act(drain):
        (under_way,) = await acts.page("", {}, None, 10)
        assert (under_way.act, under_way.outcome, under_way.end_time) == (drain, "", None)
        assert under_way.begin_time == NOW
    with pytest.raises(ServiceError):
        async with acts.act(Act("ben", "m", "r2", {"corridor": "eu", "mode": "OPEN"})):
            raise refusal()
    with pytest.raises(ZeroDivisionError):
        async with acts.act(Act("ben", "m", "r3", {"corridor": "us"})):
            raise ZeroDivisionError
    found = await acts.page("", {}, None, 10)
    assert [(one.act.client, one.act.request_id, one.outcome) for one in found] == [
        ("ben", "r3", "ZeroDivisionError"),
        ("ben", "r2", "OVERLOADED"),
        ("anna", "r1", "OK"),
    ]
    assert found[2].end_time == NOW + timedelta()

    async def ids(client: str, about: dict[str, str], before: int | None, limit: int) -> list[str]:
        return [one.act.request_id for one in await acts.page(client, about, before, limit)]

    assert await ids("ben", {}, None, 10) == ["r3", "r2"]
    assert await ids("", {"corridor": "eu"}, None, 10) == ["r2", "r1"]
    assert await ids("", {"corridor": "eu", "mode": "OPEN"}, None, 10) == ["r2"]
    assert await ids("", {}, None, 1) == ["r3"]
    assert await ids("", {}, found[0].number, 1) == ["r2"]
    # The service can neither change nor remove any of it.
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SET ROLE gateway_service")
        for statement in (
            "UPDATE operator_act SET client = 'carl'",
            "DELETE FROM operator_act_outcome",
            "TRUNCATE operator_act CASCADE",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())


def refusal() -> ServiceError:
    return ERRORS.runtime_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", "no")
