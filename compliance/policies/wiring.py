"""Policies: keeping them, following what is in force, and trying others."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.checks.policy import BUILT_IN
from compliance.part import Part
from compliance.policies.in_force import PolicyInForce
from compliance.policies.service import PolicyService
from compliance.policies.shadowing import Shadowing
from compliance.policies.store import active_policy, ensure_built_in
from compliance.v1 import policy_service_pb2, policy_service_pb2_grpc
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenPolicies(Part):
    """What others need of policies."""

    in_force: PolicyInForce


async def open_policies(engine: AsyncEngine, mutations: Mutations, clock: Clock) -> OpenPolicies:
    """Stores the release's own policy, so that there is one in force."""
    async with engine.begin() as connection:
        await ensure_built_in(connection, BUILT_IN, clock.now())
        policy = await active_policy(connection)
    in_force = PolicyInForce(engine, policy)
    servicer = PolicyService(engine, mutations, in_force, clock)
    return OpenPolicies(
        in_force=in_force,
        services=(registered(policy_service_pb2, policy_service_pb2_grpc, servicer),),
        loops=(in_force.loop(), Shadowing(engine).loop()),
    )
