// Command demo moves a live web and mail server from an old machine to a new
// one on this machine, phase by phase with Terraform or OpenTofu, while a client
// that knows only the old address keeps asking. `make demo` runs it; with KEEP=1
// the hosts stay up for a look around.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// site is what the client reads, and user whose mail it reads.
const (
	site = "www.example.test"
	user = "anna"
)

// relayed are the ports of the procedure.
var relayed = []int{25, 80, 110, 143, 587}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, os.Getenv("KEEP") != ""); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, keep bool) (err error) {
	heading("Two machines: old (Debian 11, SysV init, Sendmail) and new (Debian 13, systemd, Postfix)")
	work, err := os.MkdirTemp("", "cutover-demo-")
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			os.RemoveAll(work)
		}
	}()

	started, err := lab.New(ctx, lab.Options{Progress: step})
	if err != nil {
		return err
	}
	defer func() {
		if !kept {
			step("taking the machines down")
			err = errors.Join(err, started.Close())
		}
	}()
	old, fresh, client, err := boot(ctx, started, lab.SysV)
	if err != nil {
		return err
	}

	step("building the provider")
	tf, err := newTerraform(ctx, ".", "cutover", variables(old), work, started, old, fresh)
	if err != nil {
		return err
	}
	step("a client asks the old address %s for web and mail, and another sends mail there, from now to the end", old.Address)
	witness, writer := startWitness(ctx, client, old), startWriter(ctx, client, old)
	defer witness.stop()
	defer writer.stop()

	for _, each := range []struct{ name, phase, servedBy, means string }{
		{"prepare", "prepare", "old", "accounts, homes, a first pass while everything is live, sites, mail"},
		{"rehearse", "rehearse", "old", "again, what has changed since; does the new machine serve, and was nothing forgotten?"},
		{"cutover", "cutover", "new", "lock the logins, have clients wait, stop the old services, copy a last time, start the new ones, relay the ports, let in who waits"},
		{"back", "rehearse", "old", "something is wrong with the new machine: back, with the mail and the upload that have come in there"},
		{"again", "cutover", "new", "it is mended: over once more"},
	} {
		if each.name == "back" {
			heading("The client still calls the old address %s", old.Address)
			if err := errors.Join(show(ctx, client, old), upload(ctx, fresh)); err != nil {
				return err
			}
		}
		heading("%s apply -var phase=%s: %s", filepath.Base(tf.binary), each.phase, each.means)
		witness.begin(each.name)
		if err := tf.apply(ctx, each.phase); err != nil {
			return err
		}
		witness.settle(ctx, each.servedBy)
		if each.name == "back" {
			if err := uploaded(ctx, old); err != nil {
				return err
			}
		}
		if each.phase == "cutover" {
			witness.begin("tunnels")
			sleep(ctx, 3*time.Second)
		}
	}

	heading("What the clients saw at the old address")
	writer.stop()
	witness.stop()
	if err := errors.Join(witness.report(), writer.verify(ctx, fresh), uploaded(ctx, fresh)); err != nil {
		return err
	}
	if keep {
		kept = true
		return lookAround(started, tf, old, fresh)
	}

	heading("%s apply -var phase=retire: every name has moved, the tunnels go", filepath.Base(tf.binary))
	if err := tf.apply(ctx, "retire"); err != nil {
		return err
	}
	return leftovers(ctx, old, fresh)
}

// variables are those of the worked example.
func variables(old *lab.Host) string {
	return fmt.Sprintf("site = %q\nold_services = %s\n", site, oldServices[old.Kind])
}

// boot starts both machines, with content on the old one, and the client.
func boot(ctx context.Context, started *lab.Lab, kind lab.Kind) (old, fresh *lab.Host, client *lab.Client, err error) {
	if err := lab.Build(ctx, step, kind, lab.Trixie); err != nil {
		return nil, nil, nil, err
	}
	step("booting both machines")
	var wg sync.WaitGroup
	var oldErr, freshErr error
	wg.Go(func() {
		if old, oldErr = started.StartHost(ctx, "old", kind); oldErr == nil {
			step("filling the old machine with accounts, sites and mail")
			oldErr = old.Fill(ctx, lab.Content{})
		}
	})
	wg.Go(func() { fresh, freshErr = started.StartHost(ctx, "new", lab.Trixie) })
	wg.Wait()
	if err := errors.Join(oldErr, freshErr); err != nil {
		return nil, nil, nil, err
	}
	client, err = started.StartClient(ctx, "client")
	if err != nil {
		return nil, nil, nil, err
	}
	return old, fresh, client, errors.Join(old.WaitPorts(ctx, relayed...), fresh.WaitPorts(ctx, relayed...))
}

