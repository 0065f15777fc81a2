#!/bin/sh
# Stop what runs under keepalived's name and take the name back; not for an upgrade.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
[ ! -d /run/systemd/system ] || systemctl --no-reload disable --now keepalived-go-compat.service >/dev/null 2>&1 || true
alias=/etc/systemd/system/keepalived.service
[ "$(readlink "$alias")" != /usr/lib/systemd/system/keepalived-go-compat.service ] || rm -f "$alias"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
