# Changes files that decide who may log in: all of them, or none. sshd itself
# tries the new configuration before anything live changes; where it does not
# come back from its reload, everything is put back. Standard input, one a line:
#   write PATH MODE SUM CONTENT   SUM: SHA-256 of what is there, or "none";
#                                 CONTENT: base64; MODE counts for a new file
#   remove PATH SUM
#   check USER KEY VALUE          what sshd -T must print for USER
#   reload                        sshd's own files are among them
# Exit codes, beside those of the shell: 10 sshd refuses the configuration, 11
# a check fails, 12 put back after a failure, 13 a file has changed since.
set -eu
umask 077

run=/run
[ -d /run ] || run=/var/run
(umask 022 && mkdir -p "$run/cutover")
lock=$run/cutover/login.lock
tries=0
until mkdir "$lock" 2>/dev/null; do
	holder=$(cat "$lock/pid" 2>/dev/null) || holder=
	if [ "$tries" -gt 2 ] && { [ -z "$holder" ] || [ ! -d "/proc/$holder" ]; }; then
		rm -rf "$lock" # whoever held it is gone
	elif [ "$tries" -gt 60 ]; then
		echo "$lock has been held for a minute by process $holder" >&2
		exit 1
	fi
	tries=$((tries + 1))
	(umask 022 && mkdir -p "$run/cutover")
	sleep 1
done
swapped=
leave() {
	trap '' HUP INT TERM
	[ -z "$swapped" ] || put_back
	rm -rf "$lock"
	rmdir "$run/cutover" 2>/dev/null || :
}
trap leave EXIT
trap 'exit 1' HUP INT TERM
echo $$ >"$lock/pid"

# target PATH: the file itself where the path is a link.
target() {
	if [ -h "$1" ]; then readlink -f "$1"; else printf '%s\n' "$1"; fi
}

expect() { # PATH SUM
	sum=none
	if [ -e "$1" ]; then
		sum=$(sha256sum <"$1")
		sum=${sum%% *}
	fi
	[ "$sum" = "$2" ] && return 0
	echo "$1 has changed in the meantime" >&2
	exit 13
}

n=0
reload=
: >"$lock/plan"
: >"$lock/checks"
while read -r op path a b content; do
	case $op in
	write)
		expect "$path" "$b"
		n=$((n + 1))
		printf '%s' "$content" | base64 -d >"$lock/new.$n"
		echo "write $n $a $(target "$path")" >>"$lock/plan"
		rm -f "$(target "$path").cutover-new" # of a run that was cut off
		;;
	remove)
		expect "$path" "$a"
		n=$((n + 1))
		echo "remove $n - $(target "$path")" >>"$lock/plan"
		;;
	check) echo "$path $a $b" >>"$lock/checks" ;;
	reload) reload=1 ;;
	esac
done

