"""The page of foresight's record says of each corridor what came of its alarms."""

from argparse import ArgumentTypeError, Namespace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.config import GatewaySettings
from gateway.foresight.incident import Incident, IncidentState
from gateway.foresight_service import store
from gateway.foresight_service.page import HEADINGS, days_of, write_page
from gateway.foresight_service.validation import MAX_DAYS
from runtime.clock import ManualClock

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60
DAY = 1_440


def row_of(printed: str) -> dict[str, str]:
    (row,) = [line for line in printed.splitlines() if line.startswith("| default ")]
    return dict(zip(HEADINGS, [cell.strip() for cell in row.strip("|").split("|")], strict=True))


async def printed(database_url: str, capsys: pytest.CaptureFixture[str], days: int) -> str:
    settings = GatewaySettings(database_url=SecretStr(database_url))
    assert await write_page(settings, Namespace(days=days), ManualClock(NOW)) == 0
    return capsys.readouterr().out


async def test_the_page_is_of_the_days_that_were_asked_for(
    database_url: str, engine: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, passed = IncidentState.ENDED, IncidentState.PASSED
    alarms = [
        Incident(MINUTE - 300, {}, True, ended, MINUTE - 280, MINUTE - 200),
        Incident(MINUTE - 600, {}, True, ended, MINUTE - 600, MINUTE - 500),
        Incident(MINUTE - 900, {}, True, passed, None, MINUTE - 880),
        Incident(MINUTE - 2 * DAY, {}, True, passed, None, MINUTE - 2 * DAY + 10),
    ]
    async with engine.begin() as connection:
        for alarm in alarms:
            await store.write_incident(connection, "default", alarm, NOW, is_incident=False)
        minutes = [
            {"corridor": "default", "minute": at, "content": {}}
            for at in range(MINUTE - DAY, MINUTE)
        ]
        await connection.execute(insert(store.MINUTE), minutes)
    told = await printed(database_url, capsys, 1)
    assert "The last 1 days, as of 2026-11-30 12:00 UTC." in told
    row = row_of(told)
    assert row == {
        "corridor": "default",
        "days watched": "1.0",
        "alarms": "3",
        "breaches": "2",
        "warned": "1 (50%)",
        "late": "0",
        "missed": "1",
        "median lead": "20 min",
        "false a week": "7.00",
        "right": "50%",
        # 36 of 1,440 minutes, twice, and 80 of them.
        "warned at random": "5%",
        "right at random": "6%",
    }
    assert row_of(await printed(database_url, capsys, 3))["alarms"] == "4"


async def test_of_nothing_the_page_says_nothing(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    row = row_of(await printed(database_url, capsys, MAX_DAYS))
    assert (row["alarms"], row["warned"], row["median lead"], row["right"]) == (
        "0",
        "0 (–)",
        "–",
        "–",
    )


@pytest.mark.parametrize("wrong", ["0", "-1", str(MAX_DAYS + 1), "9" * 5_000, "x", "", "٣"])
def test_days_that_cannot_be_meant_are_refused(wrong: str) -> None:
    with pytest.raises(ArgumentTypeError, match="1 to 35"):
        days_of(wrong)
    assert (days_of("1"), days_of(str(MAX_DAYS))) == (1, MAX_DAYS)
