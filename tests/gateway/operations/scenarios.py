"""Each kind of operation, as a client sets it in motion: what stands before, the call, and what
Stripe has when it was done once."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.operations.operation import OperationKind
from gateway.v1 import customer_service_pb2 as customers
from gateway.v1 import merchant_service_pb2 as merchants
from gateway.v1 import merchant_tax_pb2 as tax
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1 import verification_service_pb2 as verifications
from gateway.v1.customer_service_pb2_grpc import CustomerServiceStub
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from gateway.v1.payment_pb2 import CaptureMethod, PaymentState
from gateway.v1.verification_service_pb2_grpc import VerificationServiceStub
from runtime.errors import from_rpc_error
from sandbox.stripe_twin.identity import SESSION
from sandbox.stripe_twin.overrides import AccountState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer, save
from tests.gateway.disputes.desk import Desk
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.shop import RefusedError, Shop, fresh
from tests.gateway.payouts.treasury import Treasury
from tests.gateway.verifications.conftest import created

MANUAL = CaptureMethod.CAPTURE_METHOD_MANUAL
BACK = "https://shop.example/back"
INTENTS = "/v1/payment_intents"
FIELD = "documents.company_registration_verification.files"
OWNER = tax.TaxIdOwner(merchant_id="shop-1")


@dataclass
class World:
    """A gateway's process, its clients, and Stripe."""

    shop: Shop
    twin: Twin

    @property
    def merchants(self) -> Any:
        return MerchantServiceStub(self.shop.channel)

    @property
    def customers(self) -> Any:
        return CustomerServiceStub(self.shop.channel)

    @property
    def verifications(self) -> Any:
        return VerificationServiceStub(self.shop.channel)

    @property
    def desk(self) -> Desk:
        return Desk(self.shop)

    @property
    def books(self) -> Any:
        return self.twin.books()["default"]


Prepare = Callable[[World], Awaitable[Any]]
Act = Callable[[World, Any], Awaitable[Any]]
# What Stripe has of it: how often it was done.
Count = Callable[[World, Any], int]


@dataclass(frozen=True)
class Scenario:
    """One kind of operation."""

    kind: OperationKind
    # The call at Stripe that does it; empty if it is asked of compliance.
    path: str
    prepare: Prepare
    act: Act
    count: Count

    async def begin(self, world: World, prepared: Any) -> None:
        """The call, whatever its caller is told: its process may die."""
        with contextlib.suppress(RefusedError):
            await self.act(world, prepared)


async def nothing(_world: World) -> None:
    """There is nothing to stand ready."""


async def _authorized(world: World) -> Any:
    return await world.shop.create(capture_method=MANUAL)


async def _paid(world: World) -> Any:
    return await world.shop.create()


async def _to_be_confirmed(world: World) -> Any:
    """A payment whose customer has authenticated, at an account where Stripe waits to be told."""
    card = await saved_card(world.twin, "visa")
    bank_treats_as(world.twin, card, "authenticationRequired")
    payment = await world.shop.create(payment_method=card, return_url=BACK)
    assert payment.state == PaymentState.PAYMENT_STATE_REQUIRES_ACTION
    bank_treats_as(world.twin, card, "visa")
    _, intent = world.twin.state.locate("payment_intent", payment.payment_intent_id)
    intent["status"], intent["next_action"] = "requires_confirmation", None
    return payment


async def _customer_comes_back(world: World) -> Any:
    """A payment that was declined without its customer, who is there now."""
    card = await saved_card(world.twin, "visa")
    bank_treats_as(world.twin, card, "authenticationRequired")
    payment = await world.shop.create(payment_method=card, off_session=True)
    assert payment.state == PaymentState.PAYMENT_STATE_DECLINED
    bank_treats_as(world.twin, card, "visa")
    return payment


async def _treasury(world: World) -> Any:
    return await Treasury.open(world.shop, world.twin)


async def _pending_payout(world: World) -> Any:
    treasury = await Treasury.open(world.shop, world.twin)
    return treasury, await treasury.create()


