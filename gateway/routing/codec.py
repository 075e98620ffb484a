"""What routing believes as the bytes of a model: canonical JSON, named by its hash, and checked.

A model that was trained offline has beside its state what it was trained on (`training.py`); who
learns on from it goes back to its means, which its later states keep.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from gateway.routing.approval import Table
from gateway.routing.features import FeatureSpace
from gateway.routing.health import LEVELS, Chain, Health
from gateway.routing.retry_beliefs import COMMON, OWN, SPACE_HASH, RetryBeliefs
from gateway.routing.state import (
    MAX_CORRIDORS,
    CorridorState,
    Prior,
    RoutingState,
    StateError,
    hash_of,
)

FORM = "routing-state-1"
MAX_STATE_BYTES = 4_000_000
TRAINING = "training"
"""The key under which a model that was trained offline says what it was trained on."""
DIGITS = 12
"""Significant digits of figures when they are written down."""


class DamagedError(StateError):
    """Bytes that are not those which a model is named by."""

    def __init__(self, version: str, found: str) -> None:
        super().__init__(f"the bytes of model {version} hash to {found}")
        self.version = version


def dump(state: RoutingState) -> bytes:
    """Canonical JSON: the same state is the same bytes."""
    return _canonical(_data(state))


def dump_trained(state: RoutingState, provenance: Mapping[str, Any]) -> bytes:
    """The bytes of a model that was trained offline: its state, and what it was trained on and
    how, which its hash is of as well."""
    return _canonical({**_data(state), TRAINING: dict(provenance)})


def trained_on(raw: bytes) -> Mapping[str, Any] | None:
    """What `dump_trained` was told, of bytes that can be loaded; None for other models."""
    found: Mapping[str, Any] | None = json.loads(raw).get(TRAINING)
    return found


def _data(state: RoutingState) -> dict[str, Any]:
    data: dict[str, Any] = {
        "form": FORM,
        "space": state.space_hash,
        "time_s": state.time_s,
        "learned": state.learned,
        "common": _table(state.common),
        "corridors": {
            name: {
                "own": _table(corridor.own),
                "log_latency": corridor.health.log_latency,
                "chains": {
                    key: {"levels": [_rounded(p) for p in chain.levels], "time_s": chain.time_s}
                    for key, chain in corridor.health.chains.items()
                },
            }
            for name, corridor in state.corridors.items()
        },
    }
    if state.retries.learned:
        # Left out before anything is learnt of them: releases without them read it all the same.
        data["retries"] = {
            "space": SPACE_HASH,
            "learned": state.retries.learned,
            "own": _table(state.retries.own),
            "common": _table(state.retries.common),
        }
    if state.prior is not None:
        data["prior"] = {
            "version": state.prior.version,
            "common": [_rounded(mean) for mean in state.prior.common],
            "own": {
                name: [_rounded(mean) for mean in means] for name, means in state.prior.own.items()
            },
        }
    return data


def _canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def content_hash(raw: bytes) -> str:
    """The SHA-256 of a state's bytes, in hexadecimal: the model's version."""
    return hashlib.sha256(raw).hexdigest()


def load_named(raw: bytes, version: str, space: FeatureSpace) -> RoutingState:
    """The state of the model of this version. Raises DamagedError if the bytes are not its own, and
    StateError if they are no state."""
    if (found := content_hash(raw)) != version:
        raise DamagedError(version, found)
    return load(raw, space)


def load(raw: bytes, space: FeatureSpace) -> RoutingState:
    """The state of bytes that `dump` or `dump_trained` made; raises StateError for anything else.

    What was trained offline is what learning from it goes back to.
    """
    if len(raw) > MAX_STATE_BYTES:
        raise StateError(f"{len(raw)} bytes, at most {MAX_STATE_BYTES}")
    try:
        data = json.loads(raw)
    except ValueError as error:
        raise StateError(f"not JSON: {error}") from error
    try:
        if data["form"] != FORM:
            raise StateError(f"form: {data['form']!r} is not {FORM!r}")
        if data["space"] != hash_of(space):
            raise StateError("space: the features of the state are others")
        if not 0 <= len(data["corridors"]) <= MAX_CORRIDORS:
            raise StateError(f"corridors: {len(data['corridors'])}, at most {MAX_CORRIDORS}")
        corridors = {
            str(name): CorridorState(
                _read_table(entry["own"], len(space.own.variances), f"corridor {name}"),
                Health(
                    MappingProxyType(
                        {str(k): _read_chain(c, f"{name} {k}") for k, c in entry["chains"].items()}
                    ),
                    _read_number(entry["log_latency"], f"corridor {name}: log_latency"),
                ),
            )
            for name, entry in data["corridors"].items()
        }
        state = RoutingState(
            space_hash=str(data["space"]),
            time_s=_read_number(data["time_s"], "time_s"),
            common=_read_table(data["common"], len(space.common.variances), "common"),
            corridors=MappingProxyType(corridors),
            learned=int(data["learned"]),
            retries=_read_retries(data.get("retries")),
            prior=_read_prior(data["prior"], space) if "prior" in data else None,
        )
        return replace(state, prior=_prior_of(state, raw)) if TRAINING in data else state
    except (KeyError, TypeError, AttributeError) as error:
        raise StateError(f"not of the form {FORM}: {error!r}") from error


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _table(table: Table) -> dict[str, list[float]]:
    return {
        "means": [_rounded(mean) for mean in table.means],
        "variances": [_rounded(variance) for variance in table.variances],
    }


def _prior_of(state: RoutingState, raw: bytes) -> Prior:
    """A trained model as what is gone back to."""
    own = {name: corridor.own.means for name, corridor in state.corridors.items()}
    return Prior(content_hash(raw), state.common.means, MappingProxyType(own))


def _read_prior(entry: Mapping[str, Any], space: FeatureSpace) -> Prior:
    own = {
        str(name): _read_means(means, len(space.own.variances), f"prior of {name}")
        for name, means in entry["own"].items()
    }
    common = _read_means(entry["common"], len(space.common.variances), "prior")
    return Prior(str(entry["version"]), common, MappingProxyType(own))


def _read_means(entry: Sequence[object], slots: int, where: str) -> tuple[float, ...]:
    if len(entry) != slots:
        raise StateError(f"{where}: {len(entry)} means, not {slots}")
    return tuple([_read_number(mean, where) for mean in entry])


def _read_table(entry: Mapping[str, Any], slots: int, where: str) -> Table:
    means, variances = (
        tuple([_read_number(n, f"{where}: {key}") for n in entry[key]])
        for key in ("means", "variances")
    )
    if not len(means) == len(variances) == slots:
        raise StateError(f"{where}: {len(means)} means, {len(variances)} variances, not {slots}")
    if min(variances) <= 0.0:
        raise StateError(f"{where}: a variance is not positive")
    return Table(means, variances)


def _read_retries(entry: Mapping[str, Any] | None) -> RetryBeliefs:
    """What is believed of times; nothing yet where it is not there, or of other features."""
    if entry is None or entry["space"] != SPACE_HASH:
        return RetryBeliefs()
    return RetryBeliefs(
        _read_table(entry["own"], len(OWN.variances), "retries"),
        _read_table(entry["common"], len(COMMON.variances), "retries"),
        int(entry["learned"]),
    )


def _read_chain(entry: Mapping[str, Any], where: str) -> Chain:
    levels = tuple([_read_number(p, where) for p in entry["levels"]])
    if len(levels) != len(LEVELS) or min(levels) < 0.0 or sum(levels) > 1.0 + 1e-9:
        raise StateError(f"{where}: levels are not {len(LEVELS)} chances")
    return Chain(levels, _read_number(entry["time_s"], where))


def _read_number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise StateError(f"{where}: {value!r} is not a number")
    return float(value)
