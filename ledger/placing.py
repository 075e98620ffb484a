"""Making a ledger on a shard of one's choice.

Name and request_id are unique over all shards, by the directory: they are taken there before the
ledger is made elsewhere. Who is cut off in between repeats the request, which goes on there.
"""

from ledger.errors import error_of, ledger_already_exists, reused
from ledger.placements import DEFAULT_SHARD, Placement
from ledger.shards import Shards
from ledger.v1.ledger_pb2 import CreateLedgerRequest, Ledger
from runtime.errors import ServiceError
from runtime.idempotency import Differences


async def create_ledger(shards: Shards, request: CreateLedgerRequest) -> Ledger:
    """Makes a ledger, or answers the one that this request_id made, wherever it is now.

    Raises SHARD_NOT_FOUND, LEDGER_ALREADY_EXISTS and REQUEST_ID_REUSED.
    """
    chosen = shards.named(request.shard or DEFAULT_SHARD)
    directory = shards.default.placements
    found = await directory.find(request.name, request.request_id)
    if not found and chosen is not shards.default:
        await directory.claim(request.name, request.request_id, chosen.name)
        found = await directory.find(request.name, request.request_id)
    for placement in found:
        if placement.request_id == request.request_id:
            return await _repeated(shards, placement, request, chosen.name)
    if found:
        raise ledger_already_exists(request.name)
    return await shards.default.ledgers.create(request)


async def _repeated(
    shards: Shards, placement: Placement, request: CreateLedgerRequest, chosen: str
) -> Ledger:
    """Answers as the first time, or goes on where the first request was cut off."""
    shard = await shards.of(placement.name)
    if placement.name != request.name:
        # Compared with all that was asked for, if it was made.
        await shard.ledgers.made_by(request)
        raise _reused(request, "name")
    if placement.first_shard != chosen:
        raise _reused(request, "shard")
    return await shard.ledgers.create(request)


def _reused(request: CreateLedgerRequest, field: str) -> ServiceError:
    return error_of(reused(request.request_id, Differences.of(iter([field]))))
