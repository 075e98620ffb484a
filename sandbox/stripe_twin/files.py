"""Files that a platform hands in for a connected account: https://docs.stripe.com/file-upload.

What may be uploaded for which purpose is that page's table. Their contents are not kept: nobody can
download a document again that was uploaded for verification.
"""

from sandbox.stripe_twin.calls import Call
from sandbox.stripe_twin.errors import invalid_request
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
    account = call.account
    identifier = account.new_id("file")
    return call.objects("file").add(
        {
            "id": identifier,
            "object": "file",
            "created": account.now(),
            "expires_at": None,
            "filename": given.file_name,
            "links": {
                "object": "list",
                "data": [],
                "has_more": False,
                "url": f"/v1/file_links?file={identifier}",
            },
            "purpose": purpose,
            "size": len(given.content),
            "title": None,
            "type": kind,
            "url": None,
        }
    )


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
