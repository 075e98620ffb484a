"""What foresight is compared with: a static threshold and burn-rate rules, on the same minutes."""

import numpy as np
from numpy.typing import NDArray

from bench.foresight_scoring import Alarm, intervals
from gateway.foresight.objective import Objective
from sandbox.simulators.degradation import Service

# The static threshold stands at this share of each limit, for so many minutes, until so many quiet.
STATIC_SHARE = 0.8
CONFIRM_MINUTES, QUIET_MINUTES = 2, 10
# Multi-window, multi-burn-rate rules for an objective of 99 %, as Google's SRE workbook has them
# (chapter "Alerting on SLOs"): burn rate over a long and a short window.
BURN_RULES = ((14.4, 60, 5), (6.0, 360, 30))
ERROR_BUDGET = 0.01


def static_alarms(service: Service) -> list[Alarm]:
    """Alarms of a threshold on what the objective's window measures."""
    limits = Objective()
    signals = service.signals
    calls = _over(signals["calls"], limits.window_minutes)
    latency = _over(signals["calls"] * signals["latency_p95_ms"], limits.window_minutes)
    failures = _over(_failures(service), limits.window_minutes)
    lag = _over(signals["webhook_lag_s"], limits.window_minutes) / limits.window_minutes
    near = np.maximum.reduce(
        [
            latency / np.maximum(calls, 1) / limits.latency_p95_ms,
            failures / np.maximum(limits.failure_share * calls, limits.least_failures),
            lag / limits.webhook_lag_s,
        ]
    )
    return _held(near >= STATIC_SHARE)


def burn_rate_alarms(service: Service) -> list[Alarm]:
    """Alarms while one of the rules finds the error budget burning in both of its windows."""
    failures, calls = _failures(service), service.signals["calls"]
    burning = np.zeros(len(calls), dtype=bool)
    for rate, long, short in BURN_RULES:
        shares = [
            _over(failures, width) / np.maximum(_over(calls, width), 1) for width in (long, short)
        ]
        burning |= (shares[0] >= rate * ERROR_BUDGET) & (shares[1] >= rate * ERROR_BUDGET)
    return intervals(burning)


def _failures(service: Service) -> NDArray[np.float64]:
    signals = service.signals
    return signals["errors"] + signals["timeouts"] + signals["rate_limited"]


def _over(values: NDArray[np.float64], minutes: int) -> NDArray[np.float64]:
    total = np.cumsum(np.concatenate([np.zeros(minutes), values]))
    sums: NDArray[np.float64] = total[minutes:] - total[:-minutes]
    return sums


def _held(near: NDArray[np.bool_]) -> list[Alarm]:
    """Raised after minutes in a row, cleared after quiet ones in a row."""
    stands, run, quiet, on = [], 0, 0, False
    for is_near in near.tolist():
        run, quiet = (run + 1, 0) if is_near else (0, quiet + 1)
        on = run >= CONFIRM_MINUTES or (on and quiet < QUIET_MINUTES)
        stands.append(on)
    return intervals(stands)
