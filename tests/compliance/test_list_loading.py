"""Loading lists: versions, deltas, alarms, and what a broken source does not do."""

import os
from datetime import timedelta
from pathlib import Path

import grpc
import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from compliance.config import BUNDLED_SDN_FILE, ComplianceSettings
from compliance.screening.sources import OFAC_SDN, SDN_CSV, ListSource
from compliance.v1 import screening_pb2, screening_service_pb2
from compliance.wire_time import to_datetime
from tests.compliance.conftest import START, OpenGuard
from tests.compliance.guard import Guard, codes, failure, verdict

SDN = screening_pb2.SANCTIONS_LIST_OFAC_SDN
ENTRIES = 8


async def standing(guard: Guard) -> screening_pb2.SanctionsListStanding:
    listed = await guard.screening.ListSanctionsLists(
        screening_service_pb2.ListSanctionsListsRequest()
    )
    (only,) = listed.lists
    return only


def alarm() -> float | None:
    return REGISTRY.get_sample_value("compliance_list_alarm", {"list": "OFAC_SDN"})


def append(folder: Path, name: str, line: str) -> None:
    """Adds a line before the end-of-file sign."""
    path = folder / name
    path.write_bytes(path.read_bytes().rstrip(b"\x1a") + line.encode() + b"\r\n\x1a")


def sdn_row(number: int, name: str) -> str:
    return f'{number},"{name}","individual","SYNTHETIC-DEMO",' + "-0- ," * 7 + "-0- "


async def test_the_list_is_loaded_at_start(guard: Guard) -> None:
    found = await standing(guard)
    version = found.active_version
    assert (version.version, version.entry_count) == (1, ENTRIES)
    assert (version.added_count, version.changed_count, version.removed_count) == (ENTRIES, 0, 0)
    assert version.state == screening_pb2.SANCTIONS_LIST_VERSION_STATE_ACTIVE
    assert len(version.checksum) == 32
    assert to_datetime(version.confirm_time) == START
    assert (found.defect, alarm()) == ("", 0)


async def test_an_unchanged_source_confirms_the_version(guard: Guard) -> None:
    guard.clock.advance(timedelta(hours=30))
    loaded = await guard.load_list()
    assert not loaded.changed
    assert loaded.version.version == 1
    assert to_datetime(loaded.version.confirm_time) == guard.clock.now()


async def test_a_delta_is_counted_and_subjects_are_screened_against_it(guard: Guard) -> None:
    merchant = await guard.merchant("Plötzlich Gelistet")
    other = await guard.merchant()
    assert verdict(await guard.check(merchant)) == "ALLOW"

    append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "GELISTET, Ploetzlich"))
    path = guard.sdn_folder / "sdn.csv"
    path.write_bytes(path.read_bytes().replace(b"DOB 1980", b"DOB 1981"))
    alt = guard.sdn_folder / "alt.csv"
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join(line for line in lines if not line.startswith(b"900007")))
    assert b"900007" not in alt.read_bytes()
    loaded = await guard.load_list()

    version = loaded.version
    assert loaded.changed
    assert (version.version, version.entry_count) == (2, ENTRIES)
    assert (version.added_count, version.changed_count, version.removed_count) == (1, 1, 1)
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("REVIEW", ["MERCHANT_MATCH_OPEN"])
    assert verdict(await guard.check(other)) == "ALLOW"


async def test_a_delisted_subject_is_free_again(guard: Guard) -> None:
    merchant = await guard.merchant("Quolimar Zentrave")
    assert codes(await guard.check(merchant)) == ["MERCHANT_MATCH_OPEN"]
    for name in ("sdn.csv", "add.csv"):
        path = guard.sdn_folder / name
        lines = path.read_bytes().split(b"\r\n")
        path.write_bytes(b"\r\n".join(line for line in lines if not line.startswith(b"900008")))
    await guard.load_list()
    assert codes(await guard.check(merchant)) == []
    (match,) = await guard.matches(merchant)
    assert match.state == screening_pb2.MATCH_STATE_OBSOLETE


