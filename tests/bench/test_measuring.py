"""What the benchmarks measure with: rounds, arrivals, accounts drawn, the table and the page."""

import asyncio
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from bench.arrivals import arrive, percentile
from bench.benchmark import Target, benchmarks, with_target
from bench.ledger_parts import ACCOUNTS
from bench.ledger_requests import HOT_ACCOUNT, check_creates, hot_pairs, uniform_pairs, zipf_pairs
from bench.report import table
from bench.rounds import Round, alternate, send
from ledger.v1.transaction_mutations_pb2 import CreateTransactionResponse
from ledger.v1.transaction_pb2 import Transaction

PAGE = Path(__file__).parent.parent.parent / "docs/benchmarks.md"


def no_meter() -> dict[str, float]:
    return {}


def test_the_page_names_every_benchmark() -> None:
    page = PAGE.read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_0-9]+\.[a-z_0-9.]+)` \|", page, re.MULTILINE))
    assert sorted(documented) == [benchmark.name for benchmark in benchmarks()]


async def test_rounds_alternate_and_the_first_does_not_count() -> None:
    order: list[str] = []

    async def fast() -> Round:
        order.append("fast")
        return Round(100 if len(order) > 2 else 1, 1.0, {"client": 0.001})

    async def slow() -> Round:
        order.append("slow")
        return Round(10, 1.0, {"client": 0.001})

    value, limit = await alternate(3, fast, slow)
    assert order == ["fast", "slow"] * 4
    assert (value.rate, limit.rate) == (100, 10)
    assert (value.items, limit.items) == (300, 30)
    assert limit.cpu_us == {"cpu_us_client": 100.0}


async def test_no_more_callers_than_said_and_every_request_once() -> None:
    at_once: list[int] = []
    running = 0

    async def call(request: bytes) -> bytes:
        nonlocal running
        running += 1
        at_once.append(running)
        await asyncio.sleep(0)
        running -= 1
        return request

    requests = [bytes([number]) for number in range(50)]
    taken, answers = await send(call, requests, callers=4, meter=no_meter, items_per_request=10)
    assert sorted(answers) == requests
    assert max(at_once) == 4
    assert taken.items == 500


async def test_a_failed_call_ends_the_round() -> None:
    async def call(request: bytes) -> bytes:
        raise ConnectionError(request)

    with pytest.raises(ConnectionError):
        await send(call, [b"one", b"two"], callers=2, meter=no_meter)


async def test_a_stall_is_charged_to_all_who_came_meanwhile() -> None:
    """Nobody is answered until the last has come: who came first has waited longest."""
    requests = [b"request"] * 30
    arrived: list[bytes] = []
    all_here = asyncio.Event()

    async def call(request: bytes) -> None:
        arrived.append(request)
        if len(arrived) == len(requests):
            all_here.set()
        await all_here.wait()

    taken = await arrive(call, requests, per_second=1_000, seed=1)
    assert len(taken.latencies) == len(requests)
    # The last to come is answered first, as it comes; then the others in their order.
    last, first, *_, last_but_one = taken.latencies
    assert first > last_but_one > 0
    assert first > last > 0
    assert min(taken.lateness) >= 0


async def test_a_failed_call_ends_the_open_loop() -> None:
    async def call(request: bytes) -> None:
        raise ConnectionError(request)

    with pytest.raises(ConnectionError):
        await arrive(call, [b"request"] * 10, per_second=1_000, seed=1)


def test_percentiles_are_figures_that_occurred() -> None:
    seconds = [float(number) for number in range(100, 0, -1)]
    assert percentile(seconds, 50) == 51
    assert percentile(seconds, 99) == 100
    assert percentile([7.0], 99) == 7


def test_the_hot_account_is_in_every_transfer() -> None:
    pairs = list(itertools.islice(hot_pairs(), 1_000))
    assert all((HOT_ACCOUNT in pair) and pair[0] != pair[1] for pair in pairs)
    assert Counter(pair[0] for pair in pairs)[HOT_ACCOUNT] == 500


def test_zipf_gives_the_kth_account_a_kth_of_the_first_ones_share() -> None:
    drawn = Counter(itertools.chain.from_iterable(itertools.islice(zipf_pairs(), 100_000)))
    # Both of a pair are never the same, which costs the first account a tenth of its share.
    assert drawn[0] / drawn[1] == pytest.approx(2, rel=0.15)
    assert drawn[0] / drawn[9] == pytest.approx(10, rel=0.15)
    assert drawn[9] / drawn[99] == pytest.approx(10, rel=0.15)
    assert max(drawn) < ACCOUNTS


def test_uniform_uses_all_accounts_and_never_one_twice() -> None:
    pairs = list(itertools.islice(uniform_pairs(), 100_000))
    assert len({account for pair in pairs for account in pair}) == ACCOUNTS
    assert all(debited != credited for debited, credited in pairs)


def test_an_answer_without_its_transaction_is_found() -> None:
    answers = [
        CreateTransactionResponse(transaction=Transaction(sequence=sequence)).SerializeToString()
        for sequence in (1, 2, 2)
    ]
    check_creates(answers[:2], 2)
    with pytest.raises(RuntimeError, match="2 of 3"):
        check_creates(answers, 3)


def test_the_table_shows_what_was_reached_and_what_was_not() -> None:
    line = {"name": "ledger.x", "value": 1_234.5, "unit": "things/s", "limit": 2_469.0}
    at_least, at_most = Target("ratio", ">=", 0.6), Target("ratio", "<=", 0.6)
    lines = [
        with_target({**line, "ratio": 0.5}, at_least),
        with_target({**line, "ratio": 0.5}, at_most),
        with_target({**line, "ratio": 2.0}, None),
    ]
    heading, missed, met, without = table(lines).splitlines()
    assert heading.split()[:4] == ["benchmark", "value", "unit", "limit"]
    assert "ratio >= 0.6  MISSED  " + 10 * "█" in missed
    assert "ratio <= 0.6  met     " + 10 * "█" in met
    assert without.endswith(20 * "█")
    assert "1,234.5" in without