// show has real clients do what people do, at the old address.
func show(ctx context.Context, client *lab.Client, old *lab.Host) error {
	for _, ask := range []struct {
		what string
		argv []string
		keep []string // the lines worth showing
	}{
		{"the page", []string{"curl", "-sS", "-i", "-m", "10", "-H", "Host: " + site, "http://" + old.Address + "/"}, []string{"HTTP/", "X-Served-By", "<title>"}},
		{"a message in", []string{"swaks", "--server", old.Address, "--to", user + "@example.test", "--from", "friend@example.net",
			"--h-Subject", "to the old address", "--body", "Does this arrive?"}, []string{"<-  220", "<-  250 2.0.0"}},
		{"a message out, by submission", []string{"swaks", "--server", old.Address, "--port", "587", "--to", user + "@example.test", "--from", user + "@example.test",
			"--auth-user", user, "--auth-password", lab.Password(user), "--h-Subject", "submitted"}, []string{"<-  235", "<-  250 2.0.0"}},
		{"POP3", []string{"curl", "-sS", "-v", "-m", "10", "-u", user + ":" + lab.Password(user), "pop3://" + old.Address + "/"}, []string{"< +OK new", "< +OK Logged", "< +OK 0", "< +OK 1", "messages"}},
		{"IMAP", []string{"curl", "-sS", "-m", "10", "-u", user + ":" + lab.Password(user), "imap://" + old.Address + "/INBOX;MAILINDEX=*"}, []string{"by new", "Subject"}},
	} {
		if ask.what == "IMAP" {
			sleep(ctx, 2*time.Second) // local delivery
		}
		said, err := client.Run(ctx, append([]string{"sh", "-c", `exec "$@" 2>&1`, "sh"}, ask.argv...)...)
		if err != nil {
			return fmt.Errorf("%s failed at the old address: %w\n%s", ask.what, err, said)
		}
		fmt.Printf("  %s:\n", ask.what)
		for _, line := range strings.Split(said, "\n") {
			for _, mark := range ask.keep {
				if strings.Contains(line, mark) {
					fmt.Printf("      %s\n", strings.TrimSpace(line))
					break
				}
			}
		}
	}
	return nil
}

// upload puts a file into a home, as somebody does who works on a site.
func upload(ctx context.Context, host *lab.Host) error {
	_, err := host.Run(ctx, "sh", "-c", `echo upload >"/home/$1/public_html/upload.html" && chown "$1:" "/home/$1/public_html/upload.html"`, "sh", user)
	return err
}

// uploaded says whether a host has it.
func uploaded(ctx context.Context, host *lab.Host) error {
	content, err := host.Run(ctx, "cat", "/home/"+user+"/public_html/upload.html")
	if err == nil && content != "upload\n" {
		err = fmt.Errorf("host %s has %q as what was uploaded", host.Name, content)
	}
	return err
}

// leftovers says whether anything of the provider is left on the hosts.
func leftovers(ctx context.Context, hosts ...*lab.Host) error {
	for _, host := range hosts {
		tree, err := host.Tree(ctx)
		if err != nil {
			return err
		}
		for path := range tree {
			if strings.Contains(path, "cutover-tunnel") || strings.Contains(path, "cutover/hold-") || strings.Contains(path, "cutover/tunnel-") || strings.Contains(path, "/run/cutover") {
				return fmt.Errorf("%s was left on %s", path, host.Name)
			}
		}
	}
	fmt.Println("  Nothing of the tunnels is left on either machine: no file, no account, no process.")
	return nil
}

// lookAround tells how to go on by hand.
func lookAround(started *lab.Lab, tf *terraform, old, fresh *lab.Host) error {
	if err := started.Detach(); err != nil {
		return err
	}
	login := fmt.Sprintf("ssh -i %s -o UserKnownHostsFile=%s root@", started.KeyPath(), started.KnownHostsPath())
	fmt.Printf(`
The machines stay up. Look around:

  %[1]s%[2]s      # old
  %[1]s%[3]s      # new
  curl -H 'Host: %[4]s' http://%[2]s/     # the old address

Go on with Terraform, in its directory and environment:

  cd %[5]s && . ./environment
  %[6]s plan -var phase=cutover
  %[6]s apply -var phase=retire

Take everything down:

  go run ./internal/lab/cmd/lab down && rm -rf %[7]s
`, login, old.Address, fresh.Address, site, tf.dir, tf.binary, tf.work)
	return nil
}

var began = time.Now()

// step says what is being done; long ones follow each other, so that one sees
// how far it is.
func step(format string, args ...any) {
	fmt.Printf("  [%3.0f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}

func heading(format string, args ...any) {
	fmt.Printf("\n== %s\n", fmt.Sprintf(format, args...))
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
