"""Tells within a process whose evidence has changed, so that who waits for it looks at once.

Nothing depends on it: whoever waits for evidence looks by itself after a while, too.
"""

from collections.abc import Iterable

from runtime.notifier import Notifier

# Subjects that are remembered to have changed; with more of them it is about everybody.
MAX_CHANGED = 1_000


class EvidenceNews:
    """Whose evidence has changed since somebody last asked. Everybody's, if it cannot be said."""

    def __init__(self) -> None:
        self.notifier = Notifier()
        self._subjects: set[str] = set()
        self._everybody = False

    def about(self, subject_ids: Iterable[str]) -> None:
        """The evidence of these subjects may be another now."""
        self._subjects.update(subject_ids)
        if len(self._subjects) > MAX_CHANGED:
            self.about_everybody()
            return
        self.notifier.notify()

    def about_everybody(self) -> None:
        """A list, say, is another now."""
        self._everybody = True
        self._subjects.clear()
        self.notifier.notify()

    def take(self) -> tuple[list[str], bool]:
        """The subjects since the last time, and whether it is about everybody."""
        news = (sorted(self._subjects), self._everybody)
        self._subjects, self._everybody = set(), False
        return news