async def _disputed(world: World) -> Any:
    return await world.desk.disputed()


async def _pay(world: World, _prepared: Any) -> Any:
    return await world.shop.create()


async def _confirm(world: World, payment: Any) -> Any:
    request = pb.ConfirmPaymentRequest(
        request_id=fresh(), payment_id=payment.id, return_url=BACK if payment.off_session else ""
    )
    return await world.shop.call("ConfirmPayment", request)


async def _capture(world: World, payment: Any) -> Any:
    return await world.shop.capture(payment, 1200)


async def _cancel(world: World, payment: Any) -> Any:
    return await world.shop.cancel(payment)


async def _refund(world: World, payment: Any) -> Any:
    return await world.shop.refund(payment, 300)


async def _pay_out(world: World, treasury: Treasury) -> Any:
    return await Treasury(world.shop, world.twin, treasury.account_id).create()


async def _cancel_payout(world: World, prepared: Any) -> Any:
    treasury, payout = prepared
    return await Treasury(world.shop, world.twin, treasury.account_id).cancel(payout.id)


async def _submit(world: World, dispute: Any) -> Any:
    return await world.desk.submit(dispute.id, {"product_description": "A book about ferns."})


async def _accept(world: World, dispute: Any) -> Any:
    return await world.desk.accept(dispute.id)


def _charges(world: World, _prepared: Any) -> int:
    return sum(bool(charge["paid"]) for charge in world.books["charges"])


def _captures(world: World, _prepared: Any) -> int:
    return [charge["amount_captured"] for charge in world.books["charges"]].count(1200)


def _cancellations(world: World, payment: Any) -> int:
    _, intent = world.twin.state.locate("payment_intent", payment.payment_intent_id)
    return int(intent["status"] == "canceled")


def _refunds(world: World, _prepared: Any) -> int:
    return len(world.books["refunds"])


def _payouts(_world: World, treasury: Treasury) -> int:
    return len(treasury.at_stripe)


def _canceled_payouts(_world: World, prepared: Any) -> int:
    return [payout["status"] for payout in prepared[0].at_stripe].count("canceled")


def _submissions(world: World, dispute: Any) -> int:
    _, found = world.twin.state.locate("dispute", dispute.stripe_dispute_id)
    return int(found["evidence_details"]["submission_count"])


def _losses(world: World, dispute: Any) -> int:
    _, found = world.twin.state.locate("dispute", dispute.stripe_dispute_id)
    return int(found["status"] == "lost")


async def _merchant(world: World) -> Any:
    return await world.merchants.CreateMerchant(new_merchant())


async def _merchant_with_tax_id(world: World) -> Any:
    await _merchant(world)
    return (await world.merchants.CreateTaxId(_tax_id())).tax_id


async def _uploaded(world: World) -> Any:
    """A document that is at Stripe already, and that is wanted there."""
    account = (await _merchant(world)).merchant.connected_account_id
    wanted = {"requirements": {"currently_due": [FIELD], "eventually_due": [FIELD]}}
    world.twin.override_account(account, AccountState.model_validate(wanted))
    return await world.merchants.CreateFile(
        merchants.CreateFileRequest(
            request_id=fresh(), merchant_id="shop-1", content=b"%PDF-1.7 made up %%EOF",
            purpose=merchants.FILE_PURPOSE_ACCOUNT_REQUIREMENT, type=merchants.FILE_TYPE_PDF,
        )
    )  # fmt: skip


async def _customer(world: World) -> Any:
    return (await world.customers.CreateCustomer(new_customer())).customer


async def _customer_with_card(world: World) -> Any:
    await _customer(world)
    return await save(world.customers, fresh(), "visa")


def _tax_id() -> merchants.CreateTaxIdRequest:
    return merchants.CreateTaxIdRequest(
        request_id=fresh(), owner=OWNER, kind="eu_vat", value="DE222222222"
    )


async def _create_merchant(world: World, _prepared: Any) -> Any:
    return await _told(_merchant(world))


