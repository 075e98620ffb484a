"""The calls to Stripe for what it has on record, and those that answer disputes; conventions as in
`StripeClient`."""

from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome

BALANCE, DISPUTES, PAYOUTS, EVENTS = "balance", "disputes", "payouts", "events"


class RecordCalls:
    """Balances and their movements, disputes, payouts, events. Only reads, for which no customer
    waits."""

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def retrieve_balance(
        self, corridor: str, *, connected_account: str | None = None
    ) -> Outcome:
        """Reads the balance of an account, per currency."""
        return await self._calls.get(
            BALANCE,
            corridor,
            lambda client, options: client.v1.balance.retrieve_async(None, options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def retrieve_balance_transaction(
        self,
        corridor: str,
        balance_transaction_id: str,
        params: Params | None = None,
        *,
        connected_account: str | None = None,
    ) -> Outcome:
        """Reads one movement on the balance: gross, fee, net."""
        return await self._calls.get(
            BALANCE,
            corridor,
            lambda client, options: client.v1.balance_transactions.retrieve_async(
                balance_transaction_id, form(params), options
            ),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def list_balance_transactions(
        self, corridor: str, params: Params, *, connected_account: str | None = None
    ) -> Outcome:
        """One page of movements on the balance; `{"source": "ch_…"}` selects."""
        return await self._calls.get(
            BALANCE,
            corridor,
            lambda client, options: client.v1.balance_transactions.list_async(
                form(params), options
            ),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def retrieve_dispute(
        self, corridor: str, dispute_id: str, *, connected_account: str | None = None
    ) -> Outcome:
        """Reads a dispute with its balance transactions."""
        return await self._calls.get(
            DISPUTES,
            corridor,
            lambda client, options: client.v1.disputes.retrieve_async(dispute_id, None, options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def retrieve_payout(
        self, corridor: str, payout_id: str, *, connected_account: str | None = None
    ) -> Outcome:
        """Reads a payout, and of one that came back the balance transaction that says when."""
        return await self._calls.get(
            PAYOUTS,
            corridor,
            lambda client, options: client.v1.payouts.retrieve_async(
                payout_id, form({"expand": ["failure_balance_transaction"]}), options
            ),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def list_events(
        self, corridor: str, params: Params, *, connected_account: str | None = None
    ) -> Outcome:
        """One page of events, newest first; `{"delivery_success": False}` finds gaps."""
        return await self._calls.get(
            EVENTS,
            corridor,
            lambda client, options: client.v1.events.list_async(form(params), options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )


class DisputeCalls:
    """Submits evidence, accepts disputes. What is on record is read with `RecordCalls`."""

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def update_dispute(
        self, corridor: str, dispute_id: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Sends evidence: for good with `{"submit": True}`."""
        return await self._calls.post(
            DISPUTES,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.disputes.update_async(
                dispute_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def close_dispute(
        self, corridor: str, dispute_id: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Gives the dispute up; it is lost at once."""
        return await self._calls.post(
            DISPUTES,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.disputes.close_async(
                dispute_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )
