package provider_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/churn"
	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
)

// soakSeeds are the seeds of a long run: SEED alone, else as many as SOAK says.
func soakSeeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	if text := os.Getenv("SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("SEED is %q, and has to be a number", text)
		}
		return []uint64{seed}
	}
	count := uint64(200)
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if count, err = strconv.ParseUint(text, 10, 64); err != nil || count < 1 {
			t.Fatalf("SOAK is %q, and has to be a number of seeds", text)
		}
	}
	for seed := range count {
		seeds = append(seeds, seed)
	}
	return seeds
}

// Five chains with changes between their passes, one of them through Terraform.
func TestAccSoak(t *testing.T) { soakChains(t, []uint64{0, 4, 6, 8, 14}, nil) }

// Random changes on the host without systemd between the passes of a chain, and
// then the trees agree. Of ten seeds, three go through Terraform itself, and in
// five the passes are disturbed: see disturb. `make soak` takes 200 seeds;
// SEED=n make soak repeats one. The changes are the same in each run of a seed;
// the moments of what disturbs are not.
func TestAccLongSoak(t *testing.T) {
	var calm, rough []uint64
	for _, seed := range soakSeeds(t) {
		if seed%2 == 0 {
			calm = append(calm, seed)
		} else {
			rough = append(rough, seed)
		}
	}
	soakChains(t, calm, rough)
}

func soakChains(t *testing.T, calm, rough []uint64) {
	t.Helper()
	t.Parallel()
	// What disturbs one chain disturbs all of its lab. Passes mostly wait for
	// something: several side by side take little longer than one.
	for number, seeds := range [][]uint64{calm, rough} {
		if len(seeds) == 0 {
			continue
		}
		name := []string{"calm", "disturbed"}[number]
		t.Run(name, func(t *testing.T) {
			w := labWorld(t)
			soakWorld(t, w)
			t.Cleanup(func() {
				if got := run(t, w.trixie, "sh", "-c", `cd "$1" && echo * && cat a`, "sh", churn.Outside); got != "a\nnew\n" {
					t.Errorf("on the new host, %s holds %q: the passes have written outside of their target", churn.Outside, got)
				}
				if err := w.keyGone(t, w.sysv); err != nil {
					t.Error(err)
				}
			})
			turns := make(chan struct{}, 2)
			var chains sync.WaitGroup
			for _, seed := range seeds {
				chains.Go(func() {
					turns <- struct{}{}
					defer func() { <-turns }()
					t.Run(fmt.Sprint(seed), func(t *testing.T) {
						newSoak(t, w, seed, number == 1).run()
					})
				})
			}
			chains.Wait()
		})
	}
}

// soakWorld makes the accounts and the directory beside the trees, and takes
// them away with the trees.
func soakWorld(t *testing.T, w *world) {
	t.Helper()
	untouched(t, w.sysv)
	untouched(t, w.trixie)
	for number, h := range map[string]*lab.Host{"4711": w.sysv, "4812": w.trixie} {
		run(t, h, "sh", "-c", "mkdir /root/etc-before && cp -p /etc/passwd* /etc/shadow* /etc/group* /etc/gshadow* /etc/subuid* /etc/subgid* /root/etc-before")
		t.Cleanup(func() {
			run(t, h, "sh", "-c", `rm -rf /srv/soak* && cp -p /root/etc-before/* /etc/ && rm -r /root/etc-before
				for left in /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-; do [ ! -e "$left" ] || touch -r /etc/passwd "$left"; done`)
		})
		run(t, h, "sh", "-c", churn.People, "sh", number)
		run(t, h, "sh", "-c", `mkdir "$1" && echo "$2" >"$1/a"`, "sh", churn.Outside, h.Name)
	}
}

// soak is one chain of passes.
type soak struct {
	*testing.T
	w      *world
	seed   uint64
	random *rand.Rand // of the changes
	chance *rand.Rand // of everything else
	source string
	target string
	rough  bool
	was    string // the tree at the last comparison
	apply  func(p syncpass.Pass, round string) *attempt
	end    func()
}

// attempt is one apply: kill ends it as SIGKILL does, err waits for its end.
type attempt struct {
	kill func()
	err  func() error
}

func newSoak(t *testing.T, w *world, seed uint64, rough bool) *soak {
	t.Helper()
	s := &soak{
		T: t, w: w, seed: seed, rough: rough,
		random: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // not for secrets
		chance: rand.New(rand.NewPCG(seed, 2)), //nolint:gosec // not for secrets
		source: fmt.Sprintf("/srv/soak/%d/tree", seed), target: fmt.Sprintf("/srv/soak/%d/tree", seed),
	}
	if seed%3 == 1 {
		s.target = fmt.Sprintf("/srv/soak/%d/another tree", seed)
	}
	if seed%10 < 3 {
		s.throughTerraform()
	} else {
		s.throughThePackage()
	}
	return s
}

