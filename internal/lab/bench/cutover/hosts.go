package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// site is what clients read and upload to; it is the first user's.
const site = "www.example.test"

// relayed are the ports of the procedure.
var relayed = []int{25, 80, 110, 143, 587}

//go:embed setup.sh
var setupText string

//go:embed found.sh
var foundText string

// hosts is a lab with an old host that is full and a new one that knows only
// the names of its sites, as in the demo.
type hosts struct {
	lab        *lab.Lab
	old, fresh *lab.Host
	client     *lab.Client
	users      []string
}

// boot makes hosts with about as many files as asked.
func boot(ctx context.Context, files int, progress func(string, ...any)) (_ *hosts, err error) {
	started, err := lab.New(ctx, lab.Options{Progress: progress})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, started.Close())
		}
	}()
	if err := lab.Build(ctx, progress, lab.SysV, lab.Trixie); err != nil {
		return nil, err
	}
	content := lab.Content{Users: 12, MailsPerUser: 5}
	if files > 10_000 {
		content.Users = 50
	}
	content.MailsPerUser = max(content.MailsPerUser, files/content.Users)
	h := &hosts{lab: started, users: lab.UserNames(content.Users)}
	var wg sync.WaitGroup
	var oldErr, freshErr error
	setUp := func(host *lab.Host) error {
		_, err := host.Run(ctx, "sh", "-c", setupText, "setup.sh", h.users[0])
		return err
	}
	wg.Go(func() {
		if h.old, oldErr = started.StartHost(ctx, "old", lab.SysV); oldErr == nil {
			if oldErr = h.old.Fill(ctx, content); oldErr == nil {
				oldErr = setUp(h.old)
			}
		}
	})
	wg.Go(func() {
		if h.fresh, freshErr = started.StartHost(ctx, "new", lab.Trixie); freshErr == nil {
			if freshErr = h.fresh.ConfigureSites(ctx, h.users); freshErr == nil {
				freshErr = setUp(h.fresh)
			}
		}
	})
	wg.Wait()
	if err := errors.Join(oldErr, freshErr); err != nil {
		return nil, err
	}
	if h.client, err = started.StartClient(ctx, "client"); err != nil {
		return nil, err
	}
	return h, errors.Join(h.old.WaitPorts(ctx, relayed...), h.fresh.WaitPorts(ctx, relayed...))
}

// example is the worked example as one file, for these hosts.
func (h *hosts) example(root string) (text string, variables []string, err error) {
	for _, name := range []string{"main.tf", "variables.tf"} {
		part, err := os.ReadFile(filepath.Join(root, "examples", "cutover", name))
		if err != nil {
			return "", nil, fmt.Errorf("this runs in the root of the project: %w", err)
		}
		text += string(part) + "\n"
	}
	return text, []string{"old=" + h.old.Address, "new=" + h.fresh.Address, "site=" + site, `staying=["admin", "operator"]`}, nil
}

// found is what hosts have of the load.
type found struct {
	mails  map[string]int    // copies in mailboxes, by id
	queued map[string]int    // in the queue of a mail server
	files  map[string]string // digests of uploads, by id
}

func (h *hosts) find(ctx context.Context, host *lab.Host, since time.Time) (found, error) {
	f := found{map[string]int{}, map[string]int{}, map[string]string{}}
	out, err := host.Run(ctx, "sh", "-c", foundText, "found.sh", fmt.Sprint(since.Unix()-1), h.users[0])
	if err != nil {
		return f, err
	}
	for line := range strings.Lines(out) {
		word := strings.Fields(line)
		switch {
		case len(word) == 2 && word[0] == "mail":
			f.mails[word[1]]++
		case len(word) == 2 && word[0] == "queue":
			f.queued[word[1]]++
		case len(word) == 3 && word[0] == "file":
			f.files[word[2]] = word[1]
		}
	}
	return f, nil
}

// delivered waits until the new host's mail server has nothing more to deliver.
func (h *hosts) delivered(ctx context.Context) error {
	_, err := h.fresh.Run(ctx, "sh", "-c", `tries=0
until mailq | grep -q 'queue is empty'; do
	tries=$((tries + 1))
	[ "$tries" -lt 300 ] || { mailq >&2; exit 1; }
	sleep 0.2
done`)
	return err
}
