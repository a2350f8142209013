#!/bin/sh
# Make the database at the first start, as the official image does, then serve it.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
	initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 >/dev/null
	rm /tmp/password
	postgres --single -j postgres >/dev/null <<-SQL
		CREATE DATABASE $POSTGRES_DB;
	SQL
fi
exec postgres -c listen_addresses="${LISTEN:-*}" -c unix_socket_directories=/tmp