@pytest.mark.parametrize("broken", ["missing", "empty", "cut off", "shrunk"])
async def test_a_broken_source_keeps_the_version_and_raises_an_alarm(
    guard: Guard, broken: str
) -> None:
    path = guard.sdn_folder / "sdn.csv"
    whole = path.read_bytes()
    if broken == "missing":
        path.unlink()
    elif broken == "empty":
        path.write_bytes(b"")
    elif broken == "cut off":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.write_bytes(sdn_row(1, "ONLY, One").encode())
        (guard.sdn_folder / "alt.csv").write_bytes(b"")
        (guard.sdn_folder / "add.csv").write_bytes(b"")
    error = await failure(guard.load_list())
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LIST_BROKEN")
    assert error.metadata["list"] == "OFAC_SDN"
    found = await standing(guard)
    assert found.active_version.version == 1
    assert found.defect == error.metadata["defect"] != ""
    assert alarm() == 1
    listed = await guard.merchant("Synthetic Blocked Trading Company")
    assert codes(await guard.check(listed)) == ["MERCHANT_MATCH_OPEN"]
    if broken in ("missing", "empty"):
        path.write_bytes(whole)
        await guard.load_list()
        assert ((await standing(guard)).defect, alarm()) == ("", 0)


def cut(path: Path, *, share: float) -> None:
    """Leaves the first lines, as a download that ended early does."""
    lines = path.read_bytes().rstrip(b"\x1a\r\n").split(b"\r\n")
    path.write_bytes(b"".join(line + b"\r\n" for line in lines[: int(len(lines) * share)]))


async def test_files_beside_the_list_that_were_cut_change_nothing_until_a_person_says_so(
    guard: Guard,
) -> None:
    for name, share, says in (
        ("alt.csv", 0, "but no aliases"),
        ("alt.csv", 0.5, "3 aliases are left of 6"),
        ("add.csv", 0, "but no rows of add.csv"),
        ("add.csv", 0.5, "countries are left of"),
    ):
        path = guard.sdn_folder / name
        whole = path.read_bytes()
        cut(path, share=share)
        error = await failure(guard.load_list())
        found = await standing(guard)
        assert error.reason == "LIST_BROKEN"
        assert (found.active_version.version, alarm()) == (1, 1)
        assert says in found.defect
        path.write_bytes(whole)
    cut(guard.sdn_folder / "alt.csv", share=0.5)
    request = screening_service_pb2.LoadSanctionsListRequest(list=SDN, accept_losses=True)
    loaded = await guard.screening.LoadSanctionsList(request)
    assert (loaded.changed, loaded.version.version, alarm()) == (True, 2, 0)


@pytest.mark.parametrize("name", ["alt.csv", "add.csv"])
async def test_an_empty_file_is_no_first_version(
    open_guard: OpenGuard, sdn_folder: Path, name: str
) -> None:
    (sdn_folder / name).write_bytes(b"")
    async with open_guard() as guard:
        found = await standing(guard)
        assert not found.HasField("active_version")
        assert found.defect.startswith("8 entries are there, but no ")
        assert alarm() == 1


async def test_the_service_starts_without_its_source(open_guard: OpenGuard, tmp_path: Path) -> None:
    async with open_guard(sdn_file=tmp_path / "nowhere" / "sdn.csv") as guard:
        found = await standing(guard)
        assert not found.HasField("active_version")
        assert found.defect == "sdn.csv is missing"
        merchant = await guard.merchant()
        decision = await guard.check(merchant)
        assert (verdict(decision), codes(decision)) == ("REVIEW", ["LIST_MISSING"])


async def test_a_restart_keeps_version_and_screenings(open_guard: OpenGuard) -> None:
    async with open_guard() as guard:
        merchant = await guard.merchant("Synthetic Blocked Trading Company")
    async with open_guard() as guard:
        found = await standing(guard)
        assert found.active_version.version == 1
        (match,) = await guard.matches(merchant)
        assert match.entry_id == "900002"
        screened = await guard.merchant("Bravolinskiy Zavod")
        assert [item.entry_id for item in await guard.matches(screened)] == ["900004"]


