"""Places in the gateway's feeds: an epoch, which a restore of it begins, and a sequence."""

from collections.abc import Mapping

# Revisions after a restore of the gateway come after all of those before it.
EPOCH_BITS = 40


def cursor_of(epoch: int, sequence: int) -> str:
    """A place as it is kept, `<epoch>:<sequence>`."""
    return f"{epoch}:{sequence}"


def place_of(cursor: str) -> tuple[int, int]:
    """The epoch and the sequence of a cursor; of an empty one the beginning."""
    epoch, _, sequence = cursor.partition(":")
    return int(epoch or 0), int(sequence or 0)


def cursor_after_restore(place: Mapping[str, str]) -> str:
    """Where the new epoch begins, as the gateway says it."""
    return f"{place['epoch']}:{place['after_sequence']}"


def revision_of(epoch: int, sequence: int) -> int:
    """Of what a change tells: later ones are higher, in later epochs too."""
    return (epoch << EPOCH_BITS) + sequence