sshd=$(command -v sshd) || sshd=/usr/sbin/sshd
etc=/etc/ssh
if [ -n "$reload" ]; then
	stage=$lock/ssh
	mkdir "$stage"
	cp -p "$etc/sshd_config" "$stage/"
	[ ! -d "$etc/sshd_config.d" ] || cp -Rp "$etc/sshd_config.d" "$stage/"
	while read -r op number _ path; do
		case $path in
		"$etc"/*)
			rm -f "$stage/${path#"$etc"/}"
			[ "$op" = remove ] || cp "$lock/new.$number" "$stage/${path#"$etc"/}"
			;;
		esac
	done <"$lock/plan"
	sed "s#^\([[:blank:]]*[Ii][Nn][Cc][Ll][Uu][Dd][Ee][[:blank:]=].*\)$etc/sshd_config\.d/#\1sshd_config.d/#
		s#^\([[:blank:]]*[Ii][Nn][Cc][Ll][Uu][Dd][Ee][[:blank:]=].*\)sshd_config\.d/#\1$stage/sshd_config.d/#" \
		"$stage/sshd_config" >"$stage/main"
	if ! "$sshd" -t -f "$stage/main" >"$lock/said" 2>&1; then
		sed "s#$stage/main#$etc/sshd_config#g; s#$stage/#$etc/#g" "$lock/said" >&2
		exit 10
	fi
	while read -r user key value; do
		# An sshd that cannot be asked in this way has passed -t at least.
		said=$(sshd_settings "$user" localhost 127.0.0.1 -f "$stage/main") || continue
		if ! printf '%s\n' "$said" | grep -qix -e "$key $value"; then
			echo "for $user, sshd has no \"$key $value\" in force; a Match block has the last word" >&2
			exit 11
		fi
	done <"$lock/checks"
fi

put() { # FILE PATH MODE
	# A copy first, for owner, mode and ACL.
	if [ -e "$2" ]; then
		cp -a "$2" "$2.cutover-new"
		cat "$1" >"$2.cutover-new"
	else
		cp "$1" "$2.cutover-new"
		chmod "$3" "$2.cutover-new"
	fi
	mv -f "$2.cutover-new" "$2"
}

put_back() {
	swapped=
	while read -r _ number _ path; do
		if [ -e "$lock/old.$number" ]; then
			cp -a "$lock/old.$number" "$path.cutover-new"
			mv -f "$path.cutover-new" "$path"
		else
			rm -f "$path"
		fi
	done <"$lock/plan"
	tidy
	[ -z "$reload" ] || take_up || start || :
}

tidy() {
	[ ! -d /etc/cutover ] || rmdir /etc/cutover 2>/dev/null || :
}

unit() {
	for unit in ssh sshd; do
		if systemctl is-active --quiet "$unit.service"; then
			return 0
		fi
	done
	return 1
}

script() {
	for script in /etc/init.d/ssh /etc/init.d/sshd; do
		if [ -x "$script" ]; then
			return 0
		fi
	done
	return 1
}

# take_up has sshd read its configuration, and waits until it has: it writes its
# PID file anew when it listens again. Sessions are processes of their own, and
# go on.
take_up() {
	file=$(sshd_settings root localhost 127.0.0.1 | sed -n 's/^pidfile //p')
	[ -n "$file" ] && [ "$file" != none ] || file=$run/sshd.pid
	before=$(stat -c '%i %z' "$file" 2>/dev/null) || before=
	if [ -d /run/systemd/system ]; then
		unit || return 0 # started for each connection, by its socket
		systemctl reload "$unit.service" || return 1
	elif script; then
		"$script" reload || return 1
	else
		kill -HUP "$(cat "$file")" || return 1
	fi
	[ -n "$before" ] || return 0
	tries=0
	while [ "$tries" -lt 50 ]; do
		if now=$(stat -c '%i %z' "$file" 2>/dev/null) && [ "$now" != "$before" ] && kill -0 "$(cat "$file")" 2>/dev/null; then
			return 0
		fi
		tries=$((tries + 1))
		sleep 0.2 2>/dev/null || sleep 1
	done
	echo "sshd has not come back from its reload" >&2
	return 1
}

start() {
	if [ -d /run/systemd/system ]; then
		systemctl start ssh.service 2>/dev/null || systemctl start sshd.service
	elif script; then
		"$script" start
	fi
}

while read -r _ number _ path; do
	[ ! -e "$path" ] || cp -a "$path" "$lock/old.$number"
done <"$lock/plan"
swapped=1
while read -r op number mode path; do
	if [ "$op" = remove ]; then
		rm -f "$path"
	else
		case $path in
		/etc/cutover/*) (umask 022 && mkdir -p /etc/cutover) ;;
		esac
		put "$lock/new.$number" "$path" "$mode"
	fi
done <"$lock/plan"
tidy
if [ -n "$reload" ] && ! take_up >"$lock/said" 2>&1; then
	cat "$lock/said" >&2
	put_back >/dev/null 2>&1
	exit 12
fi
swapped=
