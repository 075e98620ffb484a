"""Names that leave nothing to compare, and words that would hide a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.canonical import dumps, loads
from compliance.checks.facts import Role, ScreeningFacts
from compliance.checks.findings import Code, Finding, Verdict
from compliance.checks.policy import BUILT_IN
from compliance.checks.rules import evaluate, subjects_are_screened, verdict_of
from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.index import NameIndex, ScreenedPerson
from compliance.screening.names import FILLERS, fold, is_comparable
from tests.compliance.check_facts import AS_OF, SDN, payment, subject

THRESHOLD = 0.85


def listed(name: str, kind: EntryKind = EntryKind.PERSON) -> NameIndex:
    crowd = [
        Entry(str(n), kind, (EntryName(f"CROWD{n}, Member Of", "name"),), (), (), ())
        for n in range(2, 300)
    ]
    return NameIndex.of([Entry("1", kind, (EntryName(name, "name"),), (), (), ()), *crowd])


def found(index: NameIndex, name: str, *, is_person: bool = True) -> list[str]:
    hits = index.search(ScreenedPerson((name,), is_person, "", ""), THRESHOLD)
    return [hit.entry.entry_id for hit in hits]


@pytest.mark.parametrize(
    "name",
    [
        *("!!!", "—", "\u200b\u200c\u200d", "\u2800", "\u3164", "  ", "\ufeff", "٫٬", "'"),
        *("☎☃", "😀 😀", "\U000f0000", "\U00016e40\ue000\ue001\ue002", "Jane \ue000\ue001"),
        *("the", "So-called", "a.k.a.", "For the account of"),
    ],
)
@pytest.mark.parametrize("is_person", [True, False])
def test_what_leaves_nothing_cannot_be_compared(name: str, is_person: bool) -> None:
    assert not is_comparable(name, is_person=is_person)
    assert not ScreenedPerson(("Jane Doe", name), is_person, "", "").is_comparable


def test_titles_leave_nothing_of_a_person_and_legal_forms_nothing_of_a_company() -> None:
    for name in ("Dr.", "Mr", "Sheikh Haji"):
        assert not is_comparable(name, is_person=True)
    for name in ("LTD", "Corp.", "GmbH & Co. KG", "Limited Liability Company", "The Company"):
        assert not is_comparable(name, is_person=False)


@pytest.mark.parametrize(
    "name", ["X", "Li", "360", "Ωμέγα", "李", "محمد", "김", "So", "An Das", "J\u200bane", "Ⓐcme"]
)
@pytest.mark.parametrize("is_person", [True, False])
def test_short_names_and_any_script_can_be_compared(name: str, is_person: bool) -> None:
    assert is_comparable(name, is_person=is_person)


@pytest.mark.parametrize(
    ("names", "country", "comparable"),
    [
        # Japanese by the country, or by kana beside the kanji; others are read as Mandarin.
        (["田中太郎"], "JP", False),
        (["田中ゆき"], "", False),
        (["佐々木ﾕｷ"], "DE", False),
        (["株式会社田中 Ltd"], "JP", False),
        (["田中太郎", "田中次郎"], "JP", False),
        (["田中太郎"], "", True),
        (["習近平"], "CN", True),
        # Another name that can be read says who it is.
        (["田中太郎", "タナカ タロウ"], "JP", True),
        (["田中太郎", "Taro Tanaka"], "JP", True),
        (["たなか ゆき"], "JP", True),
        (["Taro Tanaka"], "JP", True),
    ],
)
@pytest.mark.parametrize("is_person", [True, False, None])
def test_japanese_names_in_kanji_alone_cannot_be_compared(
    names: list[str], country: str, comparable: bool, is_person: bool | None
) -> None:
    assert ScreenedPerson(tuple(names), is_person, "", country).is_comparable is comparable


@given(st.text(max_size=40), st.booleans())
def test_a_name_is_compared_by_at_least_a_word_or_said_not_to_be(name: str, person: bool) -> None:
    if is_comparable(name, is_person=person):
        assert fold(name)
        index = NameIndex.of([])
        assert index.search(ScreenedPerson((name,), person, "", ""), THRESHOLD) == []


@pytest.mark.parametrize(
    "hidden",
    [
        "the " * 16 + "Ostap Kvortenhalmen",
        "So-called Ostap Kvortenhalmen",
        "Payment for the account of the late Ostap Kvortenhalmen",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi "
        "Ostap Kvortenhalmen",
        "Ostap Kvortenhalmen" + " lorem" * 70,
        "Ostap \u200bKvorten\u00adhalmen",
        " ".join(sorted(FILLERS)) + " Kvortenhalmen Ostap",
    ],
)
def test_no_words_around_a_name_hide_it(hidden: str) -> None:
    assert found(listed("KVORTENHALMEN, Ostap"), hidden) == ["1"]


@pytest.mark.parametrize("words", ["So-called Zentravia", "the " * 16 + "Zentravia", "Zentravia"])
def test_fillers_do_not_hide_a_single_word(words: str) -> None:
    assert found(listed("ZENTRAVIA", EntryKind.ORGANIZATION), words, is_person=False) == ["1"]


@pytest.mark.parametrize("name", ["THE SAMPLE", "SO CALLED", "LTD", "DR", "WELL KNOWN"])
@pytest.mark.parametrize("is_person", [True, False])
def test_a_listed_name_of_nothing_else_is_found_as_it_is(name: str, is_person: bool) -> None:
    kind = EntryKind.PERSON if is_person else EntryKind.ORGANIZATION
    assert found(listed(name, kind), name, is_person=is_person) == ["1"]


@pytest.mark.parametrize("name", ["CORP", "LTD", "Limited", "The Company"])
def test_a_legal_form_alone_matches_nothing_else(name: str) -> None:
    index = listed("ZENTRAVE TRADING CORP LTD", EntryKind.ORGANIZATION)
    assert found(index, name, is_person=False) == []


UNCOMPARED = (ScreeningFacts(SDN, 7, 1, AS_OF, is_comparable=False),)


@pytest.mark.parametrize("role", Role)
def test_a_name_that_cannot_be_compared_is_reviewed_whoever_has_it(role: Role) -> None:
    given = subject(role, screenings=UNCOMPARED)
    changes = {role.lower(): given} if role is not Role.OWNER else {"owners": (given,)}
    findings = evaluate(payment(**changes), BUILT_IN)
    assert Finding(Code.NAME_NOT_COMPARABLE, given.subject_id) in findings
    assert verdict_of(findings) is Verdict.REVIEW


def test_the_graver_findings_come_first_whatever_their_numbers() -> None:
    facts = payment(customer=subject(Role.CUSTOMER, screenings=UNCOMPARED), amount_minor=2**52)
    verdicts = [finding.verdict for finding in evaluate(facts, BUILT_IN)]
    assert verdicts == sorted(verdicts, reverse=True)
    assert len(set(verdicts)) > 1


def test_facts_stored_before_names_were_looked_at_are_read_and_judged_as_then() -> None:
    facts = payment()
    then = dumps(facts).replace(',"is_comparable":true', "").replace('"is_comparable":true,', "")
    assert "is_comparable" not in then
    assert loads(then, type(facts)) == facts
    assert list(subjects_are_screened(loads(then, type(facts)), BUILT_IN)) == []
