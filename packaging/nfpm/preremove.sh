#!/bin/sh
# Stop what runs before its files go; not for an upgrade.
set -e
[ -d /run/systemd/system ] || exit 0
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
for unit in keepalived-go keepalived-go-forking keepalived-go-nonroot; do
	systemctl --no-reload disable --now "$unit.service" >/dev/null 2>&1 || true
done
