"""What the C library's allocator keeps of the memory that was freed.

glibc keeps it for the next request, in a heap per thread. After a crowd of large requests that is
several times what the process needs, for ever. On other C libraries this does nothing.
"""

import ctypes

# mallopt(3): parameters.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
# Blocks of this size or more go back to the system when they are freed. Left to itself, glibc
# moves the threshold up to the largest block that it has seen freed.
OWN_PAGES_BYTES = 256 * 1024
# The event loop, gRPC's threads and those for work beside: more heaps are more that is kept.
ARENAS = 2

_libc = ctypes.CDLL(None)


def prepare() -> None:
    """Called once, at the start of a process that serves."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_MMAP_THRESHOLD, OWN_PAGES_BYTES)
        _libc.mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Gives free memory back to the system; takes some milliseconds, without the GIL."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
