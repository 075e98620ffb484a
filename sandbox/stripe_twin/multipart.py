"""Bodies of `multipart/form-data`, as files are uploaded: https://docs.stripe.com/api/files/create"""

import re
from dataclasses import dataclass
from hashlib import blake2b

from sandbox.stripe_twin.errors import ApiError, invalid_request

MULTIPART = "multipart/form-data"
# Far above what an upload needs.
MAX_PARTS = 20

_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?')
_DISPOSITION = re.compile(rb"(?i)^content-disposition:[ \t]*form-data;(.*)$", re.MULTILINE)
_NAME = re.compile(rb'(?<!file)name="([^"]*)"')
_FILE_NAME = re.compile(rb'filename="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent."""

    file_name: str
    content: bytes


def decode_multipart(content_type: str, raw: bytes) -> dict[str, str | Upload]:
    """The parts by name: texts, and files. Raises ApiError (400)."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _broken("there is no boundary")
    delimiter = b"--" + found.group(1).encode()
    pieces = raw.split(b"\r\n" + delimiter)
    # The first delimiter may be the body's first line.
    pieces[0] = pieces[0].removeprefix(delimiter)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--") or len(pieces) > MAX_PARTS:
        raise _broken("it does not end as it says")
    form: dict[str, str | Upload] = {}
    for piece in pieces[:-1]:
        head, separator, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head.replace(b"\r\n", b"\n"))
        name = _NAME.search(disposition.group(1)) if disposition else None
        if not separator or disposition is None or name is None:
            raise _broken("a part has no name")
        file_name = _FILE_NAME.search(disposition.group(1))
        form[name.group(1).decode(errors="replace")] = (
            Upload(file_name.group(1).decode(errors="replace"), content)
            if file_name
            else content.decode(errors="replace")
        )
    return form


def comparable(content_type: str, raw: bytes) -> bytes:
    """A body of which equal parameters are equal bytes: each request has another boundary."""
    if not content_type.startswith(MULTIPART):
        return raw
    try:
        form = decode_multipart(content_type, raw)
    except ApiError:
        return raw
    fields = []
    for name, value in form.items():
        content = (
            value.file_name.encode() + b"/" + value.content
            if isinstance(value, Upload)
            else value.encode()
        )
        fields.append(name.encode() + b"=" + blake2b(content, digest_size=16).hexdigest().encode())
    return b"&".join(sorted(fields))


def _broken(why: str) -> ApiError:
    return invalid_request(f"Invalid multipart body: {why}", stored=False)
