"""The calls to Stripe that make and fetch its financial reports; conventions as in `StripeClient`.

https://docs.stripe.com/reports/api
"""

from contextlib import aclosing
from typing import Any, BinaryIO, cast

import stripe
from stripe._stripe_service import StripeService

from gateway.stripe_client.call import Options, Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome

REPORTS, FILES = "reporting", "file_contents"
# A day of one account's movements has about 150 bytes each.
MAX_FILE_BYTES = 256 * 1024 * 1024
# For so many bytes at 1 MB/s.
FILE_SECONDS = 300.0


class ReportCalls:
    """Report types, runs, and the files that come of them."""

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def retrieve_report_type(self, corridor: str, report_type: str) -> Outcome:
        """Reads how far the data of a type reaches (`data_available_end`)."""
        return await self._calls.get(
            REPORTS,
            corridor,
            lambda client, options: client.v1.reporting.report_types.retrieve_async(
                report_type, None, options
            ),
            priority=Priority.BACKGROUND,
        )

    async def create_report_run(
        self, corridor: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Has a report made. Moves nothing at Stripe, so a drained corridor lets it pass."""
        return await self._calls.post(
            REPORTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.reporting.report_runs.create_async(
                form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def retrieve_report_run(self, corridor: str, run_id: str) -> Outcome:
        """Reads what has become of a run, and its file if it has succeeded."""
        return await self._calls.get(
            REPORTS,
            corridor,
            lambda client, options: client.v1.reporting.report_runs.retrieve_async(
                run_id, None, options
            ),
            priority=Priority.BACKGROUND,
        )

    async def read_file(
        self, corridor: str, file_id: str, into: BinaryIO, max_bytes: int = MAX_FILE_BYTES
    ) -> Outcome:
        """Writes the bytes of a file that Stripe has made, from the beginning of `into`; the
        object is {"size": bytes}, or {"too_large": true} of one with more than `max_bytes`."""

        async def send(client: stripe.StripeClient, options: Options) -> dict[str, Any]:
            into.seek(0)
            into.truncate()
            # The SDK has a method for each file of a quote or an invoice, and none for this.
            service: Any = cast("Any", StripeService)(client._requestor)
            answer = await service._request_stream_async(
                "get", f"/v1/files/{file_id}/contents", None, options, base_address="files"
            )
            async with aclosing(cast("Any", answer.stream())) as pieces:
                async for piece in pieces:
                    if into.tell() + len(piece) > max_bytes:
                        return {"too_large": True}
                    into.write(piece)
            return {"size": into.tell()}

        return await self._calls.get(
            FILES, corridor, send, priority=Priority.BACKGROUND, seconds=FILE_SECONDS
        )
