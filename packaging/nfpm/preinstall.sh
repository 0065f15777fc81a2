#!/bin/sh
# Make the user of keepalived-go-nonroot.service.
set -e
getent group keepalived-go >/dev/null 2>&1 || groupadd --system keepalived-go 2>/dev/null || true
getent passwd keepalived-go >/dev/null 2>&1 ||
	useradd --system --gid keepalived-go --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin keepalived-go 2>/dev/null || true
