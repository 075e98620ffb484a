"""Loops that do a round of work again and again, whatever one round runs into."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from runtime.logs import get_logger, place_of
from runtime.notifications import Notifier

AFTER_ERROR_SECONDS = 1.0

log = get_logger(__name__)


async def run_rounds(
    name: str, work: Callable[[], Awaitable[bool]], notifier: Notifier, poll_seconds: float
) -> None:
    """Does rounds until cancelled. After one that did nothing it rests, until it is notified or
    some time has passed; a database that is gone is waited for."""
    while True:
        token = notifier.token()
        try:
            worked = await work()
        except (SQLAlchemyError, OSError) as error:
            log.warning("round_failed", loop=name, error_type=type(error).__name__)
            await asyncio.sleep(AFTER_ERROR_SECONDS)
            continue
        except Exception as error:  # noqa: BLE001 (one payment must not stop all others)
            log.error("round_failed_unexpectedly", loop=name, **place_of(error))
            await asyncio.sleep(AFTER_ERROR_SECONDS)
            continue
        if not worked:
            await Notifier.wait(token, poll_seconds)
