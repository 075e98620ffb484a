"""What a process of this machine uses, as Linux tells it."""

from pathlib import Path

PROC = Path("/proc")
ESTABLISHED = "01"
# Columns of /proc/net/tcp: https://docs.kernel.org/networking/proc_net_tcp.html
REMOTE, STATE, INODE = 2, 3, 9


def memory_mib(pid: int) -> float:
    """The memory that a process has now."""
    lines = (PROC / str(pid) / "status").read_text(encoding="ascii").splitlines()
    found = next(line for line in lines if line.startswith("VmRSS:"))
    return int(found.split()[1]) / 1024


def connections_to(pid: int, port: int) -> int:
    """Its TCP connections (IPv4) to a port."""
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    there = {
        f"socket:[{row[INODE]}]"
        for row in rows
        if row[STATE] == ESTABLISHED and int(row[REMOTE].split(":")[1], 16) == port
    }
    return sum(_target(file) in there for file in (PROC / str(pid) / "fd").iterdir())


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:
        # Closed since the directory was read.
        return ""
