"""What a test may do to a twin and ask of it; the admin API offers the same over HTTP."""

from datetime import timedelta
from typing import Any, Literal

from runtime.clock import Clock
from sandbox.stripe_twin.accounts import SharedParts, TwinAccount, TwinState
from sandbox.stripe_twin.bank_controls import BankControls
from sandbox.stripe_twin.clock import TwinClock
from sandbox.stripe_twin.confirmation import complete_authentication
from sandbox.stripe_twin.connected_accounts import complete_onboarding
from sandbox.stripe_twin.courses import ActiveCourse, Course
from sandbox.stripe_twin.disputes import (
    DisputeMove,
    decide_dispute,
    escalate_dispute,
    move_dispute,
    offer_appeal,
    open_dispute,
)
from sandbox.stripe_twin.documents import decide
from sandbox.stripe_twin.event_destinations import add_destination, register
from sandbox.stripe_twin.faults import Fault, Faults, Latency
from sandbox.stripe_twin.identity import SESSION, finish_redaction, finish_verification
from sandbox.stripe_twin.journal import RequestJournal
from sandbox.stripe_twin.judge import dump_books
from sandbox.stripe_twin.overrides import (
    AccountState,
    BalanceEntry,
    CardOverride,
    ExternalAccountState,
    PersonState,
    override_account,
    override_card,
    override_external_account,
    override_person,
    record_entry,
)
from sandbox.stripe_twin.payouts import fail_payout
from sandbox.stripe_twin.refunds import FAILURE_REASON, fail_refund
from sandbox.stripe_twin.scheduled_payouts import pay_out_everything
from sandbox.stripe_twin.settings import TwinSettings
from sandbox.stripe_twin.setup_intents import complete_setup
from sandbox.stripe_twin.store import Identifiers, JsonObject
from sandbox.stripe_twin.webhooks import WebhookSender


