#!/bin/sh
# Give the unit keepalived's name. It is a link, as "systemctl enable" makes it, and no file of the package: dpkg would take keepalived.service
# of the package that it replaces, in /lib/systemd/system, for another file and remove ours with it.
set -e
alias=/etc/systemd/system/keepalived.service
[ -e "$alias" ] && [ ! -L "$alias" ] || ln -sfn /usr/lib/systemd/system/keepalived-go-compat.service "$alias"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
