#!/bin/bash
# scenario.sh runs as a service of a booted Debian with keepalived installed and configured; the packages are in /report. Every line that it
# prints is "ok NAME" or "not ok NAME -- WHY"; the last is "done".
set -u
vip=192.0.2.100
conf=/etc/keepalived/keepalived.conf

ok() { echo "ok $1"; }
bad() {
	echo "not ok $1 -- ${2:-} $(systemctl is-active keepalived keepalived-go keepalived-go-forking keepalived-go-nonroot 2>&1 | tr '\n' ' ')$(
		journalctl -q -n 25 -o cat 2>/dev/null | tr '\n' '|')"
}
check() { # check NAME COMMAND...
	name=$1
	shift
	if "$@" >/tmp/out 2>&1; then ok "$name"; else bad "$name" "$* gave $?: $(tr '\n' '|' </tmp/out)"; fi
}
# A condition with a deadline of 20 seconds.
within() {
	for _ in $(seq 400); do
		"$@" >/dev/null 2>&1 && return
		read -rt 0.05 <>/report/pause || :
	done
	echo "not within 20 seconds: $*"
	return 1
}
has() { ip addr show dev eth0 | grep -qF " $1/"; }
hasnot() { ! has "$1"; }
active() { systemctl is-active -q "$1"; }
inactive() { ! active "$1"; }
pidof_unit() { systemctl show -p MainPID --value "$1"; }
# The worker is the child that has vrrp.pid's number.
worker() { cat "${1:-/run}/vrrp.pid"; }
another() { [ -s "$2" ] && [ "$(cat "$2")" != "$1" ] && kill -0 "$(cat "$2")"; }
configure() { # configure LINES...
	cat >$conf <<-END
		vrrp_instance VI_1 {
		    interface eth0
		    virtual_router_id 51
		    version 3
		    priority 150
		    advert_int 0.1
		    virtual_ipaddress {
		        $vip/24
		        $*
		    }
		}
	END
}

mkfifo /report/pause
ip link add eth0 type veth peer name peer0
ip link set peer0 up
ip link set eth0 up
ip addr add 192.0.2.1/24 dev eth0
configure

# A keepalived that runs is left alone by the installation.
systemctl start keepalived
check "keepalived serves its configuration" within has $vip
check "install" dpkg -i /report/keepalived-go.deb
check "the installation leaves keepalived alone" active keepalived
check "the installation starts nothing" inactive keepalived-go
check "the installation enables nothing" test "$(systemctl is-enabled keepalived-go)" = disabled
check "the address stays meanwhile" has $vip

# The same configuration, without an edit.
check "start" systemctl start keepalived-go
check "start takes over from keepalived" inactive keepalived
check "the configuration is served without an edit" within has $vip
check "start is over when it runs" active keepalived-go
check "the main process is the one of the pid file" test "$(pidof_unit keepalived-go)" = "$(cat /run/keepalived.pid)"

before=$(worker)
configure 192.0.2.101/24
check "reload" systemctl reload keepalived-go
check "reload takes a new address" within has 192.0.2.101
check "reload keeps the worker" test "$(worker)" = "$before"

sed -i 's/virtual_router_id 51/virtual_router_id 300/' $conf
check "reload of a refused configuration fails" bash -c '! systemctl reload keepalived-go'
check "a refused reload changes nothing" bash -c 'systemctl is-active keepalived-go && ip addr show dev eth0 | grep -F 192.0.2.101/'
configure

main=$(pidof_unit keepalived-go)
kill -9 "$before"
check "a worker that was killed is replaced" within another "$before" /run/vrrp.pid
check "its successor has the address" within has $vip
check "the service has gone on" test "$(pidof_unit keepalived-go)" = "$main"

kill -9 "$main"
check "a parent that was killed is replaced" within another "$main" /run/keepalived.pid
check "it runs again" within active keepalived-go
check "its successor has the address too" within has $vip

