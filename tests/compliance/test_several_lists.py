"""Several lists in use at once, each with versions, an age and an alarm of its own."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from compliance.config import ComplianceSettings
from compliance.screening.entries import BrokenListError
from compliance.screening.sources import LISTS, MAX_FILE_BYTES, ListSource
from compliance.v1 import screening_pb2, screening_service_pb2
from runtime.config import Environment
from tests.compliance.conftest import START, OpenGuard
from tests.compliance.guard import Guard, codes, failure, verdict
from tests.compliance.list_samples import SAMPLES

UN = screening_pb2.SANCTIONS_LIST_UN_CONSOLIDATED
FILES = {
    "ofac_consolidated_file": ("OFAC consolidated CSV", "OFAC_CONSOLIDATED"),
    "un_consolidated_file": ("UN XML", "UN_CONSOLIDATED"),
    "eu_consolidated_file": ("EU CSV", "EU_CONSOLIDATED"),
    "uk_sanctions_file": ("UK CSV", "UK"),
}


def write_lists(folder: Path) -> dict[str, Path]:
    """Every sample as files; the settings that name them."""
    folder.mkdir()
    settings = {}
    for setting, (name, _) in FILES.items():
        for file, content in SAMPLES[name].files.items():
            (folder / file).write_bytes(content)
        settings[setting] = folder / SAMPLES[name].file
    return settings


async def standings(guard: Guard) -> dict[str, screening_pb2.SanctionsListStanding]:
    listed = await guard.screening.ListSanctionsLists(
        screening_service_pb2.ListSanctionsListsRequest()
    )
    return {
        screening_pb2.SanctionsList.Name(one.list).removeprefix("SANCTIONS_LIST_"): one
        for one in listed.lists
    }


def metric(name: str, list_name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"list": list_name})


async def test_every_list_is_searched_and_told_apart_and_ages_alone(
    open_guard: OpenGuard, tmp_path: Path
) -> None:
    settings = write_lists(tmp_path / "lists")
    async with open_guard(**settings) as guard:
        found = await standings(guard)
        assert found.keys() == LISTS.keys()
        assert {one.active_version.version for one in found.values()} == {1}
        answer = await guard.screening.ScreenName(
            screening_service_pb2.ScreenNameRequest(
                screened_name=screening_pb2.ScreenedName(name="Quolimar V. Zentrave")
            )
        )
        told = {(match.authority, match.entry_id, *match.programs) for match in answer.matches}
        assert told == {
            ("US Treasury, Office of Foreign Assets Control", "900008", "SYNTHETIC-DEMO"),
            ("US Treasury, Office of Foreign Assets Control", "9001", "MADE-UP"),
            ("United Nations Security Council", "FRi.001", "Freedonia"),
            ("European Union", "EU.27.28", "MADEUP"),
            (
                "United Kingdom, Foreign, Commonwealth & Development Office",
                "MUP0001",
                "The Made-Up (Sanctions) Regulations",
            ),
        }
        merchant, other = await guard.merchant("Drellow Trading"), await guard.merchant()
        assert len(await guard.matches(merchant)) == 4
        assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]
        assert verdict(await guard.check(other)) == "ALLOW"

        # One of them breaks: the others go on, and it alone grows old.
        settings["un_consolidated_file"].write_bytes(b"<html/>")
        guard.clock.advance(timedelta(hours=25))
        for name in LISTS:
            load = guard.screening.LoadSanctionsList(
                screening_service_pb2.LoadSanctionsListRequest(
                    list=screening_pb2.SanctionsList.Value(f"SANCTIONS_LIST_{name}")
                )
            )
            if name == "UN_CONSOLIDATED":
                assert (await failure(load)).metadata == {
                    "list": name,
                    "defect": "consolidated.xml line 1: it begins with <html>,"
                    " not <CONSOLIDATED_LIST>",
                }
            else:
                assert not (await load).changed
            assert metric("compliance_list_alarm", name) == (name == "UN_CONSOLIDATED")
            age = guard.clock.now().timestamp() - float(
                metric("compliance_list_confirm_time_seconds", name) or 0
            )
            assert age == (25 * 3600 if name == "UN_CONSOLIDATED" else 0)
        decision = await guard.check(other)
        assert codes(decision) == ["LIST_AGING"]
        assert "UN_CONSOLIDATED" in decision.reasons[0].internal_text
        assert len(await guard.matches(merchant)) == 4
    # The operator takes it out of the settings: it is looked at no more.
    del settings["un_consolidated_file"]
    async with open_guard(**settings) as guard:
        assert codes(await guard.check(await guard.merchant())) == []


async def test_a_list_that_is_new_in_the_settings_stops_checks_until_it_is_loaded(
    open_guard: OpenGuard, tmp_path: Path
) -> None:
    async with open_guard() as guard:
        merchant = await guard.merchant("Drellow Trading")
        assert codes(await guard.check(merchant)) == []
    file = tmp_path / "consolidated.xml"
    async with open_guard(un_consolidated_file=file) as guard:
        assert codes(await guard.check(merchant)) == ["LIST_MISSING"]
        file.write_bytes(SAMPLES["UN XML"].files["consolidated.xml"])
        request = screening_service_pb2.LoadSanctionsListRequest(list=UN)
        assert (await guard.screening.LoadSanctionsList(request)).changed
        assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("ending", ["csv", "XML"])
def test_the_format_is_what_the_files_name_says(name: str, ending: str) -> None:
    source = ListSource.of(name, Path(f"list.{ending}"), is_fetched=True)
    assert ListSource.from_plain(source.to_plain()) == source
    expected = {
        ("OFAC_SDN", "csv"): "OFAC_SDN_CSV",
        ("OFAC_SDN", "XML"): "OFAC_ADVANCED_XML",
        ("OFAC_CONSOLIDATED", "csv"): "OFAC_CONSOLIDATED_CSV",
        ("OFAC_CONSOLIDATED", "XML"): "OFAC_CONSOLIDATED_ADVANCED_XML",
    }
    others = {"UN_CONSOLIDATED": "UN_XML", "EU_CONSOLIDATED": "EU_CSV", "UK": "UK_CSV"}
    assert source.format.name == (expected.get((name, ending)) or others[name])


@pytest.mark.parametrize("setting", list(FILES))
def test_a_file_at_its_limit_a_pipe_and_a_folder(tmp_path: Path, setting: str) -> None:
    name, list_name = FILES[setting]
    file = tmp_path / SAMPLES[name].file
    for beside, content in SAMPLES[name].files.items():
        (tmp_path / beside).write_bytes(content)
    source = ListSource.of(list_name, file, is_fetched=True)
    largest = max(map(len, SAMPLES[name].files.values()))
    parsed, fingerprint = source.read(max_bytes=largest)
    assert parsed.entries
    assert source.fingerprint(max_bytes=largest) == fingerprint
    with pytest.raises(BrokenListError, match=f"has more than {largest - 1} bytes$"):
        source.fingerprint(max_bytes=largest - 1)
    with file.open("r+b") as whole:
        whole.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(BrokenListError, match=f"^{file.name} has more than {MAX_FILE_BYTES} bytes"):
        source.read()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BrokenListError, match=f"^{file.name} is no file$"):
        source.fingerprint()
    file.unlink()
    file.mkdir()
    with pytest.raises(BrokenListError, match=f"^{file.name} (is no file|cannot be read: .*)$"):
        source.fingerprint()


def test_the_age_of_a_list_is_that_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "uk.csv"
    file.write_bytes(SAMPLES["UK CSV"].files["uk.csv"])
    written = START - timedelta(hours=30)
    os.utime(file, (written.timestamp(), written.timestamp()))
    source = ListSource.of("UK", file, is_fetched=True)
    assert source.observed_time(source.fingerprint(), START) == written
    assert isinstance(source.fingerprint().oldest, datetime)


@pytest.mark.parametrize("setting", ["sdn_file", *FILES])
def test_outside_the_sandbox_any_list_is_enough_and_none_is_not(setting: str) -> None:
    none = ComplianceSettings().model_copy(update={"env": Environment.PRODUCTION})
    some = none.model_copy(update={setting: Path("list")})
    needed = "needs a sanctions list: COMPLIANCE_SDN_FILE or another"
    assert any(problem.endswith(needed) for problem in none.problems())
    assert not any(problem.endswith(needed) for problem in some.problems())
    assert list(some.list_files.values()) == [Path("list")]
