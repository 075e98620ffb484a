"""The accounts of a twin: which a new one has, what each holds, and how one is found.

The keys and webhook secrets are fixed test values that open nothing outside this twin.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.stripe_twin.books import Books, Settled, converted
from sandbox.stripe_twin.cards import Decline, TestCard
from sandbox.stripe_twin.clock import TwinClock
from sandbox.stripe_twin.courses import ActiveCourse
from sandbox.stripe_twin.events import Event, EventLog, ThinEvent, thin_id
from sandbox.stripe_twin.faults import Latency
from sandbox.stripe_twin.idempotency import IdempotencyKeys
from sandbox.stripe_twin.report_faults import ReportFaults
from sandbox.stripe_twin.settings import TwinSettings
from sandbox.stripe_twin.store import Collection, Identifiers, JsonObject, render
from sandbox.stripe_twin.webhooks import WebhookSender
from sandbox.twin_bank.bank import TwinBank


@dataclass(frozen=True, slots=True)
class PlatformAccount:
    """An account that has its own secret key, as opposed to a connected account.

    `webhook_secret` signs what goes to an endpoint registered without a secret of its own.
    `latency_seconds` is what each of its answers takes, as a region far away does.
    """

    name: str
    account_id: str
    secret_key: str
    webhook_secret: str
    country: str = "US"
    default_currency: str = "usd"
    latency_seconds: float = 0.0


DEFAULT_ACCOUNT = PlatformAccount(
    name="default",
    account_id="acct_twindefault0001",
    secret_key="sk_test_twin_default",
    webhook_secret="whsec_twin_default",
)

BACKUP_ACCOUNT = PlatformAccount(
    name="backup",
    account_id="acct_twinbackup00001",
    secret_key="sk_test_twin_backup",
    webhook_secret="whsec_twin_backup",
)

EUROPE_ACCOUNT = PlatformAccount(
    name="europe",
    account_id="acct_twineurope00001",
    secret_key="sk_test_twin_europe",
    webhook_secret="whsec_twin_europe",
    country="IE",
    default_currency="eur",
)

JAPAN_ACCOUNT = PlatformAccount(
    name="japan",
    account_id="acct_twinjapan000001",
    secret_key="sk_test_twin_japan",
    webhook_secret="whsec_twin_japan",
    country="JP",
    default_currency="jpy",
    latency_seconds=0.12,
)

# The accounts that the sandbox gives to the gateway as corridors.
ACCOUNTS = (DEFAULT_ACCOUNT, BACKUP_ACCOUNT)
# Those that every twin has.
ALL_ACCOUNTS = (*ACCOUNTS, EUROPE_ACCOUNT, JAPAN_ACCOUNT)


_KINDS = (
    "account",
    "application_fee",
    "bank_account",
    "capability",
    "charge",
    "credit_note",
    "customer",
    "dispute",
    "fee_refund",
    "file",
    "file_link",
    "identity.verification_report",
    "identity.verification_session",
    "identity.verified_outputs",
    "invoice",
    "invoice_payment",
    "payment_intent",
    "payment_method",
    "payout",
    "person",
    "price",
    "product",
    "refund",
    "reporting.report_run",
    "scheduled_query_run",
    "setup_attempt",
    "setup_intent",
    "subscription",
    "tax.calculation",
    "tax.registration",
    "tax.transaction",
    "tax_id",
    "topup",
    "transfer",
    "transfer_reversal",
    "v2.core.event_destination",
    "webhook_endpoint",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that caused an event; both None for what Stripe does by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


AUTOMATIC = Origin()


@dataclass(slots=True)
class SharedParts:
    """What all accounts of a twin share."""

    clock: TwinClock
    identifiers: Identifiers
    settings: TwinSettings
    webhooks: WebhookSender
    public_url: str = ""
    # Where payouts go; it keeps the accounts that a test opens.
    bank: TwinBank = field(default_factory=TwinBank)


@dataclass(slots=True)
class CardState:
    """What the twin knows of a payment method's card and Stripe does not show."""

    card: TestCard
    used: bool = False
    set_up: bool = False
    # Of a bank account: whether its holder has shown that it is theirs.
    verified: bool = True
    # A refusal that a test gave to this card, and how often it still comes; None: for good.
    decline_override: Decline | None = None
    declines_left: int | None = None

    def next_decline(self) -> Decline | None:
        """How the issuer answers the next charge; None if it approves."""
        if self.decline_override is None:
            return self.card.decline
        if self.declines_left is None:
            return self.decline_override
        self.declines_left -= 1
        decline = self.decline_override
        if self.declines_left == 0:
            self.decline_override = None
        return decline


