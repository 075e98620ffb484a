"""The built-in policy as clients see it, and what answers UNIMPLEMENTED."""

import hashlib

import grpc
import psycopg
import pytest

from compliance.checks.policy import BUILT_IN
from compliance.v1 import policy_pb2, requirement_pb2, requirement_service_pb2
from compliance.v1 import policy_service_pb2 as pb
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, failure

DOCUMENT = policy_pb2.PolicyDocument(match_threshold=0.9)
for _field in ("snapshot_max_age", "list_warn_age", "list_max_age", "requirement_notice"):
    getattr(DOCUMENT, _field).FromSeconds(60)


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


@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        (
            "policies",
            "CreatePolicyVersion",
            pb.CreatePolicyVersionRequest(request_id="r", policy_version="v", document=DOCUMENT),
        ),
        (
            "policies",
            "ActivatePolicyVersion",
            pb.ActivatePolicyVersionRequest(request_id="r", policy_version="v"),
        ),
        (
            "policies",
            "ShadowPolicyVersion",
            pb.ShadowPolicyVersionRequest(request_id="r", policy_version="v"),
        ),
        (
            "policies",
            "RetirePolicyVersion",
            pb.RetirePolicyVersionRequest(request_id="r", policy_version="v"),
        ),
        (
            "requirements",
            "CreateRequirementLink",
            requirement_service_pb2.CreateRequirementLinkRequest(
                request_id="r",
                subject_id="s",
                return_url="https://example.test/a",
                refresh_url="https://example.test/b",
            ),
        ),
        (
            "requirements",
            "CreateDocument",
            requirement_service_pb2.CreateDocumentRequest(
                request_id="r",
                subject_id="s",
                purpose=requirement_pb2.DOCUMENT_PURPOSE_IDENTITY,
                media_type="image/png",
                content=b"x",
            ),
        ),
        (
            "requirements",
            "ListDocuments",
            requirement_service_pb2.ListDocumentsRequest(subject_id="s"),
        ),
    ],
)
async def test_what_is_not_built_says_so(
    guard: Guard, service: str, method: str, request_: object
) -> None:
    error = await failure(getattr(getattr(guard, service), method)(request_))
    assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")
    assert error.metadata["method"].endswith(method)


async def test_backtests_are_not_built(guard: Guard) -> None:
    stream = guard.policies.BacktestPolicyVersion(
        pb.BacktestPolicyVersionRequest(policy_version="v")
    )

    async def first() -> pb.BacktestPolicyVersionResponse:
        async for item in stream:
            return item
        raise AssertionError("the stream ended well")

    assert (await failure(first())).reason == "UNIMPLEMENTED"
