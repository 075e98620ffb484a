"""Policies of compliance for those who pay more often than people do."""

from typing import Any

from compliance.v1 import policy_pb2, policy_service_pb2

NAME = "without-history-limits"


async def without_history_limits(policies: Any) -> None:
    """Has the policy in force followed by one without limits on what happened before.

    Where one customer pays with everybody's card, all would wait for people before long.
    """
    listed = await policies.ListPolicyVersions(
        policy_service_pb2.ListPolicyVersionsRequest(state=policy_pb2.POLICY_STATE_ACTIVE)
    )
    (in_force,) = listed.versions
    document = in_force.document
    document.ClearField("history_limits")
    await policies.CreatePolicyVersion(
        policy_service_pb2.CreatePolicyVersionRequest(
            request_id=NAME, policy_version=NAME, document=document
        )
    )
    await policies.ActivatePolicyVersion(
        policy_service_pb2.ActivatePolicyVersionRequest(
            request_id=f"{NAME}-in-force",
            policy_version=NAME,
            replaced_policy_version=in_force.policy_version,
        )
    )
