#!/bin/sh
# setup.sh: see to it that this Debian machine can build and test; prints GOROOT's bin directory last. Says what it installs and why.
# As another user than root it installs nothing and prints what is missing.
set -eu
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin
say() { echo "setup: $*" >&2; }

missing=
need() { # need COMMAND PACKAGE REASON...
	command=$1 package=$2
	shift 2
	command -v "$command" >/dev/null 2>&1 && return
	say "$package is needed: $*"
	missing="$missing $package"
}
need ip iproute2 "network namespaces and links"
need git git "the version that the binary reports"
[ "${1:-}" = build ] || [ "${1:-}" = demo ] || {
	need keepalived keepalived "the real keepalived is the peer and the oracle of the tests"
	need ipvsadm ipvsadm "reading the kernel's IPVS table in the VM"
	need kmod kmod "loading the VM kernel's modules"
	need nft nftables "reading what nftables_ipvs programs"
	need xz xz-utils "unpacking the VM's kernel"
	need qemu-system-x86_64 qemu-system-x86 "a kernel that tells of processes"
	need readelf binutils "checking the VM's kernel"
	need /usr/lib/frr/vrrpd frr "another VRRP as the peer in tests; its service is not started"
	need systemd-analyze systemd "verifying the systemd units"
	need systemd-nspawn systemd-container "a systemd of its own for the units"
	need mmdebstrap mmdebstrap "the Debian in which the packages are installed"
	need rpm rpm "looking into the rpm"
	need ping iputils-ping "reachability in the scenarios"
	need mandoc mandoc "judging the manual pages"
	need zsh zsh "judging its completion"
	need fish fish "judging its completion"
	need nft nftables "reading the packet filter that the daemon programs"
}
if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ]; then
		say "installing$missing"
		if [ ! -e /usr/sbin/policy-rc.d ]; then # nothing is to run because it was installed
			printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
			chmod +x /usr/sbin/policy-rc.d
			trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		fi
		apt-get -qq update >&2
		# shellcheck disable=SC2086 # a list of packages
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing >&2
	else
		say "not root: left out$missing"
	fi
fi

# Go 1.26. Any go from 1.21 on fetches the toolchain that go.mod names by itself.
usable() { v=$("$1" env GOVERSION 2>/dev/null | sed 's/^go1\.//; s/[^0-9].*//'); [ "${v:-0}" -ge 21 ]; }
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/keepalived-go
for go in "$(command -v go || true)" "$cache/go/bin/go"; do
	if [ -n "$go" ] && usable "$go"; then
		dirname "$go"
		exit
	fi
done
say "no go 1.21 or newer here: unpacking Debian testing's into $cache/go (nothing is installed)"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n1)
mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial" "$cache/apt/deb" "$cache/apt/root"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror testing main" >"$cache/apt/sources.list"
apt_() {
	c=$1
	shift
	"$c" -qq -o Dir::Etc::sourcelist="$cache/apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$cache/apt/lists" \
		-o Dir::Cache="$cache/apt/cache" -o Acquire::Languages=none -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
apt_ apt-get update >&2
bin=$(apt_ apt-cache depends golang-go | sed -n 's/.*Depends: \(golang-1[.0-9]*-go\).*/\1/p' | head -n1)
(cd "$cache/apt/deb" && apt_ apt-get download "$bin" "${bin%-go}-src" >&2)
for deb in "$cache"/apt/deb/*.deb; do dpkg -x "$deb" "$cache/apt/root"; done
rm -rf "$cache/go"
version=${bin#golang-}
version=${version%-go}
mkdir -p "$cache/go"
cp -a "$cache/apt/root/usr/lib/go-$version/." "$cache/go/"
# Debian splits GOROOT in two and joins it with links, which do not survive the move.
find "$cache/go" -type l -delete
for l in src test api misc pkg; do
	[ -d "$cache/apt/root/usr/share/go-$version/$l" ] || continue
	mkdir -p "$cache/go/$l"
	cp -a "$cache/apt/root/usr/share/go-$version/$l/." "$cache/go/$l/"
done
for f in VERSION go.env; do
	[ ! -f "$cache/apt/root/usr/share/go-$version/$f" ] || cp "$cache/apt/root/usr/share/go-$version/$f" "$cache/go/$f"
done
rm -rf "$cache/apt"
usable "$cache/go/bin/go" || { say "no usable go could be had"; exit 1; }
echo "$cache/go/bin"
