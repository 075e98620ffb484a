#!/bin/bash
# Starts a node. Passwords are files in CREDENTIALS_DIRECTORY, named as the logins; Patroni takes them from its
# environment.
set -euo pipefail
PATRONI_SUPERUSER_PASSWORD=$(<"$CREDENTIALS_DIRECTORY/postgres")
PATRONI_REPLICATION_PASSWORD=$(<"$CREDENTIALS_DIRECTORY/replicator")
PATRONI_REWIND_PASSWORD=$(<"$CREDENTIALS_DIRECTORY/rewinder")
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD
exec patroni "$(dirname "$0")/patroni.yml"
