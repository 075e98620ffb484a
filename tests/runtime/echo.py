"""The echo service: the smallest service that the runtime can run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import grpc
from pydantic_settings import SettingsConfigDict

from runtime import deadline
from runtime.auth import client_name
from runtime.config import ServiceSettings
from runtime.durability_watch import DurabilityWatch
from runtime.errors import ErrorDomain
from runtime.rights import Rights, Role, changes, reads
from runtime.rules import (
    IDENTIFIER,
    PAGE,  # noqa: F401 (so that a rename of it breaks a test)
    REQUEST_ID,
    check,
    each_text,
    enum,
    integer,
    mapping,
    message,
    one_of,
    repeated,
    text,
    timestamp,
)
from runtime.server import RegisteredService, RpcServer
from runtime.validation import Validator

pb, services = grpc.protos_and_services("tests/runtime/echo.proto")
ERRORS = ErrorDomain("echo", pb.ErrorReason)
VALIDATOR = Validator(
    {
        pb.EchoRequest: [
            REQUEST_ID,
            text("text", max_bytes=16),
            message("part"),
            repeated("parts", max_items=3),
            mapping("metadata", max_items=2, max_key_bytes=4, max_value_bytes=8),
            enum("color"),
            integer("amount", minimum=0, maximum=1000),
            timestamp("effective_time"),
            one_of("target", required=False),
            text("left", max_bytes=4),
            text("right", max_bytes=4),
            repeated("tags", max_items=2, each=each_text(max_bytes=4, pattern=IDENTIFIER)),
            check("text", lambda m: "may not shout" if m.text.isupper() else None),
        ],
        pb.Part: [text("name", required=True, max_bytes=8), message("inner")],
        pb.CountRequest: [integer("up_to", minimum=0)],
        pb.LaterRequest: [text("text", max_bytes=8)],
        pb.JoinRequest: [text("text", required=True, max_bytes=8)],
    }
)
ECHO_RIGHTS: Rights = {
    "echo.v1.EchoService": {
        "Echo": changes("text", Role.CLIENT, Role.OPERATOR),
        "Count": reads(Role.CLIENT, Role.OPERATOR, Role.SUPPORT),
        "Later": reads(Role.OPERATOR),
        "Join": changes("text", Role.CLIENT, Role.OPERATOR),
    }
}


class EchoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="ECHO_")
    service_name: ClassVar[str] = "echo"
    listen_address: str = "127.0.0.1:0"
    http_address: str = "127.0.0.1:0"


class Echo(services.EchoServiceServicer):  # type: ignore[misc, name-defined]
    """Echoes, or does what its text says."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def Echo(self, request: Any, context: Any) -> Any:
        if request.text == "wait":
            self.started.set()
            await self.release.wait()
        if request.text == "crash":
            raise RuntimeError("card 4242424242424242 of Ada Lovelace")
        if request.text == "refuse":
            raise ERRORS.error(
                grpc.StatusCode.FAILED_PRECONDITION,
                pb.ERROR_REASON_OVERLOADED,
                "no more",
                metadata={"limit": "1"},
            )
        return pb.EchoResponse(
            text=request.text,
            deadline_seconds=deadline.remaining() or -1,
            client=client_name(),
        )

    async def Count(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(request.up_to):
            yield pb.CountResponse(number=number)
        if request.up_to == 2:
            self.started.set()
            await self.release.wait()

    async def Join(self, request: AsyncIterator[Any], context: Any) -> Any:
        return pb.JoinResponse(text="".join([piece.text async for piece in request]))


class Dependency:
    """A dependency that is up until it is told otherwise."""

    def __init__(self) -> None:
        self.is_up = True

    async def check(self) -> None:
        if not self.is_up:
            raise ConnectionError("down")


@asynccontextmanager
async def running_echo(
    settings: EchoSettings | None = None,
    servicer: Echo | None = None,
    dependency: Dependency | None = None,
    durability: DurabilityWatch | None = None,
) -> AsyncIterator[RpcServer]:
    server = RpcServer(
        settings or EchoSettings(),
        services=[
            RegisteredService(
                add=services.add_EchoServiceServicer_to_server,
                servicer=servicer or Echo(),
                descriptor=pb.DESCRIPTOR.services_by_name["EchoService"],
            )
        ],
        errors=ERRORS,
        validator=VALIDATOR,
        dependencies={"thing": (dependency or Dependency()).check},
        durability=durability,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
