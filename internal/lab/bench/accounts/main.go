// Command accounts measures how long it takes to make many accounts with
// skeletons in their homes, to see that nothing is to be done, and to change ten
// of them, beside Ansible's user and file modules on the same host of the lab.
// `make bench-accounts` runs it.
//
// From the environment: USERS, how many accounts cutover makes (1000); GROUP, how
// many of them a module of its configuration has (100);
// ANSIBLE_USERS, how many Ansible makes (100: a thousand take it a quarter of an
// hour each time; what it took is then scaled, and said to be); RUNS, how often
// both take their turns (3); STATE=file for the CLI's defaults (see cutover).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

func main() { bench.Main("bench-accounts", run) }

// changed is how many accounts get another comment.
const changed = 10

// subject is one of the two that are compared. Each of its steps brings the
// host to the people that it is given and returns how long that took.
type subject interface {
	name() string
	users() int
	apply(ctx context.Context, people map[string]string) (time.Duration, error)
	// unchanged finds that nothing is to be done.
	unchanged(ctx context.Context, people map[string]string) (time.Duration, error)
	// forget is told that the host has been cleared.
	forget() error
}

// times is how long a subject took, a duration a run.
type times struct{ create, unchanged, change []time.Duration }

func run(ctx context.Context) (err error) {
	sizes := map[string]int{"USERS": 1000, "GROUP": 100, "ANSIBLE_USERS": 100, "RUNS": 3}
	if err := bench.Sizes(sizes); err != nil {
		return err
	}
	if sizes["USERS"] < changed || sizes["ANSIBLE_USERS"] < changed {
		return fmt.Errorf("%d of the accounts are changed, so there have to be as many", changed)
	}
	work, err := os.MkdirTemp("", "cutover-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	started, err := lab.New(ctx, lab.Options{Progress: bench.Step})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, started.Close()) }()
	host, err := started.StartHost(ctx, "new", lab.BookwormPython)
	if err != nil {
		return err
	}
	if err := save(ctx, host); err != nil {
		return err
	}
	ours, err := newCutover(ctx, started, host, work, sizes["USERS"], sizes["GROUP"])
	if err != nil {
		return err
	}
	theirs, err := newAnsible(ctx, started, host, work, sizes["ANSIBLE_USERS"])
	if err != nil {
		return err
	}

	took := map[string]*times{ours.name(): {}, theirs.name(): {}}
	for n := range sizes["RUNS"] {
		turn := []subject{ours, theirs}
		if n%2 == 1 {
			turn[0], turn[1] = turn[1], turn[0]
		}
		for _, s := range turn {
			bench.Step("run %d of %d: %s, %d accounts", n+1, sizes["RUNS"], s.name(), s.users())
			if err := measure(ctx, host, s, took[s.name()]); err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
		}
	}
	return report(ours, theirs, took[ours.name()], took[theirs.name()])
}

// measure takes one turn of a subject, and looks at the host whether it has done
// what it was to do.
func measure(ctx context.Context, host *lab.Host, s subject, took *times) (err error) {
	people := peopleOf(s.users(), 0)
	defer func() {
		if ctx.Err() == nil { // otherwise the host goes as a whole
			err = errors.Join(err, clear(ctx, host), s.forget())
		}
	}()
	create, err := s.apply(ctx, people)
	if err != nil {
		return err
	}
	if err := check(ctx, host, people); err != nil {
		return err
	}
	unchanged, err := s.unchanged(ctx, people)
	if err != nil {
		return err
	}
	people = peopleOf(s.users(), changed)
	change, err := s.apply(ctx, people)
	if err != nil {
		return err
	}
	if err := check(ctx, host, people); err != nil {
		return err
	}
	bench.Step("created in %.1f s, unchanged in %.1f s, %d changed in %.1f s", create.Seconds(), unchanged.Seconds(), changed, change.Seconds())
	took.create = append(took.create, create)
	took.unchanged = append(took.unchanged, unchanged)
	took.change = append(took.change, change)
	return nil
}

// peopleOf are n people, the first of whom have changed their comments.
func peopleOf(n, changed int) map[string]string {
	people := map[string]string{}
	for i := range n {
		comment := fmt.Sprintf("User %d", i)
		if i < changed {
			comment = fmt.Sprintf("User %d, moved", i)
		}
		people[fmt.Sprintf("user%04d", i)] = comment
	}
	return people
}

// check looks whether the host has these people and no others, each with home
// and skeleton.
func check(ctx context.Context, host *lab.Host, people map[string]string) error {
	listed, err := host.Run(ctx, "sh", "-c", `grep '^user[0-9]' /etc/passwd | cut -d: -f1,5,6,7; echo ==; stat -c '%n %a %U %G %F' /home/user*/mail /home/user*/.profile`)
	if err != nil {
		return err
	}
	accounts, entries, _ := strings.Cut(listed, "==\n")
	if n := strings.Count(accounts, "\n"); n != len(people) {
		return fmt.Errorf("the host has %d of %d accounts", n, len(people))
	}
	for name, comment := range people {
		for _, want := range []struct{ in, line string }{
			{accounts, fmt.Sprintf("%s:%s:/home/%s:/bin/bash\n", name, comment, name)},
			{entries, fmt.Sprintf("/home/%s/mail 700 %s %s directory\n", name, name, name)},
			{entries, fmt.Sprintf("/home/%s/.profile 644 %s %s regular file\n", name, name, name)},
		} {
			if !strings.Contains(want.in, want.line) {
				return fmt.Errorf("%q is missing on the host", want.line)
			}
		}
	}
	return nil
}

// save keeps the host's account files as they are without the people.
func save(ctx context.Context, host *lab.Host) error {
	_, err := host.Run(ctx, "sh", "-c", `mkdir /root/without && cd /etc && cp -p passwd group shadow gshadow subuid subgid /root/without`)
	return err
}

// clear removes all people of the benchmark from the host, whoever made them.
func clear(ctx context.Context, host *lab.Host) error {
	_, err := host.Run(ctx, "sh", "-c", `cp -p /root/without/* /etc/ && rm -rf /home/user[0-9]* /var/lib/cutover && ! grep '^user[0-9]' /etc/passwd`)
	return err
}

// fresh makes an empty folder in the place of whatever is there.
func fresh(dir string) error {
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Clean(dir), 0o755))
}
