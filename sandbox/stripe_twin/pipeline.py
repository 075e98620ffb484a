"""The way of an API request: outage, key, faults, idempotency, check, endpoint, answer."""

import asyncio
import json
import random
import socket
import struct
from copy import deepcopy
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from aiohttp import web

from sandbox.stripe_twin.accounts import Origin, TwinAccount, TwinState
from sandbox.stripe_twin.calls import Call, Content, Router, authenticate
from sandbox.stripe_twin.courses import ActiveCourse, Ending
from sandbox.stripe_twin.errors import (
    ApiError,
    api_error,
    invalid_request,
    lock_timeout,
    rate_limited,
    unknown_route,
)
from sandbox.stripe_twin.events import API_VERSION
from sandbox.stripe_twin.faults import ActiveFault, Fault, FaultKind, Faults
from sandbox.stripe_twin.idempotency import StoredAnswer
from sandbox.stripe_twin.identity import OUTPUTS, SESSION
from sandbox.stripe_twin.journal import RequestJournal, SeenRequest
from sandbox.stripe_twin.limits import Limits
from sandbox.stripe_twin.multipart import comparable
from sandbox.stripe_twin.params import check_params, posted, queried
from sandbox.stripe_twin.store import JsonObject, render_bytes

# https://docs.stripe.com/expand: at most four levels.
MAX_LEVELS = 4
# What an object gets when something happens to it, and may be expanded before.
LATER = {"refund": frozenset({"failure_balance_transaction"})}

_KIND_BY_PREFIX = {
    "acct": "account",
    "ch": "charge",
    "cn": "credit_note",
    "cus": "customer",
    "du": "dispute",
    "fee": "application_fee",
    "file": "file",
    "frr": "reporting.report_run",
    "in": "invoice",
    "inpay": "invoice_payment",
    "link": "file_link",
    "person": "person",
    "fr": "fee_refund",
    "pi": "payment_intent",
    "pm": "payment_method",
    "po": "payout",
    "price": "price",
    "prod": "product",
    "py": "charge",
    "pyr": "refund",
    "re": "refund",
    "setatt": "setup_attempt",
    "seti": "setup_intent",
    "sub": "subscription",
    "tr": "transfer",
    "trr": "transfer_reversal",
    "tu": "topup",
    "vr": "identity.verification_report",
    "vs": "identity.verification_session",
}


def expand(account: TwinAccount, answer: JsonObject, paths: list[str]) -> JsonObject:
    """A copy of the answer with each path expanded. Raises ApiError for one that cannot be."""
    expanded = deepcopy(answer)
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_LEVELS + (steps[0] == "data"):
            raise invalid_request(
                f"You cannot expand more than {MAX_LEVELS} levels of a property. "
                f"You tried to expand: {path}",
                param="expand",
            )
        _expand(account, expanded, steps, path)
    return expanded


def _expand(account: TwinAccount, node: JsonObject, steps: list[str], path: str) -> None:
    name, rest = steps[0], steps[1:]
    if name == "refunds" and node.get("object") == "charge":
        node["refunds"] = _refunds_of(account, node["id"])
        return
    if name == "payments" and node.get("object") == "invoice":
        invoice = node["id"]
        node["payments"] = account.objects("invoice_payment").page(
            "/v1/invoice_payments", {}, lambda payment: payment["invoice"] == invoice
        )
        return
    if name == "verified_outputs" and node.get("object") == SESSION:
        found = account.objects(OUTPUTS).find(node["id"])
        node[name] = None if found is None else {k: v for k, v in found.items() if k != "id"}
        return
    if name in LATER.get(node.get("object", ""), ()) and name not in node:
        return
    if name not in node:
        raise invalid_request(
            f"This property cannot be expanded ({path}). You may want to try expanding "
            "'data' first, or check the name of the property.",
            param="expand[]",
        )
    value = node[name]
    if isinstance(value, str):
        value = deepcopy(_lookup(account, value, path))
        node[name] = value
    if not rest or value is None:
        return
    for child in value if isinstance(value, list) else [value]:
        _expand(account, child, rest, path)


def _lookup(account: TwinAccount, identifier: str, path: str) -> JsonObject:
    prefix = identifier.partition("_")[0]
    if prefix == "txn":
        return account.books.transactions.get(identifier)
    kind = _KIND_BY_PREFIX.get(prefix)
    if kind is None:
        raise invalid_request(f"This property cannot be expanded ({path}).", param="expand[]")
    return account.objects(kind).get(identifier)