class TwinControls:
    """A twin without the HTTP server that leads requests to it.

    Everything that can be done here is also in the admin API.
    """

    def __init__(
        self,
        settings: TwinSettings | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self.settings = settings or TwinSettings()
        self.clock = TwinClock(clock)
        self.faults = Faults(self.clock.time, seed)
        self.webhooks = WebhookSender(self.clock, self.settings, seed)
        self.requests = RequestJournal()
        self.state = TwinState(
            SharedParts(self.clock, Identifiers(seed), self.settings, self.webhooks)
        )
        self.bank = BankControls(self.state)

    def account(self, name: str = "default") -> TwinAccount:
        """A platform account by its name. Raises KeyError."""
        return self.state.account(name)

    def add_fault(self, **rule: Any) -> str:
        """Switches a fault on, e.g. `add_fault(kind="reset", when="after", count=1)`; its id."""
        return self.faults.add(Fault(**rule))

    def advance(self, *, seconds: float) -> None:
        """Moves the twin's clock forward and does what falls due on the way."""
        self.clock.advance(timedelta(seconds=seconds))

    def set_latency(self, account: str, latency: Latency) -> None:
        """What every answer of a platform account takes from now on. Raises KeyError."""
        self.account(account).latency = latency

    def set_course(self, account: str, course: Course | None) -> None:
        """Has a platform account do as a course says from now on, or as usual. Raises KeyError."""
        item = self.account(account)
        if item.own_course is not None:
            item.own_course.end()
        item.own_course = (
            None if course is None else ActiveCourse(course, item.name, self.clock.time)
        )

    def outage(self, mode: Literal["off", "reset", "error", "hang"]) -> None:
        """Makes every API request fail, or ends that."""
        self.faults.set_outage(mode)

    def register_webhook(
        self,
        url: str,
        account: str = "default",
        secret: str | None = None,
        enabled_events: list[str] | None = None,
        *,
        connect: bool = False,
        thin: bool = False,
    ) -> JsonObject:
        """Adds a webhook endpoint; its secret is the account's unless one is given.

        `thin` makes it an event destination, which gets the notifications of thin events.
        """
        owner = self.account(account)
        if thin:
            return add_destination(
                owner,
                url=url,
                secret=secret or owner.webhook_secret,
                enabled_events=enabled_events or ["*"],
                sources=["other_accounts" if connect else "self"],
                thin=True,
                name=url,
            )
        return register(
            owner,
            url=url,
            secret=secret or owner.webhook_secret,
            enabled_events=enabled_events or ["*"],
            connect=connect,
        )

    def complete_authentication(self, intent_id: str, *, passed: bool = True) -> JsonObject:
        """Plays the customer on the 3-D Secure page. Raises KeyError, ValueError."""
        kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
        account, intent = self.state.locate(kind, intent_id)
        if kind == "setup_intent":
            complete_setup(account, intent, passed=passed)
        else:
            complete_authentication(account, intent, passed=passed)
        self.clock.run_due()
        return intent

    def fail_refund(self, refund_id: str, reason: str = FAILURE_REASON) -> JsonObject:
        """Makes a refund fail after it succeeded. Raises KeyError, ValueError."""
        account, refund = self.state.locate("refund", refund_id)
        if refund["status"] == "failed":
            raise ValueError(f"{refund_id} has failed already")
        fail_refund(account, refund, reason)
        return refund

    def open_dispute(
        self, charge_id: str, reason: str = "fraudulent", amount: int | None = None
    ) -> JsonObject:
        """Plays the card holder who disputes a charge, or inquires. Raises KeyError, ValueError.

        `reason` may also be `inquiry` or `prevented`.
        """
        account, charge = self.state.locate("charge", charge_id)
        return open_dispute(account, charge, reason, amount)

    def decide_dispute(
        self, dispute_id: str, *, won: bool, reinstated: int | None = None
    ) -> JsonObject:
        """Plays the bank that decides a dispute. Raises KeyError, ValueError.

        Of one that is won all that is left comes back, or only `reinstated` minor units.
        """
        account, dispute = self.state.locate("dispute", dispute_id)
        decide_dispute(account, dispute, won=won, reinstated=reinstated)
        return dispute

    def move_dispute(self, dispute_id: str, move: DisputeMove) -> JsonObject:
        """Moves money of a dispute besides what it moves by itself. Raises KeyError."""
        account, dispute = self.state.locate("dispute", dispute_id)
        move_dispute(account, dispute, move)
        return dispute

    def escalate_dispute(self, dispute_id: str) -> JsonObject:
        """Plays the bank that makes a chargeback of an inquiry. Raises KeyError, ValueError."""
        account, dispute = self.state.locate("dispute", dispute_id)
        escalate_dispute(account, dispute)
        return dispute

    def offer_appeal(self, dispute_id: str) -> JsonObject:
        """Plays the network that lets a lost dispute be appealed. Raises KeyError, ValueError."""
        account, dispute = self.state.locate("dispute", dispute_id)
        offer_appeal(account, dispute)
        return dispute

    def record_transaction(self, account: str, entry: BalanceEntry) -> JsonObject:
        """Books a balance transaction of any type. Raises KeyError."""
        return record_entry(self.state.find(account), entry)

    def override_card(self, payment_method: str, override: CardOverride) -> JsonObject:
        """Makes a card decline, or stop declining. Raises KeyError, ValueError."""
        account, method = self.state.locate("payment_method", payment_method)
        override_card(account, method, override)
        return method

    def pay_out(self, account: str = "default", currency: str = "usd") -> JsonObject:
        """The daily payout of all that is available. Raises KeyError, ValueError."""
        return pay_out_everything(self.state.find(account), currency)

    def fail_payout(self, payout_id: str, code: str = "account_closed") -> JsonObject:
        """Plays the bank that returns a payout. Raises KeyError, ValueError."""
        account, payout = self.state.locate("payout", payout_id)
        fail_payout(account, payout, code)
        return payout

    def override_account(self, account_id: str, state: AccountState) -> JsonObject:
        """Sets what Stripe wants of a connected account. Raises KeyError."""
        platform, item = self.state.locate("account", account_id)
        return override_account(platform.connected[account_id], item, state)

    def override_person(self, person_id: str, state: PersonState) -> JsonObject:
        """Sets what Stripe wants of a person, and whether it was verified. Raises KeyError."""
        account, person = self.state.locate("person", person_id)
        return override_person(account, person, state)

    def override_external_account(
        self, external_account_id: str, state: ExternalAccountState
    ) -> JsonObject:
        """Sets whether payouts reach a bank account or card. Raises KeyError, ValueError."""
        account, external = self.state.locate("bank_account", external_account_id)
        return override_external_account(account, external, state)

    def complete_onboarding(self, account_id: str) -> JsonObject:
        """Plays the merchant who gives everything that is asked for. Raises KeyError."""
        platform, item = self.state.locate("account", account_id)
        complete_onboarding(platform.connected[account_id], item)
        return item

    def decide_document(self, account_id: str, field: str, error: str | None = None) -> JsonObject:
        """Plays who looks at a document of an account's. Raises KeyError, ValueError."""
        platform, item = self.state.locate("account", account_id)
        return decide(platform.connected[account_id], item, field, error)

    def finish_verification(self, session_id: str, error: str | None = None) -> JsonObject:
        """Plays who checks a person's document. Raises KeyError, ValueError."""
        account, session = self.state.locate(SESSION, session_id)
        finish_verification(account, session, error)
        return session

    def finish_redaction(self, session_id: str) -> JsonObject:
        """What was collected for a session is removed. Raises KeyError, ValueError."""
        account, session = self.state.locate(SESSION, session_id)
        finish_redaction(account, session)
        return session

    def books(self) -> dict[str, Any]:
        """Everything that happened to money, by account name; checked. Raises AssertionError."""
        self.clock.run_due()
        return dump_books(self.state.platforms())
