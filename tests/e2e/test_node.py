"""A client in another language, from the .proto files alone."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from sandbox.addresses import at
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine
from sandbox.processes import PROJECT

SOURCES = PROJECT / "tests" / "node"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


async def run(*command: str, directory: Path) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env=os.environ | {"PATH": PATH},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture(scope="session")
async def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with the packages of its lock file."""
    directory = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(SOURCES / name, directory)
    for program in SOURCES.glob("*.mjs"):
        shutil.copy(program, directory)
    code, _, errors = await run("npm", "ci", directory=directory)
    assert code == 0, errors
    return directory


async def test_node_takes_a_payment(
    node_client: Path, engine: Engine, shop: Shop, parties: Parties
) -> None:
    request_id = shop.new_id("node")
    code, output, errors = await run(
        *("node", "take_payment.mjs", str(PROJECT / "protos"), at(engine.ports.gateway)),
        *(request_id, parties.merchant, parties.customer),
        directory=node_client,
    )
    assert code == 0, errors
    said = json.loads(output)
    assert said["created"]["state"] == "PAYMENT_STATE_SUCCEEDED"
    assert said["read"]["amount_captured"] == {"currency_code": "USD", "minor_units": "4200"}
    read = await shop.settled(said["created"]["id"])
    assert read.request_id == request_id
    assert read.amount_captured.minor_units == 42_00


async def test_node_saves_a_card_and_charges_it_without_the_customer(
    node_client: Path, engine: Engine, shop: Shop, parties: Parties
) -> None:
    code, output, errors = await run(
        *("node", "charge_saved_card.mjs", str(PROJECT / "protos"), at(engine.ports.gateway)),
        *(shop.new_id("node"), parties.merchant, parties.customer, "pm_card_visa"),
        directory=node_client,
    )
    assert code == 0, errors
    said = json.loads(output)
    assert said["customer"]["state"] == "CUSTOMER_STATE_ACTIVE"
    assert said["setup"]["state"] == "SETUP_STATE_SUCCEEDED"
    [card] = said["saved"]
    assert (card["last4"], card["payment_method"]) == ("4242", said["setup"]["payment_method"])
    assert said["payment"]["state"] == "PAYMENT_STATE_SUCCEEDED"
    assert said["payment"]["off_session"]
    assert said["payment"]["decline_retry"]["max_attempts"] == 4


async def test_node_is_told_what_is_wrong(node_client: Path, engine: Engine) -> None:
    code, _, errors = await run(
        *("node", "take_payment.mjs", str(PROJECT / "protos"), at(engine.ports.gateway)),
        *("spaces are not allowed", "merchant", "customer"),
        directory=node_client,
    )
    assert code == 1
    assert "INVALID_ARGUMENT" in errors
    assert "request_id" in errors


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = {name: item for name, item in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in item and item["integrity"] for item in packages.values())
