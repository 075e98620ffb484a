"""`compliance.rescreening`: 100,000 subjects compared with a hundred new entries of a list.

A service holds a made-up list of 9,000 entries (name_world.py) and 100,000 subjects that were
screened against it. A version with a hundred entries more is published and loaded: read, compared,
indexed, each subject screened against what is new, what was found stored, switched. The same load
before there are subjects shows how much of that is the list's.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from bench import name_world
from bench.benchmark import Target, with_target
from bench.compliance_list_load import LOAD_TIMEOUT_SECONDS, memory_mb, watched_builders
from bench.cpu import meter_of, spent_between
from bench.ledger_parts import started
from compliance.screening.entries import Entry, EntryKind
from compliance.screening.listed import WEAK
from compliance.screening.names import RULES_VERSION
from compliance.v1 import screening_pb2, screening_service_pb2
from compliance.v1.screening_service_pb2_grpc import ScreeningServiceStub
from sandbox.addresses import free_port
from sandbox.embedded_postgres import temporary_server

NAME = "compliance.rescreening"
SUBJECTS, NEW_ENTRIES = 100_000, 100
MAX_SECONDS = 60.0
TARGET = Target("value", "<=", MAX_SECONDS)
NULL = "-0- "
KINDS = {
    EntryKind.PERSON: "individual",
    EntryKind.ORGANIZATION: NULL,
    EntryKind.VESSEL: "vessel",
    EntryKind.AIRCRAFT: "aircraft",
}
ALIASES = {"a.k.a.": "aka", "f.k.a.": "fka"}
COPY = (
    "COPY subject (subject_id, kind, legal_name, aliases, entity_kind, birth_date, country_code,"
    " parent_subject_id, corridor, connected_account_id, state, kyc_state, revision,"
    " profile_revision, create_time, update_time) FROM STDIN"
)
SCREENED = """
INSERT INTO screening (
    subject_id, list, profile_revision, list_version, screen_time, rules_version, is_comparable
)
SELECT subject_id, 'OFAC_SDN', 1, %(version)s, now(), %(rules)s, true FROM subject
"""


def write_sdn(folder: Path, entries: Sequence[Entry]) -> Path:
    """The entries in OFAC's CSV files; the main one."""
    lines: dict[str, list[str]] = {"sdn.csv": [], "alt.csv": [], "add.csv": []}
    for entry in entries:
        weak = [name.text for name in entry.names if name.type == WEAK]
        remarks = [f"DOB {_ofac_date(born)}" for born in entry.birth_dates]
        remarks += [f"a.k.a. '{text}'" for text in weak]
        lines["sdn.csv"].append(
            f'{entry.entry_id},"{entry.name}",{KINDS[entry.kind]},"MADE-UP",'
            + f"{NULL}," * 7
            + (f'"{"; ".join(remarks)}."' if remarks else NULL)
        )
        for number, name in enumerate(entry.names[1:]):
            if name.type != WEAK:
                lines["alt.csv"].append(
                    f'{entry.entry_id},{number},"{ALIASES[name.type]}","{name.text}",{NULL}'
                )
        lines["add.csv"].append(f'{entry.entry_id},1,{NULL},{NULL},"{entry.countries[0]}",{NULL}')
    for file, written in lines.items():
        new = folder / f"{file}.new"
        new.write_text("\r\n".join(written) + "\r\n\x1a", encoding="utf-8")
        new.replace(folder / file)
    return folder / "sdn.csv"


