"""A short history is judged in two orders of arrival, and the judge notices defects.

`JUDGED_ITEMS` is how long the history is; `python -m tests.reconciliation.judge` plays others.
"""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugin import NewDatabase
from tests.reconciliation.judge.history import History
from tests.reconciliation.judge.mutations import MUTATIONS, mutated
from tests.reconciliation.judge.playing import play
from tests.reconciliation.judge.trial import try_out

SEED = 2
ITEMS = int(os.environ.get("JUDGED_ITEMS", "400"))
FEW_ITEMS = 200
# Runs of at most so many items: a short history makes several of them.
BATCH_ITEMS = 150
# What the judge says of each defect, and a short history in which it shows.
CAUGHT = {
    "tolerance on sums": (6, "BOOKED: a difference is missing: AMOUNT_DIFFERS"),
    "first candidate": (6, "a difference is missing: AMBIGUOUS"),
    "cursor before data": (6, "is missing"),
    "pending lines": (16, "BANKED: a difference is invented"),
}
# What the judge goes by; it is none of what it judges.
OWN = ("banking.py", "expecting.py", "history.py", "judging.py")


@pytest.fixture
def new_url(service_database: NewDatabase) -> Callable[[], str]:
    return lambda: service_database("reconciliation")


@pytest.fixture(scope="module")
def history() -> History:
    return play(SEED, ITEMS)


async def test_every_difference_is_found_and_none_invented_in_any_order(
    history: History, new_url: Callable[[], str]
) -> None:
    trial = await try_out(history, [new_url(), new_url()], BATCH_ITEMS)
    assert trial.violations == []
    assert sum(seen.kills for seen in trial.seen) > 0
    assert sum(history.injected.values()) > 10
    assert {rule for seen in trial.seen for rule in seen.stand.matches} == {
        "BOOKED",
        "CONTENT",
        "BANKED",
    }


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_defect_is_caught(name: str, new_url: Callable[[], str]) -> None:
    seed, says = CAUGHT[name]
    short = play(seed, FEW_ITEMS)
    with mutated(name):
        trial = await try_out(short, [new_url()], BATCH_ITEMS)
    assert [each for each in trial.violations if says in each]


def test_the_same_seed_is_the_same_history(history: History) -> None:
    again = play(SEED, ITEMS)
    assert again.files == history.files
    assert again.true_bookings == history.true_bookings
    assert again.injected == history.injected


@pytest.mark.parametrize("name", OWN)
def test_the_judge_shares_no_code_with_what_it_judges(name: str) -> None:
    source = (Path(__file__).parent / name).read_text(encoding="utf-8")
    imported = {
        node.module or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
    } | {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    services = ("reconciliation", "gateway", "ledger", "compliance")
    assert not [each for each in imported if each.partition(".")[0] in services]
    ours = [each for each in imported if each.startswith("tests.")]
    allowed = {f"tests.reconciliation.judge.{each.removesuffix('.py')}" for each in OWN}
    assert set(ours) <= allowed
