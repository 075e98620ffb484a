"""SQL that survives a column that a later release adds: what is written and answered is named.

The rules are in docs/upgrades.md; tests/e2e/test_upgrades.py shows them on a running engine.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table, insert, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

PROJECT = Path(__file__).parent.parent
PACKAGES = ("runtime", "ledger", "gateway", "compliance", "reconciliation", "warehouse")
COMMENT = re.compile(r"--[^\n]*")
LITERAL = re.compile(r"'(?:[^']|'')*'")
INNERMOST = re.compile(r"\([^()]*\)")
INSERT = re.compile(r"\bINSERT\s+INTO\b", re.IGNORECASE)
INSERT_WITH_COLUMNS = re.compile(
    r"\bINSERT\s+INTO\s+[\w.\"{}]+(?:\s+AS\s+\w+)?\s*\((?!\s*(?:SELECT|VALUES|WITH)\b)",
    re.IGNORECASE,
)
ANSWER = re.compile(
    r"\b(?:SELECT|RETURNING)\b(.*?)(?=\bFROM\b|\bUNION\b|\bSELECT\b|;|$)", re.IGNORECASE | re.DOTALL
)
DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
EVERYTHING = re.compile(r"(?:\w+\.)?\*")


def sql_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((PROJECT / package).rglob("*.sql"))


def texts_in_python() -> Iterator[tuple[str, str]]:
    """Every string of the code that is SQL, with its place; parts of an f-string are joined."""
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
                continue
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            parts = {
                id(part)
                for node in nodes
                if isinstance(node, ast.JoinedStr)
                for part in node.values
            }
            for node in nodes:
                text = "" if id(node) in parts else text_of(node)
                if re.match(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\s", text):
                    yield f"{path.relative_to(PROJECT)}:{node.lineno}", text  # type: ignore[attr-defined]


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "x" for part in node.values)
    return ""


def unnamed_writes(text: str) -> int:
    """How many INSERTs do not name their columns."""
    bare = LITERAL.sub("''", COMMENT.sub("", text))
    return len(INSERT.findall(bare)) - len(INSERT_WITH_COLUMNS.findall(bare))


def unnamed_answers(text: str) -> list[str]:
    """The `*` among what the statement itself answers; subqueries are replanned without harm."""
    outside = LITERAL.sub("''", COMMENT.sub("", text))
    while INNERMOST.search(outside):
        outside = INNERMOST.sub(" ", outside)
    return [
        item.strip()
        for answer in ANSWER.findall(outside)
        for item in answer.split(",")
        if EVERYTHING.fullmatch(item.strip())
    ]


def test_the_rules_find_what_they_are_for() -> None:
    assert unnamed_writes("INSERT INTO a SELECT b.* FROM b") == 1
    assert unnamed_writes("INSERT INTO a VALUES (1)") == 1
    assert unnamed_writes("INSERT INTO a (SELECT 1)") == 1
    assert unnamed_writes("WITH c AS (INSERT INTO a OVERRIDING USER VALUE SELECT 1) SELECT 1") == 1
    assert unnamed_writes("INSERT INTO a AS b (c, d) VALUES (1, 2)") == 0
    assert unnamed_answers("SELECT * FROM a") == ["*"]
    assert unnamed_answers("SELECT a.id, b.* FROM a") == ["b.*"]
    assert unnamed_answers("UPDATE a SET b = 1 RETURNING a.*") == ["a.*"]
    assert unnamed_answers("WITH c AS (SELECT * FROM a) SELECT count(*), 2 * c.n FROM c") == []


@pytest.mark.parametrize("path", list(sql_files()), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_file_names_the_columns_that_it_writes_and_answers(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert unnamed_writes(text) == 0
    if "migrations" not in path.parts:
        assert unnamed_answers(text) == []


def test_statements_in_the_code_name_their_columns() -> None:
    texts = dict(texts_in_python())
    assert len(texts) > 10
    assert [place for place, text in texts.items() if unnamed_writes(text)] == []
    assert [place for place, text in texts.items() if unnamed_answers(text)] == []


def tables() -> Iterator[Table]:
    """Every table that SQLAlchemy is told of."""
    seen = set()
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if not re.search(
                r"^[A-Z_]+ = Table\($", path.read_text(encoding="utf-8"), re.MULTILINE
            ):
                continue
            module = importlib.import_module(
                ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            )
            for value in vars(module).values():
                if isinstance(value, Table) and value.name not in seen:
                    seen.add(value.name)
                    yield value


def test_sqlalchemy_names_them_too() -> None:
    found = list(tables())
    assert len(found) > 20
    for table in found:
        for statement in (insert(table), select(table), insert(table).returning(table)):
            text = str(statement.compile(dialect=DIALECT))
            assert unnamed_writes(text) == 0
            assert unnamed_answers(text) == []