def _ofac_date(text: str) -> str:
    return text if len(text) == 4 else date.fromisoformat(text).strftime("%d %b %Y")


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is what the load may take, `ratio` the share of it."""
    entries = name_world.listed_entries(name_world.ENTRIES + 2 * NEW_ENTRIES)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        file = write_sdn(folder, entries[:NEW_ENTRIES])
        postgres = await asyncio.to_thread(stack.enter_context, temporary_server(durable=True))
        url = await asyncio.to_thread(postgres.database_url, "compliance_bench")
        port = free_port()
        environment = {
            "ENV": "sandbox",
            "LOG_LEVEL": "WARNING",
            "COMPLIANCE_DATABASE_URL": url,
            "COMPLIANCE_LISTEN_ADDRESS": f"127.0.0.1:{port}",
            "COMPLIANCE_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
            "COMPLIANCE_GATEWAY_ADDRESS": "",
            "COMPLIANCE_SDN_FILE": str(file),
            "COMPLIANCE_LIST_INTERVAL_SECONDS": "100000",
        }
        channel, process_id = await stack.enter_async_context(
            started(port, environment, "compliance")
        )
        stub = ScreeningServiceStub(channel)
        postmaster = int((postgres.data / "postmaster.pid").read_text().split()[0])
        meter = meter_of(service=process_id, postgres=postmaster)

        async def load(count: int, added: int = NEW_ENTRIES) -> dict[str, float]:
            write_sdn(folder, entries[:count])
            before, begun = meter(), time.perf_counter()
            loaded = await stub.LoadSanctionsList(
                screening_service_pb2.LoadSanctionsListRequest(
                    list=screening_pb2.SANCTIONS_LIST_OFAC_SDN
                ),
                timeout=LOAD_TIMEOUT_SECONDS,
            )
            seconds = time.perf_counter() - begun
            assert loaded.version.added_count == added, loaded
            spent = spent_between(before, meter()) if before else {}
            return {"seconds": seconds, **{f"cpu_s_{name}": cpu for name, cpu in spent.items()}}

        await load(name_world.ENTRIES, name_world.ENTRIES - NEW_ENTRIES)
        without = await load(name_world.ENTRIES + NEW_ENTRIES)
        await asyncio.to_thread(_store_subjects, url, 3)
        memory_before = memory_mb(process_id)
        async with watched_builders(process_id) as builders:
            taken = await load(name_world.ENTRIES + 2 * NEW_ENTRIES)
        pending, matches = await asyncio.to_thread(_outcome, url, 4)
        if pending:
            raise RuntimeError(f"{pending} subjects were not screened")
        line = {
            "name": NAME,
            "value": round(taken["seconds"], 1),
            "unit": "s",
            "limit": MAX_SECONDS,
            "limit_name": "what it may take",
            "ratio": round(taken["seconds"] / MAX_SECONDS, 3),
            "subjects": SUBJECTS,
            "new_entries": NEW_ENTRIES,
            "subjects_per_s": round(SUBJECTS / (taken["seconds"] - without["seconds"])),
            "without_subjects_s": round(without["seconds"], 1),
            **{key: round(cpu, 1) for key, cpu in taken.items() if key != "seconds"},
            "matches": matches,
            "service_mb_before": memory_before,
            "service_mb": memory_mb(process_id),
            "builder_mb": max(builders, default=0.0),
        }
    return with_target(line, TARGET)


def _store_subjects(url: str, version: int) -> None:
    """As if they had been created and screened against the version in use."""
    people = name_world.ordinary_people(SUBJECTS * 6 // 10, name_world.SEED)
    companies = name_world.ordinary_companies(SUBJECTS - len(people), name_world.SEED)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            for number, somebody in enumerate([*people, *companies]):
                copy.write_row(
                    (
                        f"sub_bench_{number:06}",
                        "CUSTOMER",
                        somebody.name,
                        [],
                        "INDIVIDUAL" if somebody.is_person else "ORGANIZATION",
                        somebody.birth_date,
                        somebody.country_code,
                        *(None, None, None, "ACTIVE", "NOT_STARTED", 1, 1, "now", "now"),
                    )
                )
        cursor.execute(SCREENED, {"version": version, "rules": RULES_VERSION})
        cursor.execute("ANALYZE subject, screening")


def _outcome(url: str, version: int) -> tuple[int, int]:
    """How many subjects are not at the version, and how many matches there are."""
    with psycopg.connect(url) as connection:
        (pending,) = connection.execute(
            "SELECT count(*) FROM screening WHERE list_version <> %s", [version]
        ).fetchall()[0]
        (matches,) = connection.execute("SELECT count(*) FROM match").fetchall()[0]
    return pending, matches
