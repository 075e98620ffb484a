"""`python -m sandbox up`: the whole engine, left running until Ctrl-C."""

import asyncio
import signal
import sys

from rich.console import Console

from sandbox.addresses import Ports, at
from sandbox.clients import open_clients
from sandbox.databases import kept_databases
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine
from sandbox.processes import PROJECT, told_plainly
from sandbox.twin_admin import TwinAdmin

LOG_DIRECTORY = PROJECT / ".sandbox" / "logs"


async def run_up(console: Console, ports: Ports) -> None:
    """Starts everything and waits for SIGINT or SIGTERM."""
    if taken := ports.taken():
        sys.exit(f"These ports are taken, is it running already? {', '.join(taken)}")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console.print("Starting PostgreSQL, the Stripe twin and the four services …")
    databases = await asyncio.to_thread(kept_databases)
    async with running_engine(ports, LOG_DIRECTORY, databases) as engine:
        await _introduce(engine)
        await stop.wait()
        console.print("Stopping …")


async def _introduce(engine: Engine) -> None:
    async with (
        open_clients(engine.ports) as clients,
        TwinAdmin.open(engine.twin_url) as twin,
    ):
        shop = Shop(clients, twin)
        merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
        customer = await shop.add_customer("Ada Mapleton")
    ports = engine.ports
    gateway = at(ports.gateway)
    payment = (
        f'{{"request_id": "try-{shop.run}", "merchant_id": "{merchant}",'
        f' "customer_id": "{customer}", "amount": {{"currency_code": "USD", "minor_units": 4200}},'
        ' "payment_method": {"token": "pm_card_visa"}}'
    )
    flags = "--http2-prior-knowledge --protocol grpc"
    call = "gateway.v1.PaymentService/CreatePayment"
    breaks = "reconciliation.v1.ReconciliationService/ListBreaks"
    services = "\n".join(
        f"{name:14}  grpc {at(port)}   http://{at(http_port)}/healthz  /metrics"
        for name, port, http_port in (
            ("ledger", ports.ledger, ports.ledger_http),
            ("gateway", ports.gateway, ports.gateway_http),
            ("compliance", ports.compliance, ports.compliance_http),
            ("reconciliation", ports.reconciliation, ports.reconciliation_http),
        )
    )
    out = Console(soft_wrap=True, highlight=False, markup=False)
    out.print(
        f"""
{services}
Stripe twin     {engine.twin_url}   admin API: {engine.twin_url}/_twin/books
logs            {engine.log_directory}

Take a payment (curl-like, from this project's environment):
  .venv/bin/buf curl {flags} -d '{payment}' http://{gateway}/{call}
The same with grpcurl:
  grpcurl -plaintext -d '{payment}' {gateway} {call}
What there is to call:
  .venv/bin/buf curl {flags} --list-methods http://{gateway}
Ledger and Stripe side by side:
  .venv/bin/buf curl {flags} -d '{{}}' http://{at(ports.ledger)}/ledger.v1.LedgerService/ListLedgers
  curl {engine.twin_url}/_twin/books
What is not accounted for, between ledger, Stripe and bank:
  .venv/bin/buf curl {flags} -d '{{}}' http://{at(ports.reconciliation)}/{breaks}
Check the books as an auditor would, from an export and the public key:
  .venv/bin/python -m ledger.export --address {at(ports.ledger)} --ledger payments --out export
  .venv/bin/python -m ledger.verify export --key "$(.venv/bin/python -m ledger.keys --show)"

Ctrl-C stops everything. The databases stay for the next time; the Stripe twin forgets."""
    )


def main(*, free_ports: bool = False) -> None:
    """Runs until it is told to stop."""
    with told_plainly():
        asyncio.run(run_up(Console(), Ports.free() if free_ports else Ports()))
