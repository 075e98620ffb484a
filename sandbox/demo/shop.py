"""A platform with merchants and customers, as a client of the engine."""

import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compliance.v1 import case_pb2 as case
from compliance.v1 import case_service_pb2 as cases
from compliance.v1 import freeze_forecast_pb2 as freeze
from compliance.v1 import freeze_forecast_service_pb2 as freeze_service
from compliance.v1 import requirement_service_pb2 as requirement_service
from compliance.v1 import screening_service_pb2 as screening
from compliance.v1 import subject_pb2 as subject
from compliance.v1 import subject_service_pb2 as subjects
from gateway.v1 import corridor_pb2 as corridor
from gateway.v1 import corridor_service_pb2 as corridor_service
from gateway.v1 import dispute_pb2 as dispute
from gateway.v1 import dispute_service_pb2 as disputes
from gateway.v1 import merchant_service_pb2 as merchants
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from money.v1.money_pb2 import Money
from sandbox.clients import Clients
from sandbox.polling import poll
from sandbox.twin_admin import TwinAdmin

CALL_SECONDS = 15.0
CURRENCY = "USD"
CORRIDOR = "default"
KYC_NOTE = "sandbox: documents checked"

FINAL_STATES = frozenset(
    {
        payment.PAYMENT_STATE_BLOCKED,
        payment.PAYMENT_STATE_SUCCEEDED,
        payment.PAYMENT_STATE_DECLINED,
        payment.PAYMENT_STATE_CANCELED,
        payment.PAYMENT_STATE_EXPIRED,
        payment.PAYMENT_STATE_FAILED,
    }
)


