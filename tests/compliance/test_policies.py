"""The built-in policy as clients see it."""

import hashlib

import grpc
import psycopg
import pytest

from compliance.checks.policy import BUILT_IN
from compliance.v1 import policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, failure


async def test_the_built_in_policy_is_in_force(guard: Guard) -> None:
    listed = await guard.policies.ListPolicyVersions(pb.ListPolicyVersionsRequest())
    (version,) = listed.versions
    assert (version.policy_version, version.state) == (
        "built-in-1",
        policy_pb2.POLICY_STATE_ACTIVE,
    )
    document = version.document
    assert document.snapshot_max_age.ToTimedelta() == BUILT_IN.snapshot_max_age
    assert len(document.limits) == len(BUILT_IN.limits)
    got = await guard.policies.GetPolicyVersion(
        pb.GetPolicyVersionRequest(policy_version="built-in-1")
    )
    assert got.version == version
    with psycopg.connect(guard.database_url) as connection:
        (stored,) = connection.execute("SELECT document FROM policy_version").fetchone() or ()
    assert version.content_hash == hashlib.sha256(stored.encode()).digest()
    drafts = pb.ListPolicyVersionsRequest(state=policy_pb2.POLICY_STATE_DRAFT)
    assert not (await guard.policies.ListPolicyVersions(drafts)).versions


async def test_unknown_versions(guard: Guard) -> None:
    error = await failure(
        guard.policies.GetPolicyVersion(pb.GetPolicyVersionRequest(policy_version="none"))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "POLICY_VERSION_NOT_FOUND")
    assert error.metadata == {"policy_version": "none"}


async def test_a_changed_document_under_an_old_version_stops_the_start(
    open_guard: OpenGuard,
) -> None:
    async with open_guard() as guard:
        with psycopg.connect(guard.database_url) as connection:
            connection.execute(
                "UPDATE policy_version SET document = replace(document, '0.85', '0.5')"
            )
    with pytest.raises(RuntimeError, match="built-in-1"):
        async with open_guard():
            pass
