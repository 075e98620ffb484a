"""The calls to Stripe that read runs of scheduled queries; conventions as in `StripeClient`. Files
with results are read by `ReportCalls.read_file`.

https://docs.stripe.com/api/sigma/scheduled_queries
"""

from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome

SIGMA = "sigma"


class SigmaCalls:
    """Runs of scheduled queries. Only reads, for which no customer waits."""

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def retrieve_run(self, corridor: str, run_id: str) -> Outcome:
        """Reads one run."""
        return await self._calls.get(
            SIGMA,
            corridor,
            lambda client, options: client.v1.sigma.scheduled_query_runs.retrieve_async(
                run_id, None, options
            ),
            priority=Priority.BACKGROUND,
        )

    async def list_runs(self, corridor: str, params: Params) -> Outcome:
        """One page of runs, newest first; there is no filter."""
        return await self._calls.get(
            SIGMA,
            corridor,
            lambda client, options: client.v1.sigma.scheduled_query_runs.list_async(
                form(params), options
            ),
            priority=Priority.BACKGROUND,
        )
