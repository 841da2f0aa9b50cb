package provider_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
)

// accounting has a host's kernel note each process that ends (acct(2)), until the function
// that it returns is called. That returns the names of their programs.
func accounting(t *testing.T, h *lab.Host) (ended func() []string) {
	t.Helper()
	number, ok := map[string]int{"amd64": 163, "386": 51, "arm64": 89, "arm": 51, "riscv64": 89, "ppc64le": 51, "s390x": 51}[runtime.GOARCH]
	if !ok {
		t.Fatalf("what number has acct(2) on %s?", runtime.GOARCH)
	}
	const perl = `my $file = $ARGV[1]; syscall($ARGV[0], $file ? $file : 0) == 0 or die "acct: $!\n"`
	run(t, h, "touch", "/root/processes")
	// What daemons of the host start is theirs. sshd and init start what is ours.
	theirs := map[uint32]bool{}
	for line := range strings.Lines(run(t, h, "ps", "-eo", "pid=,comm=")) {
		var pid uint32
		var program string
		if n, _ := fmt.Sscan(line, &pid, &program); n == 2 && pid != 1 && !strings.HasPrefix(program, "sshd") {
			theirs[pid] = true
		}
	}
	run(t, h, "perl", "-e", perl, fmt.Sprint(number), "/root/processes")
	return func() []string {
		run(t, h, "perl", "-e", perl, fmt.Sprint(number), "")
		noted, err := hex.DecodeString(strings.ReplaceAll(run(t, h, "sh", "-c", "od -An -v -tx1 /root/processes | tr -d ' '; rm /root/processes"), "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		// A record is a struct acct_v3 of linux/acct.h: 64 bytes, the first of which is flags,
		// and the last 16 the program's name.
		const size, parent, name, forked = 64, 20, 48, 1 // AFORK: it never ran a program of its own
		if len(noted)%size != 0 {
			t.Fatalf("%d bytes are no list of records", len(noted))
		}
		var programs []string
		for record := range slices.Chunk(noted, size) {
			program := strings.TrimRight(string(record[name:]), "\x00")
			switch {
			case program == "perl": // the test's own
			case theirs[binary.NativeEndian.Uint32(record[parent:])]:
			case strings.HasPrefix(program, "sshd"): // its own; there are more or fewer by its version
			case slices.Contains([]string{"run-parts", "10-uname", "uname"}, program): // PAM's at a login; pam_motd(8)
			case strings.HasPrefix(program, "("): // init's own
			case program == "systemd-tmpfile": // a timer's, 15 minutes after the host has booted
			case strings.HasPrefix(program, "worker-") && record[0]&forked != 0:
				// Go's runtime tries once whether the kernel has pidfds: what it clones ends at once.
			default:
				programs = append(programs, program)
			}
		}
		return programs
	}
}

// A process takes milliseconds to begin, and a last pass competes with whoever waits
// for it. It starts ten on each host at the most. (Among sshd's own, which are not
// counted, is the one on the old host that is asked for its settings.)
func TestAccSyncPassProcesses(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, old *lab.Host) {
		passTrees(t, w, old)
		pool := host.NewPool(hostConfig(w, old), hostConfig(w, w.trixie))
		t.Cleanup(func() { _ = pool.Close() })
		from, err := pool.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		to, err := pool.Host(w.trixie.Name)
		if err != nil {
			t.Fatal(err)
		}
		p := syncpass.Pass{ID: "processes", Paths: []syncpass.Path{{Source: "/srv/pass data"}, {Source: "/srv/second"}}, Excludes: []string{"*.tmp", "/staying"}}
		t.Cleanup(func() {
			if _, err := syncpass.Forget(context.Background(), from, to, p, false); err != nil {
				t.Error(err)
			}
		})
		if _, err := syncpass.Run(t.Context(), from, to, p, nil); err != nil {
			t.Fatal(err)
		}
		run(t, old, "sh", "-c", `cd "/srv/pass data"; echo seven >deep/er/seven; rm attr; mkdir more; for n in 1 2 3 4 5 6; do echo $n >more/$n; done; chown passer more/1`)
		p.Final = true
		there, here := accounting(t, old), accounting(t, w.trixie)
		result, err := syncpass.Run(t.Context(), from, to, p, nil)
		time.Sleep(500 * time.Millisecond) // for whoever only has to end
		for h, ended := range map[*lab.Host]func() []string{old: there, w.trixie: here} {
			programs := ended()
			t.Logf("on %s: %s", h.Name, strings.Join(programs, ", "))
			most := 10
			if h == old {
				most = 9
			}
			if len(programs) > most {
				t.Errorf("on %s a last pass has started %d processes: %s", h.Name, len(programs), strings.Join(programs, ", "))
			}
			if len(programs) < 2 {
				t.Errorf("on %s a last pass has started %d processes, so they were not counted", h.Name, len(programs))
			}
		}
		if err != nil || result.Total.Created != 8 {
			t.Errorf("%+v, %v", result, err)
		}
		if err := w.sameTrees(t, old); err != nil {
			t.Error(err)
		}
	})
}
