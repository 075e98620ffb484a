"""Columns in PostgreSQL's binary format, read back by PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime import arrays
from runtime.connections import Connections

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOMENT = 1_767_614_400_123_456


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (arrays.int8s([0, -1, 2**63 - 1, -(2**63)]), [0, -1, 2**63 - 1, -(2**63)]),
        (arrays.int4s([1, -(2**31)]), [1, -(2**31)]),
        (arrays.int2s([1, -(2**15)]), [1, -(2**15)]),
        (arrays.nullable_int8s([None, 7, None]), [None, 7, None]),
        (arrays.nullable_int2s([None, None]), [None, None]),
        (
            arrays.texts(["", "é/\u20ac", None, "NULL", '"{,}']),
            ["", "é/\u20ac", None, "NULL", '"{,}'],
        ),
        (arrays.byteas([b"", b"\x00\xff", None]), [b"", b"\x00\xff", None]),
        (
            arrays.timestamps([0, MOMENT, None]),
            [EPOCH, EPOCH + timedelta(microseconds=MOMENT), None],
        ),
        (arrays.int8s([]), []),
        (arrays.texts([]), []),
    ],
)
async def test_columns_arrive_as_they_were(
    postgres_url: str, column: arrays.Column, values: list[Any]
) -> None:
    connections = Connections(
        postgres_url, role="postgres", size=1, application_name="arrays", prepare=arrays.register
    )
    rows = await connections.fetch("SELECT * FROM unnest(%(column)b)", {"column": column})
    await connections.close()
    assert [row[0] for row in rows] == values
