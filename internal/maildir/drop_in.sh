# Puts the drop-in of Dovecot in place, or takes it away. A copy of the
# configuration with the change in it is checked before anything live changes;
# where Dovecot does not take it up after all, the live file is put back.
#   $1 put or remove
#   $2 the drop-in, in /etc/dovecot/conf.d
#   then pairs of a setting and the value that it must have with the change;
#   standard input: the drop-in's content
# Exit codes, beside those of the shell: 10 Dovecot refuses the configuration,
# 11 another file has the last word on a setting, 12 put back after a failure.
set -eu
umask 077
action=$1 drop_in=$2
shift 2
etc=/etc/dovecot
if [ ! -d "$etc/conf.d" ]; then
	echo "$etc/conf.d is not there: the drop-in has no place" >&2
	exit 1
fi

run=/run
[ -d /run ] || run=/var/run
(umask 022 && mkdir -p "$run/cutover")
lock=$run/cutover/dovecot.lock
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

# The copy is the lock's own directory, so that one that was cut off goes with it.
cp -a "$etc" "$lock/dovecot"
find "$lock/dovecot" -type f \( -name '*.conf' -o -name '*.ext' \) \
	-exec sed -i "s#^\([[:blank:]]*!include\(_try\)\{0,1\}[[:blank:]]*\)$etc/#\1$lock/dovecot/#" {} +
copy=$lock/dovecot/${drop_in#"$etc"/}
new=$lock/new
if [ "$action" = put ]; then
	cat >"$new"
	cp "$new" "$copy"
else
	rm -f "$copy"
fi

conf() { doveconf -c "$lock/dovecot/dovecot.conf" "$@"; }

if ! conf -n >/dev/null 2>"$lock/said"; then
	if [ "$action" = remove ] && ! doveconf -n >/dev/null 2>&1; then
		rm -f "$drop_in" # what is broken here was broken before
		exit 0
	fi
	sed "s#$lock/dovecot#$etc#g" "$lock/said" >&2
	exit 10
fi
while [ $# -gt 1 ]; do
	is=$(conf -h "$1" 2>/dev/null) || is=
	if [ "$is" != "$2" ]; then
		key=${1##*/}
		echo "$1 would be \"$is\", not \"$2\"; it is set in:" >&2
		grep -rnE "^[[:blank:]]*${key}[[:blank:]]*=" "$etc" --include='*.conf' >&2 || :
		exit 11
	fi
	shift 2
done

running() {
	pid=$(cat "$(doveconf -h base_dir 2>/dev/null)/master.pid" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null
}

# take_up tells a running Dovecot. Nothing is said to one that is stopped: it
# reads the file when it starts. A reload leaves sessions in use as they are, and ends idle ones.
take_up() {
	doveconf -n >/dev/null || return 1
	! running || doveadm reload
}

put_back() {
	swapped=
	if [ -n "$before" ]; then
		cp -p "$before" "$drop_in.cutover-new"
		mv -f "$drop_in.cutover-new" "$drop_in"
	else
		rm -f "$drop_in"
	fi
	! running || doveadm reload >/dev/null 2>&1 || :
}

before=
rm -f "$drop_in.cutover-new" # of a run that was cut off
if [ -f "$drop_in" ]; then
	before=$lock/before
	cp -p "$drop_in" "$before"
fi
swapped=1
if [ "$action" = put ]; then
	chmod 644 "$new"
	# Across file systems mv copies; beside the target it is one step.
	cp -p "$new" "$drop_in.cutover-new"
	mv -f "$drop_in.cutover-new" "$drop_in"
else
	rm -f "$drop_in"
fi
if ! take_up >"$lock/said" 2>&1; then
	cat "$lock/said" >&2
	put_back
	exit 12
fi
swapped=
