"""Events about connected accounts: hints to fetch the account again."""

from collections.abc import Mapping

from gateway.merchants.store import MerchantStore
from gateway.merchants.sync import FetchFailed, MerchantSync
from gateway.rails.outcome import OutcomeClass
from gateway.webhooks.event import EventHandler, OutsideUnavailable, PoisonEventError, StripeEvent

DEAUTHORIZED = "account.application.deauthorized"
EVENT_TYPES = (
    "account.*",
    "capability.*",
    "person.*",
    # A failed payout sets the bank account to errored.
    "payout.failed",
    "v2.core.account.*",
    "v2.core.account_person.*",
)


class MerchantEvents:
    """The handler of events about connected accounts."""

    def __init__(self, store: MerchantStore, sync: MerchantSync) -> None:
        self._store = store
        self._sync = sync

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that this handler deals with."""
        return dict.fromkeys(EVENT_TYPES, self.apply)

    async def apply(self, event: StripeEvent) -> None:
        """Fetches the account that the event is about, whatever the event says of it."""
        account_id = event.stripe_account or (
            event.object_id if event.object_id.startswith("acct_") else None
        )
        stored = await self._store.by_account(account_id) if account_id else None
        if stored is None:
            # An account that is not a merchant of ours, or one that CreateMerchant is about to
            # store with what it fetches itself.
            return
        merchant = stored.message
        try:
            await self._sync.sync(merchant)
        except FetchFailed as failed:
            if failed.account_is_gone and event.event_type == DEAUTHORIZED:
                await self._store.disconnect(merchant.merchant_id)
                return
            if failed.outcome.outcome_class in (OutcomeClass.NOT_SENT, OutcomeClass.UNKNOWN):
                raise OutsideUnavailable(
                    "STRIPE_UNAVAILABLE", failed.outcome.retry_after
                ) from failed
            raise PoisonEventError("ACCOUNT_NOT_READABLE") from failed
