package provider_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/provider"
)

// world is a lab of this package's acceptance tests: the old host with SysV
// init, the old host with systemd, and the new one. A test has a world for
// itself, and leaves the hosts as it found them for the next.
type world struct {
	lab            *lab.Lab
	sysv, bookworm *lab.Host // named "sysv" and "bookworm" in the provider's block
	trixie         *lab.Host // named "new"
	client         *lab.Client

	web  *lab.Host // named "web", once webHost has booted it
	exim *lab.Host // named "exim", once eximHost has booted it
}

// worlds are those that no test has at this moment; nil is one that is still to be
// booted. Tests wait for hosts more than they compute, so there are more of them
// than processors.
var worlds = func() chan *world {
	free := make(chan *world, 4)
	for range cap(free) {
		free <- nil
	}
	return free
}()

// ends are what is to be done when all tests are over.
var ends struct {
	sync.Mutex
	all []func() error
}

func atEnd(end func() error) {
	ends.Lock()
	defer ends.Unlock()
	ends.all = append(ends.all, end)
}

func bootWorld() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	theLab, err := lab.New(ctx, lab.Options{Progress: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "lab: "+format+"\n", args...)
	}})
	if err != nil {
		return nil, err
	}
	atEnd(theLab.Close)
	w := &world{lab: theLab}
	var wg sync.WaitGroup
	var errs [3]error
	for i, boot := range []struct {
		host **lab.Host
		name string
		kind lab.Kind
	}{{&w.sysv, "sysv", lab.SysV}, {&w.bookworm, "bookworm", lab.Bookworm}, {&w.trixie, "new", lab.Trixie}} {
		wg.Go(func() { *boot.host, errs[i] = theLab.StartHost(ctx, boot.name, boot.kind) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	w.client, err = theLab.StartClient(ctx, "client")
	return w, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range ends.all {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, "after the tests:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// needsCLI skips a test that runs Terraform or OpenTofu but needs no host,
// where only what Go alone can run is wanted (make unit).
func needsCLI(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the Terraform CLI, which -short leaves out")
	}
}

// labWorld gives a test a world for itself, and lets it run beside others. It
// skips the test where the machine cannot run a lab.
func labWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return takeWorld(t)
}

// takeWorld is labWorld for a test that is parallel already, or has to be alone.
func takeWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	w := <-worlds
	t.Cleanup(func() {
		// A world in which a test has failed is no longer what the next one expects.
		if t.Failed() && w != nil {
			if err := w.lab.Close(); err != nil {
				t.Error(err)
			}
			w = nil
		}
		worlds <- w
	})
	if w == nil {
		var err error
		if w, err = bootWorld(); err != nil {
			t.Fatalf("the lab did not start: %v", err)
		}
	}
	return w
}

// webHost is the new host that nobody has moved in to: nginx runs there, Apache
// could, and there are PHP-FPM and ProFTPD. It is booted by the first test that
// needs it.
func (w *world) webHost(t *testing.T) *lab.Host {
	t.Helper()
	if w.web == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		host, err := w.lab.StartHost(ctx, "web", lab.Web)
		if err != nil {
			t.Fatalf("the lab's host for the web did not start: %v", err)
		}
		w.web = host
	}
	return w.web
}

// eximHost is an old host whose mail server is Exim. It is booted by the first test that
// needs it.
func (w *world) eximHost(t *testing.T) *lab.Host {
	t.Helper()
	if w.exim == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		host, err := w.lab.StartHost(ctx, "exim", lab.Exim)
		if err != nil {
			t.Fatalf("the lab's host with Exim did not start: %v", err)
		}
		w.exim = host
	}
	return w.exim
}

// onBothInits runs a test for the SysV and for the systemd host, whose name in
// the provider's block it is given: side by side, each in a world of its own.
func onBothInits(t *testing.T, test func(t *testing.T, w *world, name string, host *lab.Host)) {
	t.Helper()
	t.Parallel()
	for _, name := range []string{"sysv", "bookworm"} {
		t.Run(name, func(t *testing.T) {
			w := labWorld(t)
			test(t, w, name, w.host(name))
		})
	}
}

// onEveryHost runs a test for each of the three hosts, which must leave the
// other two alone.
func onEveryHost(t *testing.T, test func(t *testing.T, w *world, host *lab.Host)) {
	t.Helper()
	onHosts(t, test, "sysv", "bookworm", "new")
}

// onOldHosts is onEveryHost without the new host, and onNewHost is the rest of it:
// a long test, where that host's programs are those of the old ones.
func onOldHosts(t *testing.T, test func(t *testing.T, w *world, host *lab.Host)) {
	t.Helper()
	onHosts(t, test, "sysv", "bookworm")
}

func onNewHost(t *testing.T, test func(t *testing.T, w *world, host *lab.Host)) {
	t.Helper()
	onHosts(t, test, "new")
}

func onHosts(t *testing.T, test func(t *testing.T, w *world, host *lab.Host), names ...string) {
	t.Helper()
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			w := labWorld(t)
			test(t, w, w.host(name))
		})
	}
}

// host is the host of a name in the provider's block.
func (w *world) host(name string) *lab.Host {
	return map[string]*lab.Host{"sysv": w.sysv, "bookworm": w.bookworm, "new": w.trixie}[name]
}

// config is HCL with the provider's block of the lab in front.
func (w *world) config(hcl string) string {
	var b strings.Builder
	b.WriteString("provider \"cutover\" {\n  hosts = {\n")
	for _, host := range []*lab.Host{w.sysv, w.bookworm, w.trixie, w.web, w.exim} {
		if host == nil {
			continue
		}
		fmt.Fprintf(&b, "    %s = { address = %q, user = \"root\", private_key_path = %q, known_hosts_path = %q, agent = false, ssh_config_path = \"none\" }\n",
			host.Name, host.Address, w.lab.KeyPath(), w.lab.KnownHostsPath())
	}
	b.WriteString("  }\n}\n")
	return b.String() + hcl
}

// run runs a command in a host of the lab, not over SSH, and fails the test
// when it fails.
func run(t *testing.T, host *lab.Host, argv ...string) string {
	t.Helper()
	out, err := host.Run(context.Background(), argv...)
	if err != nil {
		t.Fatalf("on %s: %v", host.Name, err)
	}
	return out
}

// untouched compares a host's whole tree before the test with that after it.
func untouched(t *testing.T, host *lab.Host) {
	t.Helper()
	before, err := host.Tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		after, err := host.Tree(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		for _, change := range changesOf(before, after) {
			t.Errorf("on %s, %s", host.Name, change)
		}
		processes, err := host.Processes(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, process := range processes {
			if strings.Contains(process, "cutover") {
				t.Errorf("on %s, a process was left: %s", host.Name, process)
			}
		}
	})
}

// changesOf are the differences between two trees of a host, in words.
func changesOf(before, after map[string]string) []string {
	var changes []string
	for path, was := range before {
		switch is, ok := after[path]; {
		case !ok:
			changes = append(changes, path+" is gone")
		case is != was:
			changes = append(changes, fmt.Sprintf("%s was %q and is %q", path, was, is))
		}
	}
	for path, is := range after {
		if _, ok := before[path]; !ok {
			changes = append(changes, path+" was left: "+is)
		}
	}
	return changes
}

// inProcess serves the provider to the CLI from the test's own process.
var inProcess = map[string]func() (tfprotov6.ProviderServer, error){
	"cutover": providerserver.NewProtocol6WithError(provider.New("test")()),
}
