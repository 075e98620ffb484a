"""Links by which a file can be read without a key, until they expire: Stripe's file links.

https://docs.stripe.com/api/file_links
"""

from sandbox.stripe_twin.accounts import TwinState
from sandbox.stripe_twin.calls import Call, Content, merge_metadata
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.files import content_of
from sandbox.stripe_twin.store import JsonObject

LINK = "file_link"
PATH = "/links/"
# Of the purposes that can be linked, those that the twin has files of.
_LINKED = frozenset({"dispute_evidence", "finance_report_run", "sigma_scheduled_query"})


def create_file_link(call: Call) -> JsonObject:
    """POST /v1/file_links."""
    account = call.account
    file = call.objects("file").get(call.params["file"], "file", 400)
    if file["purpose"] not in _LINKED:
        raise invalid_request(
            f"Files of the purpose {file['purpose']} cannot be linked.", param="file"
        )
    link: JsonObject = {
        "id": account.new_id("link"),
        "object": LINK,
        "created": account.now(),
        "expired": False,
        "expires_at": _moment(call, None),
        "file": file["id"],
        "livemode": False,
        "metadata": {},
        "url": f"{account.shared.public_url}{PATH}{account.shared.identifiers.token()}",
    }
    merge_metadata(link, call.params.get("metadata"))
    return call.objects(LINK).add(link)


def retrieve_file_link(call: Call) -> JsonObject:
    """GET /v1/file_links/{link}."""
    return _looked_at(call.objects(LINK).get(call.path["link"], "link"), call.account.now())


def list_file_links(call: Call) -> JsonObject:
    """GET /v1/file_links by file, expired and created."""
    wanted = {name: call.params[name] for name in ("file", "expired") if name in call.params}
    now = call.account.now()
    return call.objects(LINK).page(
        "/v1/file_links",
        call.params,
        lambda link: all(_looked_at(link, now)[name] == value for name, value in wanted.items()),
    )


def update_file_link(call: Call) -> JsonObject:
    """POST /v1/file_links/{link}: metadata, and when it expires; an expired one stays so."""
    link = _looked_at(call.objects(LINK).get(call.path["link"], "link"), call.account.now())
    if "expires_at" in call.params and link["expired"]:
        raise invalid_request("This link has expired.", param="expires_at")
    link["expires_at"] = _moment(call, link["expires_at"])
    merge_metadata(link, call.params.get("metadata"))
    return _looked_at(link, call.account.now())


def linked(state: TwinState, path: str) -> Content | None:
    """What is behind a link, which needs no key; None if there is none, or no longer."""
    for account in state.everyone():
        for link in account.objects(LINK):
            if link["url"].endswith(path) and not _looked_at(link, account.now())["expired"]:
                file = account.objects("file").find(link["file"])
                return content_of(account, file) if file is not None else None
    return None


def _moment(call: Call, before: int | None) -> int | None:
    given = call.params.get("expires_at", before)
    if given == "now":
        return call.account.now()
    if given == "":
        return None
    if given is not None and "expires_at" in call.params and given <= call.account.now():
        raise invalid_request("expires_at has to be in the future.", param="expires_at")
    moment: int | None = given
    return moment


def _looked_at(link: JsonObject, now: int) -> JsonObject:
    link["expired"] = link["expires_at"] is not None and link["expires_at"] <= now
    return link
