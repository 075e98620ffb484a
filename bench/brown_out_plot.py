"""Draws the runs of a brown-out beside each other, as SVG."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import log10
from typing import Protocol

WIDTH, HEIGHT, GAP, LEFT, TOP = 420, 150, 46, 70, 40
COLORS = {"twin": "#888888", "QUEUE": "#1f77b4", "FAIL_FAST": "#d95f02", "line": "#2a7f4f"}
TICKS = (0.01, 0.1, 0.5, 1.0, 10.0, 30.0)
LINES = 4


class Run(Protocol):
    """What is drawn of one run."""

    name: str
    latencies: list[tuple[float, float]]
    answers: list[tuple[float, float, str, str]]
    samples: list[tuple[float, float, int, int]]
    opened: float | None
    healed: float


def draw(runs: Sequence[Run]) -> str:
    """Answers, connections and memory over time; one column for each run, all at one scale."""
    end = max(run.samples[-1][0] for run in runs)
    most_connections = max(sample[2] for run in runs for sample in run.samples)
    most_memory = max(sample[1] for run in runs for sample in run.samples)
    parts: list[str] = []
    for column, run in enumerate(runs):
        x = LEFT + column * (WIDTH + GAP + 20)
        parts.append(text(x + WIDTH / 2, 18, run.name, size=15, anchor="middle"))
        parts += _answers(run, x, TOP, end)
        for row, (title, most, index) in enumerate(
            (
                ("connections to Stripe", most_connections, 2),
                ("memory of the gateway, MiB", most_memory, 1),
            ),
            start=1,
        ):
            parts += _curve(run, x, TOP + row * (HEIGHT + GAP), end, title, most, index)
    width = LEFT + len(runs) * (WIDTH + GAP + 20)
    height = TOP + 3 * (HEIGHT + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        + "\n".join(parts)
        + "</svg>\n"
    )


def _answers(run: Run, x: float, y: float, end: float) -> Iterable[str]:
    def across(moment: float) -> float:
        return x + WIDTH * moment / end

    def up(seconds: float) -> float:
        low, high = log10(TICKS[0]), log10(TICKS[-1])
        share = (log10(min(TICKS[-1], max(TICKS[0], seconds))) - low) / (high - low)
        return y + HEIGHT * (1 - share)

    yield from _frame(x, y, "seconds until the caller was answered (grey: Stripe's latency)")
    for tick in TICKS:
        yield text(x - 6, up(tick) + 4, f"{tick:g}", anchor="end")
        yield line([(x, up(tick)), (x + WIDTH, up(tick))], "#eeeeee" if tick != 0.5 else "#cc0000")
    for due, took, policy, _ in run.answers:
        yield (
            f'<circle cx="{across(due):.1f}" cy="{up(took):.1f}" r="1.6" '
            f'fill="{COLORS[policy]}" fill-opacity="0.6"/>'
        )
    yield line([(across(at), up(seconds)) for at, seconds in run.latencies], COLORS["twin"], 2)
    for name, place in (("QUEUE", 8), ("FAIL_FAST", 70)):
        yield text(x + place, y + 14, name, color=COLORS[name])
    yield from _marks(run, across, y)


def _curve(
    run: Run, x: float, y: float, end: float, title: str, most: float, index: int
) -> Iterable[str]:
    def across(moment: float) -> float:
        return x + WIDTH * moment / end

    yield from _frame(x, y, title)
    for part in range(LINES + 1):
        height = y + HEIGHT * (1 - part / LINES)
        yield text(x - 6, height + 4, f"{most * part / LINES:.0f}", anchor="end")
        yield line([(x, height), (x + WIDTH, height)], "#eeeeee")
    points = [(across(s[0]), y + HEIGHT * (1 - s[index] / most)) for s in run.samples]
    yield line(points, COLORS["line"], 2)
    yield from _marks(run, across, y)
    yield text(x + WIDTH, y + HEIGHT + 14, f"{end:.0f} s", anchor="end")


def _marks(run: Run, across: Callable[[float], float], y: float) -> Iterable[str]:
    marks = [("heals", run.healed)]
    if run.opened is not None:
        marks.append(("breaker opens", run.opened))
    for name, moment in marks:
        at = across(moment)
        yield line([(at, y), (at, y + HEIGHT)], "#555555")
        yield text(at + 3, y + HEIGHT - 4, name, color="#555555")


def _frame(x: float, y: float, title: str) -> Iterable[str]:
    yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999999"/>'
    yield text(x, y - 6, title)


def line(points: Sequence[tuple[float, float]], color: str, width: float = 1) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"/>'


def text(
    x: float, y: float, words: str, *, size: int = 11, anchor: str = "start", color: str = "#222222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{color}">{escape(words)}</text>'
    )
