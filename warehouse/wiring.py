"""Opens the warehouse and a job for each source whose address is given."""

import os
from argparse import Namespace
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_settings import SettingsConfigDict

from compliance.v1.decision_service_pb2_grpc import DecisionServiceStub
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.billing_service_pb2_grpc import BillingServiceStub
from gateway.v1.dispute_service_pb2 import ListDisputesRequest
from gateway.v1.dispute_service_pb2_grpc import DisputeServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from gateway.v1.report_service_pb2_grpc import ReportServiceStub
from gateway.v1.sigma_service_pb2_grpc import SigmaServiceStub
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.v1.reconciliation_service_pb2 import ListMatchesRequest
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from runtime.client_arguments import CommandSettings, open_service_channel
from runtime.clock import Clock
from runtime.command_failures import CommandError
from runtime.progress import Progress
from warehouse.facts import messages, tables
from warehouse.facts.billing_feed import BillingFeed
from warehouse.facts.break_feed import BreakFeed
from warehouse.facts.decisions import DecisionLoader
from warehouse.facts.feeds import Feed, FeedReader
from warehouse.facts.gateway_feeds import BalanceTransactionFeed, PaymentFeed, PayoutFeed
from warehouse.facts.lists import PAGE_SIZE, ListSource, ListWalker
from warehouse.facts.postgres_warehouse import PostgresWarehouse
from warehouse.facts.rows import Place
from warehouse.facts.sink import FactSink
from warehouse.files.report_loader import ReportLoader
from warehouse.files.sigma_feed import SigmaFeed
from warehouse.jobs import DecisionJob, FeedJob, Job, LedgerJob, ListJob, ReportJob
from warehouse.ledger_source import LedgerSource
from warehouse.loader import Loader
from warehouse.postgres_sink import PostgresSink
from warehouse.sink import Sink

if TYPE_CHECKING:
    import grpc

PREFIX = "WAREHOUSE_LEDGER_"
URL_VARIABLE = "WAREHOUSE_DATABASE_URL"
MISSING = (
    "DuckDB is an extra: install requirements-warehouse.lock, or load into PostgreSQL"
    f" ({URL_VARIABLE})"
)
LEDGER_SERVICES = ("ledger.v1.LedgerService", "ledger.v1.AuditService")
GATEWAY_SERVICES = tuple(
    f"gateway.v1.{name}Service"
    for name in ("Payment", "BalanceTransaction", "Billing", "Dispute", "Payout", "Report", "Sigma")
)
RECONCILIATION_SERVICES = ("reconciliation.v1.ReconciliationService",)
COMPLIANCE_SERVICES = ("compliance.v1.DecisionService",)