def _refunds_of(account: TwinAccount, charge_id: str) -> JsonObject:
    return account.objects("refund").page(
        f"/v1/charges/{charge_id}/refunds", {}, lambda refund: refund["charge"] == charge_id
    )


_LINGER_NOT = struct.pack("ii", 1, 0)


class ConnectionCutError(Exception):
    """The fault says that the client gets no answer."""


class ProxyAnswerError(Exception):
    """The fault says that something in front of Stripe answers."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.status)
        self.answer = Answer(fault.status, json.dumps(fault.body).encode(), {})


@dataclass(slots=True)
class Answer:
    """What goes back to the client."""

    status: int
    body: bytes
    headers: dict[str, str]
    content_type: str = "application/json"


class Pipeline:
    """Answers API requests against the state of one twin."""

    def __init__(
        self,
        state: TwinState,
        faults: Faults,
        journal: RequestJournal,
        router: Router,
        seed: int | None = None,
    ) -> None:
        self._state = state
        self._faults = faults
        self._journal = journal
        self._router = router
        self._limits = Limits(state.shared.settings)
        self._travels = random.Random(seed)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request."""
        raw = await request.read()
        clock = self._state.shared.clock
        clock.run_due()
        seen = SeenRequest(
            request_id=self._state.shared.identifiers.new("req"),
            time=clock.time(),
            method=request.method,
            path=request.path,
            idempotency_key=request.headers.get("Idempotency-Key"),
            body_hash=blake2b(
                comparable(request.headers.get("Content-Type", ""), raw), digest_size=16
            ).hexdigest(),
        )
        self._journal.add(seen)
        try:
            await self._suffer_outage()
            answer = await self._answer(request, raw, seen)
        except ApiError as failure:
            answer = _failed(failure)
        except ProxyAnswerError as proxy:
            answer = proxy.answer
        except ConnectionCutError:
            _cut(request)
            return web.Response(status=500)
        finally:
            clock.run_due()
        self._journal.answer(seen, answer.status)
        answer.headers["Request-Id"] = seen.request_id
        answer.headers["Stripe-Version"] = API_VERSION
        if seen.idempotency_key is not None:
            answer.headers["Idempotency-Key"] = seen.idempotency_key
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers=answer.headers,
            content_type=answer.content_type,
        )

    async def _suffer_outage(self) -> None:
        match self._faults.outage:
            case "reset":
                raise ConnectionCutError
            case "error":
                raise api_error(503, stored=False)
            case "hang":
                await self._faults.wait_out()
                raise ConnectionCutError

    async def _answer(self, request: web.BaseRequest, raw: bytes, seen: SeenRequest) -> Answer:
        account = authenticate(request.headers, self._state.accounts_by_key)
        seen.account = account.account_id
        version = request.headers.get("Stripe-Version", API_VERSION)
        if version != API_VERSION:
            raise invalid_request(
                f"Invalid Stripe API version: {version}. This twin models {API_VERSION} only.",
                stored=False,
            )
        self._limits.admit(account.account_id, seen.method, seen.path, seen.time)
        with self._limits.under_way(account.account_id, seen.method, seen.path):
            return await self._admitted(account, request, raw, seen)

    async def _admitted(
        self, account: TwinAccount, request: web.BaseRequest, raw: bytes, seen: SeenRequest
    ) -> Answer:
        chosen = self._faults.choose(seen.method, seen.path, account.names)
        for active in chosen:
            _fail_at_the_door(active)
        # A course may be replaced while the request is under way.
        course = account.course
        ending = await self._travel(account, course)
        if seen.method == "POST":
            answer = await self._post(account, request, raw, seen, chosen)
        else:
            await _delay(chosen, "before")
            answer = self._execute(account, seen, queried(request.query_string))
        await _fail_afterwards(chosen)
        if ending is Ending.TIMED_OUT and course is not None:
            await course.hang()
            raise ConnectionCutError
        return answer

    async def _travel(self, account: TwinAccount, course: ActiveCourse | None) -> Ending:
        """What every request to the account's region takes, and what its course has it come to.
        Raises ApiError where that keeps it from the endpoint."""
        latency = (account.platform or account).latency
        if latency.seconds or latency.jitter_seconds:
            await asyncio.sleep(latency.draw(self._travels))
        if course is None:
            return Ending.ANSWERED
        ending, seconds = course.draw()
        if ending is Ending.RATE_LIMITED:
            raise rate_limited()
        await asyncio.sleep(seconds)
        if ending is Ending.ERROR:
            raise api_error(503, stored=False)
        return ending

    async def _post(
        self,
        account: TwinAccount,
        request: web.BaseRequest,
        raw: bytes,
        seen: SeenRequest,
        chosen: list[ActiveFault],
    ) -> Answer:
        key = seen.idempotency_key
        if key is None:
            if self._state.shared.settings.strict_idempotency:
                raise invalid_request(
                    "This twin refuses POST requests without an Idempotency-Key header.",
                    code="idempotency_key_missing",
                    stored=False,
                )
            await _delay(chosen, "before")
            return self._execute(account, seen, posted(request, raw))
        body = comparable(request.headers.get("Content-Type", ""), raw)
        stored = account.keys.begin(key, seen.path, body, seen.time)
        if stored is not None:
            await _delay(chosen, "before")
            seen.replayed = True
            headers = {"Idempotent-Replayed": "true", "Original-Request": stored.request_id}
            return Answer(stored.status, stored.body, headers)
        finished = False
        try:
            await _delay(chosen, "before")
            answer = self._attempt(account, request, raw, seen, chosen)
            account.keys.finish(key, StoredAnswer(answer.status, answer.body, seen.request_id))
            finished = True
            return answer
        finally:
            if not finished:
                account.keys.release(key)

    def _attempt(
        self,
        account: TwinAccount,
        request: web.BaseRequest,
        raw: bytes,
        seen: SeenRequest,
        chosen: list[ActiveFault],
    ) -> Answer:
        """The answer that the key keeps. Raises ApiError for one that it does not keep."""
        stored_errors = [
            active.fault
            for active in chosen
            if active.fault.kind is FaultKind.ERROR and active.fault.stored
        ]
        for fault in stored_errors:
            if fault.when == "before":
                return _failed(api_error(fault.status, stored=True))
        try:
            answer = self._execute(account, seen, posted(request, raw))
        except ApiError as failure:
            if not failure.stored:
                raise
            answer = _failed(failure)
        if stored_errors:
            return _failed(api_error(stored_errors[0].status, stored=True))
        return answer

    def _execute(self, account: TwinAccount, seen: SeenRequest, form: dict[str, Any]) -> Answer:
        found = self._router.find(seen.method, seen.path)
        if found is None:
            raise unknown_route(seen.method, seen.path)
        route, path = found
        params = check_params(route.params, form)
        origin = Origin(seen.request_id, seen.idempotency_key)
        seen.acted = True
        answer = route.handler(Call(account, path, params, origin))
        if isinstance(answer, Content):
            return Answer(200, answer.body, {}, answer.content_type)
        paths = params.get("expand")
        if paths:
            answer = expand(account, answer, paths)
        return Answer(200, render_bytes(answer), {})


