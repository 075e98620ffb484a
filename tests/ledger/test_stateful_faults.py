"""The model notices a ledger that is wrong: the real one behind a stub that spoils its answers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from ledger.limits import LIMITS, Limits
from ledger.v1.transaction_pb2 import Transaction
from runtime.clock import ManualClock
from tests.ledger.running import serving
from tests.ledger.stateful.playing import Play
from tests.ledger.stateful.steps import SECOND_US, Create, Group, Read, Repeat, Step, Take, Wait

# One hold falls due in the history, and the head that lags never says that it is expired.
FEW_READS = 100
# Spoils the answer to the n-th call of a method, in place or by answering something else.
Spoil = Callable[[Any, int], Any]

INTO_WALLET = Create((Group("EUR", True, 0, ((3, 10),)),))
OUT_OF_WALLET = Create((Group("EUR", False, 0, ((3, 10),)),))
OVERDRAFT = Create((Group("EUR", False, 0, ((3, 400),)),))
HOLD = Create((Group("EUR", False, 0, ((3, 40),)),), pending=True)
SHORT_HOLD = Create((Group("EUR", False, 0, ((3, 40),)),), pending=True, expires_in_us=SECOND_US)
HISTORY: tuple[Step, ...] = (
    INTO_WALLET,
    HOLD,
    Take("post", 0, picks=((1, 5),), keep=True),
    Repeat(1),
    OVERDRAFT,
    SHORT_HOLD,
    Wait(SECOND_US),
    OUT_OF_WALLET,
    Take("reversal", 0, picks=((1, 2),)),
    Read("balance", 3, "sequence", 2),
    Read("balance", 3, "record_time", 1),
    Read("statement", 3),
    Read("transactions", 4),
    Read("transaction", 4),
    Read("feed", 0),
)


class SpoiltStub:
    """A stub that passes every call on and spoils the answers of one method."""

    def __init__(self, stub: Any, method: str, spoil: Spoil) -> None:
        self._stub = stub
        self._method = method
        self._spoil = spoil
        self._calls = 0

    def __getattr__(self, method: str) -> Any:
        passed_on = getattr(self._stub, method)
        if method != self._method:
            return passed_on

        async def spoilt(request: Any) -> Any:
            response = await passed_on(request)
            self._calls += 1
            return self._spoil(response, self._calls)

        return spoilt


@pytest.fixture
async def channel(url: str, clock: ManualClock) -> AsyncIterator[grpc.aio.Channel]:
    still = Limits(sweep_interval_seconds=86_400.0)
    async with serving(url, clock, still) as served:
        yield served.channel


async def test_the_history_is_played_whole_when_nothing_is_spoilt(
    channel: grpc.aio.Channel, clock: ManualClock
) -> None:
    play = Play(channel, clock, "sound", LIMITS.expiries_per_commit)
    await play.all_of(HISTORY)
    assert play.steps == len(HISTORY)


def a_balance_is_off(response: Any, call: int) -> Any:
    response.transaction.entries[-1].balance_after.posted_credits_minor += 1
    return response


def an_entry_is_dropped(response: Any, call: int) -> Any:
    del response.transaction.entries[-1]
    return response


def a_sequence_is_skipped(response: Any, call: int) -> Any:
    response.transaction.sequence += call > 2
    return response


def a_source_is_forgotten(response: Any, call: int) -> Any:
    response.transaction.entries[0].ClearField("source_entry_index")
    return response


def a_line_is_off(response: Any, call: int) -> Any:
    response.lines[0].balance.posted_debits_minor += call > 5
    return response


def a_total_is_off(response: Any, call: int) -> Any:
    response.totals[0].posted_debits_minor += call > 5
    return response


def the_head_lags(response: Any, call: int) -> Any:
    response.ledger.last_sequence -= 1
    return response


def a_past_balance_is_off(response: Any, call: int) -> Any:
    response.balances[0].available_minor += call == 2
    return response


def an_entry_is_listed_twice(response: Any, call: int) -> Any:
    response.entries.append(response.entries[0])
    return response


def a_transaction_is_not_listed(response: Any, call: int) -> Any:
    del response.transactions[0]
    return response


def a_hold_has_more_left(response: Any, call: int) -> Any:
    for left in response.standing.held:
        left.remaining_minor += 1
    return response


@pytest.mark.parametrize(
    ("method", "spoil"),
    [
        ("CreateTransaction", a_balance_is_off),
        ("CreateTransaction", an_entry_is_dropped),
        ("CreateTransaction", a_sequence_is_skipped),
        ("PostTransaction", a_balance_is_off),
        ("PostTransaction", a_source_is_forgotten),
        ("ReverseTransaction", an_entry_is_dropped),
        ("GetTrialBalance", a_line_is_off),
        ("GetTrialBalance", a_total_is_off),
        ("GetLedger", the_head_lags),
        ("GetBalance", a_past_balance_is_off),
        ("ListEntries", an_entry_is_listed_twice),
        ("ListTransactions", a_transaction_is_not_listed),
        ("GetTransaction", a_hold_has_more_left),
    ],
)
async def test_a_wrong_answer_is_noticed(
    channel: grpc.aio.Channel, clock: ManualClock, method: str, spoil: Spoil
) -> None:
    play = Play(channel, clock, "spoilt", LIMITS.expiries_per_commit, FEW_READS)
    play.stub = SpoiltStub(play.stub, method, spoil)
    with pytest.raises(AssertionError):
        await play.all_of(HISTORY)


async def test_a_failed_verification_is_noticed(
    channel: grpc.aio.Channel, clock: ManualClock
) -> None:
    play = Play(channel, clock, "spoilt", LIMITS.expiries_per_commit)
    audits = play.audits

    class Doubtful:
        async def VerifyLedger(self, request: Any) -> AsyncIterator[Any]:
            async for response in audits.VerifyLedger(request):
                response.intact = False
                yield response

    play.audits = Doubtful()
    with pytest.raises(AssertionError, match="done: true"):
        await play.all_of(HISTORY)


class Careless:
    """A stub before a ledger that forgets: what it says of one request is not kept."""

    def __init__(self, stub: Any, rename: Callable[[str], str]) -> None:
        self._stub = stub
        self._rename = rename
        self._seen: set[str] = set()

    def __getattr__(self, method: str) -> Any:
        passed_on = getattr(self._stub, method)
        if method != "CreateTransaction":
            return passed_on

        async def careless(request: Any) -> Any:
            sent = type(request)()
            sent.CopyFrom(request)
            if request.request_id in self._seen:
                sent.request_id = self._rename(request.request_id)
            self._seen.add(request.request_id)
            response = await passed_on(sent)
            response.transaction.request_id = request.request_id
            return response

        return careless


async def test_a_repeated_request_that_is_made_afresh_is_noticed(
    channel: grpc.aio.Channel, clock: ManualClock
) -> None:
    play = Play(channel, clock, "spoilt", LIMITS.expiries_per_commit)
    play.stub = Careless(play.stub, lambda request_id: f"{request_id}-again")
    with pytest.raises(AssertionError, match="request-1"):
        await play.all_of(HISTORY)


async def test_a_limit_that_does_not_hold_is_noticed(
    channel: grpc.aio.Channel, clock: ManualClock
) -> None:
    """A refusal becomes a success, as of a ledger that has no limits."""
    play = Play(channel, clock, "spoilt", LIMITS.expiries_per_commit)
    stub = play.stub

    class Limitless:
        def __getattr__(self, method: str) -> Any:
            passed_on = getattr(stub, method)

            async def generous(request: Any) -> Any:
                try:
                    return await passed_on(request)
                except grpc.aio.AioRpcError:
                    answer = type("Answer", (), {})()
                    answer.transaction = Transaction(sequence=4, request_id=request.request_id)
                    return answer

            return generous if method == "CreateTransaction" else passed_on

    play.stub = Limitless()
    with pytest.raises(AssertionError, match="FLOOR_BREACHED"):
        await play.all_of(HISTORY)
