# Setup that every kind of lab host shares. Runs in a chroot, before the kind's own script.
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# Logins for the provider's own tests: sudo with and without a password.
useradd -m -s /bin/bash -c 'Lab administrator' admin
usermod -aG sudo admin
useradd -m -s /bin/bash -c 'Lab operator' -g operator operator
printf 'operator ALL=(ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/operator
chmod 440 /etc/sudoers.d/operator
printf 'admin:admin-secret\noperator:operator-secret\n' | chpasswd
for home in /root /home/admin /home/operator; do
	mkdir -p "$home/.ssh"
	chmod 700 "$home/.ssh"
	: >"$home/.ssh/authorized_keys"
	chmod 600 "$home/.ssh/authorized_keys"
	chown -R --reference="$home" "$home/.ssh"
done
passwd -l root >/dev/null

# Without a name server that answers at once, Apache and sudo wait for DNS at every start: nothing listens
# on this address, so every lookup is refused immediately.
rm -f /etc/resolv.conf
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >/etc/resolv.conf

# sshd as packaged, but a lab opens many connections in bursts.
if [ -d /etc/ssh/sshd_config.d ]; then
	printf 'MaxStartups 100:30:200\nUseDNS no\n' >/etc/ssh/sshd_config.d/lab.conf
fi