// throughThePackage runs passes in this process, where an attempt that is killed
// is one of a process of its own.
func (s *soak) throughThePackage() {
	pool := host.NewPool(hostConfig(s.w, s.w.sysv), hostConfig(s.w, s.w.trixie))
	s.Cleanup(func() { pool.Close() })
	from, err := pool.Host(s.w.sysv.Name)
	if err != nil {
		s.Fatal(err)
	}
	to, err := pool.Host(s.w.trixie.Name)
	if err != nil {
		s.Fatal(err)
	}
	id := fmt.Sprintf("soak-%d", s.seed)
	s.apply = func(p syncpass.Pass, _ string) *attempt {
		p.ID = id
		ctx, cancel := context.WithCancel(s.Context())
		done := make(chan error, 1)
		go func() {
			_, err := syncpass.Run(ctx, from, to, p, nil)
			done <- err
		}()
		// As near as one process comes to it: see also the seeds through Terraform.
		return &attempt{kill: cancel, err: func() error { defer cancel(); return <-done }}
	}
	s.end = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if _, err := syncpass.Forget(ctx, from, to, s.pass(id), false); err != nil {
			s.Error(err)
		}
	}
}

// hostConfig is how this process itself reaches a host of the lab.
func hostConfig(w *world, h *lab.Host) host.Config {
	no := false
	return host.Config{
		Name: h.Name, Address: h.Address, User: "root", Agent: &no, SSHConfigPath: "none",
		PrivateKeyPath: w.lab.KeyPath(), KnownHostsPath: w.lab.KnownHostsPath(),
	}
}

func (s *soak) pass(id string) syncpass.Pass {
	return syncpass.Pass{ID: id, Paths: []syncpass.Path{{Source: s.source, Target: s.target}}, Excludes: []string{"/excluded"}, Delete: "trash", UnknownOwners: "fail"}
}

