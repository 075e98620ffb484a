"""PolicyService: the handlers."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.errors import ERRORS
from compliance.policies.store import StoredPolicy, get_policy, list_policies
from compliance.v1 import policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from compliance.v1.policy_service_pb2_grpc import PolicyServiceServicer
from compliance.wire_time import to_duration, to_timestamp
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
_STATE_PREFIX = "POLICY_STATE_"


class PolicyService(PolicyServiceServicer):
    """Shows policy versions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._tokens = PageTokens(ERRORS)

    async def GetPolicyVersion(
        self, request: pb.GetPolicyVersionRequest, _context: Any
    ) -> pb.GetPolicyVersionResponse:
        async with self._engine.connect() as connection:
            stored = await get_policy(connection, request.policy_version)
        return pb.GetPolicyVersionResponse(version=_message(stored))

    async def ListPolicyVersions(
        self, request: pb.ListPolicyVersionsRequest, _context: Any
    ) -> pb.ListPolicyVersionsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        state = policy_pb2.PolicyState.Name(request.state).removeprefix(_STATE_PREFIX)
        async with self._engine.connect() as connection:
            found = await list_policies(
                connection,
                state=state if request.state else "",
                before_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListPolicyVersionsResponse(
            versions=[_message(stored) for stored in page],
            next_page_token=self._tokens.encode(request, [page[-1].ordinal])
            if len(found) > size
            else "",
        )


def _message(stored: StoredPolicy) -> policy_pb2.PolicyVersion:
    policy = stored.policy
    return policy_pb2.PolicyVersion(
        policy_version=policy.version,
        state=policy_pb2.PolicyState.Value(_STATE_PREFIX + stored.state),
        document=policy_pb2.PolicyDocument(
            prohibited_country_codes=policy.prohibited_country_codes,
            limits=[
                policy_pb2.CurrencyLimits(
                    currency_code=limits.currency_code,
                    review_over_minor=limits.review_over_minor,
                    deny_over_minor=limits.deny_over_minor,
                    guest_review_over_minor=limits.guest_review_over_minor,
                )
                for limits in policy.limits
            ],
            snapshot_max_age=to_duration(policy.snapshot_max_age),
            list_warn_age=to_duration(policy.list_warn_age),
            list_max_age=to_duration(policy.list_max_age),
            requirement_notice=to_duration(policy.requirement_notice),
            match_threshold=policy.match_threshold,
            country_programmes=[
                policy_pb2.CountryProgramme(
                    country_code=item.country_code,
                    start_time=to_timestamp(item.start_time),
                    end_time=to_timestamp(item.end_time),
                    programme=item.programme,
                    source=item.source,
                )
                for item in policy.country_programmes
            ],
        ),
        content_hash=stored.content_hash,
        create_time=to_timestamp(stored.create_time),
        activate_time=to_timestamp(stored.activate_time),
    )
