"""`python -m sandbox demo`: starts everything, plays the scenarios, shows and checks the books."""

import asyncio
import sys
import time

from rich.console import Console

from sandbox.addresses import Ports
from sandbox.clients import open_clients
from sandbox.databases import fresh_databases
from sandbox.demo.bank import BankDays
from sandbox.demo.books import (
    PaymentHistory,
    check_charges,
    ledger_name,
    read_history,
    settled_trial_balance,
)
from sandbox.demo.brown_out import CORRIDORS, SETTINGS, BrownOut
from sandbox.demo.report import (
    MIN_WIDTH,
    show_foreseen,
    show_reconciled,
    show_scenarios,
    show_trial_balance,
)
from sandbox.demo.scenarios import SCENARIOS, Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine, running_engine
from sandbox.guardian import temporary_folder
from sandbox.shared_clock import SharedClock
from sandbox.twin_admin import TwinAdmin

# What shells report for a process that ended by Ctrl-C.
INTERRUPTED = 130


async def run_demo(console: Console) -> None:
    """Raises whatever went wrong; the processes' logs are kept then."""
    started = time.monotonic()
    console.print("Starting PostgreSQL, the Stripe twin and the four services …")
    with temporary_folder() as logs:
        try:
            with fresh_databases() as databases:
                clock_file = logs.path / "clock"
                clock = SharedClock.create(clock_file)
                url = databases["GATEWAY_DATABASE_URL"]
                async with running_engine(
                    Ports.free(), logs.path, databases, SETTINGS, CORRIDORS, clock_file
                ) as engine:
                    console.print(f"  all serving after {time.monotonic() - started:.1f} s")
                    await _play(engine, BrownOut(clock, url), console)
        except Exception:
            logs.keep()
            console.print(f"[red]The demo failed.[/red] The logs are in {logs.path}")
            raise
    console.print(f"[green]All as it must be[/green], in {time.monotonic() - started:.1f} s.")


async def _play(engine: Engine, brown_out: BrownOut, console: Console) -> None:
    async with (
        open_clients(engine.ports) as clients,
        TwinAdmin.open(engine.twin_url) as twin,
    ):
        shop = Shop(clients, twin)
        parties = Parties(
            merchant=await shop.add_merchant("Fern & Finch Bookshop LLC"),
            customer=await shop.add_customer("Ada Mapleton"),
        )
        played: list[tuple[str, list[str]]] = []
        for scenario in SCENARIOS:
            began = time.monotonic()
            with console.status(f"{scenario.title} …"):
                ids = await scenario.play(shop, parties)
            played.append((scenario.title, list(ids)))
            console.print(f"  [green]✓[/green] {scenario.title} {time.monotonic() - began:.1f} s")
        ledger = await ledger_name(clients)
        histories: list[tuple[str, list[PaymentHistory]]] = [
            (title, [await read_history(clients, ledger, identifier) for identifier in ids])
            for title, ids in played
        ]
        trial = await settled_trial_balance(clients, ledger, twin)
        show_scenarios(console, histories)
        show_trial_balance(console, trial)
        trial.check()
        charges = await check_charges(clients, twin)
        console.print(
            f"{charges} charges at Stripe, one for each payment that succeeded;"
            " the ledger and Stripe agree to the cent."
        )
        with console.status("Days pass, and Stripe pays out …"):
            reconciled = await BankDays(engine, shop, parties).play()
        show_reconciled(console, reconciled)
        began = time.monotonic()
        with console.status("A corridor slows down …"):
            foreseen = await brown_out.play(engine, shop, parties)
        show_foreseen(console, foreseen, time.monotonic() - began)


def main() -> None:
    """Runs the demo; exits 0 only if all is as it must be."""
    width = max(MIN_WIDTH, Console().width)
    try:
        asyncio.run(run_demo(Console(width=width)))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