// throughTerraform runs passes as terraform apply.
func (s *soak) throughTerraform() {
	config, err := cliConfig()
	if err != nil {
		s.Fatal(err)
	}
	dir := s.TempDir()
	terraform := os.Getenv("TF_ACC_TERRAFORM_PATH")
	if terraform == "" {
		terraform = "terraform"
	}
	start := func(args ...string) *attempt {
		cmd := exec.Command(terraform, append(args, "-auto-approve", "-no-color", "-input=false", "-lock=false")...) //nolint:gosec // a test's own
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TF_CLI_CONFIG_FILE="+config, "CHECKPOINT_DISABLE=1")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.WaitDelay = 10 * time.Second
		if err := cmd.Start(); err != nil {
			s.Fatal(err)
		}
		// Whatever a Terraform that was killed alone has left.
		s.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		// Terraform alone, or with its provider: the one leaves a provider that
		// sees its client go, the other nobody.
		victim := cmd.Process.Pid
		if s.chance.IntN(2) == 0 {
			victim = -victim
		}
		return &attempt{
			kill: func() { _ = syscall.Kill(victim, syscall.SIGKILL) },
			err: func() error {
				if err := cmd.Wait(); err != nil {
					return fmt.Errorf("terraform %s: %w\n%s", args[0], err, said.String())
				}
				return nil
			},
		}
	}
	write := func(p syncpass.Pass, round string) {
		text := "terraform {\n  required_providers {\n    cutover = { source = \"cutover-dev/cutover\" }\n  }\n}\n" + s.w.config(fmt.Sprintf(`
resource "cutover_sync_pass" "soak" {
  from     = %q
  to       = %q
  paths    = [%q]
  targets  = { %q = %q }
  excludes = ["/excluded"]
  final    = %t
  triggers = { round = %q }
%s}
`, s.w.sysv.Name, s.w.trixie.Name, s.source, s.source, s.target, p.Final, round, limit(p)))
		if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	s.apply = func(p syncpass.Pass, round string) *attempt {
		write(p, round)
		return start("apply")
	}
	s.end = func() {
		if err := s.await(start("destroy")); err != nil {
			s.Error(err)
		}
	}
}

func limit(p syncpass.Pass) string {
	if p.BandwidthLimit == 0 {
		return ""
	}
	return fmt.Sprintf("  bandwidth_limit = %d\n", p.BandwidthLimit)
}

// rounds is how many times the tree is changed, and how often each time. Under
// disturbance the tree is changed between the attempts too.
const (
	soakRounds  = 4
	soakChanges = 400
)

func (s *soak) run() {
	run(s.T, s.w.sysv, "sh", "-c", churn.Tree, "sh", s.source)
	run(s.T, s.w.sysv, "sh", "-c", `mkdir "$1/excluded"; echo 1 >"$1/excluded/file"`, "sh", s.source)
	for round := range soakRounds {
		if round > 0 {
			s.change()
			name := fmt.Sprintf("own%d", round)
			run(s.T, s.w.trixie, "sh", "-c", churn.Own, "sh", s.target, name)
		}
		own := s.own()
		began := time.Now()
		final := s.random.IntN(2) == 0
		if s.rough {
			final = s.disturbed(round, final)
		}
		p := s.pass("")
		p.Final = final
		// The others' troubles may still come between.
		err := s.await(s.apply(p, fmt.Sprint(round)))
		for n := 1; err != nil && s.rough && n < 5; n++ {
			s.Logf("round %d, again: %s", round, firstLine(err))
			err = s.await(s.apply(p, fmt.Sprint(round)))
		}
		if err != nil {
			s.fail(round, "the pass failed: %v", err)
		}
		s.compare(round)
		if now := s.own(); now != own {
			s.fail(round, "what the new host has of its own was changed:\n%s\nit was:\n%s", linesWithout(now, own), linesWithout(own, now))
		}
		s.Logf("round %d took %.1f s", round, time.Since(began).Seconds())
	}
	s.end()
	run(s.T, s.w.sysv, "rm", "-rf", filepath.Dir(s.source))
	run(s.T, s.w.trixie, "rm", "-rf", filepath.Dir(s.target))
}

// await waits for the end of an attempt. What hangs is ended, and shows where: a pass
// of these few files takes seconds.
func (s *soak) await(a *attempt) error {
	shown := make(chan struct{})
	hangs := time.AfterFunc(5*time.Minute, func() {
		defer close(shown)
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, h := range []*lab.Host{s.w.sysv, s.w.trixie} {
			said, err := h.Run(context.Background(), "sh", "-c", stacksOfWorkers)
			s.Errorf("seed %d: the pass hangs. Host %s (%v):\n%s", s.seed, h.Name, err, said)
		}
		s.Logf("This process:\n%s", stacks)
		a.kill()
	})
	err := a.err()
	if !hangs.Stop() {
		<-shown // the test must not be over before
	}
	return err
}

// stacksOfWorkers shows the processes of a host, and has a pass of each chain end with
// the stacks of its goroutines (SIGQUIT, as Go's package os/signal says).
const stacksOfWorkers = `ps -ww -eo pid,ppid,stat,wchan:24,etimes,args
for job in /run/cutover/job-*; do
	if [ -e "$job/lock" ]; then kill -QUIT "$(cat "$job/lock")"; sleep 2; echo "$job:"; cat "$job/errors"; fi
done; true`

func (s *soak) fail(round int, format string, args ...any) {
	s.Helper()
	s.Fatalf("seed %d (SEED=%[1]d make soak), round %d: %s", s.seed, round, fmt.Sprintf(format, args...))
}

func (s *soak) change() {
	s.Helper()
	if _, err := s.w.sysv.RunInput(context.Background(), churn.Script(s.random, soakChanges), "sh", "-s", s.source); err != nil {
		s.Fatal(err)
	}
}

// own is what the new host has that no pass has brought.
func (s *soak) own() string {
	return run(s.T, s.w.trixie, "sh", "-c", `[ ! -d "$1" ] || { `+churn.OwnShow+`; }`, "sh", s.target)
}

// compare compares the trees.
func (s *soak) compare(round int) {
	s.Helper()
	there := s.show(s.w.sysv, s.source)
	here := s.show(s.w.trixie, s.target)
	if there == here {
		s.Logf("round %d: %d lines of the tree agree, %d of them new", round, strings.Count(there, "\n"), strings.Count(linesWithout(there, s.was), "\n"))
		s.was = there
		return
	}
	log, _ := s.w.trixie.Run(context.Background(), "sh", "-c", `cd /var/lib/cutover/passes && tail -n 40 "$(ls -t | head -n 1)"`)
	s.fail(round, "the trees differ. Only the old host has:\n%s\nOnly the new host has:\n%s\nThe log of the last pass ends in:\n%s",
		linesWithout(there, here), linesWithout(here, there), log)
}

func (s *soak) show(h *lab.Host, dir string) string {
	script := strings.Replace(churn.Show, "-name *.only-new", "-name *.only-new -prune -o -path ./excluded", 1)
	return run(s.T, h, "sh", "-c", script, "sh", dir)
}

// disturbed makes an attempt or two that something disturbs, and says whether
// the next has to be a final one: it must not be content with what a pass has
// seen that was under way before the last changes. An attempt that ends well
// has to have done its work, whatever came between.
func (s *soak) disturbed(round int, final bool) bool {
	attempts := 1 + s.chance.IntN(2)
	for n := range attempts {
		p := s.pass("")
		p.Final = final
		if s.chance.IntN(2) == 0 {
			p.BandwidthLimit = int64(500 + s.chance.IntN(3000)) // KiB a second; slow enough to be caught in the act
		}
		a := s.apply(p, fmt.Sprintf("%d.%d", round, n))
		ended := make(chan error, 1)
		go func() { ended <- s.await(a) }()
		var err error
		moment := time.Duration(s.chance.Int64N(int64(6 * time.Second)))
		what := "nothing"
		select {
		case err = <-ended:
		case <-time.After(moment):
			what = s.disturb(a)
			err = <-ended
		}
		s.Logf("round %d.%d: %s after %.1f s: %s", round, n, what, moment.Seconds(), firstLine(err))
		if err == nil && what != changing {
			s.compare(round)
		}
		if s.chance.IntN(2) == 0 {
			s.change()
			final = true
		}
	}
	return final
}

func firstLine(err error) string {
	if err == nil {
		return "the pass ended well"
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if strings.Contains(line, "rror") || len(lines) > 0 {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	text := strings.Join(lines, " ")
	if text == "" {
		text = err.Error()
	}
	return text[:min(len(text), 300)]
}

// changing is what a live server does to a pass. Nobody can say what the new
// host then has; only that the next pass mends it.
const changing = "the tree changed meanwhile"

// disturb does one of the things that happen to a pass, and says which.
func (s *soak) disturb(a *attempt) string {
	inside := func(h *lab.Host, script string, args ...string) error {
		_, err := h.Run(context.Background(), append([]string{"sh", "-c", script, "sh"}, args...)...)
		return err
	}
	var err error
	var what string
	switch s.chance.IntN(9) {
	case 8:
		what = "the pass itself killed"
		err = inside(s.w.trixie, `systemctl list-units --plain --no-legend 'cutover-pass-*' | while read -r unit rest; do systemctl kill -s KILL "$unit" 2>/dev/null || true; done`)
	case 7:
		what = changing
		s.change()
	case 0, 1:
		what = "killed" // or interrupted, in this process
		a.kill()
	case 2:
		what = "the provider's connections to both hosts cut"
		err = errors.Join(inside(s.w.sysv, endSessions, "not", s.w.trixie.Address), inside(s.w.trixie, endSessions, "not", s.w.sysv.Address))
	case 3:
		what = "the connection between the hosts cut"
		err = inside(s.w.sysv, endSessions, "from", s.w.trixie.Address)
	case 4:
		what = "the line between the hosts dead for some seconds"
		for h, other := range map[*lab.Host]*lab.Host{s.w.sysv: s.w.trixie, s.w.trixie: s.w.sysv} {
			err = errors.Join(err, inside(h, `ip route add blackhole "$1" 2>/dev/null || true`, other.Address))
		}
		time.Sleep(time.Duration(1+s.chance.IntN(4)) * time.Second)
		for h, other := range map[*lab.Host]*lab.Host{s.w.sysv: s.w.trixie, s.w.trixie: s.w.sysv} {
			err = errors.Join(err, inside(h, `ip route del blackhole "$1" 2>/dev/null || true`, other.Address))
		}
	case 5:
		cut := s.w.sysv
		if s.chance.IntN(2) == 0 {
			cut = s.w.trixie
		}
		what = "host " + cut.Name + " out of reach for some seconds"
		err = cut.Cut(context.Background())
		time.Sleep(time.Duration(1+s.chance.IntN(4)) * time.Second)
		err = errors.Join(err, cut.Mend(context.Background()))
	default:
		what = "the new host's sshd restarted"
		err = inside(s.w.trixie, "systemctl restart ssh")
	}
	if err != nil {
		s.Errorf("%s: %v", what, err)
	}
	return what
}

// endSessions ends the processes of sshd that serve connections "from" an
// address, or from any but that ("not").
const endSessions = `ss -Htnp state established '( sport = :22 )' | while read -r _ _ _ peer rest; do
	case $1 in from) case $peer in "$2":*) ;; *) continue ;; esac ;; *) case $peer in "$2":*) continue ;; esac ;; esac
	echo "$rest" | grep -o 'pid=[0-9]*' | cut -d= -f2 | while read -r pid; do kill -9 "$pid"; done
done; true`
