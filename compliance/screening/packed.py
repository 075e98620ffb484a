"""Strings, numbers and maps packed into one run of bytes, which a process uses as it lies there.

Reading takes the bytes over without making an object for each thing in them: a process that maps a
file of megabytes has it within a millisecond, and shares its memory with whoever wrote it. Written
once, then only read; by processes of one machine, since numbers are in its byte order.

    8 bytes: the header's length · header: JSON, {section: [offset, length]} · sections, aligned
"""

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Literal
from zlib import crc32

ALIGNMENT = 8
# Unsigned, four bytes: an array of numbers holds at most so many, and none above.
NUMBER: Literal["I"] = "I"
MAX_NUMBER = 2**32 - 1
SEPARATOR = "\n"
# Slots of a map for each of its keys, at least: half of them stay free.
SLOTS_PER_KEY = 2


class Packing:
    """Collects sections, each by a name of its own."""

    def __init__(self) -> None:
        self._sections: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> None:
        """Adds a section as it is."""
        assert name not in self._sections, name
        self._sections[name] = content

    def numbers(self, name: str, values: Iterable[int]) -> None:
        """Adds numbers of 0 to MAX_NUMBER."""
        self.add(name, array(NUMBER, values).tobytes())

    def floats(self, name: str, values: Iterable[float]) -> None:
        self.add(name, array("d", values).tobytes())

    def strings(self, name: str, texts: Iterable[str]) -> None:
        """Adds texts, each without the separator, by their place."""
        encoded = [text.encode() for text in texts]
        # Each is followed by the separator, the last one, too.
        self.add(f"{name}.text", SEPARATOR.encode().join([*encoded, b""]))
        lengths = (len(text) + 1 for text in encoded)
        self.numbers(f"{name}.ends", accumulate(lengths, initial=0))

    def keys(self, name: str, texts: Sequence[str]) -> None:
        """Adds texts, each once, that are found by what they say (open addressing)."""
        self.strings(name, texts)
        size = 1 << max(1, (SLOTS_PER_KEY * len(texts) - 1).bit_length())
        slots = array(NUMBER, bytes(4 * size))
        for number, text in enumerate(texts):
            place = crc32(text.encode()) & (size - 1)
            while slots[place]:
                place = (place + 1) & (size - 1)
            slots[place] = number + 1
        self.add(f"{name}.slots", slots.tobytes())

    def groups(self, name: str, groups: Iterable[Sequence[int]]) -> None:
        """Adds numbers in groups, by the group's place."""
        items = array(NUMBER)
        ends = [0]
        for group in groups:
            items.extend(group)
            ends.append(len(items))
        self.add(f"{name}.items", items.tobytes())
        self.numbers(f"{name}.ends", ends)

    def keyed_groups(self, name: str, groups: Mapping[str, Sequence[int]]) -> None:
        """Adds numbers in groups, by the group's key."""
        self.keys(name, list(groups))
        self.groups(f"{name}.groups", groups.values())

    def to_bytes(self) -> bytes:
        """Everything that was added, for `Packed`."""
        places: dict[str, tuple[int, int]] = {}
        offset = 0
        for name, content in self._sections.items():
            places[name] = (offset, len(content))
            offset += len(content) + -len(content) % ALIGNMENT
        header = json.dumps(places).encode()
        header += b" " * (-len(header) % ALIGNMENT)
        parts = [len(header).to_bytes(ALIGNMENT, "little"), header]
        for content in self._sections.values():
            parts += [content, bytes(-len(content) % ALIGNMENT)]
        return b"".join(parts)


class Packed:
    """The sections of packed bytes. What is read of them lies in these bytes."""

    def __init__(self, content: memoryview) -> None:
        length = int.from_bytes(content[:ALIGNMENT], "little")
        self._content = content[ALIGNMENT + length :]
        self._places = json.loads(bytes(content[ALIGNMENT : ALIGNMENT + length]))
        self.size = len(content)

    def section(self, name: str) -> memoryview:
        offset, length = self._places[name]
        return self._content[offset : offset + length]

    def numbers(self, name: str) -> "memoryview[int]":
        return self.section(name).cast("B").cast(NUMBER)

    def floats(self, name: str) -> "memoryview[float]":
        return self.section(name).cast("B").cast("d")


class PackedStrings:
    """Texts by their place."""

    def __init__(self, packed: Packed, name: str) -> None:
        self._text = packed.section(f"{name}.text")
        self._ends = packed.numbers(f"{name}.ends")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        return str(self.raw(number), "utf-8")

    def raw(self, number: int) -> memoryview:
        """A text in UTF-8."""
        return self._text[self._ends[number] : self._ends[number + 1] - 1]

    def all(self) -> list[str]:
        """Every text: takes a millisecond for some ten thousand words."""
        return str(self._text, "utf-8").split(SEPARATOR)[:-1]


class PackedKeys(PackedStrings):
    """Texts by their place, and the other way round."""

    def __init__(self, packed: Packed, name: str) -> None:
        super().__init__(packed, name)
        self._slots = packed.numbers(f"{name}.slots")
        self._mask = len(self._slots) - 1

    def find(self, text: str) -> int | None:
        """A text's place; None if it is not there."""
        wanted = text.encode()
        slots, mask = self._slots, self._mask
        place = crc32(wanted) & mask
        while number := slots[place]:
            if self.raw(number - 1) == wanted:
                return number - 1
            place = (place + 1) & mask
        return None


class PackedGroups:
    """Groups of numbers by their place."""

    def __init__(self, packed: Packed, name: str) -> None:
        # Group n is items[ends[n] : ends[n + 1]], for those who read many.
        self.items = packed.numbers(f"{name}.items")
        self.ends = packed.numbers(f"{name}.ends")

    def __getitem__(self, number: int) -> "memoryview[int]":
        return self.items[self.ends[number] : self.ends[number + 1]]


class PackedKeyedGroups:
    """Groups of numbers by the group's key."""

    def __init__(self, packed: Packed, name: str) -> None:
        self._keys = PackedKeys(packed, name)
        self._groups = PackedGroups(packed, f"{name}.groups")

    def get(self, key: str) -> Sequence[int]:
        """The group; empty if there is none."""
        number = self._keys.find(key)
        return () if number is None else self._groups[number]
