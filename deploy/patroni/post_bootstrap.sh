#!/bin/bash
# Patroni calls it once, on the first primary and before anybody else gets in, with that server's URL.
set -euo pipefail
export POSTGRES_USER=postgres ADMINISTERED=$1
exec bash "$(dirname "$0")/../postgres/create_databases.sh"