# A parent that hangs: the watchdog. 30 seconds of it are too long for a test.
mkdir -p /run/systemd/system/keepalived-go.service.d
printf '[Service]\nWatchdogSec=3s\n' >/run/systemd/system/keepalived-go.service.d/watchdog.conf
systemctl daemon-reload
check "restart" systemctl restart keepalived-go
stamp() { systemctl show -p WatchdogTimestampMonotonic --value keepalived-go; }
later() { [ "$(stamp)" -gt "$1" ]; }
check "the watchdog hears of it" within later "$(stamp)"
main=$(pidof_unit keepalived-go)
kill -STOP "$main"
check "the watchdog replaces a parent that hangs" within another "$main" /run/keepalived.pid
check "the watchdog's successor runs" within active keepalived-go
check "the watchdog's successor has the address" within has $vip
rm -r /run/systemd/system/keepalived-go.service.d
systemctl daemon-reload

check "stop" systemctl stop keepalived-go
check "stop removes the address" within hasnot $vip
check "stop leaves no process" bash -c "! pgrep -x keepalived-go"
check "stop leaves no pid file" test ! -e /run/keepalived.pid

# The forking unit.
check "start forking" systemctl start keepalived-go-forking
check "forking: the address" within has $vip
check "forking: the main process" test "$(pidof_unit keepalived-go-forking)" = "$(cat /run/keepalived.pid)"
check "forking: reload" systemctl reload keepalived-go-forking
sed -i 's/virtual_router_id 51/virtual_router_id 300/' $conf
check "forking: a refused start is seen" bash -c '! systemctl restart keepalived-go-forking'
configure
systemctl reset-failed

# The unit that is not root.
check "start non-root" systemctl start keepalived-go-nonroot
check "non-root: the address" within has $vip
check "non-root: its user" bash -c 'test "$(stat -c %U /proc/$(cat /run/keepalived-go/vrrp.pid))" = keepalived-go'
configure 192.0.2.101/24
check "non-root: reload" systemctl reload keepalived-go-nonroot
check "non-root: the new address" within has 192.0.2.101
kill -USR1 "$(cat /run/keepalived-go/keepalived.pid)"
check "non-root: dumps" within test -s /run/keepalived-go/keepalived.data
check "non-root: stop" systemctl stop keepalived-go-nonroot
check "non-root: no address" within hasnot $vip
configure

# A namespace of its own, with the drop-in.
ip netns add blue
ip -n blue link add eth0 type veth peer name peer0
ip -n blue link set eth0 up
ip -n blue link set peer0 up
ip -n blue addr add 192.0.2.2/24 dev eth0
cp $conf /tmp/plain.conf
sed -i '1i net_namespace blue' $conf
check "net_namespace is refused without the drop-in" bash -c '! systemctl start keepalived-go'
systemctl reset-failed
install -D -m 0644 /usr/share/doc/keepalived-go/systemd/net_namespace.conf /etc/systemd/system/keepalived-go.service.d/net_namespace.conf
systemctl daemon-reload
check "net_namespace with the drop-in" systemctl start keepalived-go
check "net_namespace: the address" within bash -c "ip -n blue addr | grep -qF ' $vip/'"
systemctl stop keepalived-go
rm -r /etc/systemd/system/keepalived-go.service.d
systemctl daemon-reload
cp /tmp/plain.conf $conf

# The names of keepalived.
check "install the names" dpkg -i --auto-deconfigure -B /report/keepalived-go-compat.deb
check "keepalived is ours" bash -c 'keepalived --version 2>&1 | grep -q keepalived-go'
check "genhash is ours" bash -c 'genhash --help 2>&1 | grep -qi genhash'
check "keepalived.service is ours" systemctl start keepalived
check "names: the address" within has $vip
check "names: the process is called keepalived" test "$(cat /proc/"$(cat /run/keepalived.pid)"/comm)" = keepalived
check "names: reload" systemctl reload keepalived
check "names: reading the list" bash -c 'pidof keepalived'

# Away with it.
systemctl stop keepalived
check "remove" dpkg -r keepalived-go-compat keepalived-go
check "purge" dpkg -P keepalived-go-compat keepalived-go
check "the configuration stays" test -s $conf
check "nothing is left" bash -c 'find / -xdev -path /report -prune -o -path /proc -prune -o -path /sys -prune -o -path /var/log -prune -o -path /run/systemd -prune -o -path /tmp -prune -o -name "*keepalived-go*" -print | grep . && exit 1 || exit 0'
check "nobody is left" bash -c '! getent passwd keepalived-go'
echo done
