"""MerchantService: check, call, answer."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.epochs import Cursor, check_cursor
from gateway.merchants.commands import AccountFinder, Onboarding
from gateway.merchants.domain import account_link_params
from gateway.merchants.errors import (
    ERRORS,
    account_not_found,
    link_expired,
    merchant_not_connected,
    merchant_not_found,
)
from gateway.merchants.files import ContentsInHand
from gateway.merchants.filing import Filing
from gateway.merchants.operations import LINK_WINDOW, merchant_operation
from gateway.merchants.store import STATE_NAMES, MerchantStore
from gateway.merchants.stripe_events import FetchFailed, MerchantSync
from gateway.merchants.tax_records import TaxRecords
from gateway.operations.commands import Commands, Refusal, Start, outcome_of
from gateway.operations.operation import KEY_HORIZON, OperationKind, OperationState
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.v1 import merchant_pb2, merchant_service_pb2_grpc
from gateway.v1 import merchant_service_pb2 as pb
from runtime.clock import Clock
from runtime.notifications import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
WATCH_BATCH = 100
# So long a stream may go without looking, should a notification get lost.
WATCH_POLL_SECONDS = 5.0


class MerchantServicer(merchant_service_pb2_grpc.MerchantServiceServicer):
    """Connected accounts, and what compliance needs to know of Stripe."""

    def __init__(
        self,
        stripe_client: StripeClient,
        store: MerchantStore,
        commands: Commands,
        sync: MerchantSync,
        notifier: Notifier,
        contents: ContentsInHand,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client
        self._store = store
        self._commands = commands
        self._sync = sync
        self._notifier = notifier
        self._clock = clock
        self._accounts = AccountFinder(stripe_client, store)
        self._onboarding = Onboarding(stripe_client, store, commands, sync)
        self._filing = Filing(self._accounts, commands, contents)
        self._tax = TaxRecords(stripe_client, self._accounts, commands, clock)
        self._page_tokens = PageTokens(ERRORS)

    async def CreateMerchant(
        self, request: pb.CreateMerchantRequest, _context: Any
    ) -> pb.CreateMerchantResponse:
        corridor = self._accounts.corridor(request.corridor)
        return pb.CreateMerchantResponse(merchant=await self._onboarding.create(request, corridor))

    async def GetMerchant(
        self, request: pb.GetMerchantRequest, _context: Any
    ) -> pb.GetMerchantResponse:
        if request.WhichOneof("merchant") == "merchant_id":
            return pb.GetMerchantResponse(
                merchant=(await self._accounts.merchant(request.merchant_id)).message
            )
        stored = await self._store.by_account(request.connected_account_id)
        if stored is None:
            raise account_not_found(request.connected_account_id)
        return pb.GetMerchantResponse(merchant=stored.message)

    async def ListMerchants(
        self, request: pb.ListMerchantsRequest, _context: Any
    ) -> pb.ListMerchantsResponse:
        if request.corridor:
            self._accounts.corridor(request.corridor)
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        found = await self._store.page(
            corridor=request.corridor,
            state=request.state,
            after_number=int(position[0]) if position else 0,
            limit=size + 1,
        )
        response = pb.ListMerchantsResponse(merchants=[item.message for item in found[:size]])
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [found[size - 1].number])
        return response

    async def SyncMerchant(
        self, request: pb.SyncMerchantRequest, _context: Any
    ) -> pb.SyncMerchantResponse:
        stored = await self._accounts.merchant(request.merchant_id)
        merchant = stored.message
        if not merchant.connected_account_id:
            raise merchant_not_connected(merchant.merchant_id, STATE_NAMES[merchant.state])
        age_limit = request.max_age.ToTimedelta()
        if stored.fetch_time is not None and self._clock.now() - stored.fetch_time < age_limit:
            return pb.SyncMerchantResponse(merchant=merchant)
        try:
            changed = await self._sync.sync(merchant)
        except FetchFailed as failed:
            if failed.account_is_gone:
                raise account_not_found(merchant.connected_account_id) from failed
            raise call_failed(merchant.corridor, failed.outcome) from failed
        synced = await self._store.by_id(request.merchant_id)
        if synced is None:
            raise merchant_not_found(request.merchant_id)
        return pb.SyncMerchantResponse(merchant=synced.message, changed=changed)

    async def WatchMerchants(
        self, request: pb.WatchMerchantsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchMerchantsResponse]:
        sequence = request.after_sequence
        if sequence:
            check_cursor(await self._store.snapshot_epochs(), Cursor(request.epoch, sequence))
        while True:
            token = self._notifier.token()
            found = await self._store.snapshots_after(sequence, WATCH_BATCH)
            # Read after the snapshots, which keep the epoch that they have by then.
            known = await self._store.snapshot_epochs() if found else None
            for merchant in found:
                assert known is not None, "there are snapshots"
                sequence = merchant.snapshot.sequence
                yield pb.WatchMerchantsResponse(merchant=merchant, epoch=known.of(sequence))
            if len(found) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)

    async def CreateOnboardingLink(
        self, request: pb.CreateOnboardingLinkRequest, _context: Any
    ) -> pb.CreateOnboardingLinkResponse:
        merchant = await self._accounts.connected(request.merchant_id)
        params = account_link_params(request, merchant.connected_account_id)

        async def rule(
            _connection: AsyncConnection, operation_id: str, now: datetime
        ) -> Start | Refusal:
            operation = merchant_operation(
                operation_id,
                OperationKind.CREATE_LINK,
                merchant.merchant_id,
                merchant.corridor,
                params,
                now,
                window=LINK_WINDOW,
            )
            return Start(merchant.merchant_id, operation)

        done = await self._commands.try_once(request, merchant.merchant_id, rule)
        outcome = done.outcome
        if outcome is None and done.operation is not None:
            operation = done.operation
            if not operation.open and self._clock.now() - operation.create_time >= KEY_HORIZON:
                raise link_expired(merchant.merchant_id)
            if operation.state is OperationState.SUCCEEDED:
                # The address is a secret and is not kept: within the key's life Stripe repeats it.
                outcome = await self._stripe.accounts.create_account_link(
                    merchant.corridor, params, operation.idempotency_key
                )
        if outcome is None or outcome.object is None:
            outcome_of(done)
            raise call_failed(merchant.corridor, outcome or Outcome(OutcomeClass.UNKNOWN))
        expire_time = Timestamp(seconds=int(outcome.object["expires_at"]))
        if expire_time.ToDatetime(self._clock.now().tzinfo) <= self._clock.now():
            raise link_expired(merchant.merchant_id)
        return pb.CreateOnboardingLinkResponse(
            link=merchant_pb2.OnboardingLink(url=outcome.object["url"], expire_time=expire_time)
        )

    async def CreateFile(
        self, request: pb.CreateFileRequest, _context: Any
    ) -> pb.CreateFileResponse:
        return await self._filing.create_file(request)

    async def AttachFiles(
        self, request: pb.AttachFilesRequest, _context: Any
    ) -> pb.AttachFilesResponse:
        return await self._filing.attach(request)

    async def GetTaxSettings(
        self, request: pb.GetTaxSettingsRequest, _context: Any
    ) -> pb.GetTaxSettingsResponse:
        return pb.GetTaxSettingsResponse(tax_settings=await self._tax.settings(request))

    async def ListTaxRegistrations(
        self, request: pb.ListTaxRegistrationsRequest, _context: Any
    ) -> pb.ListTaxRegistrationsResponse:
        return await self._tax.registrations(request)

    async def CreateTaxId(
        self, request: pb.CreateTaxIdRequest, _context: Any
    ) -> pb.CreateTaxIdResponse:
        return pb.CreateTaxIdResponse(tax_id=await self._tax.create_tax_id(request))

    async def GetTaxId(self, request: pb.GetTaxIdRequest, _context: Any) -> pb.GetTaxIdResponse:
        return pb.GetTaxIdResponse(tax_id=await self._tax.tax_id(request))

    async def ListTaxIds(
        self, request: pb.ListTaxIdsRequest, _context: Any
    ) -> pb.ListTaxIdsResponse:
        return await self._tax.tax_ids(request)

    async def DeleteTaxId(
        self, request: pb.DeleteTaxIdRequest, _context: Any
    ) -> pb.DeleteTaxIdResponse:
        return await self._tax.delete_tax_id(request)
