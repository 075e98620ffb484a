"""What a call has made and the database has lost before it is answered is told as lost.

So it is when a failover that loses commits comes between the commit of a call and the reading of
its answer: nobody has noticed yet that the database is behind.
"""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.api.reading import PaymentReader
from gateway.payouts.operations import is_answerable
from gateway.v1 import payment_pb2
from runtime.errors import ServiceError
from tests.gateway.running import OpenGate


async def test_a_refund_that_is_gone_is_lost_and_no_fault_of_ours(engine: AsyncEngine) -> None:
    reader = PaymentReader(engine, OpenGate())
    with pytest.raises(ServiceError) as lost:
        await reader.read_refund("ref_gone", payment_pb2.Payment())
    assert lost.value.reason == "DATABASE_BEHIND"


async def test_a_payment_that_is_gone_is_lost_and_another_is_unknown(engine: AsyncEngine) -> None:
    reader = PaymentReader(engine, OpenGate())
    with pytest.raises(ServiceError) as lost:
        await reader.read("pay_gone", known=True)
    assert lost.value.reason == "DATABASE_BEHIND"
    with pytest.raises(ServiceError) as unknown:
        await reader.read("pay_gone")
    assert unknown.value.reason == "PAYMENT_NOT_FOUND"


async def test_who_waits_for_a_payout_that_is_gone_is_told(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(ServiceError) as lost:
            await is_answerable(connection, "po_gone")
    assert lost.value.reason == "DATABASE_BEHIND"
