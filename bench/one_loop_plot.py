"""Draws the hour of `foresight.end_to_end` as SVG: the corridor, the forecast, where payments went,
and how many were harmed."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import accumulate

from bench.brown_out_plot import line, text
from bench.one_loop_course import LIMIT_MS, SLOWER, Run
from sandbox.stripe_twin.courses import Course

WIDTH, HEIGHT, GAP, LEFT, TOP = 760, 130, 60, 60, 44
# The title and the names of the curves stand above their frame, where no curve comes.
TITLE_ABOVE, NAMES_ABOVE = 22, 7
COLORS = ("#888888", "#1f77b4", "#9467bd", "#d95f02")
TICKS = 4
# Of an outage nobody wants to see more than that it is one.
LIMITS_SHOWN = 3
Points = Sequence[tuple[float, float]]
Place = Callable[[float], float]


def draw(runs: Sequence[Run], course: Course) -> str:
    """`course` is that of the corridor which fails; the last run is the one that foresees."""
    minutes = max(at for run in runs for at, _ in run.paid) + 1
    foreseen = runs[-1]

    def across(minute: float) -> float:
        return LEFT + WIDTH * minute / minutes

    harmed = {
        run.name: list(accumulate(run.lost(at) + run.slowed(at) for at in range(minutes)))
        for run in runs
    }
    shown = course.points[:minutes]
    latency = [(at, point.latency_p95_ms * SLOWER / 1_000) for at, point in enumerate(shown)]
    failing = [
        (at, point.errors + point.timeouts + point.rate_limited) for at, point in enumerate(shown)
    ]
    limit_s = LIMIT_MS * SLOWER / 1_000
    rows: list[tuple[str, float, Sequence[tuple[str, str, Points]]]] = [
        (
            "the corridor: 95th percentile of latency, seconds (cut off at the top)",
            LIMITS_SHOWN * limit_s,
            [
                ("latency", "#d62728", latency),
                ("limit", "#cc9999", [(0, limit_s), (minutes - 1, limit_s)]),
            ],
        ),
        ("the corridor: share of requests that fail", 1.0, [("failing", "#d62728", failing)]),
        (
            "foresight: probability of a breach within 40 minutes, and the discount",
            1.0,
            [
                ("probability", "#2a7f4f", [(t.minute, t.probability) for t in foreseen.told]),
                ("discount", "#8c564b", [(t.minute, t.discount) for t in foreseen.told]),
            ],
        ),
        (
            "share of payments charged at the corridor that fails",
            1.0,
            [
                (run.name, color, [(at, run.stayed(at)) for at in range(minutes)])
                for run, color in zip(runs, COLORS, strict=False)
            ],
        ),
        (
            "payments lost or answered late so far",
            max(1.0, *(counts[-1] for counts in harmed.values())),
            [
                (f"{name}: {counts[-1]}", color, list(enumerate(counts)))
                for (name, counts), color in zip(harmed.items(), COLORS, strict=False)
            ],
        ),
    ]
    parts: list[str] = []
    for number, (title, most, curves) in enumerate(rows):
        y = TOP + number * (HEIGHT + GAP)
        parts += _row(title, most, curves, across, y)
        parts += _marks(foreseen, across, y)
    bottom = TOP + len(rows) * (HEIGHT + GAP) - GAP
    parts.append(text(LEFT + WIDTH, bottom + 20, f"{minutes} minutes", anchor="end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {bottom + 30}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        + "\n".join(parts)
        + "</svg>\n"
    )


def _row(
    title: str, most: float, curves: Sequence[tuple[str, str, Points]], across: Place, y: float
) -> Iterable[str]:
    yield (
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999999"/>'
    )
    yield text(LEFT, y - TITLE_ABOVE, title)
    yield _names([(name, color) for name, color, _ in curves], y - NAMES_ABOVE)
    for tick in range(TICKS + 1):
        height = y + HEIGHT * (1 - tick / TICKS)
        yield text(LEFT - 6, height + 4, f"{most * tick / TICKS:.3g}", anchor="end")
        yield line([(LEFT, height), (LEFT + WIDTH, height)], "#eeeeee")
    for _, color, points in curves:
        placed = [(across(at), y + HEIGHT * (1 - min(value / most, 1.0))) for at, value in points]
        yield line(placed, color, 2)


def _names(curves: Sequence[tuple[str, str]], y: float) -> str:
    """One text, so that whoever draws it puts each name after the one before."""
    spans = "".join(
        f'<tspan dx="{18 if number else 0}" fill="{color}">{escape(name)}</tspan>'
        for number, (name, color) in enumerate(curves)
    )
    return f'<text x="{LEFT}" y="{y}" font-weight="bold">{spans}</text>'


def _marks(run: Run, across: Place, y: float) -> Iterable[str]:
    for name, minute, below in (
        ("alarm", run.alarm_minute, 4),
        ("objective broken", run.broken_minute, 18),
    ):
        if minute is None:
            continue
        at = across(minute)
        yield line([(at, y), (at, y + HEIGHT)], "#555555")
        yield text(at + 3, y + HEIGHT - below, name, color="#555555")
