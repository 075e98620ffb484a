"""Each form of a database's URL has one reading, or is refused by name."""

import re

import pytest
from psycopg.conninfo import conninfo_to_dict

from runtime.database_url import FORM, MAX_HOSTS, Host, parse

TWO = (Host("h1", "5432"), Host("h2", "5433"))


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@h1:5432,h2:5433/d", TWO),
        ("postgresql://u@/d?host=h1:5432&host=h2:5433", TWO),
        ("postgresql://u@/d?host=h1:5432,h2:5433", TWO),
        ("postgresql://u@/d?host=h1,h2&port=5432,5433", TWO),
        ("postgresql://u@/d?host=h1&host=h2&port=5432,5433", TWO),
        ("postgresql://u@h1,h2/d?port=5432,5433", TWO),
        ("postgresql://u@/d?host=h1,h2&port=6432", (Host("h1", "6432"), Host("h2", "6432"))),
        ("postgresql://u@h1,h2:5433/d", (Host("h1"), Host("h2", "5433"))),
        ("postgres://h/d", (Host("h"),)),
        ("postgresql:///d", (Host(),)),
        ("postgresql://u@/d?host=/run/postgres", (Host("/run/postgres"),)),
        ("postgresql://u@%2Frun%2Fpostgres/d", (Host("/run/postgres"),)),
        ("postgresql://u@/d?host=/a,/b&port=1,2", (Host("/a", "1"), Host("/b", "2"))),
        ("postgresql://u@[::1]:5432,[fe80::1]/d", (Host("::1", "5432"), Host("fe80::1"))),
        ("postgresql://u@/d?host=::1,[::2]:5433", (Host("::1"), Host("::2", "5433"))),
        ("postgresql:///d?hostaddr=::1,::2", (Host("", "", "::1"), Host("", "", "::2"))),
        ("postgresql://a,b/d?hostaddr=::1,::2", (Host("a", "", "::1"), Host("b", "", "::2"))),
    ],
)  # fmt: skip
def test_every_form_of_several_hosts_is_taken(url: str, hosts: tuple[Host, ...]) -> None:
    assert parse(url).hosts == hosts


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://h/d", FORM),
        ("postgresql+asyncpg://h/d", FORM),
        ("host=h1 dbname=d", FORM),
        ("postgresql://u:hu@sh@h/d", FORM),
        ("postgresql://u:hu/sh@h/d", FORM),
        ("postgresql://u:hush%@h/d", FORM),
        ("postgresql://h/d#hush", FORM),
        ("postgresql://h:no/d", FORM),
        ("postgresql://h:65536/d", FORM),
        ("postgresql://h:0/d", FORM),
        ("postgresql://[::1/d", FORM),
        ("postgresql://[::1]5432/d", FORM),
        ("postgresql://h/d?sslmode", FORM),
        ("postgresql://h1/d?host=h2", "hosts stand before the / and after the ?"),
        ("postgresql://h1:1,h2:2/d?port=1,2", "ports stand with the hosts and in port="),
        ("postgresql://h1,h2,h3/d?port=1,2", "it has 3 hosts and 2 ports"),
        ("postgresql://h1,h2/d?hostaddr=10.0.0.1", "it has 2 hosts and 1 in hostaddr"),
        ("postgresql://h/d?port=1&port=2", "it has port more than once"),
        ("postgresql://h/d?target_session_attrs=any", "target_session_attrs=any: a service writes"),
        ("postgresql://h/d?target_session_attrs=standby", "target_session_attrs=standby"),
        ("postgresql://h/d?sslmod=require", "sslmod"),
        ("postgresql://" + ",".join(["h"] * (MAX_HOSTS + 1)) + "/d", f"at most {MAX_HOSTS}"),
    ],
)
def test_what_is_not_taken_is_refused_by_name(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as refused:
        parse(url)
    assert "hush" not in str(refused.value)


def test_the_rest_is_read_as_libpq_reads_it() -> None:
    url = (
        "postgresql://us%40er:p%3Aw+x@h1:1,h2:2/data%2Fbase"
        "?sslmode=verify-full&application_name=a%20b&target_session_attrs=primary"
    )
    assert conninfo_to_dict(parse(url).conninfo()) == conninfo_to_dict(url)


def test_one_host_of_several_is_picked() -> None:
    found = parse("postgresql://u@h1:1,h2:2/d")
    assert conninfo_to_dict(found.conninfo(found.hosts[1], connect_timeout=2)) == {
        "user": "u",
        "dbname": "d",
        "host": "h2",
        "port": "2",
        "connect_timeout": "2",
        "target_session_attrs": "read-write",
    }


def test_as_many_hosts_as_may_be() -> None:
    assert len(parse("postgresql://" + ",".join(["h"] * MAX_HOSTS) + "/d").hosts) == MAX_HOSTS
