package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// Host is a booted host of a lab.
type Host struct {
	Name              string
	Kind              Kind
	Address, Address6 string
	HostKey           string // "ssh-ed25519 AAAA...", as in known_hosts

	lab    *Lab
	number int
	dir    string
	*keeper

	mu   sync.Mutex // guards init
	init process    // the guest's PID 1, seen from this machine

	digests digests
}

// hostName is what a host may be called: a label of a domain name, and short
// enough for the names made of it.
var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// StartHost boots a host and returns once its sshd and the services of its
// kind answer. The first host of a kind on a machine takes minutes, for its
// base is built then. Several StartHost may run at once.
func (l *Lab) StartHost(ctx context.Context, name string, k Kind) (*Host, error) {
	if !hostName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name for a lab host: want lower case letters, digits and dashes", name)
	}
	base, err := ensureBase(ctx, k, l.progress)
	if err != nil {
		return nil, err
	}
	l.progress("booting %s (%s)", name, k)
	started := time.Now()
	h, err := l.boot(ctx, name, k, base)
	if err != nil {
		return nil, fmt.Errorf("starting lab host %s: %w", name, err)
	}
	if err := h.WaitPorts(ctx, kinds[k].ports...); err != nil {
		return nil, h.consoleError(err)
	}
	l.progress("%s is up after %.1f s", name, time.Since(started).Seconds())
	return h, nil
}

// boot does what must not happen twice at a time, and returns while the host
// still boots.
func (l *Lab) boot(ctx context.Context, name string, k Kind, base string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	for _, other := range l.hosts {
		if other.Name == name {
			return nil, errors.New("there is a host of that name already")
		}
	}
	number := firstHost + len(l.hosts)
	if number >= firstClient {
		return nil, fmt.Errorf("a lab has room for %d hosts", firstClient-firstHost)
	}
	v4, v6 := l.address(number)
	h := &Host{Name: name, Kind: k, Address: v4, Address6: v6, lab: l, number: number, dir: filepath.Join(l.dir, "hosts", name)}
	if err := h.seed(ctx); err != nil {
		return nil, err
	}

	console, err := os.Create(h.consolePath())
	if err != nil {
		return nil, err
	}
	defer console.Close()
	cgroup := fmt.Sprintf("%s/host%d", cgroupOf(l.index), number)
	args := []string{h.dir, cgroup, h.link() + "-" + name, name, base}
	cmd := l.onBridge("guest.sh", append(args, l.plugArguments('h', number)...)...)
	cmd.Stdout, cmd.Stderr = console, console
	if h.keeper, err = startKeeper(cmd); err != nil {
		return nil, err
	}
	l.hosts = append(l.hosts, h)
	return h, l.introduce(ctx, h)
}

// link is the host's link on the machine's side.
func (h *Host) link() string { return h.lab.linkName('h', h.number) }

func (h *Host) consolePath() string { return filepath.Join(h.dir, "console.log") }

// hostsLine is the host's line in /etc/hosts.
func (h *Host) hostsLine() string {
	return fmt.Sprintf("%s %s.example.test %s\n%s %s.example.test %s\n", h.Address, h.Name, h.Name, h.Address6, h.Name, h.Name)
}

