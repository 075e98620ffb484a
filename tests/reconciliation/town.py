"""A ledger, reconciliation beside it, and two people who work on its books over a socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1.account_pb2 import NORMAL_BALANCE_CREDIT
from reconciliation.__main__ import open_service
from reconciliation.closing.statement import PeriodStatement, open_statement
from reconciliation.config import ReconciliationSettings
from reconciliation.v1 import period_service_pb2 as pb
from reconciliation.v1.item_service_pb2_grpc import ItemServiceStub
from reconciliation.v1.period_service_pb2_grpc import PeriodServiceStub
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from runtime.errors import from_rpc_error
from sandbox.addresses import at
from sandbox.certificates import channel_credentials, make_certificates
from sandbox.polling import poll
from tests.ledger.client import LedgerClient, credit, debit, draft
from tests.ledger.running import serving
from tests.reconciliation.books import Books
from tests.reconciliation.people import PEOPLE, SIGNER
from tests.reconciliation.worlds import START, item

DAY = START.date()
AT_STRIPE, INCOME = "main/eur/stripe/pending", "main/eur/income"


@dataclass
class Town:
    """A ledger, reconciliation beside it, and two people who close its books."""

    books: Books
    ledger: LedgerClient
    ann: Any
    bob: Any
    shown: Any
    decided: Any
    numbers: Any
    stub: Callable[[str, Any], Awaitable[Any]]

    async def book(self, key: str, amount: int, when: datetime = START) -> None:
        """Posts what Stripe took, and returns when it is an item that was looked at."""
        effective = Timestamp()
        effective.FromDatetime(when)
        await self.ledger.create(
            draft(
                debit(AT_STRIPE, amount),
                credit(INCOME, amount),
                metadata={"charge_id": key},
                effective_time=effective,
            ),
            request_id=key,
        )

        async def came() -> bool:
            rows = await self.books.rows("SELECT key FROM item WHERE source = 'LEDGER'")
            return f"{key}:EUR" in {row.key for row in rows}

        await poll(came, bool)
        await self.books.run()

    async def pair(self, key: str, amount: int, when: datetime = START, **more: Any) -> None:
        """Something that the ledger and Stripe say alike."""
        day = (when.date() - DAY).days
        await self.books.give(item("STRIPE", f"txn_{key}", amount, key, day=day, **more))
        await self.book(key, amount, when)

    async def close(self, day: date, who: str = "ann", **more: Any) -> Any:
        """Asks for it, and again while the sources are behind, which they are for a moment."""
        number = next(self.numbers)
        request = pb.ClosePeriodRequest(
            **{
                "request_id": f"close-{number}",
                "kind": pb.PERIOD_KIND_DAY,
                "first_day": day.isoformat(),
                "note": "closed as every day",
                **more,
            }
        )
        last: list[grpc.aio.AioRpcError] = []

        async def answer() -> Any:
            last.clear()
            try:
                return await getattr(self, who).ClosePeriod(request)
            except grpc.aio.AioRpcError as error:
                last.append(error)
                return None if from_rpc_error(error).reason == "SOURCES_BEHIND" else error

        found = await poll(answer, lambda given: given is not None)
        if last:
            raise last[0]
        return found

    async def closed(self, first_day: date, who: str = "ann", **more: Any) -> PeriodStatement:
        """The statement of a period that is closed."""
        answer = await self.close(first_day, who, **more)
        assert answer.closed
        return open_statement(answer.period.statement.encode(), SIGNER.verifier)


@asynccontextmanager
async def town_of(
    books: Books, url: str, ledger_url: str, folder: Path, **settings: Any
) -> AsyncIterator[Town]:
    names = ("reconciliation", "ledger", *PEOPLE)
    files = make_certificates(folder, datetime.now(UTC), names)

    def tls(name: str) -> dict[str, Any]:
        own = files[name]
        return {
            "tls_certificate_file": own.certificate,
            "tls_key_file": own.key,
            "tls_ca_file": own.ca,
        }

    roles = {"ledger": "service", "reconciliation": "service"}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        served = await enter(serving(ledger_url, books.clock, client_roles=roles, **tls("ledger")))
        await served.client.create_ledger()
        await served.client.account(AT_STRIPE)
        await served.client.account(INCOME, NORMAL_BALANCE_CREDIT)
        own = ReconciliationSettings(
            ledger_address=served.address.replace("127.0.0.1", "localhost"),
            gateway_address="",
            ledger=served.client.ledger,
            listen_address="127.0.0.1:0",
            http_address="127.0.0.1:0",
            database_url=url,
            signing_key=SIGNER.secret_text(),
            client_roles=dict.fromkeys(PEOPLE, "operator"),
            **tls("reconciliation"),
            **settings,
        )
        server = await enter(open_service(own, books.clock))

        async def stub(name: str, make: Callable[[grpc.aio.Channel], Any]) -> Any:
            credentials = channel_credentials(files[name])
            return make(await enter(grpc.aio.secure_channel(at(server.port), credentials)))

        yield Town(
            books,
            served.client,
            await stub("ann.example", PeriodServiceStub),
            await stub("bob.example", PeriodServiceStub),
            await stub("ann.example", ItemServiceStub),
            await stub("ann.example", ReconciliationServiceStub),
            iter(range(1_000)),
            stub,
        )
