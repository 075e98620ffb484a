"""How long an answer takes: distributions, and a brown-out that ramps from quick to unbearable."""

import math
import random
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

MAX_LATENCY_SECONDS = 120.0
# The shape of the log-normal and Pareto tails: about one answer in a hundred takes eight times
# (ten times) the mean.
_LOG_NORMAL_SIGMA = 1.2
_PARETO_ALPHA = 2.0


class Distribution(StrEnum):
    """How jitter is spread; its mean is `jitter_seconds` for each of them."""

    CONSTANT = "constant"
    UNIFORM = "uniform"
    EXPONENTIAL = "exponential"
    LOG_NORMAL = "log_normal"
    PARETO = "pareto"


class Latency(BaseModel):
    """What every answer takes: `seconds`, and `jitter_seconds` on average on top of it."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    jitter_seconds: float = Field(default=0.0, ge=0.0, le=MAX_LATENCY_SECONDS)
    distribution: Distribution = Distribution.EXPONENTIAL

    def draw(self, chance: random.Random) -> float:
        """The seconds of one answer."""
        return min(self.seconds + self._jitter(chance), MAX_LATENCY_SECONDS)

    def _jitter(self, chance: random.Random) -> float:
        mean = self.jitter_seconds
        if mean == 0.0:
            return 0.0
        match self.distribution:
            case Distribution.CONSTANT:
                return mean
            case Distribution.UNIFORM:
                return chance.uniform(0.0, 2.0 * mean)
            case Distribution.EXPONENTIAL:
                return chance.expovariate(1.0 / mean)
            case Distribution.LOG_NORMAL:
                mu = math.log(mean) - _LOG_NORMAL_SIGMA**2 / 2.0
                return chance.lognormvariate(mu, _LOG_NORMAL_SIGMA)
            case Distribution.PARETO:
                scale = mean * (_PARETO_ALPHA - 1.0) / _PARETO_ALPHA
                return scale * chance.paretovariate(_PARETO_ALPHA)


def ramp_seconds(start: float, end: float, elapsed: float, duration: float) -> float:
    """The latency of a brown-out that has lasted `elapsed`; it stays at `end` afterwards.

    The ramp is geometric, as queues grow: from 50 ms to 20 s each tenth of it makes answers 1.8
    times as slow. A start of zero makes it linear.
    """
    share = 1.0 if duration <= 0.0 else min(max(elapsed / duration, 0.0), 1.0)
    if start <= 0.0 or end <= 0.0:
        return start + (end - start) * share
    return float(start * (end / start) ** share)
