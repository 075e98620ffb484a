"""A document from the operator to Stripe, and the verdict back: compliance, gateway, the twin."""

import asyncio
from pathlib import Path
from typing import Any

from compliance.config import BUNDLED_SDN_FILE
from compliance.v1 import document_pb2
from compliance.v1 import document_service_pb2 as pb
from runtime.clock import SystemClock
from sandbox.stripe_twin.overrides import AccountState
from sandbox.stripe_twin.twin import Twin
from tests.compliance.clamd_server import scripted_clamd
from tests.compliance.guard import Guard, running_guard
from tests.compliance.test_document_rules import KEY
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import running_gateway
from tests.plugin import NewDatabase

FIELD = "documents.company_registration_verification.files"
PDF = b"%PDF-1.7 the extract of a company that is not there %%EOF"
ROUND_SECONDS = 0.05


async def reached(guard: Guard, document_id: str, state: int) -> document_pb2.Document:
    while True:
        asked = pb.GetDocumentRequest(document_id=document_id)
        document: document_pb2.Document = (await guard.documents.GetDocument(asked)).document
        if document.state == state:
            return document
        await asyncio.sleep(ROUND_SECONDS)


async def test_stripe_gets_a_document_and_its_verdict_comes_back(
    service_database: NewDatabase, twin: Twin
) -> None:
    # Time has to pass by itself, as it does for webhooks.
    clock: Any = SystemClock()
    async with (
        running_gateway(service_database("gateway"), twin) as gateway,
        scripted_clamd() as clamd,
        running_guard(
            service_database("compliance"),
            clock,
            Path(BUNDLED_SDN_FILE).parent,
            gateway_address=gateway.address,
            document_keys=KEY,
            clamd_address=f"127.0.0.1:{clamd.port}",
            document_interval_seconds=ROUND_SECONDS,
        ) as guard,
    ):
        made = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
        account = made.connected_account_id
        lists = {"currently_due": [FIELD], "eventually_due": [FIELD]}
        twin.override_account(account, AccountState.model_validate({"requirements": lists}))
        merchant = await guard.merchant(account=account)
        await guard.check(merchant)

        taken = await guard.documents.CreateDocument(
            pb.CreateDocumentRequest(
                request_id="extract-1",
                merchant_id=merchant,
                field=FIELD,
                content_type="application/pdf",
                content=PDF,
            )
        )
        document_id = taken.document.document_id
        await reached(guard, document_id, document_pb2.DOCUMENT_STATE_ATTACHED)
        (file,) = twin.account().connected[account].objects("file")
        assert (file["size"], file["purpose"]) == (len(PDF), "account_requirement")
        item = twin.account().objects("account").get(account)
        assert item["requirements"]["pending_verification"] == [FIELD]

        # Stripe tells by a webhook; the gateway fetches the account, and compliance follows it.
        twin.decide_document(account, FIELD, "verification_document_not_readable")
        refused = await reached(guard, document_id, document_pb2.DOCUMENT_STATE_REFUSED)
        assert refused.refusal == document_pb2.DOCUMENT_REFUSAL_NOT_VERIFIED
        assert list(refused.error_codes) == ["verification_document_not_readable"]
        assert refused.error_guidance[0].fix.startswith("Take the picture again")
