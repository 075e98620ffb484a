"""The gateway's feed of Sigma's runs, and the files with their results."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from gateway.v1.sigma_pb2 import SIGMA_FILE_STATE_KEPT, SigmaRun
from gateway.v1.sigma_service_pb2 import (
    ReadSigmaFileRequest,
    WatchSigmaRunsRequest,
    WatchSigmaRunsResponse,
)
from runtime.command_failures import of_call
from runtime.csv_tables import NotATableError
from runtime.errors import from_rpc_error
from warehouse.facts import tables
from warehouse.facts.rows import Batch, Place, Row, instant
from warehouse.files.names import SIGMA
from warehouse.files.rows import sigma_file, sigma_run
from warehouse.files.stripe_file import MAX_FILE_BYTES, StripeFile, Summary, summary_of
from warehouse.sink import LoadRefusedError

if TYPE_CHECKING:
    from gateway.v1.sigma_service_pb2_grpc import SigmaServiceAsyncStub

CALL_SECONDS = 300.0
NOT_KEPT, DAMAGED = "SIGMA_FILE_NOT_KEPT", "SIGMA_FILE_DAMAGED"


class SigmaFeed:
    """Changes of runs. A result is loaded with the first change that says that it can be read."""

    source = tables.SIGMA
    has_epochs = True

    def __init__(
        self,
        stub: "SigmaServiceAsyncStub",
        address: str,
        loaded: Callable[[], Mapping[str, str]],
    ) -> None:
        """`loaded` answers the hashes of files that are in the warehouse, by their ids."""
        self._stub: Any = stub
        self.address = address
        self._loaded = loaded

    def watch(self, after: Place) -> Any:
        """The feed after a place."""
        return self._stub.WatchSigmaRuns(
            WatchSigmaRunsRequest(epoch=after.epoch, after_sequence=after.sequence)
        )

    def place_of(self, message: WatchSigmaRunsResponse) -> tuple[Place, str]:
        """Epoch and sequence are a change's name."""
        return Place(message.epoch, message.sequence), ""

    def place_to_go_back_to(self, told: dict[str, str]) -> Place:
        """What the gateway says leaves nothing out."""
        return Place(int(told["epoch"]), int(told["after_sequence"]))

    async def batch_of(self, messages: Sequence[WatchSigmaRunsResponse]) -> Batch:
        """The changes, and files that were not here. Raises `LoadRefusedError` for a file that is
        not the one that the change tells of."""
        files: list[tuple[StripeFile, Summary]] = []
        rows: list[Row] = []
        for message in messages:
            if (file := await self._file(message.run)) is not None:
                summary = _summary(file)
                files.append((file, summary))
                rows.append(sigma_file(file, summary))
        last = messages[-1]
        return Batch(
            place=Place(last.epoch, last.sequence),
            rows={
                tables.SIGMA_RUN.name: [sigma_run(message) for message in messages],
                tables.SIGMA_FILE.name: rows,
            },
            files=files,
            news_time=instant(messages[0], "record_time"),
        )

    async def batch_of_restore(self, place: Place) -> Batch:
        """What was lost is no more. Files that are here stay: Stripe never changes them."""
        return Batch(place, goes_back=True)

    async def _file(self, run: SigmaRun) -> StripeFile | None:
        """The file of a run, if it can be read and is not here. Raises `LoadRefusedError` if
        another one is here."""
        if run.file.state != SIGMA_FILE_STATE_KEPT:
            return None
        file_id = f"{run.corridor}/{run.id}"
        known = self._loaded().get(file_id)
        if known is not None:
            if known != run.file.sha256:
                raise LoadRefusedError(f"another file of {file_id} is in the warehouse")
            return None
        content = await self._content(run)
        if content is None:
            return None
        if hashlib.sha256(content).hexdigest() != run.file.sha256:
            raise LoadRefusedError(f"the bytes of {file_id} are not those that were told")
        return StripeFile(SIGMA, run.title, run.corridor, run.id, content)

    async def _content(self, run: SigmaRun) -> bytes | None:
        """The bytes of a file; None if they are kept no longer, of which a later change tells."""
        request = ReadSigmaFileRequest(corridor=run.corridor, run_id=run.id)
        content = bytearray()
        try:
            async for answer in self._stub.ReadSigmaFile(request, timeout=CALL_SECONDS):
                content += answer.content
                if len(content) > MAX_FILE_BYTES:
                    raise LoadRefusedError(f"a file of {run.id} with over {MAX_FILE_BYTES} bytes")
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error).reason
            if reason == NOT_KEPT:
                return None
            if reason == DAMAGED:
                raise LoadRefusedError(f"the gateway's file of {run.id} is damaged") from None
            raise of_call(error, self.address) from None
        return bytes(content)


def _summary(file: StripeFile) -> Summary:
    try:
        return summary_of(file)
    except NotATableError as error:
        raise LoadRefusedError(f"{file.file_id} is no table: {error}") from None
