"""What the benchmarks of screening measure with: the list as files, and who loses a name."""

from pathlib import Path
from random import Random

import pytest

from bench import name_world
from bench.compliance_rescreening import write_sdn
from bench.compliance_screening import missed, own_names, who_loses
from bench.name_world import Screening
from compliance.screening.entries import Entry, EntryKind, EntryName
from compliance.screening.index import NameIndex
from compliance.screening.sdn import SDN_FILES, parse


def test_the_made_up_list_is_read_from_its_files_as_it_was_made(tmp_path: Path) -> None:
    entries = name_world.listed_entries(300)
    write_sdn(tmp_path, entries)
    parsed = parse({name: (tmp_path / name).read_bytes() for name in SDN_FILES.required})
    assert {entry.entry_id: set(entry.names) for entry in parsed.entries} == {
        entry.entry_id: set(entry.names) for entry in entries
    }
    assert [
        (entry.entry_id, entry.kind, entry.birth_dates, entry.countries) for entry in parsed.entries
    ] == [(entry.entry_id, entry.kind, entry.birth_dates, entry.countries) for entry in entries]


def person(screened: str, listed: str) -> Screening:
    return Screening(screened, True, entry_id="1", listed_name=listed)


def test_the_index_loses_what_the_score_would_find() -> None:
    assert who_loses(person("Ostap Kvortenhalmen", "KVORTENHALMEN, Ostap")) == "index"
    assert who_loses(person("OstapxKvortenhalmen", "KVORTENHALMEN, Ostap")) == "index"
    assert who_loses(person("Petro Kvortenhalmen", "KVORTENHALMEN, Ostap")) == "score"
    assert who_loses(person("Sang Hun Ri", "KIM, Sang Hun")) == "score"


def test_who_is_not_found_is_told_with_who_lost_it() -> None:
    listed = Entry("1", EntryKind.PERSON, (EntryName("KVORTENHALMEN, Ostap", "name"),), (), (), ())
    found = person("Ostap Kvortenhalmen", listed.name)
    lost = person("Petro Zulibat", listed.name)
    assert missed(NameIndex.of([listed]), [found, lost]) == [(lost, "score")]
    assert own_names([listed]) == [Screening(listed.name, True, entry_id="1")]


@pytest.mark.parametrize(
    ("garble", "written"),
    [
        (name_world.all_joined, "OstapPetroKvorten"),
        (name_world.first_initial, "O. Petro Kvorten"),
        (name_world.with_digits, "05t4p P3tr0 Kv0rt3n"),
    ],
)
def test_names_are_written_otherwise_as_is_said(garble: name_world.Garble, written: str) -> None:
    assert garble("Ostap Petro Kvorten", Random(1)) == written


def test_two_words_are_joined_and_look_alikes_are_of_another_script() -> None:
    random_ = Random(1)
    for _ in range(20):
        joined = name_world.two_joined("Ostap Petro Kvorten", random_)
        assert joined in ("OstapPetro Kvorten", "Ostap PetroKvorten")
        shown = name_world.in_look_alikes("Ostap", random_)
        assert not shown.isascii()
        assert len(shown) == len("Ostap")
    assert name_world.two_joined("Ostap", random_) == "Ostap"


def test_look_alike_people_differ_from_a_listed_one_in_one_word() -> None:
    entries = name_world.listed_entries(200)
    listed = {
        frozenset(entry.name.replace(",", "").title().split())
        for entry in entries
        if entry.kind is EntryKind.PERSON
    }
    for somebody in name_world.look_alike_people(entries, 20, seed=1):
        own = set(somebody.name.split())
        assert any(len(own - names) <= 1 for names in listed), somebody
