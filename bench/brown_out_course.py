"""What a brown-out is, and what came of one."""

from dataclasses import dataclass, field
from typing import Any

from bench.arrivals import percentile

FIRST_SECONDS, LAST_SECONDS = 0.05, 20.0


@dataclass
class Course:
    """How one run went. Times are seconds since its first payment was due."""

    name: str
    latencies: list[tuple[float, float]] = field(default_factory=list)
    answers: list[tuple[float, float, str, str]] = field(default_factory=list)
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)
    opened: float | None = None
    healed: float = 0.0
    settled: float = 0.0
    charges: int = 0
    payments: int = 0
    out_of_order: int = 0

    def line(self) -> dict[str, Any]:
        """The figures of the run."""
        waits = {
            policy: [took for _, took, asked, _ in self.answers if asked == policy]
            for policy in ("QUEUE", "FAIL_FAST")
        }
        return {
            "run": self.name,
            **{
                f"{policy}_p{percent}_ms": round(percentile(took, percent) * 1000)
                for percent in (50, 99)
                for policy, took in waits.items()
            },
            "max_rss_mib": round(max(rss for _, rss, _, _ in self.samples)),
            "rss_grew_mib": round(max(r for _, r, _, _ in self.samples) - self.samples[0][1]),
            "max_connections": max(count for _, _, count, _ in self.samples),
            "max_under_way": max(count for _, _, _, count in self.samples),
            "breaker_open_after_s": None if self.opened is None else round(self.opened, 1),
            "payments": self.payments,
            "answers": {
                answer: sum(1 for *_, given in self.answers if given == answer)
                for answer in sorted({given for *_, given in self.answers})
            },
            "charges": self.charges,
            "out_of_order": self.out_of_order,
            "settled_after_healing_s": round(self.settled - self.healed, 1),
        }


@dataclass(frozen=True)
class Plan:
    """How long the ramp rises and stays, and how many payments come a second."""

    rise_seconds: float
    stay_seconds: float
    per_second: float

    @property
    def total(self) -> float:
        """Seconds until it heals."""
        return self.rise_seconds + self.stay_seconds

    def latency(self, moment: float) -> float:
        """The twin's latency; it rises by the same ratio in equal times."""
        share = min(1.0, max(0.0, moment / self.rise_seconds))
        ratio: float = (LAST_SECONDS / FIRST_SECONDS) ** share
        return FIRST_SECONDS * ratio
