"""The judge can fail: each defect that is put into the gateways is caught by a directed schedule.

The same schedules against the engine as it is find nothing.
"""

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from runtime.migrations import migrate
from sandbox.database_copies import create_database
from sandbox.databases import databases_beside, with_database
from tests.chaos import schedules
from tests.chaos.children import Nursery
from tests.chaos.cluster import SERVICES, running_cluster
from tests.chaos.healing import MAX_LEAPS
from tests.chaos.judge import judge
from tests.chaos.mutations import MUTATIONS
from tests.chaos.plan import GATEWAYS
from tests.chaos.schedules import Schedule, Stage, open_stage
from tests.chaos.twin import ChaosTwin

FIRST = GATEWAYS[:1]
ACCIDENTS = (
    *("accident_before_the_first_byte", "accident_after_booking"),
    *("accident_before_anybody_looks", "accident_of_a_forgotten_key"),
)
# Enough for leases and back-offs; a defect may leave things that no time ends.
FEW_LEAPS = 3
# A defect may leave books that no time makes agree.
FEW_SECONDS = 3.0
# Which rules see which defect ("a|b": one of the two), and in which schedule. A payment that was
# called failed and is charged is an untrue answer once an event has mended its state, and an untrue
# state before. Of two charges without a fence one may be all there is when the test looks.
CAUGHT: dict[str, tuple[Schedule, set[str]]] = {
    "drop_the_key": (schedules.the_answer_is_lost, {"key", "double charge", "double refund"}),
    "resend_with_a_new_key": (schedules.the_answer_is_lost, {"double charge", "double refund"}),
    "skip_fencing": (schedules.another_takes_over, {"double charge"}),
    "skip_fencing_of_a_kind": (
        schedules.another_takes_over,
        {"double charge|untrue state"},
    ),
    "acknowledge_before_storing": (schedules.gateways_die_after_webhooks, {"webhook"}),
    "accept_forgeries": (schedules.somebody_forges, {"webhook"}),
    "void_while_unknown": (schedules.the_outcome_stays_unknown, {"untrue answer|untrue state"}),
    "fail_over_while_unknown": (
        schedules.the_outcome_stays_unknown_in_one_corridor,
        {"double charge", "left while unknown"},
    ),
    "rebook_with_a_new_request_id": (schedules.a_booking_is_not_written_down, {"books"}),
    "forget_jobs": (schedules.the_gateway_dies, {"undecided"}),
    "lose_a_loop_silently": (schedules.a_booking_is_not_written_down, {"books"}),
    "resend_past_the_horizon": (schedules.the_key_is_forgotten, {"double charge"}),
    "draw_ids_at_random": (schedules.the_database_is_restored, {"lost payment"}),
    "record_another_propensity": (schedules.routing_decides, {"decision"}),
    "learn_while_unknown": (schedules.routing_decides, {"lesson"}),
    "share_keys_between_corridors": (schedules.routing_decides, {"key in two corridors"}),
}
# Of these none breaks what another one is seen by: one engine has them all.
TOGETHER = ("record_another_propensity", "learn_while_unknown", "share_keys_between_corridors")
ENGINES = (*((mutation,) for mutation in CAUGHT if mutation not in TOGETHER), TOGETHER)
SCHEDULES = tuple(dict.fromkeys(schedule for schedule, _ in CAUGHT.values()))


@pytest.fixture(scope="module")
async def nursery(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nursery]:
    async with Nursery.open(tmp_path_factory.mktemp("nursery") / "nursery.log") as nursery:
        yield nursery


@pytest.fixture(scope="module")
async def templates(postgres_url: str) -> AsyncIterator[dict[str, str]]:
    """Databases with all tables and nothing in them, to be copied."""
    with databases_beside(dict.fromkeys(SERVICES, postgres_url)) as made:
        urls = {service: made[f"{service.upper()}_DATABASE_URL"] for service in SERVICES}
        for service, url in urls.items():
            await migrate(url, service)
        yield urls


@pytest.fixture
def databases(postgres_url: str, templates: dict[str, str]) -> Iterator[dict[str, str]]:
    """Empty databases by the names of their services."""
    made: dict[str, str] = {}
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for service, template in templates.items():
            copy = f"chaos_{service}_{uuid.uuid4().hex[:8]}"
            connection.execute(create_database(copy, make_url(template).database or ""))
            made[service] = with_database(postgres_url, copy)
    yield made
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for url in made.values():
            name = sql.Identifier(make_url(url).database or "")
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@asynccontextmanager
async def stage_with(
    nursery: Nursery, logs: Path, databases: dict[str, str], mutations: Sequence[str]
) -> AsyncIterator[Stage]:
    """An engine with defects or accidents, and a client that knows its first gateway only."""
    async with (
        running_cluster(nursery, logs, mutations, databases) as cluster,
        ChaosTwin.open(cluster.twin_url) as twin,
    ):
        yield await open_stage(cluster, twin, *FIRST)


def test_every_defect_has_its_schedule() -> None:
    assert CAUGHT.keys() | set(ACCIDENTS) == MUTATIONS.keys()


@pytest.mark.timeout(300)
async def test_the_engine_as_it_is_survives_every_schedule(
    nursery: Nursery, tmp_path: Path, databases: dict[str, str]
) -> None:
    async with stage_with(nursery, tmp_path, databases, ACCIDENTS) as stage:
        for schedule in SCHEDULES:
            await stage.cluster.serving()
            await schedule(stage)
        evidence = await stage.heal_and_gather(MAX_LEAPS)
    assert judge(evidence) == []
    # Each has one, and routing decides about two.
    assert len(evidence.payments) == len(SCHEDULES) + 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutations", ENGINES, ids="+".join)
async def test_the_defect_is_caught(
    mutations: tuple[str, ...], nursery: Nursery, tmp_path: Path, databases: dict[str, str]
) -> None:
    async with stage_with(nursery, tmp_path, databases, [*ACCIDENTS, *mutations]) as stage:
        for schedule in dict.fromkeys(CAUGHT[mutation][0] for mutation in mutations):
            await schedule(stage)
        evidence = await stage.heal_and_gather(FEW_LEAPS, FEW_SECONDS)
    found = {violation.rule for violation in judge(evidence)}
    for mutation in mutations:
        rules = CAUGHT[mutation][1]
        assert all(found & set(rule.split("|")) for rule in rules), (mutation, rules, found)
