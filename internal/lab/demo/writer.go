package main

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// writer is somebody who sends mail to the old address all the time, and remembers what
// was accepted there: each of that must be in the mailbox in the end, once.
type writer struct {
	client *lab.Client
	old    *lab.Host
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu           sync.Mutex
	acknowledged []int
	refused      []string // what was said where a message was not accepted
}

// writeEvery is the pause between two messages.
const writeEvery = 500 * time.Millisecond

// mailPatience is how long the writer waits for a connection and an answer. A mail server
// waits for minutes (RFC 5321, 4.5.3.2); the window of a slow machine is longer than a
// person's patience.
const mailPatience = 2 * time.Minute

func startWriter(ctx context.Context, client *lab.Client, old *lab.Host) *writer {
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{client: client, old: old, cancel: cancel}
	w.done.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			err := w.send(context.WithoutCancel(ctx), n) // one that was begun comes to its end
			w.mu.Lock()
			if err == nil {
				w.acknowledged = append(w.acknowledged, n)
			} else {
				w.refused = append(w.refused, err.Error())
			}
			w.mu.Unlock()
			sleep(ctx, writeEvery)
		}
	})
	return w
}

func (w *writer) stop() {
	w.cancel()
	w.done.Wait()
}

// subject is that of message n.
func subject(n int) string { return fmt.Sprintf("demo-%d", n) }

// send sends message n. Without an error it was accepted.
func (w *writer) send(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	conn, err := w.client.Dial(ctx, "tcp", net.JoinHostPort(w.old.Address, "25"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(mailPatience)); err != nil {
		return err
	}
	session, err := smtp.NewClient(conn, "old")
	if err != nil {
		return err
	}
	if err := session.Mail("friend@example.net"); err != nil {
		return err
	}
	if err := session.Rcpt(user + "@example.test"); err != nil {
		return err
	}
	body, err := session.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(body, "Subject: %s\r\n\r\nIs this there in the end?\r\n", subject(n)); err != nil {
		return err
	}
	if err := body.Close(); err != nil { // the answer to the message
		return err
	}
	_ = session.Quit()
	return nil
}

// verify says whether all that was accepted is on a host, each message once. Messages on
// their way into the mailbox have some time to come.
func (w *writer) verify(ctx context.Context, host *lab.Host) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lost, twice []string
	for start := time.Now(); ; sleep(ctx, time.Second) {
		out, err := host.Run(ctx, "sh", "-c", `grep -rhoE '^Subject: demo-[0-9]+' "/home/$1/mail/new" "/home/$1/mail/cur" || [ $? = 1 ]`, "sh", user)
		if err != nil {
			return err
		}
		has := map[string]int{}
		for line := range strings.Lines(out) {
			has[strings.TrimSpace(strings.TrimPrefix(line, "Subject: "))]++
		}
		lost, twice = nil, nil
		for _, n := range w.acknowledged {
			switch has[subject(n)] {
			case 0:
				lost = append(lost, strconv.Itoa(n))
			case 1:
			default:
				twice = append(twice, strconv.Itoa(n))
			}
		}
		if len(lost) == 0 || time.Since(start) > patience || ctx.Err() != nil {
			break
		}
	}
	fmt.Printf("  %d messages were accepted at the old address: on the %s machine %d of them are missing and %d are there twice. %d were not accepted.\n",
		len(w.acknowledged), host.Name, len(lost), len(twice), len(w.refused))
	switch {
	case len(lost)+len(twice) > 0:
		return fmt.Errorf("lost: %s; twice: %s", strings.Join(lost, ", "), strings.Join(twice, ", "))
	case len(w.acknowledged) == 0:
		return fmt.Errorf("no message was accepted at all: %s", strings.Join(slices.Compact(w.refused), "; "))
	case len(w.refused) > 0:
		return fmt.Errorf("%d messages were not accepted: %s", len(w.refused), strings.Join(slices.Compact(w.refused), "; "))
	}
	return nil
}
