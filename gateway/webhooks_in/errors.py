"""How the buffer of webhooks fails: none of it reaches a caller but as 413 or 503."""


class BufferUnavailableError(Exception):
    """The event may not have been stored, or nothing can be taken out: try again later.

    `reason` names the kind of problem and quotes nothing.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EventTooLargeError(Exception):
    """The buffer takes no event of this size, however often it is tried."""