async def test_a_version_given_up_half_way_is_put_away(open_guard: OpenGuard) -> None:
    """As after a kill between staging and activating."""
    async with open_guard() as guard:
        with psycopg.connect(guard.database_url) as connection:
            connection.execute(
                """INSERT INTO list_version
                SELECT list, 2, 'STAGED', '\\x00', 9, 1, 0, 0, create_time, NULL, confirm_time
                FROM list_version"""
            )
            connection.execute(
                """INSERT INTO list_entry
                SELECT list, '999999', 2, NULL, 'x', content FROM list_entry LIMIT 1"""
            )
        append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "NEW, Entry"))
        loaded = await guard.load_list()
        assert (loaded.version.version, loaded.version.entry_count) == (3, ENTRIES + 1)
    async with open_guard() as guard:
        listed = await guard.screening.ListSanctionsListVersions(
            screening_service_pb2.ListSanctionsListVersionsRequest(list=SDN)
        )
        assert [(item.version, item.state) for item in listed.versions] == [
            (3, screening_pb2.SANCTIONS_LIST_VERSION_STATE_ACTIVE),
            (2, screening_pb2.SANCTIONS_LIST_VERSION_STATE_RETIRED),
            (1, screening_pb2.SANCTIONS_LIST_VERSION_STATE_RETIRED),
        ]
        assert not (await guard.load_list()).changed


async def test_an_index_that_cannot_be_built_keeps_the_version_and_raises_an_alarm(
    open_guard: OpenGuard,
) -> None:
    async with open_guard() as guard:
        assert alarm() == 0
    append(guard.sdn_folder, "sdn.csv", sdn_row(900_100, "NEW, Entry"))
    async with open_guard(list_build_timeout_seconds=0.001) as guard:
        assert alarm() == 1
        with capture_logs() as logs:
            error = await failure(guard.load_list())
        found = await standing(guard)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["list_not_built"]
    assert error.reason == "LIST_NOT_BUILT"
    assert error.metadata == {"list": "OFAC_SDN", "failure": "it took longer than 0.001 s"}
    assert found.active_version.version == 1
    assert found.defect == "the index was not built: it took longer than 0.001 s"
    async with open_guard() as guard:
        assert ((await standing(guard)).active_version.version, alarm()) == (2, 0)


async def test_versions_are_listed_page_by_page(guard: Guard) -> None:
    for number in range(3):
        append(guard.sdn_folder, "sdn.csv", sdn_row(900_200 + number, f"NEW, Number{number}"))
        await guard.load_list()
    seen = []
    token = ""
    for _ in range(2):
        page = await guard.screening.ListSanctionsListVersions(
            screening_service_pb2.ListSanctionsListVersionsRequest(
                list=SDN, page_size=2, page_token=token
            )
        )
        seen += [item.version for item in page.versions]
        token = page.next_page_token
    assert (seen, token) == ([4, 3, 2, 1], "")


async def test_lists_without_a_source_cannot_be_loaded(guard: Guard) -> None:
    error = await failure(
        guard.screening.LoadSanctionsList(
            screening_service_pb2.LoadSanctionsListRequest(
                list=screening_pb2.SANCTIONS_LIST_UN_CONSOLIDATED
            )
        )
    )
    assert (error.reason, error.metadata["list"]) == ("LIST_NOT_CONFIGURED", "UN_CONSOLIDATED")


def test_a_fetched_list_is_as_old_as_its_oldest_file(sdn_folder: Path) -> None:
    written = (START - timedelta(hours=20)).timestamp()
    for name in ("sdn.csv", "alt.csv", "add.csv"):
        os.utime(sdn_folder / name, (written, written + 3600))
    os.utime(sdn_folder / "alt.csv", (written, written))
    for is_fetched, age in ((True, timedelta(hours=20)), (False, timedelta())):
        source = ListSource(OFAC_SDN, sdn_folder / "sdn.csv", SDN_CSV, is_fetched=is_fetched)
        fingerprint = source.fingerprint()
        assert START - source.observed_time(fingerprint, START) == age
        assert source.read()[1] == fingerprint


def test_only_the_sandbox_goes_by_synthetic_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ComplianceSettings().list_files == {"OFAC_SDN": BUNDLED_SDN_FILE}
    with pytest.raises(ValueError, match="COMPLIANCE_SDN_FILE"):
        ComplianceSettings(
            env="production",
            tls_certificate_file="c",
            tls_key_file="k",
            tls_ca_file="a",
        )
