"""What is asked for of 3-D Secure by the operators' rules, once compliance allows a payment."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.domain.decision import CheckReply
from gateway.payments.domain.history import PaymentHistory
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.three_d_secure import Rules, decide, may_ask, needs_history
from gateway.payments.domain.unchecked import ALLOW, UNCHECKED
from gateway.payments.store.history import history_of
from runtime.clock import Clock


class ThreeDSecureRules:
    """Applies the rules; what came before a payment is read only where they need it."""

    def __init__(self, engine: AsyncEngine, rules: Rules, clock: Clock) -> None:
        """Without rules nothing is asked for, and nothing is read."""
        # One read needs no transaction around it.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
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
            async with self._engine.connect() as connection:
                history = await history_of(connection, payment, now)
        return replace(reply, three_d_secure=decide(self._rules, payment, history, now))
