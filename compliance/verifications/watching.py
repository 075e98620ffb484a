"""Follows the gateway's feed of verifications: what Stripe says is evidence a moment later."""

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.evidence_news import EvidenceNews
from compliance.gateway_feed import Cursor, GatewayFeed
from compliance.tables import VERIFICATION_WATCH
from compliance.verifications import store
from compliance.verifications.gateway_sessions import GatewaySessions
from compliance.verifications.messages import verification_of
from gateway.v1 import verification_service_pb2 as pb
from runtime.loops import Loop


class VerificationWatch:
    """Keeps each change, and tells who waits for evidence."""

    def __init__(self, engine: AsyncEngine, sessions: GatewaySessions, news: EvidenceNews) -> None:
        self._engine = engine
        self._news = news
        self._feed = GatewayFeed(
            "verification watch", engine, VERIFICATION_WATCH, sessions.watch, self._apply
        )

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after the gateway was away."""
        return self._feed.loop()

    async def _apply(self, response: pb.WatchVerificationsResponse) -> Cursor:
        said = verification_of(response.verification)
        async with self._engine.begin() as connection:
            await store.take(connection, said, response.epoch)
        self._news.about([said.subject_id])
        return Cursor(response.epoch, said.sequence)
