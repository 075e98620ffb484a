"""What moves Stripe's balance beside payments."""

import aiohttp

from gateway.v1 import payout_pb2 as payouts
from gateway.v1 import payout_service_pb2 as payout_service
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.polling import poll
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from tests.e2e.scenario_steps import CORRIDOR, MATURITY_SECONDS, advance, pay, posted


async def payout_paid_and_failed(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The platform is paid out by Stripe's schedule; the bank returns it after it was paid."""
    await pay(shop, parties, "USD", 20_00, "bypassPending")
    await _have_available(shop)
    payout = await shop.twin.pay_out("usd")
    await advance(engine, MATURITY_SECONDS)
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PAID)
    await shop.twin.fail_payout(payout["id"])
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_FAILED)


async def payout_on_its_way(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Money that has left Stripe and is not at the bank."""
    await pay(shop, parties, "USD", 25_00, "bypassPending")
    await _have_available(shop)
    payout = await shop.twin.pay_out("usd")
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)


async def payout_that_no_event_told(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The sweep finds what webhooks did not bring."""
    await pay(shop, parties, "USD", 21_00, "bypassPending")
    await _have_available(shop)
    await shop.twin.pause_webhooks()
    payout = await shop.twin.pay_out("usd")
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)
    await shop.twin.resume_webhooks()


async def payout_split(shop: Shop, parties: Parties, engine: Engine) -> None:
    """What is above the limit of a rail goes in parts; the first lists all that they contain."""
    await _have_available(shop)
    await shop.twin.change_settings(payout_limits={"usd": 300_00})
    try:
        payout = await shop.twin.pay_out("usd")
    finally:
        await shop.twin.change_settings(payout_limits={})
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)


async def payout_above_a_minimum(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Some stays at Stripe: it is held back in the payout, and given back beside it."""
    await _have_available(shop)
    await shop.twin.change_settings(minimum_balances={"usd": 150_00})
    try:
        payout = await shop.twin.pay_out("usd")
    finally:
        await shop.twin.change_settings(minimum_balances={})
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)


async def payout_advanced(shop: Shop, parties: Parties, engine: Engine) -> None:
    """An instant payout of what is pending, with a fee of its own."""
    await _have_available(shop)
    await shop.twin.pay_out("usd")
    await shop.twin.record_transaction("topup", 90_00, available_at_once=False)
    await shop.twin.change_settings(instant_fee_basis_points=100)
    wanted = {"amount": "5000", "currency": "usd", "method": "instant"}
    headers = {
        "Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}",
        "Idempotency-Key": shop.new_id("instant"),
    }
    url = f"{engine.twin_url}/v1/payouts"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=wanted, headers=headers) as response,
    ):
        payout = await response.json()
    assert payout["method"] == "instant", payout
    await shop.twin.change_settings(instant_fee_basis_points=0)
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)


async def payout_below_zero(shop: Shop, parties: Parties, engine: Engine) -> None:
    """What the balance lacks is taken from the bank."""
    await _have_available(shop)
    await shop.twin.pay_out("usd")
    await shop.twin.record_transaction("topup_reversal", -80_00)
    payout = await shop.twin.pay_out("usd")
    assert payout["amount"] < 0
    await _until_payout(shop, payout["id"], payouts.PAYOUT_STATE_PENDING)


async def fee_that_no_event_told(shop: Shop, parties: Parties, engine: Engine) -> None:
    """The sweep brings the fee of a charge whose events never come."""
    await shop.twin.pause_webhooks()
    await pay(shop, parties, "USD", 22_00, "visa")
    await shop.twin.resume_webhooks()


async def account_fees(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Fees that belong to no charge, and one that comes back, at once and days later."""
    await shop.twin.record_transaction("stripe_fee", -7_00)
    await shop.twin.record_transaction("tax_fee", -1_33, available_at_once=False)
    await shop.twin.record_transaction("stripe_fx_fee", 50, fee=3)


async def topped_up(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Money that the bank sent, and its return."""
    await shop.twin.record_transaction("topup", 500_00)
    await shop.twin.record_transaction("topup_reversal", -100_00)


async def moved_besides_payments(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Reserves, advances and issued cards have accounts of their own."""
    before = await posted(shop, f"{CORRIDOR}/usd/reserves")
    for type_, amount, more in (
        ("reserve_hold", -40_00, {}),
        ("reserve_release", 15_00, {"available_at_once": False}),
        ("advance", 20_00, {}),
        ("advance_funding", -5_00, {"fee": 12}),
        ("issuing_transaction", -9_00, {"balance_type": "issuing"}),
    ):
        await shop.twin.record_transaction(type_, amount, **more)

    async def balances() -> dict[str, int]:
        names = ("reserves", "advances", "issuing", "stripe/issuing")
        return {name: await posted(shop, f"{CORRIDOR}/usd/{name}") for name in names}

    await poll(
        balances,
        lambda found: (
            found
            == {
                "reserves": before + 25_00,
                "advances": 15_00,
                "issuing": 9_00,
                "stripe/issuing": -9_00,
            }
        ),
    )


async def unknown_movements(shop: Shop, parties: Parties, engine: Engine) -> None:
    """Types that nobody knows go to suspense, whichever way and in whatever currency."""
    await shop.twin.record_transaction("from_another_planet", -90_00)
    await shop.twin.record_transaction("from_another_planet", 12_345, currency="jpy", fee=45)
    await shop.twin.record_transaction("adjustment", 1_00, available_at_once=False)

    async def in_suspense() -> dict[str, int]:
        return {
            currency: await posted(shop, f"{CORRIDOR}/{currency}/suspense")
            for currency in ("usd", "jpy")
        }

    await poll(in_suspense, lambda found: found == {"usd": -89_00, "jpy": 12_300})


async def _have_available(shop: Shop) -> None:
    """Whatever disputes and refunds have taken before, there is something to pay out."""
    await shop.twin.record_transaction("topup", 1_000_00)


async def _until_payout(
    shop: Shop, stripe_payout_id: str, state: "payouts.PayoutState.ValueType"
) -> None:
    request = payout_service.ListPayoutsRequest(state=state)

    async def read() -> list[str]:
        answer = await shop.clients.payouts.ListPayouts(request, timeout=CALL_SECONDS)
        return [payout.stripe_payout_id for payout in answer.payouts]

    await poll(read, lambda found: stripe_payout_id in found)
