#!/usr/bin/env bash
# Run a command in an image, on this checkout, as the caller, whose files its results are.
# A GPU is used if there is one.
set -euo pipefail
image=$1
shift
gpus=()
if nvidia-smi --list-gpus >/dev/null 2>&1; then
	gpus=(--gpus all)
else
	echo 'no NVIDIA GPU on this machine (nvidia-smi lists none): running on the CPU' >&2
fi
terminal=()
if [ -t 0 ] && [ -t 1 ]; then terminal=(--interactive --tty); fi
# `sudo make docker-train` works as the checkout's owner, too.
user=$(id -u):$(id -g)
if [ "$(id -u)" = 0 ]; then user=$(stat --format %u:%g .); fi
# The password of the server that `make docker-mlflow` started, and of no other.
case ${MLFLOW_TRACKING_URI:-} in
http://127.0.0.1:* | http://localhost:*)
	if [ -z "${MLFLOW_TRACKING_USERNAME:-}" ] && [ -f docker/.env ]; then
		set -a
		# shellcheck source=/dev/null
		. docker/.env
		set +a
	fi
	;;
esac
# --network host: a tracking server on 127.0.0.1 is then the same inside; nothing is published.
# --pid host: DVC keeps two runs apart by their process ids, which two containers would share.
exec docker run --rm --pid host "${gpus[@]}" "${terminal[@]}" --network host --shm-size 8g \
	--user "$user" --env HOME=/tmp --env USER="$(id -un "${user%:*}" 2>/dev/null || echo "$user")" \
	--env MLFLOW_TRACKING_URI --env MLFLOW_TRACKING_USERNAME --env MLFLOW_TRACKING_PASSWORD \
	--env GGN_IMAGE_TAG="$(docker image inspect --format '{{.Id}}' "$image")" \
	--mount "type=bind,source=$PWD,target=/workspace" "$image" "$@"
