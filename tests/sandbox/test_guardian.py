"""Guardians and children: what a process started goes with it, however it goes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.child import child_command
from sandbox.guardian import remove, temporary_folder
from tests.waiting import wait_until

MAKING = """
from sandbox.guardian import temporary_folder
with temporary_folder() as folder:
    (folder.path / "a.log").touch()
    print(folder.path, flush=True)
    input()
"""
PARENT = """
import subprocess, sys
from sandbox.child import child_command
print(subprocess.Popen(child_command("--", "/bin/sleep", "600")).pid, flush=True)
input()
"""


def started(program: str) -> "tuple[subprocess.Popen[str], str]":
    """A process, and what it says when it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_temporary_folder_is_gone_after_the_block() -> None:
    with temporary_folder() as folder:
        assert folder.path.is_dir()
        assert folder.path.stat().st_mode & 0o066 == 0
    assert not folder.path.exists()


def test_a_folder_can_be_kept() -> None:
    with temporary_folder() as folder:
        (folder.path / "a.log").touch()
        folder.keep()
    assert [file.name for file in folder.path.iterdir()] == ["a.log"]
    remove(folder.path)


def test_a_killed_process_leaves_no_folder() -> None:
    process, path = started(MAKING)
    with process:
        assert Path(path).is_dir()
        process.kill()
    wait_until(lambda: not Path(path).exists())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's end")
def test_a_program_ends_with_its_parent_even_while_it_is_stopped() -> None:
    process, child = started(PARENT)
    status, command = Path(f"/proc/{child}/stat"), Path(f"/proc/{child}/cmdline")
    with process:
        # Before, it is the Python that becomes the program.
        wait_until(lambda: command.read_bytes().startswith(b"/bin/sleep"))
        os.kill(int(child), signal.SIGSTOP)
        process.kill()
    wait_until(lambda: not status.exists() or status.read_text().rpartition(")")[2][1] == "Z")


def test_a_child_whose_parent_is_gone_does_not_begin() -> None:
    command = child_command("--", "/bin/true")
    command[3] = "1"
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "is gone" in ran.stderr