// seed writes what prepare.sh gives the host of its own.
func (h *Host) seed(ctx context.Context) error {
	seed := filepath.Join(h.dir, "seed")
	for _, dir := range []string{"upper", "work", "root", "seed"} {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o755); err != nil {
			return err
		}
	}
	var known strings.Builder
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		key := filepath.Join(seed, "ssh_host_"+kind+"_key")
		if err := keygen(ctx, kind, key, "root@"+h.Name); err != nil {
			return err
		}
		public, err := os.ReadFile(key + ".pub")
		if err != nil {
			return err
		}
		fields := strings.Fields(string(public))
		line := fields[0] + " " + fields[1]
		if kind == "ed25519" {
			h.HostKey = line
		}
		fmt.Fprintf(&known, "%s,%s,%s,%s.example.test %s\n", h.Address, h.Address6, h.Name, h.Name, line)
	}
	file, err := os.OpenFile(h.lab.KnownHostsPath(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteString(known.String()); err != nil {
		return err
	}

	authorised, err := os.ReadFile(h.lab.KeyPath() + ".pub")
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" + h.hostsLine()
	for _, other := range h.lab.hosts {
		hosts += other.hostsLine()
	}
	for name, text := range map[string]string{
		"authorized_keys": string(authorised),
		"machine-id":      hex.EncodeToString(id) + "\n",
		"hosts":           hosts,
		"prepare.sh":      script("prepare.sh"),
	} {
		if err := os.WriteFile(filepath.Join(seed, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// introduce tells the hosts that run already about a new one, as its own
// /etc/hosts tells it about them.
func (l *Lab) introduce(ctx context.Context, h *Host) error {
	for _, other := range l.hosts {
		if other == h {
			continue
		}
		if _, err := other.RunInput(ctx, h.hostsLine(), "tee", "-a", "/etc/hosts"); err != nil {
			return err
		}
	}
	return nil
}

// WaitPorts waits until the host accepts connections on all the TCP ports, and
// in the case of 22 greets as an SSH server, for a minute at most, on a slow machine longer.
func (h *Host) WaitPorts(ctx context.Context, ports ...int) error {
	ctx, cancel := context.WithTimeout(ctx, pace.Limit(time.Minute))
	defer cancel()
	for _, port := range ports {
		for {
			err := h.answers(ctx, port)
			if err == nil {
				break
			}
			select {
			case <-h.ended:
				return fmt.Errorf("host %s has ended", h.Name)
			case <-ctx.Done():
				return fmt.Errorf("host %s does not answer on port %d: %w", h.Name, port, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func (h *Host) answers(ctx context.Context, port int) error {
	dialer := net.Dialer{Timeout: pace.Limit(2 * time.Second)}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(h.Address, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if port != 22 {
		return nil
	}
	if err := conn.SetReadDeadline(time.Now().Add(pace.Limit(5 * time.Second))); err != nil {
		return err
	}
	greeting := make([]byte, 4)
	if _, err := conn.Read(greeting); err != nil {
		return err
	}
	if string(greeting) != "SSH-" {
		return fmt.Errorf("greeting %q", greeting)
	}
	return nil
}

func (h *Host) consoleError(err error) error {
	return fmt.Errorf("lab host %s: %w; the end of its console (%s):\n%s", h.Name, err, h.consolePath(), tail(h.consolePath(), 30))
}

// Reboot reboots the host as its administrator would and returns when a new
// init is running and sshd answers.
func (h *Host) Reboot(ctx context.Context) error {
	before, err := h.findInit(ctx)
	if err != nil {
		return err
	}
	// The command may well be killed by what it does.
	_, rebootErr := h.Run(ctx, "shutdown", "-r", "now")
	ctx, cancel := context.WithTimeout(ctx, pace.Limit(2*time.Minute))
	defer cancel()
	for {
		if after, err := h.findInit(ctx); err == nil && after != before {
			break
		}
		select {
		case <-h.ended:
			return h.consoleError(errors.New("ended instead of rebooting"))
		case <-ctx.Done():
			return h.consoleError(errors.Join(fmt.Errorf("rebooting: %w", ctx.Err()), rebootErr))
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := h.WaitPorts(ctx, 22); err != nil {
		return h.consoleError(err)
	}
	return nil
}

// Cut takes the host's link down on the bridge's side: packets are lost and
// nobody is told, as with a pulled cable. It lasts over a reboot.
func (h *Host) Cut(ctx context.Context) error {
	if err := os.WriteFile(h.cutMarker(), nil, 0o644); err != nil {
		return err
	}
	_, err := output(ctx, "nsenter", h.lab.bridgeNamespace(), "ip", "link", "set", h.link(), "down")
	return err
}

// Mend undoes Cut.
func (h *Host) Mend(ctx context.Context) error {
	if err := os.Remove(h.cutMarker()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err := output(ctx, "nsenter", h.lab.bridgeNamespace(), "ip", "link", "set", h.link(), "up")
	return err
}

// cutMarker is the file that tells guest.sh of a cut.
func (h *Host) cutMarker() string { return filepath.Join(h.dir, "cut") }
