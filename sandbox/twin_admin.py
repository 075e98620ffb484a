"""A client of the Stripe twin's admin API, for a twin in another process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

import aiohttp

from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from sandbox.stripe_twin.courses import Course

OutageMode = Literal["off", "reset", "error", "hang"]
DisputeOutcome = Literal["win", "lose", "escalate", "appeal"]


class TwinAdminError(RuntimeError):
    """The twin refused an admin request; the message is its answer."""


class TwinAdmin:
    """Controls a twin and reads its books."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """`session` has the twin's address as its base URL."""
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        """A client of the twin at `http://host:port`."""
        async with aiohttp.ClientSession(url) as session:
            yield cls(session)

    async def send_webhooks_to(self, url: str, account: str = DEFAULT_ACCOUNT.name) -> None:
        """Registers an endpoint for the platform's events and one for its connected accounts'."""
        for connect in (False, True):
            body = {"url": url, "account": account, "connect": connect}
            await self._call("POST", "webhooks", body)

    async def set_outage(self, mode: OutageMode) -> None:
        """Makes every API request fail in one way, or ends that with `off`."""
        await self._call("POST", "outage", {"mode": mode})

    async def add_fault(self, **rule: Any) -> str:
        """Switches a fault on (see `stripe_twin.faults.Fault`); gives its id."""
        answer = await self._call("POST", "faults", rule)
        return str(answer["id"])

    async def add_webhook_fault(self, **rule: Any) -> str:
        """Switches a fault of webhooks on (see `stripe_twin.faults.WebhookFault`)."""
        answer = await self._call("POST", "webhook_faults", rule)
        return str(answer["id"])

    async def clear_webhook_faults(self) -> None:
        """Switches all faults of webhooks off; what `reorder` held back is sent."""
        await self._call("DELETE", "webhook_faults")

    async def set_latency(self, account: str, seconds: float, **jitter: Any) -> None:
        """What every answer of an account takes (see `stripe_twin.faults.Latency`)."""
        await self._call("POST", f"latencies/{account}", {"seconds": seconds, **jitter})

    async def set_course(self, account: str, course: Course) -> None:
        """Has an account do as a course says from now on."""
        await self._call("POST", f"courses/{account}", course.model_dump(mode="json"))

    async def courses(self) -> dict[str, Any]:
        """What is so now of each account that follows a course."""
        found: dict[str, Any] = await self._call("GET", "courses")
        return found

    async def clear_course(self, account: str) -> None:
        """Has it do as usual."""
        await self._call("DELETE", f"courses/{account}")

    async def change_settings(self, **settings: Any) -> None:
        """Changes settings (see `stripe_twin.settings.TwinSettings`)."""
        await self._call("POST", "settings", settings)

    async def posts_by_key(self, account: str | None = None) -> dict[str, Any]:
        """The POSTs that came, by idempotency key; `account` is an account id."""
        query = {} if account is None else {"account": account}
        answer: dict[str, Any] = await self._call("GET", "keys", query=query)
        return answer

    async def clear_faults(self) -> None:
        """Switches all faults off; requests that hang on them go on."""
        await self._call("DELETE", "faults")

    async def authenticate(self, payment_intent: str, *, passed: bool = True) -> None:
        """Plays the customer on the 3-D Secure page."""
        outcome = "succeed" if passed else "fail"
        await self._call("POST", f"authenticate/{payment_intent}/{outcome}")

    async def override_card(
        self, payment_method: str, decline: str | None, times: int | None = None
    ) -> None:
        """Makes a card decline with a decline code, `times` times or for good; None: as it was."""
        await self._call("POST", f"cards/{payment_method}", {"decline": decline, "times": times})

    async def fail_refund(self, refund: str) -> None:
        """Plays the bank that returns a refund after it succeeded."""
        await self._call("POST", f"refunds/{refund}/fail")

    async def open_dispute(
        self, charge: str, reason: str = "fraudulent", amount: int | None = None
    ) -> dict[str, Any]:
        """Plays the card holder; `reason` may also be `inquiry` or `prevented`."""
        query = {} if amount is None else {"amount": str(amount)}
        dispute: dict[str, Any] = await self._call(
            "POST", f"charges/{charge}/dispute/{reason}", query=query
        )
        return dispute

    async def decide_dispute(
        self, dispute: str, outcome: DisputeOutcome, amount: int | None = None
    ) -> None:
        """Plays the bank: it decides, makes a chargeback of an inquiry, or allows an appeal; of a
        dispute that is won, only `amount` comes back."""
        query = {} if amount is None else {"amount": str(amount)}
        await self._call("POST", f"disputes/{dispute}/{outcome}", query=query)

    async def move_dispute(self, dispute: str, amount: int, **more: Any) -> None:
        """Moves money of a dispute besides what it moves by itself (see `disputes.DisputeMove`)."""
        await self._call("POST", f"disputes/{dispute}/move", {"amount": amount, **more})

    async def pay_out(
        self, currency: str = "usd", account: str = DEFAULT_ACCOUNT.name
    ) -> dict[str, Any]:
        """The daily automatic payout of all that is available."""
        payout: dict[str, Any] = await self._call("POST", f"payouts/{account}/run/{currency}")
        return payout

    async def fail_payout(self, payout: str, code: str = "account_closed") -> None:
        """Plays the bank that returns a payout, also one that was paid."""
        await self._call("POST", f"payouts/{payout}/fail/{code}")

    async def open_bank_account(
        self, account: str = DEFAULT_ACCOUNT.name, currency: str = "usd", **more: Any
    ) -> str:
        """Opens an account at the twin's bank for an account's payouts; what files call it."""
        body = {"account": account, "currency": currency, **more}
        opened: dict[str, str] = await self._call("POST", "bank", body)
        return opened["identification"]

    async def book_at_bank(self, bank_account: str, amount: int, **more: Any) -> None:
        """Something of the company's own comes or goes (see `twin_bank.books.OwnEntry`)."""
        await self._call("POST", f"bank/{bank_account}/entries", {"amount": amount, **more})

    async def add_bank_fault(self, bank_account: str, **fault: Any) -> str:
        """Switches on what is wrong in statements (see `twin_bank.faults.BankFault`); its id."""
        added: dict[str, str] = await self._call("POST", f"bank/{bank_account}/faults", fault)
        return added["id"]

    async def clear_bank_faults(self, bank_account: str) -> None:
        """Switches all faults of a bank account off; what they did stays known."""
        await self._call("DELETE", f"bank/{bank_account}/faults")

    async def bank_files(self, bank_account: str) -> list[dict[str, Any]]:
        """The statements that the bank has delivered, in their order."""
        files: list[dict[str, Any]] = await self._call("GET", f"bank/{bank_account}/statements")
        return files

    async def bank_file(self, bank_account: str, name: str, file_format: str) -> bytes:
        """A statement's bytes, by its file's id or its day; `today` as camt.052."""
        path = f"/_twin/bank/{bank_account}/statements/{name}/{file_format}"
        async with self._session.get(path) as response:
            if response.status != 200:
                raise TwinAdminError(f"GET {path}: {await response.text()}")
            return await response.read()

    async def bank_truth(self, bank_account: str) -> dict[str, Any]:
        """The bank's books of an account, and each fault that was done in its files."""
        found: dict[str, Any] = await self._call("GET", f"bank/{bank_account}/truth")
        return found

    async def add_report_fault(self, account: str = DEFAULT_ACCOUNT.name, **fault: Any) -> str:
        """Switches on what is wrong in reports (see `report_faults.ReportFault`); its id."""
        added: dict[str, str] = await self._call("POST", f"report_faults/{account}", fault)
        return added["id"]

    async def clear_report_faults(self, account: str = DEFAULT_ACCOUNT.name) -> None:
        """Switches all faults of reports off; rows that they hit stay as they are."""
        await self._call("DELETE", f"report_faults/{account}")

    async def injected_report_faults(
        self, account: str = DEFAULT_ACCOUNT.name
    ) -> list[dict[str, Any]]:
        """Each fault that was done in reports, by type and balance transaction."""
        done: list[dict[str, Any]] = await self._call("GET", f"report_faults/{account}")
        return done

    async def run_sigma_query(
        self, title: str, sql: str, account: str = DEFAULT_ACCOUNT.name, **more: Any
    ) -> dict[str, Any]:
        """A scheduled query of Sigma runs (see `sigma.ScheduledQuery`); the run."""
        body = {"title": title, "sql": sql, **more}
        run: dict[str, Any] = await self._call("POST", f"sigma/{account}", body)
        return run

    async def change_account(self, account: str, **state: Any) -> None:
        """Sets what Stripe wants of an account (see `stripe_twin.overrides.AccountState`)."""
        await self._call("POST", f"accounts/{account}", state)

    async def complete_onboarding(self, account: str) -> None:
        """Plays the merchant who gives everything that is asked for, and Stripe that takes it."""
        await self._call("POST", f"onboarding/{account}")

    async def record_transaction(
        self, type_: str, amount: int, account: str = DEFAULT_ACCOUNT.name, **more: Any
    ) -> dict[str, Any]:
        """Books a balance transaction of any type (see `overrides.BalanceEntry`)."""
        body = {"type": type_, "amount": amount, **more}
        transaction: dict[str, Any] = await self._call(
            "POST", f"balance_transactions/{account}", body
        )
        return transaction

    async def advance(self, seconds: float) -> None:
        """Moves the twin's clock through everything that falls due on the way."""
        await self._call("POST", "clock", {"seconds": seconds})

    async def pause_webhooks(self) -> None:
        """Keeps webhooks back until `resume_webhooks`."""
        await self._call("POST", "webhooks/pause")

    async def resume_webhooks(self) -> None:
        """Sends what was kept back."""
        await self._call("POST", "webhooks/resume")

    async def webhooks_delivered(self) -> None:
        """Waits until no webhook is on its way."""
        await self._call("POST", "webhooks/drain")

    async def books(self, account: str = DEFAULT_ACCOUNT.name) -> dict[str, Any]:
        """Charges, refunds, fees and balances of an account, checked by the twin itself."""
        books: dict[str, dict[str, Any]] = await self._call("GET", "books")
        return books[account]

    async def balance(self, currency: str, account: str = DEFAULT_ACCOUNT.name) -> int:
        """Pending and available money of an account, in minor units; lower-case currency."""
        balances = (await self.summary())[account]["balances"].get(currency, {})
        return sum(balances.values())

    async def summary(self) -> dict[str, dict[str, Any]]:
        """Every account's counts, fees and balances, checked by the twin; quick, no objects."""
        answer: dict[str, dict[str, Any]] = await self._call("GET", "summary")
        return answer

    async def payments_by_metadata(self, key: str) -> dict[str, list[dict[str, Any]]]:
        """The PaymentIntents of all accounts by a metadata key's value, with their charges."""
        query = {"metadata": key}
        answer: dict[str, list[dict[str, Any]]] = await self._call("GET", "payments", query=query)
        return answer

    async def requests(self, method: str, path: str) -> list[dict[str, Any]]:
        """The API requests that came, of a method, whose path begins so."""
        query = {"method": method, "path": path}
        answer = await self._call("GET", "requests", query=query)
        found: list[dict[str, Any]] = answer["requests"]
        return found

    async def _call(
        self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None
    ) -> Any:
        async with self._session.request(
            method, f"/_twin/{path}", json=body, params=query
        ) as response:
            if response.status != 200:
                raise TwinAdminError(f"{method} {path}: {await response.text()}")
            return await response.json()