async def _delay(chosen: list[ActiveFault], when: str) -> None:
    for active in chosen:
        if active.fault.when != when:
            continue
        if active.fault.kind in (FaultKind.LATENCY, FaultKind.BROWN_OUT):
            await asyncio.sleep(active.delay_seconds())
        elif active.fault.kind is FaultKind.HANG:
            await active.hang()
            raise ConnectionCutError


async def _fail_afterwards(chosen: list[ActiveFault]) -> None:
    await _delay(chosen, "after")
    for active in chosen:
        if active.fault.when != "after":
            continue
        if active.fault.kind is FaultKind.RESET:
            raise ConnectionCutError
        if active.fault.kind is FaultKind.ERROR and not active.fault.stored:
            raise api_error(active.fault.status, stored=False)
        if active.fault.kind is FaultKind.PROXY:
            raise ProxyAnswerError(active.fault)


def _fail_at_the_door(active: ActiveFault) -> None:
    fault = active.fault
    if fault.kind is FaultKind.RATE_LIMIT:
        raise rate_limited()
    if fault.kind is FaultKind.LOCK_TIMEOUT:
        raise lock_timeout()
    if fault.when == "before":
        if fault.kind is FaultKind.RESET:
            raise ConnectionCutError
        if fault.kind is FaultKind.ERROR and not fault.stored:
            raise api_error(fault.status, stored=False)
        if fault.kind is FaultKind.PROXY:
            raise ProxyAnswerError(fault)


def _failed(failure: ApiError) -> Answer:
    body = render_bytes({"error": failure.error})
    return Answer(failure.status, body, dict(failure.headers))


def _cut(request: web.BaseRequest) -> None:
    """Closes the connection by a reset, so that the client sees no orderly end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()
