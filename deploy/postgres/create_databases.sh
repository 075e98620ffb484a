#!/bin/bash
# Runs once, on an empty data volume: a database per service and three roles for each.
#   <service>_owner    owns the schema and runs the migrations
#   <service>_login    what the service connects as; may do nothing by itself but see whether standbys follow
#   <service>_service  the rights of the service, given to it by the migrations
# ADMINISTERED says which database to connect to for it, if not the local server's.
# The folder CREDENTIALS_DIRECTORY has a file for each login, named as it is, with its password.
set -euo pipefail

for service in ledger gateway compliance reconciliation; do
    # In the environment: arguments can be read by everybody on the machine.
    OWNER_PASSWORD=$(<"$CREDENTIALS_DIRECTORY/${service}_owner")
    LOGIN_PASSWORD=$(<"$CREDENTIALS_DIRECTORY/${service}_login")
    export OWNER_PASSWORD LOGIN_PASSWORD
    psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet \
        --username "$POSTGRES_USER" --dbname "${ADMINISTERED:-postgres}" \
        --set service="$service" --set owner="${service}_owner" --set login="${service}_login" \
        --set role="${service}_service" <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv login_password LOGIN_PASSWORD
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
CREATE ROLE :"login" LOGIN PASSWORD :'login_password' NOINHERIT;
CREATE ROLE :"role" NOLOGIN;
GRANT :"role" TO :"login", :"owner";
GRANT pg_read_all_stats TO :"login";
CREATE DATABASE :"service" OWNER :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO :"login", :"role";
SQL
done
