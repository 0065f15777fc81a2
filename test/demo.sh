#!/bin/sh
# Sets the machine up and runs the demonstration.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "the demo makes network namespaces: run it as root" >&2; exit 1; }
PATH="$(test/setup.sh demo):$PATH"
export PATH CGO_ENABLED=0
exec go run ./test/demo
