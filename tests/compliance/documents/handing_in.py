"""Handing in documents, and looking what has become of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.requirements import (
    Requirement,
)
from compliance.accounts.snapshot import AccountSnapshot
from compliance.accounts.store import latest_snapshot, store_snapshot
from compliance.v1 import document_pb2
from compliance.v1 import document_service_pb2 as pb
from runtime.postgres import create_engine
from tests.compliance.guard import Guard, unique

PDF = b"%PDF-1.7 a made-up passport of nobody %%EOF"
FIELD = "person_1.verification.document"
REGISTER = "documents.company_registration_verification.files"
ROUND_SECONDS = 0.02
RETENTION = timedelta(days=7)


def request(merchant: str, **changes: Any) -> pb.CreateDocumentRequest:
    values: dict[str, Any] = {
        "request_id": unique("document"),
        "merchant_id": merchant,
        "field": FIELD,
        "content_type": "application/pdf",
        "content": PDF,
    }
    return pb.CreateDocumentRequest(**(values | changes))


async def hand_in(guard: Guard, merchant: str, **changes: Any) -> str:
    answer = await guard.documents.CreateDocument(request(merchant, **changes))
    return str(answer.document.document_id)


async def look(guard: Guard, document_id: str) -> document_pb2.Document:
    answer = await guard.documents.GetDocument(pb.GetDocumentRequest(document_id=document_id))
    document: document_pb2.Document = answer.document
    return document


async def reached(
    guard: Guard, document_id: str, state: str, *, why: str = ""
) -> document_pb2.Document:
    """The document once it is in a state, for a reason; the test's own time limit is the end."""
    wanted = document_pb2.DocumentState.Value(f"DOCUMENT_STATE_{state}")
    while True:
        document = await look(guard, document_id)
        if document.state == wanted and document.failure == why:
            return document
        await asyncio.sleep(ROUND_SECONDS)


async def destroyed(guard: Guard, document_id: str) -> None:
    while True:
        if (await look(guard, document_id)).destroyed:
            return
        await asyncio.sleep(ROUND_SECONDS)


def rows(guard: Guard, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(guard.database_url) as connection:
        return connection.execute(statement.encode()).fetchall()


def opened_engine(guard: Guard) -> AsyncEngine:
    return create_engine(
        guard.database_url, role="compliance_service", pool_size=2, application_name="test"
    )


async def looked_at(guard: Guard) -> None:
    """Once the loop has looked for what is due two times more."""
    rounds = partial(REGISTRY.get_sample_value, "loop_rounds_total", {"loop": "documents"})
    enough = (rounds() or 0) + 2
    while True:
        if (rounds() or 0) >= enough:
            return
        await asyncio.sleep(ROUND_SECONDS)


async def say(
    guard: Guard, account: str, *requirements: Requirement, ahead: timedelta = timedelta()
) -> None:
    """Stripe wants this of the account now, as the gateway has fetched it."""
    engine = opened_engine(guard)
    async with engine.begin() as connection:
        before = await latest_snapshot(connection, account)
        assert before is not None
        content = replace(before.content, requirements=requirements)
        now = guard.clock.now() + ahead
        after: AccountSnapshot = replace(before, content=content, fetch_time=now)
        await store_snapshot(connection, after, now)
    await engine.dispose()


async def known_merchant(guard: Guard, account: str = "acct_one") -> str:
    """A merchant whose account has been fetched."""
    guard.merchants.add(account)
    merchant = await guard.merchant(account=account)
    await guard.check(merchant)
    return merchant


def wanted(severity: int, *codes: str) -> Requirement:
    return Requirement(FIELD, severity, None, (), codes, False, (), hosted_only=False)
