"""Calls of a ledger by their request alone; what fails is an answer like any other."""

from typing import Any

import grpc

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.error_reason_pb2 import ErrorReason
from runtime.errors import from_rpc_error
from tests.ledger.naive.refused import Failure

# Method and the field of the response that is the answer; None is the whole response.
METHODS: dict[type, tuple[str, str | None]] = {
    mutations.CreateTransactionRequest: ("CreateTransaction", "transaction"),
    mutations.PostTransactionRequest: ("PostTransaction", "transaction"),
    mutations.VoidTransactionRequest: ("VoidTransaction", "transaction"),
    mutations.ReverseTransactionRequest: ("ReverseTransaction", "transaction"),
    mutations.BatchCreateTransactionsRequest: ("BatchCreateTransactions", None),
    accounts.CreateAccountRequest: ("CreateAccount", "account"),
    accounts.BatchCreateAccountsRequest: ("BatchCreateAccounts", None),
    accounts.CloseAccountRequest: ("CloseAccount", "account"),
    balances.GetBalanceRequest: ("GetBalance", None),
    balances.GetTrialBalanceRequest: ("GetTrialBalance", None),
    entries.ListEntriesRequest: ("ListEntries", None),
    reads.GetTransactionRequest: ("GetTransaction", None),
    reads.ListTransactionsRequest: ("ListTransactions", None),
    accounts.GetAccountRequest: ("GetAccount", None),
    accounts.ListAccountsRequest: ("ListAccounts", None),
}
# The field of each list that grows from page to page.
LISTS: dict[type, str] = {
    balances.GetBalanceRequest: "holds",
    balances.GetTrialBalanceRequest: "lines",
    entries.ListEntriesRequest: "entries",
    reads.ListTransactionsRequest: "transactions",
    accounts.ListAccountsRequest: "accounts",
}
MAX_PAGES = 1_000


async def call(stub: Any, request: Any) -> Any:
    """The answer to a request: a message, or the failure with its words."""
    method, field = METHODS[type(request)]
    try:
        response = await getattr(stub, method)(request)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return getattr(response, field) if field else response


async def call_all_pages(stub: Any, request: Any) -> Any:
    """The same; of a list all pages, put together, which must agree on all else."""
    field = LISTS.get(type(request))
    whole = await call(stub, request)
    if field is None or not hasattr(whole, "next_page_token"):
        return whole
    asked = type(request)()
    asked.CopyFrom(request)
    token = rest_of(whole)
    for _ in range(MAX_PAGES):
        if not token:
            return whole
        assert len(getattr(whole, field)) % request.page_size == 0, "a page was not full"
        asked.page_token = token
        page = await call(stub, asked)
        token = rest_of(page)
        getattr(whole, field).extend(getattr(page, field))
        page.ClearField(field)
        rest = type(whole)()
        rest.CopyFrom(whole)
        rest.ClearField(field)
        assert page == rest, "pages of one list speak of different points"
    raise AssertionError("a list without an end")


def rest_of(page: Any) -> str:
    """Where the next page begins, taken off the page with what says that there is one."""
    token: str = page.next_page_token
    page.ClearField("next_page_token")
    if "more_holds" in page.DESCRIPTOR.fields_by_name:
        assert page.more_holds == bool(token)
        page.ClearField("more_holds")
    return token


def wordless(answer: Any) -> Any:
    """An answer without the words that the contract leaves open."""
    if hasattr(answer, "reason") and hasattr(answer, "violations"):
        return Failure(answer.reason, answer.code.name, dict(answer.metadata))
    if isinstance(answer, mutations.BatchCreateTransactionsResponse):
        bare = mutations.BatchCreateTransactionsResponse()
        bare.CopyFrom(answer)
        for result in bare.results:
            if result.HasField("failure"):
                reason = ErrorReason.Name(result.failure.reason)
                # A short answer has neither.
                has_words = bool(result.failure.message)
                assert has_words or not result.failure.metadata, f"no words for {reason}"
                result.failure.ClearField("message")
        return bare
    return answer
