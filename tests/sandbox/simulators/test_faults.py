"""Files of faults: what they say is read whole, and what breaks the form is refused precisely."""

from pathlib import Path

import pytest

from sandbox.simulators.degradation import faults
from sandbox.simulators.degradation.causes import NAMES
from sandbox.simulators.degradation.faults import (
    MAX_FILE_BYTES,
    MAX_POINTS,
    MAX_SEVERITY,
    Fault,
    FaultFile,
    FaultFileError,
    Kind,
    read_faults,
)

EXAMPLE = Path(faults.__file__).with_name("faults.example.toml")
GOOD = """form = "faults/1"
[[fault]]
place = 7
cause = "slow_stripe"
kind = "step"
start_minute = 94
points = [[0, 2], [4, 2]]
[[shape]]
name = "straight"
kind = "ramp"
points = [[0, 0], [1, 1]]
"""


def read(tmp_path: Path, text: str) -> FaultFile:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_faults(path, places=8, minutes=100, causes=NAMES)


def test_the_example_is_of_the_form() -> None:
    told = read_faults(EXAMPLE, places=8, minutes=40_320, causes=NAMES)
    assert [shape.name for shape in told.shapes] == ["late bend", "two humps"]
    (fault,) = told.faults
    assert (fault.kind, fault.start_minute, fault.end_minute) == (Kind.RAMP, 20_000, 20_096)


def test_a_fault_may_end_with_the_world(tmp_path: Path) -> None:
    told = read(tmp_path, GOOD)
    assert told.faults == (Fault(7, "slow_stripe", Kind.STEP, 94, ((0, 2), (4, 2))),)
    assert told.faults[0].end_minute == 99


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ('"faults/1"', '"faults/2"', "form must be 'faults/1', not 'faults/2'"),
        ("place = 7", "place = 8", "fault 1: place must be a whole number from 0 to 7"),
        ("place = 7", "place = true", "fault 1: place must be a whole number from 0 to 7"),
        ("place = 7", "palce = 7", "fault 1: unknown key 'palce'"),
        ('"slow_stripe"', '"gremlins"', "fault 1: no cause 'gremlins'"),
        ('"step"', '"stair"', "fault 1: kind must be one of ramp, step, blip, decoy"),
        ("= 94", "= 96", "fault 1: ends after the world, in minute 101"),
        ("= 94", "= 100", "fault 1: start_minute must be a whole number from 0 to 99"),
        ("[4, 2]", "[4]", "fault 1: point 2 must be a pair of numbers"),
        ("[4, 2]", "[4, nan]", "fault 1: point 2 must be a pair of numbers"),
        ("[4, 2]", "[-1, 2]", "fault 1: point 2 is before the one in front of it"),
        ("[4, 2]", f"[4, {MAX_SEVERITY + 0.1}]", "fault 1: point 2 must be from 0 to 10 high"),
        ("[[0, 2], ", "[[1, 2], ", "fault 1: the first point must be at 0, not 1"),
        ("[[0, 2], [4, 2]]", "[[0, 2]]", f"fault 1: points must be 2 to {MAX_POINTS} pairs"),
        ('"ramp"', '"blip"', "shape 1: kind must be one of ramp, decoy"),
        ("[1, 1]", "[0.5, 1]", "shape 1: the last point must be at share 1, not 0.5"),
        ("[1, 1]", "[1, 0]", "shape 1: a shape must rise above 0"),
        ('name = "straight"', 'name = " "', "shape 1: name must be a text"),
        ("[[shape]]", "[shape]", "shape must be tables, written [[shape]]"),
        ("place = 7", "place =", "not TOML: "),
    ],
)
def test_what_breaks_the_form_is_refused_with_its_place(
    tmp_path: Path, good: str, bad: str, said: str
) -> None:
    assert good in GOOD
    with pytest.raises(FaultFileError, match=r"^mine\.toml: ") as refused:
        read(tmp_path, GOOD.replace(good, bad, 1))
    assert said in str(refused.value)


def test_two_shapes_of_one_name_are_refused(tmp_path: Path) -> None:
    again = GOOD + GOOD[GOOD.index("[[shape]]") :]
    with pytest.raises(FaultFileError, match="two shapes are named 'straight'"):
        read(tmp_path, again)


def test_a_file_has_a_bound(tmp_path: Path) -> None:
    filler = "#" * (MAX_FILE_BYTES - len(GOOD))
    assert read(tmp_path, GOOD + filler).faults
    with pytest.raises(FaultFileError, match="larger than"):
        read(tmp_path, GOOD + filler + "#")
