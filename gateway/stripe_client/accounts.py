"""The calls to Stripe about connected accounts and tax; conventions as in `StripeClient`."""

import io
from collections.abc import Mapping
from datetime import datetime

from gateway.stripe_client.call import Params, Priority, form
from gateway.stripe_client.calls import StripeCalls
from gateway.stripe_client.outcome import Outcome
from gateway.stripe_client.search import find, find_by_metadata

ACCOUNTS, FILES, TAX = "accounts", "files", "tax"
# What a v2 account shows only if it is asked for.
V2_PARTS = [
    "configuration.customer",
    "configuration.merchant",
    "configuration.recipient",
    "future_requirements",
    "requirements",
]


class NamedFile(io.BytesIO):
    """A file as the SDK takes one: read in pieces, called by its name."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name


class AccountCalls:
    """Connected accounts, onboarding links, documents, tax settings, registrations and ids.

    Not customer-present: when calls are shed, these go before payments do.
    """

    def __init__(self, calls: StripeCalls) -> None:
        self._calls = calls

    async def create_account(self, corridor: str, params: Params, idempotency_key: str) -> Outcome:
        """Creates a connected account of the corridor's platform."""
        return await self._calls.post(
            ACCOUNTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.accounts.create_async(form(params), options),
            begins=True,
            priority=Priority.BACKGROUND,
        )

    async def retrieve_account(self, corridor: str, account_id: str) -> Outcome:
        """Reads a connected account with its requirements."""
        return await self._calls.get(
            ACCOUNTS,
            corridor,
            lambda client, options: client.v1.accounts.retrieve_async(account_id, None, options),
            priority=Priority.BACKGROUND,
        )

    async def retrieve_v2_account(self, corridor: str, account_id: str) -> Outcome:
        """Reads a connected account in its v2 form, with requirements and capabilities."""
        return await self._calls.get(
            ACCOUNTS,
            corridor,
            lambda client, options: client.v2.core.accounts.retrieve_async(
                account_id, form({"include": V2_PARTS}), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def list_accounts(self, corridor: str, params: Params) -> Outcome:
        """One page of connected accounts, newest first."""
        return await self._calls.get(
            ACCOUNTS,
            corridor,
            lambda client, options: client.v1.accounts.list_async(form(params), options),
            priority=Priority.BACKGROUND,
        )

    async def find_accounts(
        self,
        corridor: str,
        metadata: Mapping[str, str],
        *,
        created_from: datetime,
        created_to: datetime,
    ) -> Outcome:
        """The connected accounts created in a span of time that carry all of `metadata`; answers
        as `StripeClient.find_payment_intents` does."""

        async def page(params: Params) -> Outcome:
            return await self.list_accounts(corridor, params)

        return await find_by_metadata(page, metadata, created_from, created_to)

    async def list_capabilities(self, corridor: str, account_id: str) -> Outcome:
        """The capabilities of a connected account, each with its requirements."""
        return await self._calls.get(
            ACCOUNTS,
            corridor,
            lambda client, options: client.v1.accounts.capabilities.list_async(
                account_id, None, options
            ),
            priority=Priority.BACKGROUND,
        )

    async def list_external_accounts(
        self, corridor: str, account_id: str, params: Params
    ) -> Outcome:
        """One page of the bank accounts and cards that a connected account is paid out to."""
        return await self._calls.get(
            ACCOUNTS,
            corridor,
            lambda client, options: client.v1.accounts.external_accounts.list_async(
                account_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def list_persons(self, corridor: str, account_id: str, params: Params) -> Outcome:
        """One page of the persons of a connected account, newest first, each with its
        requirements."""
        return await self._calls.get(
            ACCOUNTS,
            corridor,
            lambda client, options: client.v1.accounts.persons.list_async(
                account_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def create_account_link(
        self, corridor: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Makes a page at Stripe where a merchant answers what is due."""
        return await self._calls.post(
            ACCOUNTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.account_links.create_async(form(params), options),
            priority=Priority.BACKGROUND,
        )

    async def update_account(
        self, corridor: str, account_id: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Gives what a connected account was asked for."""
        return await self._calls.post(
            ACCOUNTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.accounts.update_async(
                account_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def update_person(
        self, corridor: str, account_id: str, person_id: str, params: Params, idempotency_key: str
    ) -> Outcome:
        """Gives what was asked for of a person of a connected account."""
        return await self._calls.post(
            ACCOUNTS,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.accounts.persons.update_async(
                account_id, person_id, form(params), options
            ),
            priority=Priority.BACKGROUND,
        )

    async def create_file(
        self,
        corridor: str,
        account_id: str,
        purpose: str,
        name: str,
        content: bytes,
        idempotency_key: str,
    ) -> Outcome:
        """Uploads a file of a connected account; `name` is what Stripe calls it by."""
        return await self._calls.post(
            FILES,
            corridor,
            idempotency_key,
            # Each time anew: what was sent once is read to its end.
            lambda client, options: client.v1.files.create_async(
                {"purpose": purpose, "file": NamedFile(name, content)}, options
            ),
            connected_account=account_id,
            priority=Priority.BACKGROUND,
        )

    async def find_file(
        self,
        corridor: str,
        account_id: str,
        purpose: str,
        name: str,
        *,
        created_from: datetime,
        created_to: datetime,
    ) -> Outcome:
        """The files of a connected account that were uploaded in a span of time by this name;
        answers as `StripeClient.find_payment_intents` does."""

        async def page(params: Params) -> Outcome:
            return await self._calls.get(
                FILES,
                corridor,
                lambda client, options: client.v1.files.list_async(
                    form({**params, "purpose": purpose}), options
                ),
                connected_account=account_id,
                priority=Priority.BACKGROUND,
            )

        return await find(page, lambda item: item.get("filename") == name, created_from, created_to)

    async def retrieve_tax_settings(
        self, corridor: str, *, connected_account: str | None = None
    ) -> Outcome:
        """Reads whether Stripe Tax can calculate for an account."""
        return await self._calls.get(
            TAX,
            corridor,
            lambda client, options: client.v1.tax.settings.retrieve_async(None, options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def list_tax_registrations(
        self, corridor: str, params: Params, *, connected_account: str | None = None
    ) -> Outcome:
        """One page of the permits where an account collects tax."""
        return await self._calls.get(
            TAX,
            corridor,
            lambda client, options: client.v1.tax.registrations.list_async(form(params), options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def create_tax_id(
        self,
        corridor: str,
        params: Params,
        idempotency_key: str,
        *,
        customer_id: str | None = None,
        connected_account: str | None = None,
    ) -> Outcome:
        """Enters a tax number of a customer, or of the account itself."""
        if customer_id is not None:
            customer = customer_id
            return await self._calls.post(
                TAX,
                corridor,
                idempotency_key,
                lambda client, options: client.v1.customers.tax_ids.create_async(
                    customer, form(params), options
                ),
                connected_account=connected_account,
                priority=Priority.BACKGROUND,
            )
        return await self._calls.post(
            TAX,
            corridor,
            idempotency_key,
            lambda client, options: client.v1.tax_ids.create_async(form(params), options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def retrieve_tax_id(
        self,
        corridor: str,
        tax_id: str,
        *,
        customer_id: str | None = None,
        connected_account: str | None = None,
    ) -> Outcome:
        """Reads a tax number of a customer, or of the account itself."""
        if customer_id is not None:
            customer = customer_id
            return await self._calls.get(
                TAX,
                corridor,
                lambda client, options: client.v1.customers.tax_ids.retrieve_async(
                    customer, tax_id, None, options
                ),
                connected_account=connected_account,
                priority=Priority.BACKGROUND,
            )
        return await self._calls.get(
            TAX,
            corridor,
            lambda client, options: client.v1.tax_ids.retrieve_async(tax_id, None, options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def list_tax_ids(
        self,
        corridor: str,
        params: Params,
        *,
        customer_id: str | None = None,
        connected_account: str | None = None,
    ) -> Outcome:
        """One page of tax numbers of a customer, or of the account itself."""
        if customer_id is not None:
            customer = customer_id
            return await self._calls.get(
                TAX,
                corridor,
                lambda client, options: client.v1.customers.tax_ids.list_async(
                    customer, form(params), options
                ),
                connected_account=connected_account,
                priority=Priority.BACKGROUND,
            )
        return await self._calls.get(
            TAX,
            corridor,
            lambda client, options: client.v1.tax_ids.list_async(form(params), options),
            connected_account=connected_account,
            priority=Priority.BACKGROUND,
        )

    async def delete_tax_id(
        self,
        corridor: str,
        tax_id: str,
        *,
        customer_id: str | None = None,
        connected_account: str | None = None,
    ) -> Outcome:
        """Removes a tax number. A DELETE is idempotent by itself and takes no key."""
        if customer_id is not None:
            customer = customer_id
            return await self._calls.delete(
                TAX,
                corridor,
                lambda client, options: client.v1.customers.tax_ids.delete_async(
                    customer, tax_id, None, options
                ),
                connected_account=connected_account,
            )
        return await self._calls.delete(
            TAX,
            corridor,
            lambda client, options: client.v1.tax_ids.delete_async(tax_id, None, options),
            connected_account=connected_account,
        )
