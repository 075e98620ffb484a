"""The history that reads at scale are measured on is built by whichever benchmark comes first."""

import psycopg
import pytest

from bench.ledger_history import BLOCK, DATABASE, build, history_server
from sandbox.embedded_postgres import EmbeddedPostgres, temporary_server


async def test_it_is_built_by_a_benchmark_that_runs_in_an_event_loop() -> None:
    with temporary_server() as server:
        build(server, BLOCK)
        assert _transactions(server) == BLOCK


def test_holds_are_not_cut_apart() -> None:
    with pytest.raises(ValueError, match=f"a multiple of {BLOCK}"), history_server(BLOCK + 1):
        pass


def _transactions(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.database_url(DATABASE)) as connection:
        row = connection.execute("SELECT count(*) FROM transactions").fetchone()
    assert row is not None
    return int(row[0])
