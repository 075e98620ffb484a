"""What to expect of an action, from the log itself, without a decision knowing its own reward.

A doubly robust estimate is as narrow as its model is good, and its interval is only right if the
model did not see the rewards that it corrects. Where the log has no scores of routing's own, this
fits mean rewards of each action and segment, for each part of the customers on all other parts
(cross-fitting: Chernozhukov et al., "Double/Debiased Machine Learning", 2018).
"""

import zlib
from collections.abc import Sequence

from gateway.routing.evaluation_log import EvaluationError, LoggedDecision

FOLDS = 5
MAX_FOLDS = 100
SHRINKAGE = 20.0
"""As how many decisions the wider mean counts, beside those of an action in a segment."""

_Counts = dict[tuple[str, str], list[float]]


def cross_fitted(
    log: Sequence[LoggedDecision], segments: Sequence[str], folds: int = FOLDS
) -> list[LoggedDecision]:
    """The log with other predictions; `segments` has a coarse bucket for each decision.

    An action's mean in a segment is drawn to its mean everywhere, and that to the mean of all. Who
    is in which part follows from the customer alone. Raises EvaluationError if lengths differ.
    """
    if len(log) != len(segments):
        raise EvaluationError(f"{len(log)} decisions and {len(segments)} segments")
    if not 2 <= folds <= MAX_FOLDS:
        raise EvaluationError(f"folds: {folds} is not within 2 and {MAX_FOLDS}")
    parts = [zlib.crc32(logged.customer.encode()) % folds for logged in log]
    total: _Counts = {}
    by_part: list[_Counts] = [{} for _ in range(folds)]
    for logged, segment, part in zip(log, segments, parts, strict=True):
        for counts in (total, by_part[part]):
            for key in ((segment, logged.action), ("", logged.action), ("", "")):
                sums = counts.setdefault(key, [0.0, 0.0])
                sums[0] += 1.0
                sums[1] += logged.reward
    return [
        logged._replace(
            options=tuple(
                [
                    option._replace(
                        predicted=_expected(total, by_part[part], segment, option.action)
                    )
                    for option in logged.options
                ]
            )
        )
        for logged, segment, part in zip(log, segments, parts, strict=True)
    ]


def _expected(total: _Counts, without: _Counts, segment: str, action: str) -> float:
    """The mean reward of all customers but those of one part."""
    mean = 0.0
    for key in (("", ""), ("", action), (segment, action)):
        all_count, all_sum = total.get(key, (0.0, 0.0))
        own_count, own_sum = without.get(key, (0.0, 0.0))
        count, rewards = all_count - own_count, all_sum - own_sum
        # The widest mean has nothing to be drawn to.
        shrinkage = SHRINKAGE if key[1] else 0.0
        if count + shrinkage:
            mean = (rewards + shrinkage * mean) / (count + shrinkage)
    return mean
