# Makes the account of the relays on the new host, with the authorized_keys
# that standard input holds. Only root can change that file.
#   $1 account
#   $2 home
#   $3 a shell that lets nobody in
set -eu
umask 022
account=$1
home=$2
# mkdir -p also where it is there: another tunnel may make it at this moment.
mkdir -p "$home/.ssh"
if ! getent passwd "$account" >/dev/null; then
	# '*' is no password's hash, and unlike '!' no lock, which sshd would heed.
	useradd --system --user-group --no-create-home --home-dir "$home" --shell "$3" --password '*' \
		--comment 'SSH relays of a cutover' "$account"
fi
cat >"$home/.ssh/authorized_keys.new"
chmod 644 "$home/.ssh/authorized_keys.new"
mv "$home/.ssh/authorized_keys.new" "$home/.ssh/authorized_keys"
