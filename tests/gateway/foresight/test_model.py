"""The model: what is shipped is whole, and what is not of its form is refused with the reason."""

import json
import math
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.foresight.model import HORIZONS, ModelError, built_in_model, content_hash, read_model
from gateway.foresight.reading import FEATURES, PartReading, Reading
from sandbox.simulators.degradation.world import PUBLIC_SEEDS

TEXT = (files("gateway.foresight") / "data" / "model.json").read_text("utf-8")
MODEL = built_in_model()


def changed(**told: Any) -> str:
    """The model with other content and a hash that fits it."""
    content = {**json.loads(TEXT), **told}
    return json.dumps({**content, "sha256": content_hash(content)})


def with_horizon(**told: Any) -> str:
    horizons = json.loads(TEXT)["horizons"]
    horizons[0] = {**horizons[0], **told}
    return changed(horizons=horizons)


def test_it_says_what_it_was_fitted_on_and_that_is_no_public_seed() -> None:
    fitted = json.loads(MODEL.fitted_on)
    seeds = {*fitted["fitted_on_seeds"], *fitted["calibrated_on_seeds"]}
    assert len(seeds) == 12
    assert not seeds & set(PUBLIC_SEEDS)
    assert not set(fitted["fitted_on_seeds"]) & set(fitted["calibrated_on_seeds"])
    assert fitted["first_minute"] < fitted["end_minute"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not of the form"),
        (TEXT.replace("foresight-model/1", "foresight-model/2"), "not of the form"),
        (TEXT.replace('"minutes": 10', '"minutes": 11'), "not what its sha256 was taken of"),
        (changed(features=FEATURES[1:]), "its features are not those that a reading has"),
        (changed(horizons=[]), "its horizons are not"),
        (with_horizon(weights=[1.0]), "has 1 weights for"),
        (with_horizon(intercept=math.inf), "a weight that is no number"),
        (with_horizon(intercept="much"), "a horizon cannot be read"),
        (with_horizon(told=[0.0], came=[0.0]), "needs 2 to 64 points"),
        (with_horizon(told=[0.0, 1.0], came=[0.0]), "needs 2 to 64 points"),
        (with_horizon(told=[0.5, 0.5], came=[0.0, 1.0]), "what was told does not rise"),
        (with_horizon(told=[0.0, 1.0], came=[0.5, 0.4]), "what came falls"),
        (with_horizon(calm_rate=1.5), "a probability outside 0 to 1"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        read_model(text)


@given(st.floats(0, 1), st.floats(0, 1))
def test_calibration_never_falls_and_stays_a_probability(first: float, second: float) -> None:
    for horizon in MODEL.horizons:
        low, high = sorted((first, second))
        assert 0 <= horizon.calibrated(low) <= horizon.calibrated(high) <= 1
        for told, came in zip(horizon.told, horizon.came, strict=True):
            assert horizon.calibrated(told) == pytest.approx(came)


@given(
    st.lists(
        st.lists(st.floats(-6, 6), min_size=len(FEATURES), max_size=len(FEATURES)) | st.just([]),
        min_size=3,
        max_size=3,
    )
)
def test_probabilities_rise_with_the_horizon(features: list[list[float]]) -> None:
    parts = tuple(PartReading(0.5, 0.5, 0.5, not row, tuple(row)) for row in features)
    found = MODEL.probabilities(Reading(1, parts, (), ()))
    assert len(found) == len(HORIZONS)
    assert list(found) == sorted(found)
    assert all(0 <= probability <= 1 for probability in found)
    if not any(features):
        assert found[-1] < 0.02
