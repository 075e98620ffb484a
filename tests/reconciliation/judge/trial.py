"""A history, played to the end and given to reconciliation in one or more orders of arrival."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.reconciliation.judge.history import History
from tests.reconciliation.judge.judging import compare, judge
from tests.reconciliation.judge.playing import figures
from tests.reconciliation.judge.product import Product, Seen, scratch

# Items that one run matches at most, drawn anew for each run.
BATCH_ITEMS = 4_000


@dataclass
class Trial:
    """What came of it."""

    history: History
    seen: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def line(self) -> str:
        """In one line."""
        first = self.seen[0].stand
        matched = sum(len(group) for groups in first.matches.values() for group in groups)
        differences = sum(len(found) for found in first.differences.values())
        conditions = sum(first.conditions.values())
        return (
            f"seed {self.history.seed}: {self.history.items} items,"
            f" {sum(self.history.injected.values())} differences injected"
            f" ({figures(self.history.injected)}); {matched} places in matches,"
            f" {differences} differences, {conditions} breaks of statements,"
            f" {[seen.kills for seen in self.seen]} kills,"
            f" {[seen.revoked for seen in self.seen]} matches revoked on the way,"
            f" {[round(seconds) for seconds in self.seconds]} s;"
            f" {len(self.violations)} violations"
        )


async def try_out(history: History, urls: Iterable[str], batch: int = BATCH_ITEMS) -> Trial:
    """Gives the history to each database in another order, and judges each stand."""
    trial = Trial(history)
    for order, url in enumerate(urls):
        began = time.monotonic()
        with scratch() as folder:
            seen = await Product(url, history, order, batch, folder).run()
        trial.seconds.append(time.monotonic() - began)
        trial.violations += judge(history, seen)
        if trial.seen:
            others = compare(trial.seen[0].stand, seen.stand)
            trial.violations += [f"in another order: {each}" for each in others]
        trial.seen.append(seen)
    return trial
