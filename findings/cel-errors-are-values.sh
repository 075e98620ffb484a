#!/usr/bin/env bash
# cel-expr-python: what fails is mostly an answer, and the answer is true; some of it is raised.
#
# Guess: eval() of a compiled expression of type bool answers True or False, and raises if it cannot
# (a division by zero, a number too large, a list that is too short, a fact of another type).
# Seen with cel-expr-python 0.1.3 (2026-11): these do not raise. eval() answers a Value of type ERROR
# whose value() is a text, which is true; plain_value() is the same text, and return_type() still says
# BOOL. `if expression.eval(data=facts).value():` takes every such error for a yes. The budget of
# iterations, however, is raised as RuntimeError. datetime.max, which data often has for "no end", is such
# an error too: it is read as an infinite time, beyond the largest that CEL has.
#
#   division by zero: ERROR, 'INVALID_ARGUMENT: divide by zero'
#   beyond the list: ERROR, 'UNKNOWN: Index error: index=2 size=2'
#   beyond 64 bits: ERROR, 'OUT_OF_RANGE: int too big to convert'
#   no end: ERROR, 'INVALID_ARGUMENT: Timestamp "infinite-future" above maximum allowed timestamp "9999-12-31T23:59:59.999999999Z"'
#   many steps: raised RuntimeError: INTERNAL: Iteration budget exceeded [INTERNAL]
#
# Here: an answer counts only if its type is BOOL and its value is True (compliance/checks/expressions.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check cel-expr-python==0.1.3 protobuf==7.36.2
cat > "$folder/run.py" <<'PY'
from datetime import UTC, datetime

from cel_expr_python.cel import NewEnv, Type

types = {"amount": Type.INT, "codes": Type.List(Type.STRING), "until": Type.TIMESTAMP}
facts = {"amount": 5, "codes": ["DE", "FR"], "until": datetime(2026, 1, 1, tzinfo=UTC)}
many = str(list(range(101)))
SEEN = {
    "division by zero": ("10 / (amount - 5) > 1", {}),
    "beyond the list": ("codes[2] == 'IT'", {}),
    "beyond 64 bits": ("amount > 1", {"amount": 2**63}),
    "no end": ("until > timestamp('2026-01-01T00:00:00Z')", {"until": datetime.max.replace(tzinfo=UTC)}),
    "many steps": (f"{many}.exists(a, {many}.exists(b, a + b < 0))", {}),
}
for name, (text, changes) in SEEN.items():
    expression = NewEnv(variables=types).compile(text)
    assert expression.return_type() == Type.BOOL
    try:
        value = expression.eval(data={**facts, **changes})
    except RuntimeError as error:
        print(f"{name}: raised RuntimeError: {error}")
    else:
        assert bool(value.value()), "an error is true"
        print(f"{name}: {value.type().name()}, {value.value()!r}")
PY
"$folder/env/bin/python" "$folder/run.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
division by zero: ERROR, 'INVALID_ARGUMENT: divide by zero'
beyond the list: ERROR, 'UNKNOWN: Index error: index=2 size=2'
beyond 64 bits: ERROR, 'OUT_OF_RANGE: int too big to convert'
no end: ERROR, 'INVALID_ARGUMENT: Timestamp "infinite-future" above maximum allowed timestamp "9999-12-31T23:59:59.999999999Z"'
many steps: raised RuntimeError: INTERNAL: Iteration budget exceeded [INTERNAL]
SEEN
