"""Child processes of the sandbox that do not come up."""

import asyncio
from pathlib import Path

import pytest

from sandbox.processes import ProcessEndedError, ServiceProcess, told_plainly

MISSING = "sandbox.of_no_such_name"


async def test_why_a_process_did_not_start_is_what_it_said_itself(tmp_path: Path) -> None:
    log = tmp_path / "reconciliation.log"
    log.write_text("of the run before\n")
    process = ServiceProcess("reconciliation", (MISSING,), {}, log)
    await process.start()
    with pytest.raises(ProcessEndedError) as caught:
        await process.wait_until(asyncio.sleep(60))
    assert str(caught.value).startswith("reconciliation ended at start:\n")
    assert MISSING in str(caught.value)
    assert "of the run before" not in str(caught.value)


def test_people_are_told_it_without_a_traceback() -> None:
    async def start() -> None:
        async with asyncio.TaskGroup() as starting:
            starting.create_task(asyncio.sleep(60))
            starting.create_task(ended())

    async def ended() -> None:
        raise ProcessEndedError("ledger ended at start:\nno")

    with pytest.raises(SystemExit) as caught, told_plainly():
        asyncio.run(start())
    assert caught.value.code == "ledger ended at start:\nno"
