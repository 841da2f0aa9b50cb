// Package lab makes real hosts on one machine for tests, the demo and
// benchmarks: Debian systems of several ages with their own init, sshd, mail,
// web and FTP services, network addresses and content, booted in containers
// from cached bases and thrown away again.
//
// A lab has a bridge with a private IPv4 and IPv6 subnet; every [Host] has an
// address on it, and so has every [Client], which is a bare network namespace
// in which programs of this machine run. Several labs, of several processes,
// exist side by side. The machine's own firewall, mounts, services and kernel
// settings stay untouched, and what a killed process left is removed by the
// next [New].
//
// The services of a host are enabled and running: whoever wants them stopped
// stops them. Logins (all with the lab's key, see [Lab.KeyPath], too):
//
//   - root, by key only;
//   - admin, sudo with the password "admin-secret";
//   - operator, sudo without a password ("operator-secret" logs in);
//   - on [Trixie] doasuser, doas with the password "doasuser-secret", and
//     doasfree, doas without a password.
//
// The package needs root and systemd-nspawn; see [Check] and setup.sh. Of this
// module it imports the pace of the machine alone, and nothing but tests, the demo,
// benchmarks and its own command may import it.
package lab
