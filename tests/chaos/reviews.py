"""The people who decide the cases that payments open: some are approved, the others refused.

What becomes of a payment follows from its id, so that whoever decides it again, after a database
was put back, decides the same.
"""

import asyncio
import hashlib
from collections import Counter
from typing import Any

import grpc

from compliance.v1 import case_pb2
from compliance.v1 import case_service_pb2 as pb
from compliance.v1.case_service_pb2_grpc import CaseServiceStub
from tests.chaos.cluster import Cluster

LOOK_SECONDS = 0.3
CALL_SECONDS = 5.0
PAGE_SIZE = 200
# Of 256 payments so many are refused.
REFUSED_OF_256 = 64


def refuses(payment_id: str) -> bool:
    """Whether people refuse this payment, whoever looks at it and how often."""
    return hashlib.sha256(payment_id.encode()).digest()[0] < REFUSED_OF_256


class Reviewers:
    """Decide open cases, whatever is killed meanwhile. `decided` counts what was answered."""

    def __init__(self, cluster: Cluster) -> None:
        self.decided: Counter[str] = Counter()
        self._cluster = cluster

    async def watch(self) -> None:
        """Until it is cancelled."""
        async with self._cluster.channel("compliance") as channel:
            cases = CaseServiceStub(channel)
            while True:
                try:
                    await self._round(cases)
                except grpc.aio.AioRpcError as error:
                    # It is being killed, or another one was faster: the case is looked at again.
                    self.decided[error.code().name] += 1
                await asyncio.sleep(LOOK_SECONDS)

    async def _round(self, cases: Any) -> None:
        wanted = pb.ListCasesRequest(state=case_pb2.CASE_STATE_OPEN, page_size=PAGE_SIZE)
        listed = await cases.ListCases(wanted, timeout=CALL_SECONDS)
        for case in listed.cases:
            # The same decision again is the same request.
            name = f"{case.id}-{case.revision}"
            if refuses(case.reference_id):
                await cases.RefuseCase(
                    pb.RefuseCaseRequest(request_id=f"no-{name}", case_id=case.id, note="chaos"),
                    timeout=CALL_SECONDS,
                )
                self.decided["refused"] += 1
            elif all(found.way_out == case_pb2.WAY_OUT_APPROVAL for found in case.findings):
                await cases.ApproveCase(
                    pb.ApproveCaseRequest(
                        request_id=f"yes-{name}",
                        case_id=case.id,
                        expected_revision=case.revision,
                        note="chaos",
                    ),
                    timeout=CALL_SECONDS,
                )
                self.decided["approved"] += 1
