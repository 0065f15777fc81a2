#!/bin/sh
# Have systemd forget the units, and with dpkg --purge the user. The configuration is the operator's and stays.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
if [ "$1" = purge ]; then
	userdel keepalived-go 2>/dev/null || true
	groupdel keepalived-go 2>/dev/null || true
fi
