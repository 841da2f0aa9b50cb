# Which init runs here, and what a service is doing under it. The functions of
# the three kinds come before this in the same script.
set -u

if [ -d /run/systemd/system ]; then
	init=systemd
elif command -v rc-service >/dev/null 2>&1 && { [ -d /run/openrc ] || [ -d /lib/rc/init.d ]; }; then
	init=openrc
elif [ -d /etc/init.d ]; then
	init=sysv
else
	echo "neither systemd nor OpenRC nor SysV init was found: there is no /run/systemd/system, no rc-service and no /etc/init.d" >&2
	exit 69
fi

pause() { sleep 0.05 2>/dev/null || sleep 1; }

yes_or_no() { # COMMAND...
	if "$@"; then echo yes; else echo no; fi
}

describe() { # NAME
	echo "service $1"
	"${init}_name" "$1"
	if [ "$init" = systemd ]; then look; fi
	if "${init}_exists"; then
		"${init}_settle"
		echo "running $(yes_or_no "${init}_running")"
		echo "enabled $(yes_or_no "${init}_enabled")"
		"${init}_words"
		sed 's/^/found /' "/var/lib/cutover/service-$1" 2>/dev/null
	else
		"${init}_known" | sed 's/^/known /'
		echo unknown
	fi
	if [ "$init" = systemd ]; then blink; fi
	echo "end $1"
}
