package provider_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/churn"
	"github.com/cutover-dev/terraform-provider-cutover/internal/syncpass"
)

// A target that is full in mid-pass, and then a host that has no room for the
// pass's own notes: the pass says so, what was there stays as it was, and the
// next apply goes on.
func TestAccLongSyncPassFullDisk(t *testing.T) {
	w := labWorld(t)
	name, host := w.sysv.Name, w.sysv
	passTrees(t, w, host)
	run(t, w.trixie, "sh", "-c", "mkdir /srv/second && mount -t tmpfs -o size=16m none /srv/second")
	t.Cleanup(func() {
		run(t, w.trixie, "sh", "-c", "for dir in /srv/second /var/lib/cutover; do ! mountpoint -q $dir || umount $dir; done")
	})
	run(t, host, "sh", "-c", "head -c 2000000 /dev/urandom >/srv/second/large")
	const base = "  excludes = [\"*.tmp\", \"/staying\"]\n"
	before := ""
	const sums = "cd /srv/second && sha256sum file large && stat -c '%n %Y %U %a' file large"
	same := check(t, func() error { return errors.Join(w.sameTrees(t, host), w.keyGone(t, host)) })
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{Config: passConfig(w, name, base), Check: same},
			{
				PreConfig: func() {
					before = run(t, w.trixie, "sh", "-c", sums)
					run(t, host, "sh", "-c", "cd /srv/second && head -c 6000000 /dev/urandom >large && mkdir more && for n in 1 2 3; do echo $n >more/$n; done")
					go func() { // once the large file is on its way, somebody else takes the room
						err := eventually(time.Minute, func() error {
							_, err := w.trixie.Run(context.Background(), "sh", "-c", "ls /srv/second/.cutover-*/* && { cat /dev/zero >/srv/second/filler 2>/dev/null || true; }")
							return err
						})
						if err != nil {
							t.Error(err)
						}
					}()
				},
				Config:      passConfig(w, name, base+"  bandwidth_limit = 1500\n  triggers = { again = 1 }\n"),
				ExpectError: regexp.MustCompile(`(?s)file\s+system\s+of\s+/srv/second\s+on\s+host\s+"new"\s+is\s+full:\s+\d\.\d\s+MiB\s+in\s+\d\s+entr.*\s+still\s+to\s+come.*no\s+space\s+left`),
			},
			{
				PreConfig: func() {
					if now := run(t, w.trixie, "sh", "-c", sums); now != before {
						t.Errorf("what was there before was\n%s\nand is\n%s", before, now)
					}
					if err := w.keyGone(t, host); err != nil {
						t.Error(err)
					}
					run(t, w.trixie, "rm", "/srv/second/filler")
				},
				Config: passConfig(w, name, base+"  triggers = { again = 1 }\n"),
				Check:  same,
			},
			{
				PreConfig: func() {
					run(t, host, "sh", "-c", "cd /srv/second && rm more/1 && seq 1 4000 | while read -r n; do : >\"more/a file with a name of some length $n\"; done")
					run(t, w.trixie, "sh", "-c", `cp -a /var/lib/cutover /root/cutover
						mount -t tmpfs -o size="$(($(du -sk /root/cutover | cut -f1) + 100))k" none /var/lib/cutover && cp -a /root/cutover/. /var/lib/cutover/ && rm -r /root/cutover`)
				},
				Config:      passConfig(w, name, base+"  triggers = { again = 2 }\n"),
				ExpectError: regexp.MustCompile(`(?s)host\s+"new"\s+has\s+no\s+room\s+left\s+for\s+what\s+the\s+pass\s+has\s+to\s+note.*no\s+space\s+left`),
			},
			{
				PreConfig: func() { run(t, w.trixie, "umount", "/var/lib/cutover") },
				Config:    passConfig(w, name, base+"  triggers = { again = 2 }\n"),
				Check:     same,
			},
		},
	})
}

// swapping changes, without a pause, directories and files of a tree for
// symbolic links that lead to $2, and back.
const swapping = `cd "$1" || exit 1
until [ -e ../stop ]; do
	for kind in link directory file link empty; do
		for d in d e/d f; do
			mv -T "$d" ../old.$$ 2>/dev/null
			case $kind in
			link) ln -s "$2" "$d" ;;
			directory) mkdir "$d"; echo hostile >"$d/1"; echo hostile >"$d/3"; mkdir "$d/sub"; echo hostile >"$d/sub/2" ;;
			empty) mkdir "$d" ;;
			file) echo hostile >"$d" ;;
			esac
			rm -rf ../old.$$
			sleep 0.0"$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')"
		done
	done
done >/dev/null 2>&1`