async def _create_tax_id(world: World, _prepared: Any) -> Any:
    return await _told(world.merchants.CreateTaxId(_tax_id()))


async def _delete_tax_id(world: World, tax_id: Any) -> Any:
    request = merchants.DeleteTaxIdRequest(request_id=fresh(), owner=OWNER, tax_id_id=tax_id.id)
    return await _told(world.merchants.DeleteTaxId(request))


async def _attach(world: World, uploaded: Any) -> Any:
    request = merchants.AttachFilesRequest(
        request_id=fresh(), merchant_id="shop-1", field=FIELD, file_id=uploaded.file_id
    )
    return await _told(world.merchants.AttachFiles(request))


async def _create_customer(world: World, _prepared: Any) -> Any:
    return await _told(_customer(world))


async def _update_customer(world: World, _prepared: Any) -> Any:
    request = customers.UpdateCustomerRequest(
        request_id=fresh(), customer_id="ada", name="Ada Birch", metadata={"tier": ""}
    )
    return await _told(world.customers.UpdateCustomer(request))


async def _delete_customer(world: World, _prepared: Any) -> Any:
    request = customers.DeleteCustomerRequest(request_id=fresh(), customer_id="ada")
    return await _told(world.customers.DeleteCustomer(request))


async def _save_method(world: World, _prepared: Any) -> Any:
    return await _told(save(world.customers, fresh(), "visa"))


async def _prefer_method(world: World, setup: Any) -> Any:
    request = customers.SetDefaultPaymentMethodRequest(
        request_id=fresh(), customer_id="ada", payment_method_id=setup.payment_method_id
    )
    return await _told(world.customers.SetDefaultPaymentMethod(request))


async def _detach_method(world: World, setup: Any) -> Any:
    request = customers.DetachPaymentMethodRequest(
        request_id=fresh(), customer_id="ada", payment_method_id=setup.payment_method_id
    )
    return await _told(world.customers.DetachPaymentMethod(request))


async def _verify(world: World, _prepared: Any) -> Any:
    return await _told(created(world.verifications, fresh()))


async def _verification(world: World) -> Any:
    return await created(world.verifications, fresh())


async def _cancel_verification(world: World, verification: Any) -> Any:
    request = verifications.CancelVerificationRequest(
        request_id=fresh(), verification_id=verification.verification_id
    )
    return await _told(world.verifications.CancelVerification(request))


