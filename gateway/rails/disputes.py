"""The calls to Stripe that answer disputes; conventions as in `Rails`."""

from gateway.rails.call import Params, Priority, form
from gateway.rails.calls import StripeCalls
from gateway.rails.outcome import Outcome
from gateway.rails.records import DISPUTES


class DisputeRails:
    """Evidence, and giving up. What is on record is read with `RecordRails`."""

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
