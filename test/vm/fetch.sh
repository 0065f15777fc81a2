#!/bin/sh
# fetch.sh DIR uml|qemu: unpack a guest kernel below DIR, and nowhere else:
#   DIR/uml   user-mode-linux (Debian testing) with the C library that it needs
#   DIR/qemu  linux-image-amd64 (Debian 12): boot/vmlinux and lib/modules
# Needs apt, dpkg, kmod and xz-utils, no privileges. apt checks the signatures. The packages come from this machine's own mirror;
# MIRROR, UML_SUITE and QEMU_SUITE override where from.
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' | head -n1)}

apt_() { # apt_ COMMAND ARG...: an apt with no state outside DIR
	cmd=$1
	shift
	"$cmd" -qq -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" \
		-o Acquire::Languages=none -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
use() { # use SUITE
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$dir/apt/sources.list"
	apt_ apt-get update
}
get() { # get DEST PACKAGE...
	dest=$1
	shift
	rm -rf "$dest" "$dir/apt/deb"
	mkdir -p "$dest" "$dir/apt/deb"
	(cd "$dir/apt/deb" && apt_ apt-get download "$@")
	for deb in "$dir"/apt/deb/*.deb; do dpkg -x "$deb" "$dest"; done
	rm -rf "$dest/usr/share"
}

echo "fetch.sh: fetching the $2 kernel into $dir/$2"
case $2 in
uml)
	use "${UML_SUITE:-testing}"
	get "$dir/uml" user-mode-linux libc6
	# linux.uml wants a C library newer than Debian 12's: give it its own, by a relative path of the same length (it is started
	# beside that file).
	LC_ALL=C sed -i 's|/lib64/ld-linux-x86-64.so.2|./ld-linux-x86-64.so.2\x00\x00\x00\x00\x00|' "$dir/uml/usr/bin/linux.uml"
	;;
qemu)
	use "${QEMU_SUITE:-bookworm}"
	get "$dir/qemu" "$(apt_ apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$dir/qemu" "$(ls "$dir/qemu/lib/modules")"
	# The ELF kernel inside boot/vmlinuz: unpacking it in the guest takes seconds.
	offset=$(LC_ALL=C grep -aboP -m1 '\xfd7zXZ\x00' "$dir"/qemu/boot/vmlinuz-* | head -n1 | cut -d: -f1)
	tail -c +$((offset + 1)) "$dir"/qemu/boot/vmlinuz-* | xz -dcq >"$dir/qemu/boot/vmlinux" 2>/dev/null || true
	readelf -h "$dir/qemu/boot/vmlinux" >/dev/null
	;;
esac
touch "$dir/$2/complete"
rm -rf "$dir/apt"
