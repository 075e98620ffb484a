"""VerificationService: check, call, answer."""

from collections.abc import AsyncIterator
from typing import Any

from gateway.epochs import Cursor, check_cursor
from gateway.errors import ERRORS
from gateway.identity import RequestIdentity
from gateway.merchants.commands import AccountFinder
from gateway.merchants.store import MerchantStore
from gateway.operations.commands import Commands, Done, outcome_of
from gateway.operations.gate import Gate, absent
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.v1 import verification_pb2, verification_service_pb2_grpc
from gateway.v1 import verification_service_pb2 as pb
from gateway.verifications.commands import cancellation_rule, creation_rule, redaction_rule
from gateway.verifications.domain import (
    State,
    UnreadableSessionError,
    Verification,
    options_of,
    waits_for_person,
)
from gateway.verifications.errors import invalid_state, verification_not_found
from gateway.verifications.messages import verification_message
from gateway.verifications.store import VerificationStore
from gateway.verifications.stripe_events import Verifications
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
WATCH_BATCH = 100
# So long a stream may go without looking, should a notification get lost.
WATCH_POLL_SECONDS = 5.0
_TYPE_PREFIX, _STATE_PREFIX = "VERIFICATION_TYPE_", "VERIFICATION_STATE_"


class VerificationServicer(verification_service_pb2_grpc.VerificationServiceServicer):
    """Sessions of Stripe Identity, and what came of them."""

    def __init__(
        self,
        stripe_client: StripeClient,
        merchants: MerchantStore,
        store: VerificationStore,
        commands: Commands,
        verifications: Verifications,
        identity: RequestIdentity,
        gate: Gate,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client
        self._accounts = AccountFinder(stripe_client, merchants)
        self._store = store
        self._commands = commands
        self._verifications = verifications
        self._identity = identity
        self._gate = gate
        self._notifier = notifier
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def CreateVerification(
        self, request: pb.CreateVerificationRequest, _context: Any
    ) -> pb.CreateVerificationResponse:
        if request.merchant_id:
            merchant = await self._accounts.connected(request.merchant_id)
            corridor, account_id = merchant.corridor, merchant.connected_account_id
        else:
            corridor, account_id = self._accounts.corridor(request.corridor), ""
        now = self._clock.now()
        verification = Verification(
            verification_id=self._identity.of("vfn", request),
            subject_id=request.subject_id,
            corridor=corridor,
            type=verification_pb2.VerificationType.Name(request.type).removeprefix(_TYPE_PREFIX),
            options=options_of(request),
            state=State.CREATING,
            create_request_id=request.request_id,
            create_time=now,
            update_time=now,
        )
        carried = self._commands.metadata_of(request)
        rule = creation_rule(verification, request, carried, account_id)
        done = await self._commands.try_once(request, verification.verification_id, rule)
        operation = done.operation
        if operation is None or operation.open:
            outcome_of(done)
        stands = await self._read(done.subject_id, known=True)
        return pb.CreateVerificationResponse(verification=verification_message(stands))

    async def CreateVerificationLink(
        self, request: pb.CreateVerificationLinkRequest, _context: Any
    ) -> pb.CreateVerificationLinkResponse:
        verification = await self._read(request.verification_id)
        if not waits_for_person(verification):
            raise invalid_state(verification)
        # What Stripe says is written down, too.
        self._gate.check()
        look_time = self._clock.now()
        seen = await self._stripe.identity.retrieve_session(
            verification.corridor, verification.stripe_session_id
        )
        if seen.object is None:
            raise call_failed(verification.corridor, seen)
        session = seen.object
        try:
            after = await self._verifications.take(verification.corridor, session, look_time)
        except UnreadableSessionError as error:
            unknown = Outcome(OutcomeClass.UNKNOWN)
            raise call_failed(verification.corridor, unknown) from error
        assert after is not None, "it is known"
        if not waits_for_person(after) or not session.get("url"):
            raise invalid_state(after)
        return pb.CreateVerificationLinkResponse(
            link=verification_pb2.VerificationLink(
                url=str(session["url"]), client_secret=str(session.get("client_secret") or "")
            )
        )

    async def GetVerification(
        self, request: pb.GetVerificationRequest, _context: Any
    ) -> pb.GetVerificationResponse:
        stands = await self._read(request.verification_id)
        return pb.GetVerificationResponse(verification=verification_message(stands))

    async def ListVerifications(
        self, request: pb.ListVerificationsRequest, _context: Any
    ) -> pb.ListVerificationsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        name = verification_pb2.VerificationState.Name(request.state)
        found = await self._store.page(
            subject_id=request.subject_id,
            state=name.removeprefix(_STATE_PREFIX) if request.state else "",
            before=int(position[0]) if position else None,
            limit=size + 1,
        )
        page = found[:size]
        response = pb.ListVerificationsResponse(
            verifications=[verification_message(item) for _, item in page]
        )
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [page[-1][0]])
        return response

    async def CancelVerification(
        self, request: pb.CancelVerificationRequest, _context: Any
    ) -> pb.CancelVerificationResponse:
        rule = cancellation_rule(request.verification_id)
        stands = await self._ended(
            await self._commands.try_once(request, request.verification_id, rule)
        )
        return pb.CancelVerificationResponse(verification=verification_message(stands))

    async def RedactVerification(
        self, request: pb.RedactVerificationRequest, _context: Any
    ) -> pb.RedactVerificationResponse:
        rule = redaction_rule(request.verification_id)
        stands = await self._ended(
            await self._commands.try_once(request, request.verification_id, rule)
        )
        return pb.RedactVerificationResponse(verification=verification_message(stands))

    async def WatchVerifications(
        self, request: pb.WatchVerificationsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchVerificationsResponse]:
        sequence = request.after_sequence
        if sequence:
            check_cursor(await self._store.change_epochs(), Cursor(request.epoch, sequence))
        while True:
            token = self._notifier.token()
            found = await self._store.changes_after(sequence, WATCH_BATCH)
            # Read after the changes, which keep the epoch that they have by then.
            known = await self._store.change_epochs() if found else None
            for changed in found:
                assert known is not None, "there are changes"
                sequence = changed.sequence
                yield pb.WatchVerificationsResponse(verification=changed, epoch=known.of(sequence))
            if len(found) < WATCH_BATCH:
                await Notifier.wait(token, WATCH_POLL_SECONDS)

    async def _ended(self, done: Done) -> Verification:
        """The verification after what was asked of it, if Stripe has done it."""
        outcome_of(done)
        return await self._read(done.subject_id, known=True)

    async def _read(self, verification_id: str, *, known: bool = False) -> Verification:
        verification = await self._store.find(verification_id)
        if verification is None:
            raise absent(self._gate, verification_not_found(verification_id), known=known)
        return verification
