"""CheckPayment end to end: verdicts, reasons, evidence, repetition."""

from tests.compliance.guard import Guard, codes, verdict


async def test_a_known_good_merchant_is_allowed(guard: Guard) -> None:
    merchant = await guard.merchant()
    customer = await guard.customer()
    decision = await guard.check(merchant, customer_id=customer)
    assert (verdict(decision), codes(decision)) == ("ALLOW", [])
    assert decision.sequence == 1
    assert decision.policy_version == "built-in-5"
