#!/bin/sh
# build.sh NFPM: make dist/*.deb and dist/*.rpm of the commit that is checked out. The same commit gives the same bytes: all times are the
# commit's.
set -eu
nfpm=$1
here=$(git rev-parse --show-toplevel)
cd "$here"
seconds=$(git log -1 --format=%ct)
commit=$(git rev-parse --short=10 HEAD)
# Without a tag of a version it says when and of what; it comes before the first release.
VERSION=$(git describe --tags --match 'v[0-9]*' --exact-match 2>/dev/null | sed 's/^v//') && [ -n "$VERSION" ] ||
	VERSION=0~git$(date -u -d "@$seconds" +%Y%m%d%H%M%S).$commit
SOURCE_DATE_EPOCH=$seconds
export VERSION SOURCE_DATE_EPOCH ARCH
rm -rf dist
umask 022
for ARCH in ${ARCHS:-amd64}; do
	GOARCH=$ARCH make -s install DESTDIR="$here/dist/root" VERSION="$commit"
	make -s install-compat DESTDIR="$here/dist/compat"
	find dist/root dist/compat -exec touch -h -d "@$seconds" {} +
	for packager in deb rpm; do
		"$nfpm" package -f packaging/nfpm/keepalived-go.yaml -p $packager -t dist/ >/dev/null
		"$nfpm" package -f packaging/nfpm/keepalived-go-compat.yaml -p $packager -t dist/ >/dev/null
	done
	rm -rf dist/root dist/compat
done
ls dist
