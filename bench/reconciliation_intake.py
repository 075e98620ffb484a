"""`reconciliation.intake`: how fast a large camt.053 is read and proved, and in what memory.

A statement of 100,000 entries, of which one in ten has a batch of three, is written into a file.
Processes of their own read it in turn: the reader, and nothing but ElementTree's `iterparse` over
the same bytes, which is the limit. Seconds are those of the processor, on which both work alone.
The memory is the most that a reading process ever had.
"""

import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.benchmark import Target, with_target

NAME = "reconciliation.intake"
ENTRIES = 100_000
ROUNDS = 3
MAX_SECONDS = 10.0
MAX_MB = 256.0
TARGET = Target("missed_targets", "<=", 0)
BATCH_EVERY, BATCH = 10, 3
AMOUNT_MINOR = 1234
ACCOUNT = "DE02120300000000202051"
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
# What a reading process does, and prints: processor seconds, entries, the most memory in MB.
MEASURED = """
import json, pathlib, sys, time
from bench.reconciliation_intake import ACCOUNT, NAMESPACE

def read(path):
    from datetime import date
    from reconciliation.statements.model import Expected, ExpectedAccount, Format
    from reconciliation.statements.reading import Declared, read_statements
    expected = Expected((ExpectedAccount(ACCOUNT, "EUR"),), date(2026, 11, 30))
    begun = time.process_time()
    with path.open("rb") as file:
        (statement,) = read_statements(file, Declared(Format.CAMT), expected)
    return time.process_time() - begun, len(statement.booked())

def iterate(path):
    from xml.etree.ElementTree import iterparse
    begun, count = time.process_time(), 0
    with path.open("rb") as file:
        for _, element in iterparse(file):
            if element.tag == f"{{{NAMESPACE}}}Ntry":
                count += 1
                element.clear()
    return time.process_time() - begun, count

seconds, count = globals()[sys.argv[1]](pathlib.Path(sys.argv[2]))
status = pathlib.Path("/proc/self/status").read_text().splitlines()
most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
print(json.dumps([seconds, count, most / 1024]))
"""


async def measure(entries: int = ENTRIES, rounds: int = ROUNDS) -> dict[str, Any]:
    """The benchmark's line: entries a second, against those of bare iterparse."""
    return await asyncio.to_thread(_measure, entries, rounds)


def _measure(entries: int, rounds: int) -> dict[str, Any]:
    runs: dict[str, list[tuple[float, float]]] = {"read": [], "iterate": []}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "statement.xml"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(statement(entries))
        megabytes = path.stat().st_size / 1e6
        for _ in range(rounds):
            for name, found in runs.items():
                seconds, count, memory = _run(name, path)
                assert count == entries, (name, count)
                found.append((seconds, memory))
    seconds = statistics.median(seconds for seconds, _ in runs["read"])
    bare = statistics.median(seconds for seconds, _ in runs["iterate"])
    memory = max(memory for _, memory in runs["read"])
    line = {
        "name": NAME,
        "value": round(entries / seconds),
        "unit": "entries/s",
        "limit": round(entries / bare),
        "limit_name": "bare iterparse of the same bytes",
        "ratio": round(bare / seconds, 3),
        "cpu_seconds": round(seconds, 2),
        "memory_mb": round(memory, 1),
        "file_mb": round(megabytes, 1),
        "entries": entries,
        "rounds": rounds,
        "missed_targets": (seconds > MAX_SECONDS) + (memory > MAX_MB),
    }
    return with_target(line, TARGET)


def _run(name: str, path: Path) -> tuple[float, int, float]:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, name, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, count, memory = json.loads(ran.stdout)
    return float(seconds), int(count), float(memory)


def statement(entries: int) -> Iterator[str]:
    """A camt.053 that proves, piece by piece; entries are credits of one amount."""
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>'
    yield "<GrpHdr><MsgId>M</MsgId><CreDtTm>2026-11-30T20:00:00Z</CreDtTm></GrpHdr><Stmt>"
    yield "<Id>S1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-11-30T20:00:00Z</CreDtTm>"
    yield f"<Acct><Id><IBAN>{ACCOUNT}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
    for code, minor in (("OPBD", 0), ("CLBD", entries * AMOUNT_MINOR)):
        yield f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(minor)}"
        yield "<Dt><Dt>2026-11-30</Dt></Dt></Bal>"
    for number in range(entries):
        yield _entry(number)
    yield "</Stmt></BkToCstmrStmt></Document>\n"


def _amount(minor: int) -> str:
    major = f"{minor // 100}.{minor % 100:02}"
    return f'<Amt Ccy="EUR">{major}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'


def _entry(number: int) -> str:
    parts = [AMOUNT_MINOR]
    if number % BATCH_EVERY == 0:
        share = AMOUNT_MINOR // BATCH
        parts = [share] * (BATCH - 1) + [AMOUNT_MINOR - share * (BATCH - 1)]
    transactions = "".join(
        f"<TxDtls><Refs><AcctSvcrRef>B{number}-{part}</AcctSvcrRef><EndToEndId>E2E-{number}-{part}"
        f"</EndToEndId></Refs>{_amount(minor)}<RltdPties><Dbtr><Pty><Nm>Somebody {number}</Nm>"
        "</Pty></Dbtr><DbtrAcct><Id><IBAN>FR1420041010050500013M02606</IBAN></Id></DbtrAcct></RltdPties>"
        f"<RmtInf><Ustrd>Payment for order {number} of part {part}</Ustrd></RmtInf></TxDtls>"
        for part, minor in enumerate(parts)
    )
    return (
        f"<Ntry><NtryRef>{number}</NtryRef>{_amount(AMOUNT_MINOR)}<Sts><Cd>BOOK</Cd></Sts>"
        "<BookgDt><Dt>2026-11-30</Dt></BookgDt><ValDt><Dt>2026-11-30</Dt></ValDt>"
        f"<AcctSvcrRef>A{number}</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd>"
        f"<SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls>{transactions}</NtryDtls>"
        "</Ntry>\n"
    )
