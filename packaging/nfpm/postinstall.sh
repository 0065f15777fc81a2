#!/bin/sh
# Neither enable nor start anything at the first installation: that could stop a keepalived that runs, and when an address moves is the
# operator's to say. After an upgrade a unit that runs is restarted.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
case "$1" in
configure) [ -n "${2:-}" ] || exit 0 ;; # deb: configure OLD-VERSION; empty the first time
[2-9]*) ;;                              # rpm: how many versions there are now
*) exit 0 ;;
esac
for unit in keepalived-go keepalived-go-forking keepalived-go-nonroot; do
	systemctl try-restart "$unit.service"
done
