"""A PostgreSQL server of a test's own that can be killed and comes back."""

import asyncio
import os
import signal
from pathlib import Path
from random import Random

import psycopg

from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.guardian import temporary_path
from sandbox.polling import poll
from sandbox.processes import ServiceProcess
from tests.freezing import freeze, thaw
from tests.ledger.killing.postgres_keeper import WITHOUT_FSYNC

# On a machine that is busy with other things.
POSTGRES_SECONDS = 120.0


class MortalPostgres:
    """With fsync, or without: then only a crash of the machine would lose anything."""

    def __init__(self, log_file: Path, *, durable: bool = True) -> None:
        # Made by the keeper, with whose end it goes.
        self._server = EmbeddedPostgres(temporary_path(), durable=durable)
        self._log_file = log_file
        self._arguments = () if durable else (WITHOUT_FSYNC,)
        self._keeper: ServiceProcess | None = None

    async def start(self) -> None:
        """Starts the server and waits until it takes connections."""
        directory = str(self._server.data.parent)
        keeper = ServiceProcess(
            "postgres",
            ("tests.ledger.killing.postgres_keeper", directory, *self._arguments),
            {},
            self._log_file,
        )
        await keeper.start()
        before, self._keeper = self._keeper, keeper
        await keeper.wait_until(self._until_it_answers())
        # Not earlier: the folder goes with the last keeper.
        if before is not None:
            await before.kill()

    async def stop(self) -> None:
        """Ends the server and removes what it stored."""
        if self._keeper is not None:
            await self._keeper.terminate()

    async def database_url(self, name: str) -> str:
        """The URL of a database, which is created if it does not exist."""
        return await asyncio.to_thread(self._server.database_url, name)

    async def kill(self) -> None:
        """The whole server ends at once, without a checkpoint, and recovers from its log."""
        pid_file = self._server.data / "postmaster.pid"
        os.kill(self._postmaster(), signal.SIGQUIT)
        await poll(
            lambda: asyncio.to_thread(pid_file.exists),
            lambda exists: not exists,
            POSTGRES_SECONDS,
        )
        await self.start()

    async def kill_backend(self, draw: Random) -> None:
        """`kill -9` of one connection's process: PostgreSQL ends all others and recovers."""
        backends = _backends(self._postmaster())
        if backends:
            os.kill(draw.choice(backends), signal.SIGKILL)
        await self._until_it_answers()

    async def freeze(self, seconds: float) -> None:
        """Nobody is answered for so long, and nothing is refused; then everything goes on."""
        stopped = freeze(self._postmaster())
        try:
            await asyncio.sleep(seconds)
        finally:
            thaw(stopped)
        await self._until_it_answers()

    def _postmaster(self) -> int:
        return int((self._server.data / "postmaster.pid").read_text().split("\n", 1)[0])

    async def _until_it_answers(self) -> None:
        url = self._server.server_url
        await poll(lambda: asyncio.to_thread(_is_answering, url), bool, POSTGRES_SECONDS)


def _is_answering(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _backends(postmaster: int) -> list[int]:
    """The processes of clients' connections."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [int(pid) for pid in children if b"postgres: postgres " in _title(pid)]


def _title(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
