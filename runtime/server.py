"""A gRPC server with everything ours have: reflection, health, validation, auth, metrics, drain."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiohttp import web
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.instrumentation.grpc import aio_server_interceptor

from runtime import telemetry
from runtime.acts import ActLog
from runtime.addresses import split_address
from runtime.admission import (
    MAX_BATCH_BYTES,
    MAX_REQUEST_BYTES,
    REFUSED_BYTES,
    WINDOW_BYTES,
)
from runtime.auth import Gatekeeper, server_credentials
from runtime.config import ServiceSettings
from runtime.descriptors import soft_limit
from runtime.draining import Drain
from runtime.durability_watch import DurabilityWatch
from runtime.errors import ErrorDomain
from runtime.health import Check, HealthMonitor
from runtime.http_connections import ConnectionPolicy
from runtime.interceptor import CallInterceptor, Method
from runtime.logs import get_logger
from runtime.loops import LoopEnded, Supervisor
from runtime.message_size import MAX_MESSAGE_BYTES
from runtime.notifier import Notifier
from runtime.operations_http import OperationsServer
from runtime.rights import Bounds
from runtime.startup import StartupError, cannot_listen, check_free
from runtime.validation import Validator

# A caller that has not said who it is by then is gone; gRPC's own default is two minutes.
HANDSHAKE_MS = 10_000
# Of the process's descriptors; one connection more is closed.
DESCRIPTORS_SHARE = 2
# Of each, before we hear of it, gRPC may hold a window.
MAX_STREAMS_PER_CONNECTION = 4096
# As health calls it.
DURABILITY = "durability"
UNTRACED_METHODS = ("/grpc.health.", "/grpc.reflection.")

log = get_logger(__name__)


@dataclass(frozen=True)
class RegisteredService:
    """One gRPC service of a process, and how to add it; settings say which clients may call it.

    A request may have `MAX_REQUEST_BYTES`. `request_bytes` are those of methods that take more, now
    and then; `batches` are methods whose requests are large as a rule, and may have
    `MAX_BATCH_BYTES`.
    """

    add: Callable[[Any, Any], None]
    servicer: Any
    descriptor: Any
    batches: Collection[str] = ()
    request_bytes: Mapping[str, int] = field(default_factory=dict)


def registered(
    module: Any,
    stubs: Any,
    servicer: Any,
    *,
    batches: Collection[str] = (),
    request_bytes: Mapping[str, int] | None = None,
) -> RegisteredService:
    """The one service of a generated module, by the module with its gRPC stubs."""
    (descriptor,) = module.DESCRIPTOR.services_by_name.values()
    return RegisteredService(
        add=getattr(stubs, f"add_{descriptor.name}Servicer_to_server"),
        servicer=servicer,
        descriptor=descriptor,
        batches=batches,
        request_bytes=request_bytes or {},
    )


class RpcServer:
    """The server of one process; `start` returns when it accepts calls, `stop` drains it.

    Its `supervisor` runs the background loops of the process.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        services: Sequence[RegisteredService],
        errors: ErrorDomain,
        validator: Validator,
        dependencies: Mapping[str, Check],
        http_routes: Iterable[web.AbstractRouteDef] = (),
        changed: Notifier | None = None,
        acts: ActLog | None = None,
        bounds: Bounds | None = None,
        durability: DurabilityWatch | None = None,
        drain: Drain | None = None,
    ) -> None:
        """`changed` is notified when a dependency knows by itself that it got well or unwell;
        `acts` keeps what operators do, and `bounds` clients to what they are bound to; `durability`
        is of the database that is written to, and refuses writes where it is required; `drain` is
        what else of the process goes by when the server stops."""
        self._settings = settings
        names = [service.descriptor.full_name for service in services]
        details = {}
        if durability is not None:
            details[DURABILITY] = durability.detail
            if durability.required:
                dependencies = {**dependencies, DURABILITY: durability.check_begun}
        self.health = HealthMonitor(settings.service_name, names, dependencies, changed, details)
        self.supervisor = Supervisor(self._loop_ended)
        self._http = OperationsServer(
            settings.http_address,
            self.health,
            http_routes,
            ConnectionPolicy(
                max_connections=settings.http_max_connections,
                max_per_address=settings.http_max_connections_per_address,
            ),
        )
        gatekeeper = Gatekeeper(
            uses_tls=settings.uses_tls,
            errors=errors,
            rights=settings.rights_in_force,
            callers=settings.callers,
            bounds=bounds,
        )
        self._drain = drain or Drain()
        methods = methods_of(services, validator)
        self._calls = CallInterceptor(
            errors=errors,
            validator=validator,
            gatekeeper=gatekeeper,
            rights=settings.rights_in_force,
            acts=acts,
            bounds=bounds,
            durability=durability,
            methods=methods,
            default_timeout_seconds=settings.default_timeout_seconds,
            max_concurrent_calls=settings.max_concurrent_calls,
            max_concurrent_streams=settings.max_concurrent_streams,
            drain=self._drain,
        )
        interceptors: list[Any] = [self._calls]
        if telemetry.is_on():
            tracing = aio_server_interceptor(filter_=_is_traced)  # type: ignore[no-untyped-call]
            interceptors.insert(0, tracing)
        self._server = grpc.aio.server(
            interceptors=interceptors,
            options=[
                (
                    "grpc.max_receive_message_length",
                    REFUSED_BYTES
                    + max((method.max_bytes for method in methods), default=MAX_REQUEST_BYTES),
                ),
                # Else gRPC guesses how much to take of what nobody reads: megabytes of each.
                ("grpc.http2.bdp_probe", 0),
                ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
                ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                (
                    "grpc.max_allowed_incoming_connections",
                    max(1, soft_limit() // DESCRIPTORS_SHARE),
                ),
                # Two processes on one port would share the calls by chance.
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, self._server)
        reflection.enable_server_reflection(
            (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        self._monitor: asyncio.Task[None] | None = None
        self._stopping: asyncio.Future[None] | None = None
        self.port = 0

    @property
    def http_port(self) -> int:
        """The port of `/healthz`, `/metrics` and the service's own HTTP routes."""
        return self._http.port

    async def start(self) -> None:
        """Binds both ports and serves. Raises `StartupError` for a taken port."""
        try:
            await self._bind()
        except BaseException:
            await self.stop()
            raise
        self._monitor = self.supervisor.start(self.health.loop())
        host, _ = split_address(self._settings.listen_address)
        log.info(
            "serving",
            grpc=f"{host}:{self.port}",
            http=f"{split_address(self._settings.http_address)[0]}:{self.http_port}",
            tls=self._settings.uses_tls,
        )

    async def _bind(self) -> None:
        settings, address = self._settings, self._settings.listen_address
        check_free(settings.variable("listen_address"), address)
        credentials = server_credentials(settings) if settings.uses_tls else None
        try:
            if credentials is not None:
                self.port = self._server.add_secure_port(address, credentials)
            else:
                self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:  # Taken just now, or certificates that are none.
            variable = settings.variable("listen_address")
            raise StartupError(f"{variable}: gRPC cannot listen on {address}") from error
        await self.health.check_once()
        try:
            await self._http.start()
        except OSError as error:
            variable = settings.variable("http_address")
            raise cannot_listen(variable, settings.http_address, error) from error
        await self._server.start()

    async def _loop_ended(self, ended: LoopEnded) -> None:
        """A process whose loop has ended is not well; `runtime.process` ends it."""
        await self.health.break_down(ended.loop, ended.reason)

    async def stop(self) -> None:
        """Drains: says that it stops, refuses new calls after that was heard, lets those in flight
        finish, then closes. Idempotent."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        await self.health.stop()
        if self._monitor is not None:
            await self.supervisor.stop(self._monitor)
            # Who shares its calls among replicas goes to another meanwhile. A call that comes all
            # the same is taken: it was sent before its caller could know.
            await asyncio.sleep(self._settings.drain_notice_seconds)
        self._drain.begin()
        await self._server.stop(self._settings.drain_seconds)
        self._calls.close()
        await self._http.stop()
        log.info("stopped")


def methods_of(services: Sequence[RegisteredService], validator: Validator) -> list[Method]:
    """Every method; its request has to have validation rules."""
    methods: list[Method] = []
    for service in services:
        names = {method.name for method in service.descriptor.methods}
        if unknown := {*service.batches, *service.request_bytes} - names:
            raise ValueError(f"{service.descriptor.full_name} has no {sorted(unknown)}")
        for method in service.descriptor.methods:
            request = method.input_type
            if not validator.knows(request.full_name):
                raise ValueError(f"{request.full_name} has no validation rules")
            batch = method.name in service.batches
            usual = MAX_BATCH_BYTES if batch else MAX_REQUEST_BYTES
            methods.append(
                Method(
                    path=f"/{service.descriptor.full_name}/{method.name}",
                    request=request,
                    max_bytes=service.request_bytes.get(method.name, usual),
                    batch=batch,
                )
            )
    return methods


def _is_traced(details: grpc.HandlerCallDetails) -> bool:
    """Whether a call gets a trace. The instrumentation's own filters cost a fifth of a call."""
    return not details.method.startswith(UNTRACED_METHODS)