// A user of the old host who swaps directories for symbolic links while passes
// run makes root on the new host write nowhere else, with systemd there to
// confine the job and without.
func TestAccLongSyncPassHostileSwaps(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"sysv", "new"}, {"bookworm", "sysv"}} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			w := labWorld(t)
			from, to := w.host(pair[0]), w.host(pair[1])
			untouched(t, from)
			untouched(t, to)
			for _, h := range []*lab.Host{from, to} {
				t.Cleanup(func() { run(t, h, "rm", "-rf", "/srv/hostile", "/srv/outside") })
				run(t, h, "sh", "-c", "mkdir -p /srv/outside/sub && cd /srv/outside && for f in 1 2 3 sub/1 sub/2; do echo outside >$f; done")
			}
			const show = "cd /srv/outside && find . -printf '%p %y %m %u %T@ %C@ %i\\n' | sort && cat 1 2 3 sub/1 sub/2"
			before := run(t, to, "sh", "-c", show)
			run(t, from, "sh", "-c", "mkdir -p /srv/hostile/tree/e && cd /srv/hostile/tree && for n in $(seq 1 200); do echo $n >e/$n; done")

			pool := host.NewPool(hostConfig(w, from), hostConfig(w, to))
			defer pool.Close()
			old, err := pool.Host(from.Name)
			if err != nil {
				t.Fatal(err)
			}
			there, err := pool.Host(to.Name)
			if err != nil {
				t.Fatal(err)
			}
			p := syncpass.Pass{ID: "hostile", Paths: []syncpass.Path{{Source: "/srv/hostile/tree"}}}
			var swaps sync.WaitGroup
			stop := sync.OnceFunc(func() {
				run(t, from, "touch", "/srv/hostile/stop")
				swaps.Wait()
			})
			defer stop()
			swaps.Go(func() {
				if _, err := from.Run(context.Background(), "sh", "-c", swapping, "sh", "/srv/hostile/tree", "/srv/outside"); err != nil {
					t.Error(err)
				}
			})
			ended := map[string]int{}
			for n := range 3 {
				// How it ends is the hostile user's choice; what it writes to is not.
				_, err := syncpass.Run(context.Background(), old, there, p, nil)
				ended[firstLine(err)]++
				if now := run(t, to, "sh", "-c", show); now != before {
					t.Fatalf("pass %d wrote outside of its target:\n%s", n, linesWithout(now, before))
				}
			}
			t.Log(ended)
			stop()
			p.Final = true
			if _, err := syncpass.Run(context.Background(), old, there, p, nil); err != nil {
				t.Error(err)
			}
			if now := run(t, to, "sh", "-c", show); now != before {
				t.Errorf("the last pass wrote outside of its target:\n%s", linesWithout(now, before))
			}
			one, other := run(t, from, "sh", "-c", churn.Show, "sh", "/srv/hostile/tree"), run(t, to, "sh", "-c", churn.Show, "sh", "/srv/hostile/tree")
			if one != other {
				t.Errorf("the trees differ; only the old host has\n%s\nonly the new\n%s", linesWithout(one, other), linesWithout(other, one))
			}
			if _, err := syncpass.Forget(context.Background(), old, there, p, false); err != nil {
				t.Error(err)
			}
		})
	}
}

// Two Terraforms that each run a pass over the same paths, at the same moment,
// take turns; neither spoils what the other knows of the chain.
func TestAccSyncPassTwoAtOnce(t *testing.T) {
	w := labWorld(t)
	soakWorld(t, w)
	one, other := newSoak(t, w, 1000, false), newSoak(t, w, 1000, false)
	run(t, w.sysv, "sh", "-c", churn.Tree, "sh", one.source)
	run(t, w.sysv, "sh", "-c", `mkdir "$1/excluded"`, "sh", one.source)
	for round := range 2 {
		if round > 0 {
			one.change()
		}
		p, q := one.pass(""), other.pass("")
		p.Final = round > 0
		// The same pass twice is one pass that both may see the end of; a last one
		// and another are two.
		first, second := one.apply(p, fmt.Sprint(round)), other.apply(q, fmt.Sprint(round))
		if err := errors.Join(first.err(), second.err()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		one.compare(round)
	}
	one.end()
	one.compare(2)
	other.end()
	run(t, w.sysv, "rm", "-rf", "/srv/soak")
	run(t, w.trixie, "rm", "-rf", "/srv/soak")
	if err := w.keyGone(t, w.sysv); err != nil {
		t.Error(err)
	}
}

// Chains that begin while the last pass of others goes: with the last chain the worker is
// taken away, at the very moment at which another one asks it or lets its key in.
func TestAccSyncPassBesideOthersThatGo(t *testing.T) {
	w := labWorld(t)
	untouched(t, w.sysv)
	untouched(t, w.trixie)
	for n := range 2 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			dir := fmt.Sprintf("/srv/beside-%d", n)
			run(t, w.sysv, "sh", "-c", `mkdir "$1" && echo content >"$1/file"`, "sh", dir)
			for round := range 15 {
				// A process of its own, as Terraform is, does not know where the worker lies.
				pool := host.NewPool(hostConfig(w, w.sysv), hostConfig(w, w.trixie))
				from, err := pool.Host(w.sysv.Name)
				if err != nil {
					t.Fatal(err)
				}
				to, err := pool.Host(w.trixie.Name)
				if err != nil {
					t.Fatal(err)
				}
				p := syncpass.Pass{ID: fmt.Sprintf("beside-%d", n), Paths: []syncpass.Path{{Source: dir, Target: dir}}, Delete: "trash", UnknownOwners: "fail"}
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
				if _, err := syncpass.Run(ctx, from, to, p, nil); err != nil {
					t.Errorf("round %d of %s: %v", round, dir, err)
				}
				if _, err := syncpass.Forget(ctx, from, to, p, false); err != nil {
					t.Errorf("round %d of %s, forgotten: %v", round, dir, err)
				}
				cancel()
				pool.Close()
			}
			run(t, w.sysv, "rm", "-r", dir)
			if got := run(t, w.trixie, "cat", dir+"/file"); got != "content\n" {
				t.Errorf("%s/file is %q", dir, got)
			}
			run(t, w.trixie, "rm", "-r", dir)
		})
	}
}
