"""The page of foresight's own record, and the command that writes it."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from datetime import datetime

from gateway.config import DATABASE_ROLE, GatewaySettings
from gateway.foresight.record import LEAST_LEAD_MINUTES, MOST_LEAD_MINUTES, Figures, figures
from gateway.foresight_service.service import MAX_RECORDED_ALARMS, MINUTES_A_DAY
from gateway.foresight_service.store import ForesightStore
from gateway.foresight_service.validation import DEFAULT_DAYS, MAX_DAYS
from runtime.clock import Clock, SystemClock
from runtime.migrations import prepare_database
from runtime.postgres import close_engine, create_engine
from runtime.process import Command

POOL_SIZE = 1
HEADINGS = (
    "corridor",
    "days watched",
    "alarms",
    "breaches",
    "warned",
    "late",
    "missed",
    "median lead",
    "false a week",
    "right",
    "warned at random",
    "right at random",
)
EXPLAINED = f"""\
*Breaches* are times that the objective broke: *warned* of those whose alarm had stood for
{LEAST_LEAD_MINUTES} minutes, *late* whose alarm had stood for less, *missed* that no alarm stood
before. *False* are alarms that were over without a breach, also where what was done has helped.
*Right* are those alarms that a breach followed. *At random* is what as many alarms, each in any
minute, would have done: warned {LEAST_LEAD_MINUTES} to {MOST_LEAD_MINUTES} minutes before a breach,
and been followed by one within {MOST_LEAD_MINUTES}.
"""


def page(records: Mapping[str, Figures], days: int, as_of: datetime) -> str:
    """The page in Markdown: a row for each corridor, in order."""
    rows = [" | ".join(_cells(corridor, records[corridor])) for corridor in sorted(records)]
    lines = [
        "# Foresight's record",
        "",
        f"The last {days} days, as of {as_of:%Y-%m-%d %H:%M} UTC.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| {row} |" for row in rows),
        "",
        EXPLAINED,
    ]
    return "\n".join(lines)


def _cells(corridor: str, found: Figures) -> list[str]:
    lead = found.median_lead_minutes
    return [
        corridor,
        f"{found.minutes_watched / MINUTES_A_DAY:.1f}",
        str(found.alarms),
        str(found.breaches),
        f"{found.warned} ({_share(found.warned_share)})",
        str(found.late),
        str(found.missed),
        "–" if lead is None else f"{lead:g} min",
        "–" if found.false_a_week is None else f"{found.false_a_week:.2f}",
        _share(found.right_share),
        _share(found.random_warned),
        _share(found.random_right),
    ]


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


async def write_page(
    settings: GatewaySettings, arguments: Namespace, clock: Clock | None = None
) -> int:
    """Prints the page of all corridors; the exit status."""
    url = await prepare_database(settings)
    now = (clock or SystemClock()).now()
    engine = create_engine(
        url, role=DATABASE_ROLE, pool_size=POOL_SIZE, application_name="gateway foresight-record"
    )
    try:
        store = ForesightStore(engine)
        since = int(now.timestamp()) // 60 - arguments.days * MINUTES_A_DAY
        records = {}
        for corridor in settings.corridors:
            found = await store.record(corridor.name, since, MAX_RECORDED_ALARMS)
            records[corridor.name] = figures(*found)
    finally:
        await close_engine(engine)
    print(page(records, arguments.days, now), end="", flush=True)
    return 0


def days_of(text: str) -> int:
    """The days that an operator asks for."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_DAYS):
        raise ArgumentTypeError(f"the days are a number from 1 to {MAX_DAYS}")
    return int(text)


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--days",
        type=days_of,
        default=DEFAULT_DAYS,
        help=f"of the last so many days, 1 to {MAX_DAYS}; {DEFAULT_DAYS} if it is left out",
    )


FORESIGHT_RECORD = Command[GatewaySettings](
    "foresight-record",
    help="print the page of foresight's own record",
    description="Prints, as Markdown, what came of each corridor's alarms: how many warned in time,"
    " were late, missed or false, beside what as many alarms at random would have done. Changes"
    " nothing, while the gateway runs or not.",
    run=write_page,
    configure=_configure,
)
