"""Embargoes begin and end at their time, and data that are wrong are refused by their line."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from compliance.checks.canonical import dumps, loads
from compliance.checks.country_programmes import (
    CountryProgramme,
    read_country_programmes,
)
from compliance.checks.facts import CheckFacts, ListFacts, Role
from compliance.checks.policy import BUILT_IN, Policy
from compliance.checks.rules import countries_are_permitted
from compliance.data_lines import DataError
from tests.compliance.check_facts import AS_OF, SDN, payment, subject

MOMENT = timedelta(microseconds=1)
# SHA-256 of the built-in policy's document. Whoever changes the policy or the data of countries
# gives the policy a new version: a database that knows this one refuses another document for it.
DOCUMENT = ("built-in-5", "d9ed6b367365ad9e072481e2891715a187e636c83c0e18741121cb610ba93853")
DOCUMENT_OF_4 = "7043a3f1a13e6bda10b5734034d020f8ed919024ef2588fa1a6e9cd735061a9c"
DOCUMENT_OF_3 = "b483e8135bd1c6892a75fd7b222aa4333240ee60d7cede6c034e9e2dcb29cfdc"
NEAR_NOTHING = 100
WITHOUT_RULES = "0fc5b3b9a8344b3aa552b68f9c75ebed5f5d9d1fb835a023f729419d72ff4ddc"


def denied(as_of: datetime, country: str) -> list[str]:
    """Whom the rule denies when billing address, merchant, owner and customer are in a country."""
    facts: CheckFacts = payment(
        as_of=as_of,
        country_codes=(country,),
        merchant=subject(country_code=country),
        owners=(subject(Role.OWNER, country_code=country),),
        customer=subject(Role.CUSTOMER, country_code=country),
        lists=(ListFacts(SDN, 7, as_of),),
    )
    return [finding.subject_id for finding in countries_are_permitted(facts, BUILT_IN)]


EVERYBODY = ["", "merchant-1", "owner-1", "customer-1"]


@pytest.mark.parametrize("programme", BUILT_IN.country_programmes, ids=lambda p: p.country_code)
def test_a_programme_holds_from_its_start_until_its_end(programme: CountryProgramme) -> None:
    country, start, end = programme.country_code, programme.start_time, programme.end_time
    assert (denied(start - MOMENT, country), denied(start, country)) == ([], EVERYBODY)
    if end is None:
        assert denied(datetime(9999, 1, 1, tzinfo=UTC), country) == EVERYBODY
    else:
        assert (denied(end - MOMENT, country), denied(end, country)) == (EVERYBODY, [])


def test_syria_is_denied_until_its_programme_ended() -> None:
    """https://ofac.treasury.gov/sanctions-programs-and-country-information/syria-related-sanctions"""
    midnight_in_washington = datetime(2025, 7, 1, 4, tzinfo=UTC)
    assert denied(midnight_in_washington - MOMENT, "SY") == EVERYBODY
    assert denied(midnight_in_washington, "SY") == denied(AS_OF, "SY") == []
    assert [code for code in ("CU", "IR", "KP") if denied(AS_OF, code) != EVERYBODY] == []


def test_a_country_without_programmes_is_denied_at_all_times_if_the_policy_says_so() -> None:
    policy = replace(BUILT_IN, prohibited_country_codes=("XK", "SY"))
    assert policy.prohibits("XK", AS_OF)
    assert not policy.prohibits("SY", AS_OF)
    assert policy.prohibits("IR", AS_OF)
    assert not policy.prohibits("", AS_OF)


def test_releases_that_know_no_dates_deny_every_country_that_ever_was_under_a_programme() -> None:
    """One that is started again on this policy denies what it denied by its own."""
    assert BUILT_IN.prohibited_country_codes == ("CU", "IR", "KP", "SY")


def test_another_document_is_another_version() -> None:
    digest = hashlib.sha256(dumps(BUILT_IN).encode()).hexdigest()
    assert (BUILT_IN.version, digest) == DOCUMENT


