#!/bin/sh
# Everything that `make test` runs, in the order of how soon it can fail. As root on a Debian machine nothing is left out; otherwise
# what is left out is said.
set -eu
cd "$(dirname "$0")/.."
PATH="$(test/setup.sh):$PATH"
export PATH
step() { echo "== $*"; }

step "lint, units, simulation, goldens"
make -s lint
go test -count=1 ./cmd/... ./internal/... ./test/config/... ./test/compat ./test/lab/...

step "fuzz, a few thousand inputs each"
FUZZTIME=${FUZZTIME:-20000x} test/fuzz.sh

if [ "$(id -u)" != 0 ]; then
	echo "not root: left out network namespaces, the real keepalived as peer"
else
	step "network namespaces: the daemon alone"
	go test -count=1 -parallel 16 -timeout 15m ./test/netns/... ./test/docs
	step "the real keepalived as peer and oracle"
	go test -count=1 -parallel 16 -timeout 15m ./test/oracle ./test/interop
fi

step "real IPVS in a VM"
go test -count=1 -timeout 15m -exec "$PWD/test/vm/run" ./test/vm

step "real process events and nftables in a VM"
go test -count=1 -timeout 15m -exec "$PWD/test/vm/run -backend qemu" -run "TestTrackProcess|TestNFTables" ./test/vm

if [ "$(id -u)" != 0 ]; then
	echo "not root: left out the packages in a Debian of their own, under its systemd"
else
	step "packages: built twice, installed, served by a systemd, removed; the image"
	go test -count=1 -timeout 15m ./test/packages
fi