async def _told(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise RefusedError(from_rpc_error(error)) from error


def _accounts(world: World, _prepared: Any) -> int:
    return len(list(world.twin.account().objects("account")))


def _tax_ids(world: World, _prepared: Any) -> int:
    [account] = world.twin.account().connected.values()
    return len(list(account.objects("tax_id")))


def _attached(world: World, _prepared: Any) -> int:
    [account] = world.twin.account().objects("account")
    return int(account["requirements"]["pending_verification"].count(FIELD))


def _customers(world: World, _prepared: Any) -> int:
    return len(list(world.twin.account().objects("customer")))


def _updates(world: World, customer: Any) -> int:
    [kept] = world.twin.account().objects("customer")
    return int((kept["name"], "tier" in kept["metadata"]) == ("Ada Birch", False))


def _setups(world: World, _prepared: Any) -> int:
    return len(list(world.twin.account().objects("setup_intent")))


def _preferred(world: World, setup: Any) -> int:
    [kept] = world.twin.account().objects("customer")
    return int(kept["invoice_settings"]["default_payment_method"] == setup.payment_method_id)


def _detached(world: World, setup: Any) -> int:
    found = world.twin.account().objects("payment_method").get(setup.payment_method_id)
    return int(found is None or not found["customer"])


def _sessions(world: World, _prepared: Any) -> int:
    return len(list(world.twin.account().objects(SESSION)))


def _canceled_sessions(world: World, _prepared: Any) -> int:
    sessions = world.twin.account().objects(SESSION)
    return sum((one["status"], one["redaction"]) == ("canceled", None) for one in sessions)


K = OperationKind
SESSIONS = "/v1/identity/verification_sessions"
SCENARIOS: Mapping[OperationKind, Scenario] = {
    scenario.kind: scenario
    for scenario in (
        Scenario(K.CHECK, "", nothing, _pay, _charges),
        Scenario(K.AUTHORIZE, INTENTS, nothing, _pay, _charges),
        Scenario(K.REATTEMPT, f"{INTENTS}/.*/confirm", _customer_comes_back, _confirm, _charges),
        Scenario(K.CONFIRM, f"{INTENTS}/.*/confirm", _to_be_confirmed, _confirm, _charges),
        Scenario(K.CAPTURE, f"{INTENTS}/.*/capture", _authorized, _capture, _captures),
        Scenario(K.CANCEL, f"{INTENTS}/.*/cancel", _authorized, _cancel, _cancellations),
        Scenario(K.REFUND, "/v1/refunds", _paid, _refund, _refunds),
        Scenario(K.CHECK_PAYOUT, "", _treasury, _pay_out, _payouts),
        Scenario(K.CREATE_PAYOUT, "/v1/payouts", _treasury, _pay_out, _payouts),
        Scenario(
            K.CANCEL_PAYOUT, "/v1/payouts/.*/cancel", _pending_payout, _cancel_payout,
            _canceled_payouts,
        ),
        Scenario(K.SUBMIT_EVIDENCE, "/v1/disputes/.*", _disputed, _submit, _submissions),
        Scenario(K.CREATE_ACCOUNT, "/v1/accounts", nothing, _create_merchant, _accounts),
        Scenario(K.CREATE_TAX_ID, "/v1/tax_ids", _merchant, _create_tax_id, _tax_ids),
        Scenario(
            K.DELETE_TAX_ID, "", _merchant_with_tax_id, _delete_tax_id,
            lambda world, prepared: 1 - _tax_ids(world, prepared),
        ),
        Scenario(K.ATTACH_FILES, "/v1/accounts/acct_[^/]*", _uploaded, _attach, _attached),
        Scenario(K.CREATE_CUSTOMER, "/v1/customers", nothing, _create_customer, _customers),
        Scenario(K.UPDATE_CUSTOMER, "/v1/customers/.*", _customer, _update_customer, _updates),
        Scenario(
            K.DELETE_CUSTOMER, "", _customer, _delete_customer,
            lambda world, prepared: 1 - _customers(world, prepared),
        ),
        Scenario(K.SAVE_PAYMENT_METHOD, "/v1/setup_intents", _customer, _save_method, _setups),
        Scenario(
            K.PREFER_PAYMENT_METHOD, "/v1/customers/.*", _customer_with_card, _prefer_method,
            _preferred,
        ),
        Scenario(
            K.DETACH_PAYMENT_METHOD, "/v1/payment_methods/.*/detach", _customer_with_card,
            _detach_method, _detached,
        ),
        Scenario(K.CREATE_VERIFICATION, SESSIONS, nothing, _verify, _sessions),
        Scenario(
            K.CANCEL_VERIFICATION, f"{SESSIONS}/.*/cancel", _verification, _cancel_verification,
            _canceled_sessions,
        ),
        Scenario(K.ACCEPT_DISPUTE, "/v1/disputes/.*/close", _disputed, _accept, _losses),
    )
}  # fmt: skip
# What carries a key and can be looked up: compliance has none, a deletion needs none, and Stripe
# does not show every place where a file may be.
WITH_KEY = [
    kind for kind, scenario in SCENARIOS.items() if scenario.path and kind is not K.ATTACH_FILES
]
# Of these an event tells: what else an operation does, the answer alone says.
TOLD_BY_EVENTS = [
    *(K.AUTHORIZE, K.REATTEMPT, K.CONFIRM, K.CAPTURE, K.CANCEL, K.REFUND),
    *(K.CREATE_PAYOUT, K.CANCEL_PAYOUT, K.SUBMIT_EVIDENCE, K.ACCEPT_DISPUTE),
    *(K.CREATE_VERIFICATION, K.CANCEL_VERIFICATION),
]