def test_a_document_of_before_is_the_policy_that_it_was() -> None:
    """Releases that had no limits on rates or the history, or no rules of policies, stored it
    without."""
    before = replace(
        BUILT_IN,
        version="built-in-4",
        rate_limits=(),
        rates_max_age=None,
        unknown_rates_outcome="",
    )
    later = (
        *('"rate_limits":[],', '"rates_max_age":null,', ',"unknown_rates_outcome":""'),
        ',"verification_requirements":[]',
    )
    stored = _without(dumps(before), *later)
    assert hashlib.sha256(stored.encode()).hexdigest() == DOCUMENT_OF_4
    assert loads(stored, Policy) == before
    before = replace(
        before, version="built-in-3", history_limits=(), near_limit_percent=NEAR_NOTHING
    )
    of_3 = ('"history_limits":[],', f'"near_limit_percent":{NEAR_NOTHING},')
    stored = _without(dumps(before), *later, *of_3)
    assert hashlib.sha256(stored.encode()).hexdigest() == DOCUMENT_OF_3
    assert loads(stored, Policy) == before
    stored = stored.replace('"rules":[],', "")
    assert hashlib.sha256(stored.encode()).hexdigest() == WITHOUT_RULES
    assert loads(stored, Policy) == before


def _without(stored: str, *fields: str) -> str:
    for field in fields:
        assert field in stored
        stored = stored.replace(field, "")
    return stored


GOOD = "SY\t2011-08-18T04:01:00Z\t2025-07-01T04:00:00Z\tE.O. 13582\thttps://example.com/a"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("SY\t2011-08-18T04:01:00Z\t\tE.O. 13582", "line 3: has 4 columns, not 5: country, start"),
        (GOOD + "\tmore", "line 3: has 6 columns"),
        (GOOD.replace("\t", " "), "line 3: has 1 columns"),
        (GOOD.replace("SY", "XX"), "line 3: 'XX' is no ISO 3166-1"),
        (GOOD.replace("SY", "sy"), "line 3: 'sy' is no ISO"),
        (GOOD.replace("SY", ""), "line 3: '' is no ISO"),
        (GOOD.replace("2025-07-01", "2025-02-30"), "line 3: .*day"),
        (GOOD.replace("04:00:00Z", "24:00:00Z"), "line 3: .*does not match"),
        (GOOD.replace("2025-07-01T04:00:00Z", "2025-07-01"), "line 3: '2025-07-01' is no time"),
        (GOOD.replace("04:00:00Z", "04:00:00+02:00"), "line 3: '2025-07-01T04:00:00.02:00' is no"),
        (GOOD.replace("2011-08-18T04:01:00Z", ""), "line 3: '' is no time"),
        (GOOD.replace("2025-07-01T04:00", "2011-08-18T04:01"), "line 3: ends before it starts"),
        (GOOD.replace("2025", "2010"), "line 3: ends before it starts"),
        (GOOD.replace("E.O. 13582", " "), "line 3: the programme has no name"),
        (GOOD.replace("https", "http"), "line 3: 'http://example.com/a' is no https"),
        (GOOD.replace("https://example.com/a", ""), "line 3: '' is no https"),
        (GOOD + "\n" + GOOD, "line 4: the programme is in force already"),
        (GOOD + "\n" + GOOD.replace("2011", "2013").replace("2025", "2024"), "line 4: .*already"),
        (GOOD + "\n\n# later\n" + GOOD.replace("2025-07-01T04:00:00Z", ""), "line 6: .*already"),
        ("", "programmes.tsv names no programme"),
    ],
)
def test_bad_data_are_refused_by_their_line(tmp_path: Path, lines: str, says: str) -> None:
    path = tmp_path / "programmes.tsv"
    path.write_text(f"# Comment\n\n{lines}\n")
    with pytest.raises(DataError, match=says):
        read_country_programmes(path)


def test_what_is_not_utf_8_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "programmes.tsv"
    path.write_bytes(GOOD.encode() + b"\n\xff\n")
    with pytest.raises(DataError, match=r"^programmes\.tsv line 2: not UTF-8$"):
        read_country_programmes(path)


def test_a_programme_may_come_back(tmp_path: Path) -> None:
    again = GOOD.replace("2011-08-18T04:01:00Z\t2025-07-01T04:00:00Z", "2025-07-01T04:00:00Z\t")
    other = GOOD.replace("E.O. 13582", "another").replace("2025", "2030")
    path = tmp_path / "programmes.tsv"
    path.write_text(f"{GOOD}\n{again}\n{other}\n")
    assert [item.end_time is None for item in read_country_programmes(path)] == [False, True, False]
