"""What is asked for of 3-D Secure by the operators' rules, once compliance allows a payment."""

from dataclasses import replace

from gateway.payments.domain.decision import CheckReply
from gateway.payments.domain.history import PaymentHistory
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.three_d_secure import Rules, decide, may_ask, needs_history
from gateway.payments.domain.unchecked import ALLOW, UNCHECKED
from gateway.payments.store.history import PastPayments
from runtime.clock import Clock


class ThreeDSecureRules:
    """Applies the rules; what came before a payment is read only where they need it."""

    def __init__(self, past: PastPayments, rules: Rules, clock: Clock) -> None:
        """Without rules nothing is asked for, and nothing is read."""
        self._past = past
        self._rules = rules
        self._clock = clock

    async def add(self, payment: Payment, reply: CheckReply) -> CheckReply:
        """The reply of compliance, with what is asked for if it lets the payment pass."""
        passes = reply.record is not None and reply.record.verdict in (ALLOW, UNCHECKED)
        if not self._rules or not passes or not may_ask(payment):
            return reply
        now = self._clock.now()
        history: PaymentHistory | None = None
        if needs_history(self._rules, payment):
            history = await self._past.of(payment, now)
        return replace(reply, three_d_secure=decide(self._rules, payment, history, now))
