# Brings up the new host's end of a layer-3 tunnel, has systemd do so at boot,
# and lets sshd carry it.
#   $1 the tunnel's name
#   $2 its account
#   $3 dropin, or block where sshd_config does not include sshd_config.d
set -eu
name=$1
account=$2
unit=cutover-link-$name.service
config=/etc/ssh/sshd_config
dropin=/etc/ssh/sshd_config.d/cutover-link-$name.conf

systemctl daemon-reload
systemctl enable "$unit" 2>/dev/null || systemctl enable "$unit"
systemctl start "$unit"
# It may have been up already, with other ports.
"/etc/cutover/link-$name/link" up "/etc/cutover/link-$name"

# One at a time: another tunnel may have its line in the same file. The lock is
# on sshd's own file, so that it leaves no trace, and ends with this script.
sshd=$(command -v sshd || echo /usr/sbin/sshd)
if command -v flock >/dev/null 2>&1 && [ -f "$sshd" ]; then
	exec 9<"$sshd"
	flock 9
fi
permission() {
	printf '# Managed by Terraform: cutover_forwarding_tunnel "%s".\n' "$name"
	printf 'Match User %s\n    PermitTunnel point-to-point\n' "$account"
}

if [ "$3" = dropin ]; then
	permission >"$dropin.new"
	chmod 644 "$dropin.new"
	mv "$dropin.new" "$dropin"
	undo() { rm -f "$dropin"; }
elif ! grep -q "^# BEGIN cutover-link-$name\( \|\$\)" "$config"; then
	cp -p "$config" "$config.cutover-new"
	{
		note=
		if [ -n "$(tail -c 1 "$config")" ]; then
			echo
			note=' (the line above had no end)'
		fi
		echo "# BEGIN cutover-link-$name$note"
		permission
		echo "# END cutover-link-$name"
	} >>"$config.cutover-new"
	cp -p "$config" "$config.cutover-old"
	mv "$config.cutover-new" "$config"
	undo() { mv "$config.cutover-old" "$config"; }
else
	undo() { :; }
fi

if ! said=$("$sshd" -t 2>&1); then
	undo
	echo "sshd would not accept its configuration with PermitTunnel for $account: $said" >&2
	exit 1
fi
if ! sshd_settings "$account" localhost 127.0.0.1 | grep -qi '^permittunnel point-to-point'; then
	undo
	echo "sshd keeps PermitTunnel off for $account: another setting comes first in $config" >&2
	exit 1
fi
rm -f "$config.cutover-old"
# Where a socket unit starts sshd for each connection, there is nothing to reload.
for service in ssh sshd; do
	if systemctl -q is-active "$service.service"; then
		systemctl reload "$service.service"
		break
	fi
done
