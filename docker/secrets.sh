#!/usr/bin/env bash
# Write docker/.env with random passwords for compose.yaml, unless it is there: only you can read it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[ -e .env ] && exit
umask 077
secret() { head -c 24 /dev/urandom | base64 | tr -d '/+=\n'; }
{
	echo 'MLFLOW_TRACKING_USERNAME=admin'
	for name in MLFLOW_TRACKING_PASSWORD MLFLOW_SECRET_KEY POSTGRES_PASSWORD S3_PASSWORD; do
		echo "$name=$(secret)"
	done
} >.env.new
mv .env.new .env
echo 'docker/.env: made, with random passwords'
