"""Validation rules compiled to one Python function per message type.

Nearly every request is right, and a batch has thousands of messages; asking each rule of each of
them by a call of its own takes three times as long as one expression. A function made here answers
True only if nothing is wrong with a message and all that is in it; otherwise the rules are asked
one by one, which finds what is wrong and where.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.rule import Rule

QuickCheck = Callable[[Any], bool]
# Name of a field that holds messages, whether it is repeated, their type.
Nested = tuple[str, bool, str]


def compile_quick_checks(
    rules: Mapping[str, tuple[Any, Sequence[Rule]]],
    nested: Mapping[str, Sequence[Nested]],
    *,
    forms: bool = False,
) -> dict[str, QuickCheck]:
    """A function for each type; `rules` maps its full name to its descriptor and its rules.

    With `forms` it answers True only if all is in its canonical form, too.
    """
    functions = {name: f"check_{index}" for index, name in enumerate(rules)}
    # The functions know each other and the values of their rules by these names.
    scope: dict[str, Any] = {}
    for name, (descriptor, listed) in rules.items():
        source = _source(functions, name, descriptor, listed, nested[name], scope, forms)
        exec(compile(source, f"<rules of {name}>", "exec"), scope)  # noqa: S102 (our own source)
    return {name: scope[function] for name, function in functions.items()}


def _source(
    functions: Mapping[str, str],
    name: str,
    descriptor: Any,
    listed: Sequence[Rule],
    nested: Sequence[Nested],
    scope: dict[str, Any],
    forms: bool,
) -> str:
    lines = [f"def {functions[name]}(m):"]
    for rule in listed:
        quick = rule.quick(descriptor)
        if quick is None:
            continue
        names = [f"value_{len(scope) + offset}" for offset in range(len(quick.values))]
        scope.update(zip(names, quick.values, strict=True))
        conditions = [quick.source, quick.form] if forms else [quick.source]
        lines += [
            f"    if not ({condition.format(*names)}): return False"
            for condition in conditions
            if condition != "True"
        ]
    for field, is_repeated, kind in nested:
        if is_repeated:
            lines.append(f"    for item in m.{field}:")
            lines.append(f"        if not {functions[kind]}(item): return False")
        else:
            lines.append(f"    if m.HasField('{field}') and not {functions[kind]}(m.{field}):")
            lines.append("        return False")
    lines.append("    return True")
    return "\n".join(lines)