class Shop:
    """Makes subjects and takes payments; every id begins with the run's own prefix."""

    def __init__(self, clients: Clients, twin: TwinAdmin) -> None:
        self.clients = clients
        self.twin = twin
        self.run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count(1)

    def new_id(self, what: str) -> str:
        """A fresh id, such as `demo-3f2a-payment-7`."""
        return f"demo-{self.run}-{what}-{next(self._numbers)}"

    async def add_subject(
        self,
        kind: "subject.SubjectKind.ValueType",
        name: str,
        country: str = "US",
        account: subject.AccountLink | None = None,
    ) -> str:
        """Creates a merchant or customer with a verified identity; gives its subject id."""
        created = await self.clients.subjects.CreateSubject(
            subjects.CreateSubjectRequest(
                request_id=self.new_id("subject"),
                subject_id=self.new_id("party"),
                kind=kind,
                profile=subject.SubjectProfile(legal_name=name, country_code=country),
                account=account,
            ),
            timeout=CALL_SECONDS,
        )
        await self.clients.subjects.SetKycState(
            subjects.SetKycStateRequest(
                request_id=self.new_id("kyc"),
                subject_id=created.subject.subject_id,
                kyc_state=subject.KYC_STATE_VERIFIED,
                note=KYC_NOTE,
            ),
            timeout=CALL_SECONDS,
        )
        return created.subject.subject_id

    async def add_merchant(self, name: str) -> str:
        """A merchant that may be paid unless its name is on a list."""
        return await self.add_subject(subject.SUBJECT_KIND_MERCHANT, name)

    async def add_connected_merchant(self, name: str) -> tuple[str, str]:
        """A merchant with an account at Stripe in good order; its id and that of the account."""
        made = await self.clients.merchants.CreateMerchant(
            merchants.CreateMerchantRequest(
                request_id=self.new_id("merchant"),
                corridor=CORRIDOR,
                country_code="US",
                dashboard=merchants.MERCHANT_DASHBOARD_EXPRESS,
                requested_capabilities=["card_payments", "transfers"],
            ),
            timeout=CALL_SECONDS,
        )
        account = made.merchant.connected_account_id
        await self.twin.complete_onboarding(account)
        link = subject.AccountLink(corridor=CORRIDOR, connected_account_id=account)
        merchant = await self.add_subject(subject.SUBJECT_KIND_MERCHANT, name, account=link)
        # Without it the account is fetched within a minute, or with the first payment.
        await self.clients.requirements.RefreshAccountSnapshot(
            requirement_service.RefreshAccountSnapshotRequest(merchant_id=merchant),
            timeout=CALL_SECONDS,
        )
        return merchant, account

    async def freezes(self, merchant_id: str) -> Sequence[freeze.FreezeForecast]:
        """What Stripe is expected to stop of a merchant unless somebody acts now."""
        found = await self.clients.freezes.ListFreezeForecasts(
            freeze_service.ListFreezeForecastsRequest(alarms_only=True), timeout=CALL_SECONDS
        )
        return [one for one in found.forecasts if one.merchant_id == merchant_id]

    async def freezes_that_ended(self, merchant_id: str) -> Sequence[freeze.FreezeForecast]:
        """What had been expected of a merchant, with what became of it."""
        found = await self.clients.freezes.ListFreezeForecastRecord(
            freeze_service.ListFreezeForecastRecordRequest(merchant_id=merchant_id),
            timeout=CALL_SECONDS,
        )
        return [one for one in found.forecasts if one.outcome != freeze.FREEZE_OUTCOME_OPEN]

    async def requirement_link(
        self, merchant_id: str
    ) -> requirement_service.CreateRequirementLinkResponse:
        """The page that asks a merchant for what Stripe wants now."""
        return await self.clients.requirements.CreateRequirementLink(
            requirement_service.CreateRequirementLinkRequest(
                request_id=self.new_id("link"),
                merchant_id=merchant_id,
                refresh_url="https://shop.example/again",
                return_url="https://shop.example/back",
            ),
            timeout=CALL_SECONDS,
        )

    async def add_customer(self, name: str) -> str:
        """A customer that may pay unless its name is on a list."""
        return await self.add_subject(subject.SUBJECT_KIND_CUSTOMER, name)

    async def confirm_matches(self, subject_id: str) -> int:
        """Plays the operator who finds that the list means this subject; the number of matches."""
        found = await self.clients.screening.ListMatches(
            screening.ListMatchesRequest(subject_id=subject_id), timeout=CALL_SECONDS
        )
        for match in found.matches:
            await self.clients.screening.ConfirmMatch(
                screening.ConfirmMatchRequest(
                    request_id=self.new_id("confirm"),
                    match_id=match.id,
                    note="sandbox: same company",
                ),
                timeout=CALL_SECONDS,
            )
        return len(found.matches)

    async def case_of(self, payment_id: str) -> case.Case:
        """The open case about a payment, or the last one that is closed."""
        found = await self.clients.cases.ListCases(
            cases.ListCasesRequest(reference_id=payment_id, newest_first=True, page_size=1),
            timeout=CALL_SECONDS,
        )
        return found.cases[0]

    async def approve(self, seen: case.Case) -> case.Case:
        """Plays the operator who lets a payment through."""
        answer = await self.clients.cases.ApproveCase(
            cases.ApproveCaseRequest(
                request_id=self.new_id("approve"),
                case_id=seen.id,
                expected_revision=seen.revision,
                note="sandbox: invoice seen",
            ),
            timeout=CALL_SECONDS,
        )
        return answer.case

    def payment_request(
        self, merchant_id: str, customer_id: str, amount_minor: int, card: str, **more: Any
    ) -> payments.CreatePaymentRequest:
        """`card` is one of Stripe's test tokens without its `pm_card_`."""
        return payments.CreatePaymentRequest(
            request_id=self.new_id("payment"),
            merchant_id=merchant_id,
            customer_id=customer_id,
            amount=money(amount_minor),
            payment_method=payment.PaymentMethod(token=f"pm_card_{card}"),
            **more,
        )

    async def send(self, request: payments.CreatePaymentRequest) -> payment.Payment:
        """CreatePayment."""
        response = await self.clients.payments.CreatePayment(request, timeout=CALL_SECONDS)
        return response.payment

    async def pay(
        self, merchant_id: str, customer_id: str, amount_minor: int, card: str, **more: Any
    ) -> payment.Payment:
        """CreatePayment of a fresh `payment_request`."""
        return await self.send(
            self.payment_request(merchant_id, customer_id, amount_minor, card, **more)
        )

    async def capture(self, payment_id: str, amount_minor: int) -> payment.Payment:
        """CapturePayment of a part; the rest is released."""
        response = await self.clients.payments.CapturePayment(
            payments.CapturePaymentRequest(
                request_id=self.new_id("capture"),
                payment_id=payment_id,
                amount=money(amount_minor),
            ),
            timeout=CALL_SECONDS,
        )
        return response.payment

    async def confirm(self, payment_id: str) -> payment.Payment:
        """ConfirmPayment, after the customer's 3-D Secure."""
        response = await self.clients.payments.ConfirmPayment(
            payments.ConfirmPaymentRequest(
                request_id=self.new_id("confirm"), payment_id=payment_id
            ),
            timeout=CALL_SECONDS,
        )
        return response.payment

    async def refund(self, payment_id: str, amount_minor: int | None = None) -> payment.Payment:
        """RefundPayment of a part, or of all that is left."""
        response = await self.clients.payments.RefundPayment(
            payments.RefundPaymentRequest(
                request_id=self.new_id("refund"),
                payment_id=payment_id,
                amount=None if amount_minor is None else money(amount_minor),
            ),
            timeout=CALL_SECONDS,
        )
        return response.payment

    async def dispute_of(
        self, payment_id: str, state: "dispute.DisputeState.ValueType"
    ) -> dispute.Dispute:
        """The only dispute of a payment, once it is in a state; raises `TimeoutError`."""

        async def listed() -> Sequence[dispute.Dispute]:
            request = disputes.ListDisputesRequest(payment_id=payment_id, state=state)
            found = await self.clients.disputes.ListDisputes(request, timeout=CALL_SECONDS)
            return found.disputes

        [found] = await poll(listed, bool)
        return found

    async def submit_evidence(self, dispute_id: str, evidence: Mapping[str, str]) -> None:
        """SubmitDisputeEvidence."""
        await self.clients.disputes.SubmitDisputeEvidence(
            disputes.SubmitDisputeEvidenceRequest(
                request_id=self.new_id("evidence"), dispute_id=dispute_id, evidence=evidence
            ),
            timeout=CALL_SECONDS,
        )

    async def corridor(self) -> corridor.CorridorHealth:
        """How the corridor to Stripe is doing."""
        response = await self.clients.corridors.GetCorridorHealth(
            corridor_service.GetCorridorHealthRequest(corridor=CORRIDOR), timeout=CALL_SECONDS
        )
        return response.corridors[0]

    async def read(self, payment_id: str) -> payment.Payment:
        """GetPayment."""
        response = await self.clients.payments.GetPayment(
            payments.GetPaymentRequest(payment_id=payment_id), timeout=CALL_SECONDS
        )
        return response.payment

    async def until(
        self, payment_id: str, condition: Callable[[payment.Payment], bool]
    ) -> payment.Payment:
        """Reads the payment until the condition holds; raises `TimeoutError` if it never does."""
        return await poll(lambda: self.read(payment_id), condition)

    async def settled(self, payment_id: str) -> payment.Payment:
        """The payment once it is final and the ledger has all of it, Stripe's fee included."""
        return await self.until(payment_id, is_settled)


def money(amount_minor: int) -> Money:
    """An amount in the demo's only currency."""
    return Money(currency_code=CURRENCY, minor_units=amount_minor)


def is_settled(read: payment.Payment) -> bool:
    """Whether nothing is left to happen to the payment by itself."""
    if read.state not in FINAL_STATES:
        return False
    if read.state == payment.PAYMENT_STATE_BLOCKED:
        return True
    if read.state == payment.PAYMENT_STATE_SUCCEEDED and not read.HasField("fee"):
        return False
    return read.booking.state == payment.BOOKING_STATE_BOOKED
