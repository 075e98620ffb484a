"""What a content is by how it begins (puremagic), and nothing of what the sender says of it."""

import puremagic

# No signature reaches further, and nothing beyond is looked at.
HEAD_BYTES = 4_096
_SAME = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "application/x-pdf": "application/pdf",
}


def content_type(content: bytes) -> str:
    """Its MIME type; empty if it begins like nothing that is known."""
    try:
        found = puremagic.magic_string(content[:HEAD_BYTES])
    except (puremagic.PureError, ValueError):
        return ""
    best = max(found, key=lambda match: match.confidence, default=None)
    name = best.mime_type if best is not None else ""
    return _SAME.get(name, name)
