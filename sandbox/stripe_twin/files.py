"""Files that a platform hands in for a connected account: https://docs.stripe.com/file-upload.

What may be uploaded for which purpose is that page's table. Their contents are not kept: nobody can
download a document again that was uploaded for verification. Files that Stripe makes, of reports,
can be read at their `url` with the account's key, until they expire.
"""

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, Content
from sandbox.stripe_twin.errors import invalid_request, missing
from sandbox.stripe_twin.multipart import Upload
from sandbox.stripe_twin.store import JsonObject

_MEGABYTE = 1024 * 1024
# How files of the types begin, by the word that Stripe has for each.
_SIGNATURES = {"jpg": b"\xff\xd8\xff", "pdf": b"%PDF-", "png": b"\x89PNG\r\n\x1a\n"}
# The largest that the page names, by purpose.
_LARGEST_BYTES = {
    "account_requirement": 64 * _MEGABYTE,
    "additional_verification": 64 * _MEGABYTE,
    "dispute_evidence": 5 * _MEGABYTE,
    "identity_document": 32 * _MEGABYTE,
}


def create_file(call: Call) -> JsonObject:
    """POST /v1/files."""
    purpose, given = call.params["purpose"], call.params["file"]
    if purpose not in _LARGEST_BYTES:
        known = ", ".join(sorted(_LARGEST_BYTES))
        raise invalid_request(f"Invalid purpose: must be one of {known}", param="purpose")
    if not isinstance(given, Upload):
        raise invalid_request("Invalid file: it has to be uploaded", param="file")
    if not given.content:
        raise invalid_request("The file you uploaded is empty.", param="file")
    if len(given.content) > _LARGEST_BYTES[purpose]:
        raise invalid_request(
            f"File is too large: the largest for {purpose} is {_LARGEST_BYTES[purpose]} bytes.",
            code="file_too_large",
            param="file",
        )
    kind = _type_of(given.content)
    if kind is None:
        raise invalid_request(
            f"File type is not supported for the purpose {purpose}.", param="file"
        )
    return _add(
        call.account, len(given.content), purpose=purpose, kind=kind, file_name=given.file_name
    )


def add_file(
    account: TwinAccount,
    content: bytes,
    *,
    purpose: str,
    kind: str,
    file_name: str,
    lasts_seconds: int,
) -> JsonObject:
    """A file that Stripe has made, which can be read until it expires."""
    file = _add(account, len(content), purpose=purpose, kind=kind, file_name=file_name)
    account.file_contents[file["id"]] = content
    file["expires_at"] = account.now() + lasts_seconds
    file["url"] = f"{account.shared.public_url}/v1/files/{file['id']}/contents"
    return file


def _add(
    account: TwinAccount, size: int, *, purpose: str, kind: str, file_name: str | None
) -> JsonObject:
    identifier = account.new_id("file")
    return account.objects("file").add(
        {
            "id": identifier,
            "object": "file",
            "created": account.now(),
            "expires_at": None,
            "filename": file_name,
            "links": {
                "object": "list",
                "data": [],
                "has_more": False,
                "url": f"/v1/file_links?file={identifier}",
            },
            "purpose": purpose,
            "size": size,
            "title": None,
            "type": kind,
            "url": None,
        }
    )


def read_contents(call: Call) -> Content:
    """GET /v1/files/{file}/contents, on the host of files at Stripe."""
    file = call.objects("file").get(call.path["file"], "file")
    content = content_of(call.account, file)
    if content is None:
        raise missing("file", file["id"], "file")
    return content


def content_of(account: TwinAccount, file: JsonObject) -> Content | None:
    """A file's bytes; None if they are not kept, or no longer."""
    content = account.file_contents.get(file["id"])
    if content is None or file["expires_at"] <= account.now():
        return None
    return Content(content, "text/csv")


def retrieve_file(call: Call) -> JsonObject:
    """GET /v1/files/{file}."""
    return call.objects("file").get(call.path["file"], "file")


def list_files(call: Call) -> JsonObject:
    """GET /v1/files, by `purpose` and `created`."""
    purpose = call.params.get("purpose")
    return call.objects("file").page(
        "/v1/files", call.params, lambda item: purpose is None or item["purpose"] == purpose
    )


def _type_of(content: bytes) -> str | None:
    for kind, signature in _SIGNATURES.items():
        if content.startswith(signature):
            return kind
    return None