class ClientSettings(CommandSettings):
    """Who the command is for the services."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)
    service_name: ClassVar[str] = "warehouse"


def open_sinks(duckdb_file: Path | None, clock: Clock) -> tuple[Sink, FactSink]:
    """The warehouse that is asked for: for the ledger, and for facts. Raises `CommandError`."""
    url = _database_url()
    if (duckdb_file is None) == (url is None):
        raise CommandError(f"give either --duckdb or {URL_VARIABLE}")
    if url is not None:
        return PostgresSink(url, clock), FactSink(PostgresWarehouse(url), clock)
    assert duckdb_file is not None, "one of the two is given"
    try:
        from warehouse.duckdb_sink import DuckDbSink
        from warehouse.facts.duckdb_warehouse import DuckDbWarehouse
    except ModuleNotFoundError:
        raise CommandError(MISSING) from None
    sink = DuckDbSink(duckdb_file, clock)
    return sink, FactSink(DuckDbWarehouse(sink), clock)


async def open_jobs(
    stack: AsyncExitStack,
    arguments: Namespace,
    sink: Sink,
    facts: FactSink,
    progress: Progress,
) -> list[Job]:
    """A job for each source; the stack closes the channels. Raises `CommandError`."""
    if (arguments.address is None) != (arguments.ledger is None):
        raise CommandError("give --address and --ledger together")

    async def channel(flag: str, services: tuple[str, ...]) -> "grpc.aio.Channel | None":
        address = getattr(arguments, flag)
        if address is None:
            return None
        opened = open_service_channel(arguments, ClientSettings, services, flag)
        return await stack.enter_async_context(opened)

    jobs: list[Job] = []
    if to_ledger := await channel("address", LEDGER_SERVICES):
        source = LedgerSource(
            LedgerServiceStub(to_ledger),
            AuditServiceStub(to_ledger),
            arguments.address,
            arguments.ledger,
        )
        loader = Loader(source, sink, progress)
        jobs.append(LedgerJob(arguments.ledger, loader, facts, arguments.follow or 0.0))
    if to_gateway := await channel("gateway_address", GATEWAY_SERVICES):
        jobs += _gateway_jobs(to_gateway, arguments, facts)
    if to_reconciliation := await channel("reconciliation_address", RECONCILIATION_SERVICES):
        jobs += _reconciliation_jobs(to_reconciliation, arguments, facts)
    if to_compliance := await channel("compliance_address", COMPLIANCE_SERVICES):
        decisions = DecisionLoader(
            DecisionServiceStub(to_compliance), arguments.compliance_address, facts
        )
        jobs.append(DecisionJob(tables.DECISIONS, decisions, facts.clock, arguments.walk_every))
    if not jobs:
        raise CommandError("give the address of one service at least")
    return jobs


def _gateway_jobs(channel: "grpc.aio.Channel", arguments: Namespace, facts: FactSink) -> list[Job]:
    address, seconds = arguments.gateway_address, arguments.walk_every

    def payments_behind(place: Place) -> list[str]:
        behind = {"epoch": place.epoch, "sequence": place.sequence}
        return [payment_id for (payment_id,) in facts.read("payments_behind", behind)]

    payments = PaymentFeed(PaymentServiceStub(channel), address, payments_behind)
    moved = BalanceTransactionFeed(BalanceTransactionServiceStub(channel), address)
    billing = BillingFeed(BillingServiceStub(channel), address)

    def loaded() -> dict[str, str]:
        return dict(facts.read("loaded_sigma_files", {}))

    sigma = SigmaFeed(SigmaServiceStub(channel), address, loaded)
    reports = ReportLoader(ReportServiceStub(channel), address, facts)
    payouts = PayoutFeed(PayoutServiceStub(channel), address)
    # Disputes have no feed: their list is walked, and what differs is a version.
    disputes = ListSource(
        source=tables.DISPUTES,
        address=address,
        table=tables.DISPUTE,
        call=DisputeServiceStub(channel).ListDisputes,
        request=lambda: ListDisputesRequest(page_size=PAGE_SIZE),
        items=lambda page: page.disputes,
        row=messages.dispute,
    )
    return [
        FeedJob(payments.source, FeedReader(payments, facts), facts, payments, seconds),
        _feed_job(moved, facts, seconds),
        _feed_job(billing, facts, seconds),
        FeedJob(sigma.source, FeedReader(sigma, facts, one_by_one=True), facts, None, seconds),
        ReportJob(reports.source, reports, facts.clock, seconds),
        _feed_job(payouts, facts, seconds),
        _list_job(disputes, facts, seconds),
    ]


def _reconciliation_jobs(
    channel: "grpc.aio.Channel", arguments: Namespace, facts: FactSink
) -> list[Job]:
    address, seconds = arguments.reconciliation_address, arguments.walk_every
    stub: Any = ReconciliationServiceStub(channel)
    matches = ListSource(
        source=tables.MATCHES,
        address=address,
        table=tables.MATCH,
        call=stub.ListMatches,
        request=lambda: ListMatchesRequest(include_revoked=True, page_size=PAGE_SIZE),
        items=lambda page: page.matches,
        row=messages.match,
    )
    breaks = BreakFeed(stub, address)
    return [_feed_job(breaks, facts, seconds), _list_job(matches, facts, seconds)]


def _feed_job(feed: Feed, facts: FactSink, seconds: float) -> Job:
    return FeedJob(feed.source, FeedReader(feed, facts), facts, None, seconds)


def _list_job(source: ListSource, facts: FactSink, seconds: float) -> Job:
    return ListJob(source.source, ListWalker(source, facts), seconds)


def _database_url() -> str | None:
    file = os.environ.get(f"{URL_VARIABLE}_FILE")
    if file is None:
        return os.environ.get(URL_VARIABLE)
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise CommandError(f"{URL_VARIABLE}_FILE: {file} cannot be read") from None
