package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// programs are what the lab runs on this machine, with their Debian packages.
var programs = [][2]string{
	{"systemd-nspawn", "systemd-container"},
	{"debootstrap", "debootstrap"},
	{"ip", "iproute2"},
	{"ssh-keygen", "openssh-client"},
	{"unshare", "util-linux"},
	{"nsenter", "util-linux"},
	{"mountpoint", "util-linux"},
}

// Check says why this machine cannot run a lab, and how to mend that; nil if
// it can. It looks once in a process.
var Check = sync.OnceValue(check)

func check() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the lab needs Linux, and this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root, for namespaces, mounts and a bridge: run it as root")
	}
	var missing, packages []string
	for _, program := range programs {
		if _, err := exec.LookPath(program[0]); err != nil {
			missing, packages = append(missing, program[0]), append(packages, program[1])
		}
	}
	if missing != nil {
		return fmt.Errorf("the lab needs %s: run internal/lab/setup.sh, or on Debian and Ubuntu `apt-get install %s`",
			strings.Join(missing, ", "), strings.Join(packages, " "))
	}
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return fmt.Errorf("the lab needs a writable %s: %w", stateDir, err)
	}
	trial, err := os.MkdirTemp(stateDir, "check-")
	if err != nil {
		return fmt.Errorf("the lab needs a writable %s: %w", stateDir, err)
	}
	defer os.RemoveAll(trial)
	// What a host does first, in the same order, so that the reason is the
	// kernel's own and not a guess from its configuration.
	const try = `set -eu
cd "$1"
step() { what=$1; shift; "$@" 2>err || { echo "$what: $(cat err)"; exit 1; }; }
mkdir lower upper work root cgroup
step 'mounting cgroup v2' mount -t cgroup2 none cgroup
step 'making a control group' mkdir -p cgroup/cutover-lab
step "mounting an overlay on $1 (if that is an overlay itself, as in a container, mount a volume there)" \
	mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
step 'making a bridge' ip link add cvl type bridge
step 'making a pair of links' ip link add cvl0 type veth peer name cvl1
`
	cmd := exec.Command("unshare", "--mount", "--net", "sh", "-c", try, "sh", trial)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("the kernel of this machine does not let us run a lab: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Require skips a test on a machine that cannot run a lab, with the reason;
// with CUTOVER_LAB=required in the environment the test fails instead. With
// -short it is always skipped. The name of a test on real hosts begins with
// TestAcc: make test runs those once more that have failed, and no others.
func Require(t testing.TB) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestAcc") {
		t.Fatalf("%s needs real hosts, so its name has to begin with TestAcc", t.Name())
	}
	if testing.Short() {
		t.Skip("needs real hosts, which -short leaves out")
	}
	err := Check()
	switch {
	case err == nil:
	case os.Getenv("CUTOVER_LAB") == "required":
		t.Fatalf("CUTOVER_LAB=required, but: %v", err)
	default:
		t.Skipf("needs real hosts: %v", err)
	}
}

// Boot makes a lab for a test, with hosts "NAME=KIND" booted side by side. It
// ends with the test.
func Boot(t testing.TB, specs ...string) (*Lab, []*Host) {
	t.Helper()
	Require(t)
	l, err := New(t.Context(), Options{Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	hosts, failures := make([]*Host, len(specs)), make([]error, len(specs))
	var booting sync.WaitGroup
	for i, spec := range specs {
		name, kind, _ := strings.Cut(spec, "=")
		booting.Go(func() { hosts[i], failures[i] = l.StartHost(t.Context(), name, Kind(kind)) })
	}
	booting.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	return l, hosts
}