@dataclass(eq=False)
class TwinAccount:
    """The objects, events, keys and books of one account."""

    account_id: str
    name: str
    secret_key: str
    webhook_secret: str
    default_currency: str
    shared: SharedParts
    country: str = "US"
    platform: "TwinAccount | None" = None
    # What each answer takes; a connected account's is its platform's.
    latency: Latency = field(default_factory=Latency)
    # What a simulator has it do; a connected account does as its platform.
    own_course: ActiveCourse | None = None
    cards: dict[str, CardState] = field(default_factory=dict)
    connected: dict[str, "TwinAccount"] = field(default_factory=dict)
    tax_settings: JsonObject = field(default_factory=dict)
    # The line items of tax calculations and transactions, and what a transaction was made of.
    tax_lines: dict[str, list[JsonObject]] = field(default_factory=dict)
    tax_sources: dict[str, str] = field(default_factory=dict)
    # What a connected account has given of itself, as dotted paths of parameters.
    provided: set[str] = field(default_factory=set)
    # The same for each of its persons, by id; and which of them is the account's individual.
    person_provided: dict[str, set[str]] = field(default_factory=dict)
    individual_id: str = ""
    # Stripe refuses to list the persons, as a test has it; where it does is not documented.
    persons_withheld: bool = False
    # What the v2 API was given of a connected account.
    v2_details: JsonObject = field(default_factory=dict)
    # Which automatic payout took a balance transaction along.
    paid_out: dict[str, str] = field(default_factory=dict)
    # Of the parts of split payouts the one that lists what all of them contain.
    split_payouts: dict[str, str] = field(default_factory=dict)
    # Events of the v2 API that no v1 event stands behind, by id.
    native_events: dict[str, ThinEvent] = field(default_factory=dict)
    deleted_customers: set[str] = field(default_factory=set)
    # What a dispute has withdrawn less what it gave back, in its own currency, by its id.
    disputed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    # A test has set the account's requirements; they are no longer worked out.
    overridden: bool = False
    # The bytes of files that Stripe made, by id.
    file_contents: dict[str, bytes] = field(default_factory=dict)
    report_faults: ReportFaults = field(default_factory=ReportFaults)
    # Whether new data of reports is told of.
    announces_reports: bool = False

    def __post_init__(self) -> None:
        self.started = self.now()
        self.events = EventLog()
        self.keys = IdempotencyKeys()
        self.books = Books(self.shared.identifiers)
        self._collections = {kind: Collection(kind) for kind in _KINDS}

    @property
    def platform_id(self) -> str:
        """The account whose key reaches this one."""
        return self.platform.account_id if self.platform else self.account_id

    @property
    def course(self) -> ActiveCourse | None:
        """What a simulator has it do: its own, or its platform's."""
        return (self.platform or self).own_course

    @property
    def names(self) -> tuple[str, ...]:
        """The ids and names by which a rule may mean this account: its own and its platform's."""
        if self.platform is None:
            return (self.account_id, self.name)
        return (self.account_id, *self.platform.names)

    @property
    def is_connected(self) -> bool:
        """Whether the account belongs to a platform."""
        return self.platform is not None

    def objects(self, kind: str) -> Collection:
        """All objects of a kind such as `payment_intent`."""
        return self._collections[kind]

    def settled(self, amount: int, currency: str) -> Settled:
        """What an amount of a currency is in the balance, at today's rate if it is converted."""
        conversion = self.shared.settings.conversions.get(currency)
        if conversion is None:
            return Settled(amount, currency)
        return converted(amount, conversion.currency, conversion.rate)

    def new_id(self, prefix: str) -> str:
        """A fresh id."""
        return self.shared.identifiers.new(prefix)

    def now(self) -> int:
        """Seconds since the epoch."""
        return self.shared.clock.now()

    def new_native(self, kind: str, related: dict[str, str], origin: Origin) -> ThinEvent:
        """Records an event of the v2 API; `related` is the id, type and URL of its object."""
        event = ThinEvent(
            event_id=thin_id(self.new_id("evt")),
            kind=kind,
            created=self.shared.clock.time(),
            related=related,
            context=self.account_id if self.is_connected else None,
            request_id=origin.request_id,
            idempotency_key=origin.idempotency_key,
        )
        self.native_events[event.event_id] = event
        return event

    def announce_v2(self, kind: str, related: dict[str, str], origin: Origin = AUTOMATIC) -> None:
        """Tells the platform of a change of this account that only the v2 API has an event for."""
        platform = self.platform or self
        event = platform.new_native(kind, related, origin)
        self.shared.webhooks.publish(event, platform.account_id, platform.account_id)

    def emit(
        self,
        kind: str,
        item: JsonObject,
        origin: Origin = AUTOMATIC,
        previous: JsonObject | None = None,
    ) -> None:
        """Records an event with a snapshot of `item` and sends it to whom it concerns."""
        event = Event(
            event_id=self.new_id("evt"),
            kind=kind,
            created=self.now(),
            snapshot=render(item),
            previous=render(previous) if previous is not None else None,
            request_id=origin.request_id,
            idempotency_key=origin.idempotency_key,
            account_id=self.account_id if self.is_connected else None,
        )
        self.events.add(event, self.shared.settings.max_events)
        lag = 0.0 if self.course is None else self.course.webhook_lag_seconds
        self.shared.webhooks.publish(event, self.account_id, self.platform_id, lag)


