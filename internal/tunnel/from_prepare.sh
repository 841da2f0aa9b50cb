# Makes the tunnel's directory and key on the old host; what is there already
# stays. Prints the public key.
#   $1 the tunnel's name
#   $2 rsa for an sshd that takes no other key of ours
set -eu
umask 077
directory=/etc/cutover/tunnel-$1
# mkdir -p also where it is there: another tunnel may make it at this moment.
(umask 022 && mkdir -p /etc/cutover)
mkdir -p "$directory"
if [ ! -s "$directory/id" ] || [ ! -s "$directory/id.pub" ]; then
	rm -f "$directory/id" "$directory/id.pub"
	# An OpenSSH before 6.5 knows no ed25519.
	{ [ "${2:-}" != rsa ] && ssh-keygen -q -t ed25519 -N '' -C "cutover-tunnel-$1" -f "$directory/id" 2>/dev/null; } ||
		ssh-keygen -q -t rsa -b 4096 -N '' -C "cutover-tunnel-$1" -f "$directory/id"
fi
cat "$directory/id.pub"
