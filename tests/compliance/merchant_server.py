"""A gateway that knows merchants: a gRPC server over the real stubs that says what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc

from gateway.errors import ERRORS
from gateway.v1 import merchant_pb2, merchant_tax_pb2
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1.error_reason_pb2 import ErrorReason
from gateway.v1.merchant_service_pb2_grpc import (
    MerchantServiceServicer,
    add_MerchantServiceServicer_to_server,
)
from gateway.v1.verification_service_pb2_grpc import add_VerificationServiceServicer_to_server
from runtime.clock import Clock
from runtime.errors import STATUS_DETAILS_KEY, ServiceError
from runtime.message_size import MAX_MESSAGE_BYTES
from runtime.notifier import Notifier
from tests.compliance.verification_server import FakeVerifications


@dataclass
class FakeMerchants(MerchantServiceServicer):
    """What compliance calls of a gateway; the rest is not answered.

    Merchants by connected account. A snapshot is as fresh as the clock unless told otherwise."""

    clock: Clock
    snapshots: dict[str, merchant_pb2.AccountSnapshot] = field(default_factory=dict)
    states: dict[str, merchant_pb2.MerchantState.ValueType] = field(default_factory=dict)
    tax_settings: merchant_tax_pb2.TaxSettings = field(
        default_factory=lambda: merchant_tax_pb2.TaxSettings(
            state=merchant_tax_pb2.TAX_SETTINGS_STATE_ACTIVE
        )
    )
    tax_ids: list[merchant_tax_pb2.TaxId] = field(default_factory=list)
    tax_registrations: list[merchant_tax_pb2.TaxRegistration] = field(default_factory=list)
    syncs: list[str] = field(default_factory=list)
    # What the feed has told, and from where it was asked for.
    feed: list[tuple[int, str]] = field(default_factory=list)
    feed_is_refused: bool = False
    watches: list[tuple[int, int]] = field(default_factory=list)
    _pages: dict[str, merchant_pb2.OnboardingLink] = field(default_factory=dict)
    _news: Notifier = field(default_factory=Notifier)
    max_ages: list[timedelta] = field(default_factory=list)
    # The pages that were asked for, and what is answered instead.
    links: list[pb.CreateOnboardingLinkRequest] = field(default_factory=list)
    link_error: ServiceError | None = None
    # What was uploaded and attached, and what is answered instead, one after the other.
    files: list[pb.CreateFileRequest] = field(default_factory=list)
    attached: list[pb.AttachFilesRequest] = field(default_factory=list)
    file_errors: list[ServiceError] = field(default_factory=list)
    # How far the gateway's clock is from ours.
    clock_ahead: timedelta = timedelta()
    is_down: bool = False
    address: str = ""
    # While it is set, answers wait until it is released.
    held: asyncio.Event | None = None
    # What the same gateway makes of people's identity.
    verifications: FakeVerifications = field(default_factory=FakeVerifications)

    def add(self, account_id: str, **changes: Any) -> merchant_pb2.AccountSnapshot:
        """An account in good order, but for the changes."""
        good: dict[str, Any] = {
            "charges_enabled": True,
            "payouts_enabled": True,
            "details_submitted": True,
            "country_code": "DE",
            "capabilities": [
                merchant_pb2.Capability(
                    name=name, state=merchant_pb2.CAPABILITY_STATE_ACTIVE, requested=True
                )
                for name in ("card_payments", "transfers")
            ],
        }
        self.snapshots[account_id] = merchant_pb2.AccountSnapshot(**{**good, **changes})
        return self.snapshots[account_id]

    async def GetMerchant(self, request: pb.GetMerchantRequest, context: Any) -> Any:
        await self._answerable(context)
        return pb.GetMerchantResponse(
            merchant=await self._merchant(request.connected_account_id, context)
        )

    async def SyncMerchant(self, request: pb.SyncMerchantRequest, context: Any) -> Any:
        await self._answerable(context)
        self.syncs.append(request.merchant_id)
        self.max_ages.append(request.max_age.ToTimedelta())
        account_id = request.merchant_id.removeprefix("mrc_")
        return pb.SyncMerchantResponse(merchant=await self._merchant(account_id, context))

    def tell(self, account_id: str, *, epoch: int = 0) -> None:
        """The feed tells of the account as it is now."""
        self.feed.append((epoch, account_id))
        self._news.notify()

    async def WatchMerchants(self, request: pb.WatchMerchantsRequest, context: Any) -> Any:
        self.watches.append((request.epoch, request.after_sequence))
        if self.feed_is_refused:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for this client")
        if request.after_sequence > len(self.feed):
            error = ERRORS.error(
                grpc.StatusCode.OUT_OF_RANGE,
                ErrorReason.ERROR_REASON_CURSOR_OUTDATED,
                "of snapshots that were lost",
                metadata={"epoch": "0", "after_sequence": "0"},
            )
            await abort(context, error)
        sequence = request.after_sequence
        while True:
            token = self._news.token()
            for epoch, account_id in self.feed[sequence:]:
                sequence += 1
                merchant = await self._merchant(account_id, context)
                merchant.snapshot.sequence = sequence
                yield pb.WatchMerchantsResponse(merchant=merchant, epoch=epoch)
            await Notifier.wait(token, 30)

    async def CreateOnboardingLink(
        self, request: pb.CreateOnboardingLinkRequest, context: Any
    ) -> Any:
        await self._answerable(context)
        if self.link_error is not None:
            await abort(context, self.link_error)
        self.links.append(request)
        if request.request_id not in self._pages:
            url = f"https://connect.example/{len(self._pages) + 1}"
            link = merchant_pb2.OnboardingLink(url=url)
            link.expire_time.FromDatetime(self.clock.now() + timedelta(minutes=5))
            self._pages[request.request_id] = link
        return pb.CreateOnboardingLinkResponse(link=self._pages[request.request_id])

    async def CreateFile(self, request: pb.CreateFileRequest, context: Any) -> Any:
        await self._answerable(context)
        self.files.append(request)
        if self.file_errors:
            await abort(context, self.file_errors.pop(0))
        ids = list(dict.fromkeys(one.request_id for one in self.files))
        return pb.CreateFileResponse(file_id=f"file_{ids.index(request.request_id) + 1}")

    async def AttachFiles(self, request: pb.AttachFilesRequest, context: Any) -> Any:
        await self._answerable(context)
        self.attached.append(request)
        if self.file_errors:
            await abort(context, self.file_errors.pop(0))
        answer = pb.AttachFilesResponse()
        answer.attach_time.FromDatetime(self.clock.now() + self.clock_ahead)
        return answer

    async def GetTaxSettings(self, request: pb.GetTaxSettingsRequest, context: Any) -> Any:
        await self._answerable(context)
        return pb.GetTaxSettingsResponse(tax_settings=self.tax_settings)

    async def ListTaxRegistrations(
        self, request: pb.ListTaxRegistrationsRequest, context: Any
    ) -> Any:
        await self._answerable(context)
        return pb.ListTaxRegistrationsResponse(tax_registrations=self.tax_registrations)

    async def ListTaxIds(self, request: pb.ListTaxIdsRequest, context: Any) -> Any:
        await self._answerable(context)
        return pb.ListTaxIdsResponse(tax_ids=self.tax_ids)

    async def _answerable(self, context: Any) -> None:
        if self.held is not None:
            await self.held.wait()
        if self.is_down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the corridor cannot be used")

    async def _merchant(self, account_id: str, context: Any) -> merchant_pb2.Merchant:
        if account_id not in self.snapshots:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such merchant")
        snapshot = merchant_pb2.AccountSnapshot()
        snapshot.CopyFrom(self.snapshots[account_id])
        if not snapshot.HasField("fetch_time"):
            snapshot.fetch_time.FromDatetime(self.clock.now() + self.clock_ahead)
        return merchant_pb2.Merchant(
            merchant_id=f"mrc_{account_id}",
            corridor="main",
            connected_account_id=account_id,
            state=self.states.get(account_id, merchant_pb2.MERCHANT_STATE_CONNECTED),
            snapshot=snapshot,
        )


async def abort(context: Any, error: ServiceError) -> None:
    """Answers with the error, as a service does."""
    details = ((STATUS_DETAILS_KEY, error.to_status().SerializeToString()),)
    await context.abort(error.code, error.message, details)


@asynccontextmanager
async def serve_merchants(
    merchants: FakeMerchants, *add: Callable[[grpc.aio.Server], None]
) -> AsyncIterator[str]:
    """Serves them on a free loopback port, and what `add` adds; yields the address."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
    add_MerchantServiceServicer_to_server(merchants, server)
    for more in add:
        more(server)
    add_VerificationServiceServicer_to_server(merchants.verifications, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    merchants.address = f"127.0.0.1:{port}"
    try:
        yield merchants.address
    finally:
        await server.stop(None)
