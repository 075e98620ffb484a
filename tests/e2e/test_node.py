"""A client in another language, from the .proto files alone."""

import asyncio
import base64
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from google.rpc import status_pb2
from google.rpc.code_pb2 import ALREADY_EXISTS, INVALID_ARGUMENT

from runtime.errors import MAX_TRAILER_BYTES, trailer_bytes
from sandbox.addresses import at
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.engine import Engine
from sandbox.processes import PROJECT
from tests.pages import blocks_in
from tests.runtime.echo import running_echo
from tests.runtime.test_error_size import Failing, details_of, largest_whole, refusal

SOURCES = PROJECT / "tests" / "node"
[CONNECTION] = blocks_in("docs/clients.md", "## TypeScript and JavaScript", "js")
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
    (directory / "connection.mjs").write_text(CONNECTION.text)
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
    assert said["setup"]["state"] == "PAYMENT_METHOD_SETUP_STATE_SUCCEEDED"
    [card] = said["saved"]
    assert (card["last4"], card["payment_method_id"]) == (
        "4242",
        said["setup"]["payment_method_id"],
    )
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


async def test_node_rounds_no_amount(node_client: Path, engine: Engine, shop: Shop) -> None:
    """Of 64-bit integers a number of JavaScript has 53 bits: the page's loader gives strings."""
    units = str(2**53 + 1)
    arguments = (str(PROJECT / "protos"), at(engine.ports.ledger), shop.new_id("large").lower())
    code, output, errors = await run(
        "node", "large_amounts.mjs", *arguments, units, directory=node_client
    )
    assert code == 0, errors
    assert json.loads(output) == {"booked": [units, units], "posted": units}


async def test_node_reads_what_is_wrong_with_thousands_of_items(
    node_client: Path, engine: Engine, shop: Shop
) -> None:
    code, output, errors = await run(
        *("node", "refused_batches.mjs", str(PROJECT / "protos"), at(engine.ports.ledger)),
        shop.new_id("refused").lower(),
        directory=node_client,
    )
    assert code == 0, errors
    said = json.loads(output)
    # The stream beside them went on: the batch, the 10,000 legs, and the one after the refusals.
    assert said["watched"] == 8_000 + 2
    told = {}
    for name, refusal_ in said["refusals"].items():
        status = status_pb2.Status.FromString(base64.b64decode(refusal_["details"]))
        assert trailer_bytes(status) <= MAX_TRAILER_BYTES
        assert (status.code, status.message) == (refusal_["code"], refusal_["message"])
        told[name] = (status.code, *details_of(status))
    (code, info, _) = told["batch_conflict"]
    assert (code, info.reason) == (ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert info.metadata["differing_fields"].split(",") == [
        f"items[{index}].create.entries[{entry}].amount.minor_units"
        for index in range(10)
        for entry in range(2)
    ]
    assert info.metadata["differing_field_count"] == "16000"
    (code, info, _) = told["legs_conflict"]
    assert (code, info.reason) == (ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert info.metadata["differing_field_count"] == "10000"
    for name in ("batch_invalid", "legs_invalid"):
        (code, info, fields) = told[name]
        assert (code, info.reason) == (INVALID_ARGUMENT, "INVALID_REQUEST")
        assert len(fields) == 20
        assert info.metadata["violation_count"] == "1000"


@pytest.mark.parametrize("message", ["😀%\n" * 5_000, "m" * 100_000, ""])
async def test_the_trailers_are_as_long_on_the_wire_as_we_count(
    node_client: Path, message: str
) -> None:
    error = refusal(message, dict.fromkeys("abc", message)) if message else largest_whole()
    async with running_echo(servicer=Failing(error)) as server:
        code, output, errors = await run(
            *("node", "failed_call.mjs", f"127.0.0.1:{server.port}", "/echo.v1.EchoService/Count"),
            directory=node_client,
        )
    assert code == 0, errors
    fields: list[str] = json.loads(output)
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    size = sum(len(name) + len(value) + 32 for name, value in pairs.items())
    assert pairs["grpc-status"] == "9"
    assert MAX_TRAILER_BYTES // 2 < size <= trailer_bytes(error.to_status()) <= MAX_TRAILER_BYTES


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = {name: item for name, item in lock["packages"].items() if name}
    assert packages
    assert all("resolved" not in item and item["integrity"] for item in packages.values())
