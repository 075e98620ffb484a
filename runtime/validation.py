"""Validation rules, declared once per message and enforced for every request by one interceptor.

A service lists the rules of each of its request messages and of each message nested in them.
The list is compiled when the service starts: a field without a rule, or a rule without a field,
is an error then, so no field of any request goes unlooked-at.

The same rules say which forms of a request mean the same. Handlers get, store and compare the
canonical one: see `runtime.idempotency`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from runtime.errors import FieldViolation
from runtime.quick_checks import compile_quick_checks
from runtime.rule import Finder, Normalise, Rule

# The search ends there; an error lists fewer, see runtime.errors.
MAX_FOUND_VIOLATIONS = 1_000
WELL_KNOWN_PACKAGE = "google.protobuf."


class Validator:
    """Finds what is wrong with a message by the rules of its type, and gives it its one form."""

    def __init__(self, rules: Mapping[type[Message], Sequence[Rule]]) -> None:
        self._finders: dict[str, list[Finder]] = {}
        # Of each type the fields that hold messages: name, whether repeated, their type.
        self.nested: dict[str, list[tuple[str, bool, str]]] = {}
        for message_type, listed in rules.items():
            name = message_type.DESCRIPTOR.full_name
            self._finders[name] = self._compile(message_type, listed)
            self.nested[name] = self._nested_fields(message_type.DESCRIPTOR)
        for message_type in rules:
            self._check_nested_types_have_rules(message_type.DESCRIPTOR)
        described = {m.DESCRIPTOR.full_name: (m.DESCRIPTOR, listed) for m, listed in rules.items()}
        self._is_right = compile_quick_checks(described, self.nested)
        self._is_canonical = compile_quick_checks(described, self.nested, forms=True)
        self._normalisers: dict[str, list[Normalise]] = {
            message_type.DESCRIPTOR.full_name: [
                rule.normalise for rule in listed if rule.normalise is not None
            ]
            for message_type, listed in rules.items()
        }
        self._normalised = self._fields_to_normalise()

    def knows(self, type_name: str) -> bool:
        """Whether the message type with this full name has rules."""
        return type_name in self._finders

    def prepare(self, request: Message) -> list[FieldViolation]:
        """What is wrong with a request; if nothing is, it is in its canonical form afterwards."""
        if self._is_canonical[request.DESCRIPTOR.full_name](request):
            return []
        found = self.violations(request)
        if not found:
            self.canonicalise(request)
        return found

    def canonicalise(self, message: Message) -> None:
        """Gives a message the one form of all that mean the same: what is at its default is left
        out, and so are the digits of times that are not kept. Its bytes are then comparable."""
        self._normalise(message, message.DESCRIPTOR.full_name)

    def violations(self, message: Message) -> list[FieldViolation]:
        """What is wrong with the message, in field order, at most `MAX_FOUND_VIOLATIONS` of it."""
        name = message.DESCRIPTOR.full_name
        return [] if self._is_right[name](message) else self.found_by_rules(message)

    def found_by_rules(self, message: Message) -> list[FieldViolation]:
        """The same, without the quick check first: every rule is asked."""
        return list(self._walk(message, message.DESCRIPTOR.full_name))[:MAX_FOUND_VIOLATIONS]

    def _walk(self, message: Any, kind: str) -> Sequence[FieldViolation]:
        """Violations with paths from this message: paths are only made where something is wrong."""
        found: list[FieldViolation] = []
        for find in self._finders[kind]:
            if problems := find(message):
                found.extend(FieldViolation(path, problem) for path, problem in problems)
        for name, is_repeated, nested in self.nested[kind]:
            if is_repeated:
                for index, item in enumerate(getattr(message, name)):
                    if inner := self._walk(item, nested):
                        found.extend(_below(f"{name}[{index}]", inner))
                        if len(found) >= MAX_FOUND_VIOLATIONS:
                            return found
            elif message.HasField(name) and (inner := self._walk(getattr(message, name), nested)):
                found.extend(_below(name, inner))
        return found

    def _normalise(self, message: Any, kind: str) -> None:
        for name, is_repeated, nested in self._normalised[kind]:
            if is_repeated:
                for item in getattr(message, name):
                    self._normalise(item, nested)
            elif message.HasField(name):
                self._normalise(getattr(message, name), nested)
        # After what is nested: that may have become empty.
        for normalise in self._normalisers[kind]:
            normalise(message)

    def _fields_to_normalise(self) -> dict[str, list[tuple[str, bool, str]]]:
        """Of each type the nested fields in which, however deep, there may be something to do."""
        concerned = {kind for kind, normalisers in self._normalisers.items() if normalisers}
        while True:
            more = {
                kind
                for kind, fields in self.nested.items()
                if kind not in concerned and any(nested in concerned for _, _, nested in fields)
            }
            if not more:
                break
            concerned |= more
        return {
            kind: [field for field in fields if field[2] in concerned]
            for kind, fields in self.nested.items()
        }

    @classmethod
    def _nested_fields(cls, descriptor: Any) -> list[tuple[str, bool, str]]:
        fields = sorted(descriptor.fields, key=lambda field: field.number)
        return [
            (field.name, field.is_repeated, field.message_type.full_name)
            for field in fields
            if cls._is_nested(field)
        ]

    @staticmethod
    def _is_nested(field: Any) -> bool:
        """Whether the field holds messages that have rules of their own."""
        kind = field.message_type
        return (
            kind is not None
            and not kind.GetOptions().map_entry
            and not kind.full_name.startswith(WELL_KNOWN_PACKAGE)
        )

    @staticmethod
    def _compile(message_type: type[Message], listed: Sequence[Rule]) -> list[Finder]:
        descriptor = message_type.DESCRIPTOR
        names = {field.name for field in descriptor.fields}
        oneofs = {oneof.name: {field.name for field in oneof.fields} for oneof in descriptor.oneofs}
        covered: set[str] = set()
        for rule in listed:
            if rule.field in names:
                covered.add(rule.field)
            elif rule.field not in oneofs:
                raise ValueError(f"{descriptor.full_name} has no field {rule.field!r}")
        if uncovered := names - covered:
            raise ValueError(f"{descriptor.full_name}: no rule for {sorted(uncovered)}")
        return [rule.bind(descriptor) for rule in listed]

    def _check_nested_types_have_rules(self, descriptor: Any) -> None:
        for field in descriptor.fields:
            if self._is_nested(field) and field.message_type.full_name not in self._finders:
                raise ValueError(
                    f"{descriptor.full_name}.{field.name}: "
                    f"{field.message_type.full_name} has no rules"
                )


def _below(path: str, violations: Sequence[FieldViolation]) -> list[FieldViolation]:
    return [FieldViolation(f"{path}.{v.field}", v.description) for v in violations]
