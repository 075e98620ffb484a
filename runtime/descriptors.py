"""The descriptors of this process: how many there are, and whether one is missing.

Each connection takes one. When none is left, a connection to anybody fails, which says nothing of
whom it was for: it is never counted as the fault of Stripe or of a client's endpoint.
"""

import errno
import os
import resource
import socket

# Errors of open(2), socket(2) and connect(2) that are about this machine, not about the peer.
_OWN_FAULTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# How deep an error is looked into for the one that it comes from.
_MAX_CAUSES = 8


def soft_limit() -> int:
    """How many descriptors this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def is_own_shortage(error: BaseException) -> bool:
    """Whether a connection failed because this machine had nothing left to make it with.

    Looking a name up needs descriptors too, and says of a failure only that there was one (as does
    a connection that was tried at several addresses): then it is tried whether there is one now.
    """
    found: BaseException | None = error
    unclear = False
    for _ in range(_MAX_CAUSES):
        if found is None:
            break
        if isinstance(found, OSError):
            if isinstance(found, socket.gaierror) or found.errno is None:
                unclear = True
            elif found.errno in _OWN_FAULTS:
                return True
        found = getattr(found, "os_error", None) or found.__cause__
    return unclear and not _one_is_left()


def _one_is_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in _OWN_FAULTS
    return True