def v2_reference(account_id: str, person_id: str = "") -> dict[str, str]:
    """What a thin event about a v2 account, or a person of it, points at."""
    url = f"/v2/core/accounts/{account_id}"
    if not person_id:
        return {"id": account_id, "type": "v2.core.account", "url": url}
    return {
        "id": person_id,
        "type": "v2.core.account_person",
        "url": f"{url}/persons/{person_id}",
    }


class TwinState:
    """All platform accounts, by key and by name; connected accounts hang below them."""

    def __init__(
        self, shared: SharedParts, accounts: Iterable[PlatformAccount] = ALL_ACCOUNTS
    ) -> None:
        self.shared = shared
        self._by_name: dict[str, TwinAccount] = {}
        self.accounts_by_key: dict[str, TwinAccount] = {}
        for platform in accounts:
            account = TwinAccount(
                account_id=platform.account_id,
                name=platform.name,
                secret_key=platform.secret_key,
                webhook_secret=platform.webhook_secret,
                country=platform.country,
                default_currency=platform.default_currency,
                latency=Latency(seconds=platform.latency_seconds),
                shared=shared,
            )
            self._by_name[platform.name] = account
            self.accounts_by_key[platform.secret_key] = account

    def account(self, name: str) -> TwinAccount:
        """A platform account by its name. Raises KeyError."""
        return self._by_name[name]

    def find(self, name: str) -> TwinAccount:
        """A platform account by its name, or any account by its id. Raises KeyError."""
        if name in self._by_name:
            return self._by_name[name]
        for account in self.everyone():
            if account.account_id == name:
                return account
        raise KeyError(f"no account {name}")

    def platforms(self) -> list[TwinAccount]:
        """Every platform account."""
        return list(self._by_name.values())

    def everyone(self) -> list[TwinAccount]:
        """Every account, connected ones included."""
        return [
            account
            for platform in self._by_name.values()
            for account in (platform, *platform.connected.values())
        ]

    def locate(self, kind: str, identifier: str) -> tuple[TwinAccount, JsonObject]:
        """The object with this id and the account that holds it. Raises KeyError."""
        for account in self.everyone():
            found = account.objects(kind).find(identifier)
            if found is not None:
                return account, found
        raise KeyError(f"no {kind} {identifier}")
