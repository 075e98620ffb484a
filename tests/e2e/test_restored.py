"""The gateway's database is restored to an older moment, as operators would do it: the books equal
Stripe's again, and whoever repeats a request gets its first outcome."""

import asyncio
import sys

import grpc
import pytest

from gateway.v1 import payment_service_pb2 as payments
from gateway.v1.operator_act_service_pb2 import ListOperatorActsRequest
from gateway.v1.operator_act_service_pb2_grpc import OperatorActServiceStub
from runtime.errors import from_rpc_error
from sandbox.addresses import at
from sandbox.clients import open_clients
from sandbox.demo.books import check_charges, ledger_name, settled_trial_balance
from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.twin_admin import TwinAdmin
from tests.backups import backup_of


async def recover(engine: Engine) -> str:
    """Runs `python -m gateway recover` with the gateway's settings; what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "recover", "--by", "anna"),
        env=engine.gateway.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    return output.decode()


async def test_a_gateway_that_was_restored_is_recovered_and_the_books_agree(
    own_engine: Engine, databases: dict[str, str], postgres_url: str
) -> None:
    engine = own_engine
    with backup_of(postgres_url, databases["GATEWAY_DATABASE_URL"]) as backup:
        async with TwinAdmin.open(engine.twin_url) as twin:
            async with open_clients(engine.ports) as clients:
                shop = Shop(clients, twin)
                parties = Parties(
                    merchant=await shop.add_merchant("Fern & Finch Bookshop LLC"),
                    customer=await shop.add_customer("Ada Mapleton"),
                )
                first = await shop.settled(
                    (await shop.pay(parties.merchant, parties.customer, 20_00, "visa")).id
                )
                await engine.gateway.kill()
                backup.take()
                await engine.start_service(engine.gateway, engine.ports.gateway)
            async with open_clients(engine.ports) as clients:
                shop = Shop(clients, twin)
                requests = [
                    shop.payment_request(parties.merchant, parties.customer, 30_00 + number, "visa")
                    for number in range(3)
                ]
                lost = [await shop.settled((await shop.send(one)).id) for one in requests]
                refund = payments.RefundPaymentRequest(
                    request_id="refund-of-the-first", payment_id=first.id
                )
                repaid = await clients.payments.RefundPayment(refund, timeout=CALL_SECONDS)
                await shop.until(first.id, lambda read: read.amount_refunded.minor_units == 20_00)
            await engine.gateway.kill()
            backup.restore()
            await engine.start_service(engine.gateway, engine.ports.gateway)
            async with open_clients(engine.ports) as clients:
                shop = Shop(clients, twin)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await shop.send(requests[0])
                assert from_rpc_error(refused.value).reason == "DATABASE_BEHIND"
                assert "3 payments rebuilt" in await recover(engine)
                await engine.gateway.kill()
                await engine.start_service(engine.gateway, engine.ports.gateway)
            async with open_clients(engine.ports) as clients:
                shop = Shop(clients, twin)
                for request, before in zip(requests, lost, strict=True):
                    again = await shop.send(request)
                    assert (again.id, again.charge_id) == (before.id, before.charge_id)
                    await shop.settled(again.id)
                same = await clients.payments.RefundPayment(refund, timeout=CALL_SECONDS)
                assert same.refund.id == repaid.refund.id
                await shop.settled(first.id)
                trial = await settled_trial_balance(clients, await ledger_name(clients), twin)
                trial.check()
                assert await check_charges(clients, twin) == 4
                async with grpc.aio.insecure_channel(at(engine.ports.gateway)) as channel:
                    found = await OperatorActServiceStub(channel).ListOperatorActs(
                        ListOperatorActsRequest(client="anna"), timeout=CALL_SECONDS
                    )
                acts = [(act.method, act.outcome) for act in found.acts]
                assert acts == [("gateway recover", "OK")]
