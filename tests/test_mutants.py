"""Which survivors `docs.mutants` judges as other words, and that the judged ones have reasons."""

import ast
from pathlib import Path

import pytest

from docs.mutants import Change, Verdict, differs_in_prose_alone, read_judged, read_mutants

MODULE = """
def x_fee__mutmut_orig(amount):
    assert amount, "none"
    return Refusal("TOO_MUCH", "more than is left", amount + 1)
def x_fee__mutmut_1(amount):
    assert amount, "XXnoneXX"
    return Refusal("TOO_MUCH", "more than is left", amount + 1)
def x_fee__mutmut_2(amount):
    assert amount, "none"
    return Refusal("TOO_MUCH", None, amount + 1)
def x_fee__mutmut_3(amount):
    assert amount, "none"
    return Refusal("too_much", "more than is left", amount + 1)
def x_fee__mutmut_4(amount):
    assert amount, "none"
    return Refusal("TOO_MUCH", "more than is left", amount + 2)
"""


@pytest.mark.parametrize(
    ("before", "after", "alone"),
    [
        ('f("two words")', 'f("XXtwo wordsXX")', True),
        ('f(f"{x} words")', "f(None)", True),
        ('f("word")', 'f("WORD")', False),
        ('f("two words", 1)', 'f("TWO WORDS", 2)', False),
        ('f("two words")', "f()", False),
        ('assert x, "why"', 'assert x, "WHY"', True),
        ('assert x, "why"', 'assert not x, "why"', False),
    ],
)
def test_other_words_for_people_are_no_other_behaviour(
    before: str, after: str, alone: bool
) -> None:
    assert differs_in_prose_alone(ast.parse(before), ast.parse(after)) is alone


def test_what_became_of_each_change(tmp_path: Path) -> None:
    (tmp_path / "fee.py").write_text(MODULE, encoding="utf-8")
    codes = {f"fee.x_fee__mutmut_{number}": 0 for number in (1, 2, 3, 4)}
    text = f'{{"exit_code_by_key": {codes}}}'.replace("'", '"')
    (tmp_path / "fee.py.meta").write_text(text, encoding="utf-8")
    before = 'return Refusal("TOO_MUCH", "more than is left", amount + 1)'
    change = Change("fee.x_fee", before, before.replace("+ 1", "+ 2"))
    found = read_mutants(tmp_path, {change: "nobody counts it"})
    assert [mutant.verdict for mutant in found] == [
        *(Verdict.PROSE, Verdict.PROSE, Verdict.OPEN, Verdict.EQUIVALENT)
    ]


def test_every_survivor_that_was_judged_has_a_reason(tmp_path: Path) -> None:
    assert all(len(reason) > 10 for reason in read_judged().values())
    bare = tmp_path / "mutants.toml"
    row = '[[equivalent]]\nfunction = "f"\nbefore = "a"\nafter = "b"\nwhy = ""\n'
    bare.write_text(row, encoding="utf-8")
    with pytest.raises(ValueError, match="with a reason"):
        read_judged(bare)
