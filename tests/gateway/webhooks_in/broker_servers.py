"""Real brokers on loopback, as processes that can be killed, frozen and started again.

Kafka is librdkafka's mock cluster and SQS is moto's server. Both keep their letters in memory, so
their outages are freezes: the process stands still and its connections hang.
"""

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.addresses import free_port
from sandbox.child import child_command
from sandbox.processes import PROJECT

START_SECONDS = 30.0
TRY_AGAIN_SECONDS = 0.02
NATS_MAX_PAYLOAD_BYTES = 1024 * 1024

MOCK_KAFKA = """
import sys
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": "3", "log_level": 0})
brokers = cluster.list_topics(timeout=20).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
sys.stdin.read()
"""
MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class PythonServer:
    """A script that prints its address and serves until its standard input ends."""

    def __init__(self, script: str) -> None:
        self._process = subprocess.Popen(
            child_command("--", sys.executable, "-c", script),
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "it ended before it served"

    async def cut(self) -> None:
        """Freezes it: nothing is lost and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    async def restore(self) -> None:
        """Lets it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        with self._process as process:
            process.send_signal(signal.SIGCONT)
            process.kill()


class NatsServer:
    """A nats-server with JetStream on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        """`options` are its own, on top."""
        self.port = free_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = Path(sys.executable).with_name("nats-server")
        self._process = subprocess.Popen(
            child_command(
                *("--", program, "--addr", "127.0.0.1", "--port", str(self.port)),
                *("--jetstream", "--store_dir", self._folder),
                *("--log", self._folder / "nats.log"),
                *self._options,
            ),
            stdin=subprocess.DEVNULL,
        )

    async def cut(self) -> None:
        """Kills it with SIGKILL."""
        self.close()

    async def restore(self) -> None:
        """Starts it on what it had on disk."""
        self.start()
        await self.until_it_listens()

    async def until_it_listens(self) -> None:
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(TRY_AGAIN_SECONDS)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class NatsCluster:
    """Three of them that keep each stream together."""

    def __init__(self, folder: Path) -> None:
        routes = [free_port() for _ in range(3)]
        known = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
        self._servers: dict[str, NatsServer] = {}
        for number, port in enumerate(routes):
            own = folder / f"server-{number}"
            own.mkdir()
            self._servers[own.name] = NatsServer(
                own,
                *("--server_name", own.name, "--cluster_name", "webhooks"),
                *("--cluster", f"nats://127.0.0.1:{port}", "--routes", known),
            )

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self._servers.values()]

    async def start(self) -> None:
        for server in self._servers.values():
            server.start()
        await asyncio.gather(*(server.until_it_listens() for server in self._servers.values()))

    def kill(self, name: str) -> None:
        """Kills one by its name, such as that of a stream's leader."""
        self._servers[name].close()

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
