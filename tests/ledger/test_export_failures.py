"""Exports that cannot be made, or not now: each says why in a line."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.__main__ import open_service
from ledger.config import LedgerSettings
from ledger.v1.export_pb2 import ExportLogRequest
from ledger.v1.ledger_pb2 import CreateLedgerRequest
from ledger.verify.offline import verify
from runtime.client import open_channel
from runtime.clock import ManualClock
from sandbox.certificates import make_certificates
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, failure_of
from tests.ledger.running import (
    COMMAND_SECONDS,
    PROJECT,
    SIGNER,
    Ran,
    Served,
    StallingProxy,
    export,
    run,
    sealed,
    serving,
    settings_for,
    start,
    write_history,
    write_many,
)
from tests.plugin import NewDatabase

FORMATS = ("jsonl", "parquet")
# Nothing listens on the port of "discard" where tests run.
FREE_ADDRESS = "127.0.0.1:9"


@pytest.fixture
async def served(url: str, clock: ManualClock) -> AsyncIterator[Served]:
    """A service with a ledger that has everything."""
    async with serving(url, clock) as service:
        await write_history(service.client, clock)
        yield service


async def test_what_is_asked_for_has_to_be_there(served: Served) -> None:
    last = (await served.client.verify()).sequence

    async def reason(**bounds: int) -> str:
        request = ExportLogRequest(ledger="main", **bounds)
        failure = await failure_of(served.client.audit.ExportLog(request).read())
        return failure.reason

    assert await reason(through_sequence=last + 1) == "SEQUENCE_NOT_REACHED"
    assert await reason(through_account=6) == "ACCOUNT_NOT_FOUND"
    assert await reason(through_account=-1) == "INVALID_REQUEST"
    assert await reason(through_account=2**31) == "INVALID_REQUEST"
    assert await reason(after_sequence=3, through_sequence=2) == "INVALID_REQUEST"
    assert await reason(after_account=3, through_account=2) == "INVALID_REQUEST"


async def test_failures_are_said_in_a_line(served: Served, tmp_path: Path) -> None:
    out = tmp_path / "export"

    async def fails(*more: str | Path, address: str = served.address, ledger: str = "main") -> Ran:
        ran = await run("ledger.export", "--address", address, "--ledger", ledger, *more)
        assert len(ran.said.splitlines()) <= 2, ran.said
        return ran

    ran = await fails("--out", out, address=FREE_ADDRESS)
    assert ran.code == 1
    assert "nobody answers at" in ran.said
    ran = await fails("--out", out, ledger="other")
    assert ran.code == 2
    assert "LEDGER_NOT_FOUND" in ran.said
    await served.client.stub.CreateLedger(CreateLedgerRequest(request_id="e", name="empty"))
    ran = await fails("--out", out, ledger="empty")
    assert ran.code == 1
    assert "NOT_SEALED" in ran.said
    ran = await fails("--out", out, address="ledger.example:50051")
    assert ran.code == 2
    assert "plain text is for loopback only" in ran.said
    ran = await fails("--out", out, "--tls-key-file", tmp_path / "none")
    assert ran.code == 2
    ran = await fails("--out", "/proc/export")
    assert ran.code == 2
    assert (await export(served, out)).code == 0
    ran = await fails("--out", out, "--format", "parquet")
    assert ran.code == 2
    assert "is no part of an export in this form" in ran.said
    ran = await fails("--out", out, ledger="empty")
    assert ran.code == 2
    assert "holds an export of ledger main" in ran.said
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("do not touch")
    ran = await fails("--out", tmp_path / "notes")
    assert ran.code == 2
    assert "mine.txt" in ran.said


@pytest.mark.parametrize("form", FORMATS)
async def test_a_full_disk_is_no_end(served: Served, tmp_path: Path, form: str) -> None:
    """A limit of the size of files stands for the disk: the write fails in the same way."""
    await write_many(served.client, 2_000)
    await sealed(served.client)
    out = tmp_path / "export"
    command = (
        *("ulimit -f 16; exec", sys.executable, "-m ledger.export --address", served.address),
        *("--ledger main --format", form, "--out", str(out)),
    )
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", " ".join(command)), cwd=PROJECT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 1, said
    assert b"Traceback" not in said
    assert b"run the same command again to go on" in said
    assert (await export(served, out, "--format", form)).code == 0
    verify(out, SIGNER.verifier, (), lambda _: None)


async def test_an_export_of_another_ledger_of_that_name_is_not_gone_on_with(
    served: Served, url: str, clock: ManualClock, service_database: NewDatabase, tmp_path: Path
) -> None:
    out = tmp_path / "export"
    assert (await export(served, out)).code == 0
    (out / "checkpoint.note").rename(out / "checkpoint.note.partial")
    async with serving(service_database("ledger"), clock) as other:
        await other.client.create_ledger()
        await other.client.account("wallets/b", CREDIT_NORMAL)
        await other.client.account("assets/cash")
        await write_many(other.client, 10)
        ran = await export(other, out)
        assert (ran.code, "NOT_SEALED" in ran.said) == (1, True)
        await write_many(other.client, 50, prefix="more")
        ran = await export(other, out)
    assert ran.code == 2
    assert "is not the one that the export" in ran.said


async def test_two_exports_into_one_folder(served: Served, tmp_path: Path) -> None:
    await sealed(served.client)
    out = tmp_path / "export"
    proxy = StallingProxy(served.address, answers=0)
    async with proxy.listening() as address:
        process = await start(
            "ledger.export", "--address", address, "--ledger", "main", "--out", out
        )
        await asyncio.wait_for(proxy.stalled.wait(), COMMAND_SECONDS)
        ran = await export(served, out)
        assert ran.code == 1
        assert "another export is writing" in ran.said
        process.kill()
        await process.communicate()
    assert (await export(served, out)).code == 0


async def test_mutual_tls(url: str, clock: ManualClock, tmp_path: Path) -> None:
    """The certificate's name decides; without one there is no connection."""
    files = make_certificates(tmp_path / "certificates", datetime.now(UTC))
    own = files["ledger"]
    settings = settings_for(
        url,
        tls_certificate_file=own.certificate,
        tls_key_file=own.key,
        tls_ca_file=own.ca,
    )

    def flags(name: str) -> list[str]:
        given = files[name]
        return [
            *("--tls-certificate-file", str(given.certificate)),
            *("--tls-key-file", str(given.key), "--tls-ca-file", str(given.ca)),
        ]

    operator = LedgerSettings(
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        tls_certificate_file=files["operator"].certificate,
        tls_key_file=files["operator"].key,
        tls_ca_file=own.ca,
    )
    async with open_service(settings, clock) as server:
        address = f"127.0.0.1:{server.port}"
        async with open_channel(address, operator, idempotent_services=[]) as channel:
            client = LedgerClient(channel)
            await write_history(client, clock)
            served = Served(address, channel, client)
            assert (await export(served, tmp_path / "ok", *flags("operator"))).code == 0
            ran = await export(served, tmp_path / "no", *flags("client"))
            assert ran.code == 2
            assert "CLIENT_NOT_ALLOWED" in ran.said
            assert (await export(served, tmp_path / "none")).code == 1
