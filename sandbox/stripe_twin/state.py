"""The state of one twin: its accounts and what they share."""

from collections.abc import Iterable

from sandbox.stripe_twin.account import Surroundings, TwinAccount
from sandbox.stripe_twin.accounts import ALL_ACCOUNTS, PlatformAccount
from sandbox.stripe_twin.latencies import Latency
from sandbox.stripe_twin.store import JsonObject


class TwinState:
    """All platform accounts, by key and by name; connected accounts hang below them."""

    def __init__(
        self, surroundings: Surroundings, accounts: Iterable[PlatformAccount] = ALL_ACCOUNTS
    ) -> None:
        self.surroundings = surroundings
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
                surroundings=surroundings,
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
