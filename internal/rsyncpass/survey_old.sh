# What a pass has to know of the old host, in one round trip. It only reads.
#
#   $1       login by which the provider is connected
#   $2       how it becomes root there: sudo, doas or nothing
#   $3       address from which the new host comes, for sshd's Match blocks
#   $4...    directories
#
# Prints lines of a word, a tab and a value; fields of a value are parted by
# tabs too. Exit code 0, also where something is missing. rsync_facts.sh goes
# before it.
set -u
login=$1
become=$2
client=$3
shift 3
tab=$(printf '\t')
say() {
	printf '%s' "$1"
	shift
	for field; do printf '\t%s' "$field"; done
	printf '\n'
}

# shellcheck disable=SC1091 # a file of the host
os=$([ -r /etc/os-release ] && . /etc/os-release && printf '%s %s' "${ID-}" "${ID_LIKE-}") || os=
if [ -z "$os" ]; then
	if [ -f /etc/debian_version ]; then os=debian; elif [ -f /etc/redhat-release ]; then os=rhel; fi
fi
say os "$os"
say cpus "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
say clock "$(date +%Y%m%d%H%M%S)"
say epoch "$(date +%s)"
rsync_facts

# The login for the key: the provider's own, if root's rights can be had there
# without a password, else root, if sshd lets root in by key.
config() { sshd_settings "$1" "$client" "$client"; }
of_login=$(config "$login")
setting() {
	if [ "$1" = "$login" ]; then printf '%s\n' "$of_login"; else config "$1"; fi | awk -v key="$2" '$1 == key { sub(/^[^ ]+ /, ""); print; exit }'
}
user=$login
method=$become
case $become in
sudo)
	# Asked only where there is a chance: a refused sudo sends root a mail.
	case $(sudo -l -U "$login" 2>/dev/null) in
	*NOPASSWD* | *'!authenticate'*)
		su -s /bin/sh "$login" -c 'sudo -n -k true' </dev/null >/dev/null 2>&1 || user=
		;;
	*) user= ;;
	esac
	;;
doas) su -s /bin/sh "$login" -c 'doas -n true' </dev/null >/dev/null 2>&1 || user= ;;
esac
if [ -z "$user" ]; then
	permit=$(setting root permitrootlogin)
	say permitrootlogin "${permit:-unknown}"
	case $permit in
	yes | without-password | prohibit-password | forced-commands-only)
		user=root
		method=
		;;
	esac
fi
if [ -n "$user" ]; then
	home=$(getent passwd "$user" 2>/dev/null | cut -d: -f6)
	[ -n "$home" ] || home=$(awk -F: -v user="$user" '$1 == user { print $6; exit }' /etc/passwd)
	keys=$(setting "$user" authorizedkeysfile)
	keys=${keys%% *}
	[ -n "$keys" ] || keys=.ssh/authorized_keys
	say login "$user" "$method" "$home" "$keys"
fi

printf '%s\n' "$of_login" | sed -n "s/^listenaddress /listening$tab/p"

# Host keys, to pin on the new host.
{
	printf '%s\n' "$of_login" | sed -n 's/^hostkey //p'
	for file in /etc/ssh/ssh_host_*_key; do echo "$file"; done
} | sort -u | while IFS= read -r file; do
	if [ -f "$file.pub" ]; then say hostkey "$(cut -d' ' -f1,2 "$file.pub" | head -n 1)"; fi
done

number=0
for path; do
	number=$((number + 1))
	if [ -d "$path" ]; then
		real=$(cd -P "$path" && pwd -P)
		say path "$number" directory "$real"
	elif [ -e "$path" ]; then
		say path "$number" other
	else
		say path "$number" missing
	fi
done

exit 0
