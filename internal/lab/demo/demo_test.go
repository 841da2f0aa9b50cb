package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
	"github.com/cutover-dev/terraform-provider-cutover/internal/pace"
)

// The worked example as a user applies it: forwards phase by phase, back a
// phase, forwards again, to the end; from an old host of either kind, with a
// client at its address all along.
func TestAccCutover(t *testing.T) {
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	for _, kind := range []lab.Kind{lab.SysV, lab.Bookworm} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			cutover(t, kind)
		})
	}
}

func cutover(t *testing.T, kind lab.Kind) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(15*time.Minute))
	defer cancel()
	started, err := lab.New(ctx, lab.Options{Progress: t.Logf})
	must(t, err)
	defer func() { must(t, started.Close()) }()
	old, fresh, client, err := boot(ctx, started, kind)
	must(t, err)
	tf, err := newTerraform(ctx, "../../..", "cutover", variables(old), t.TempDir(), started, old, fresh)
	must(t, err)
	tf.say = func(line string) { t.Log(line) }
	before := map[*lab.Host]map[string]string{old: tree(t, old), fresh: tree(t, fresh)}
	writer := startWriter(ctx, client, old)
	defer writer.stop()

	apply := func(phase string) {
		t.Helper()
		must(t, tf.apply(ctx, phase))
		must(t, tf.unchanged(ctx, phase))
	}
	apply("prepare")
	apply("rehearse")
	serves(ctx, t, client, old, "old")
	apply("cutover")
	serves(ctx, t, client, old, "new")
	must(t, show(ctx, client, old))

	// Back a phase is a rollback: the old services serve again, and something that is broken
	// on the new host is no reason to stay there.
	_, err = fresh.Run(ctx, "systemctl", "stop", "dovecot.socket", "dovecot.service")
	must(t, err)
	receive(ctx, t, client, old, fresh)
	witness := startWitness(ctx, client, old)
	defer witness.stop()
	witness.begin("back")
	must(t, tf.apply(ctx, "rehearse"))
	witness.settle(ctx, "old")
	serves(ctx, t, client, old, "old")
	has(ctx, t, old)

	// It is mended, and Postfix asks it for logins again at once.
	_, err = fresh.Run(ctx, "systemctl", "restart", "dovecot.socket", "dovecot.service", "postfix.service")
	must(t, err)
	witness.begin("cutover")
	apply("cutover")
	witness.settle(ctx, "new")
	witness.begin("tunnels")
	sleep(ctx, 2*time.Second)
	witness.stop()
	must(t, witness.report())
	writer.stop()
	must(t, writer.verify(ctx, fresh))
	serves(ctx, t, client, old, "new")
	has(ctx, t, fresh)

	apply("retire")
	must(t, leftovers(ctx, old, fresh))

	must(t, tf.run(ctx, func(string) bool { return false }, "destroy", "-no-color", "-auto-approve", "-var", "phase=retire"))
	for host, was := range before {
		for path := range tree(t, host) {
			if _, ok := was[path]; !ok && strings.Contains(path, "cutover") {
				t.Errorf("%s was left on %s", path, host.Name)
			}
		}
		processes, err := host.Processes(ctx)
		must(t, err)
		for _, process := range processes {
			if strings.Contains(process, "cutover") {
				t.Errorf("a process was left on %s: %s", host.Name, process)
			}
		}
	}
	serves(ctx, t, client, fresh, "new")
	// The accounts and their mail stay: destroy never destroys data.
	if _, err := fresh.Run(ctx, "test", "-d", "/home/"+user+"/mail/cur"); err != nil {
		t.Errorf("the mail of %s is gone with the resources: %v", user, err)
	}
}

// came is the subject of a message that comes in by the tunnel.
const came = "received by the new host"

// stuck is the subject of a message that nobody can deliver, for there is no DNS.
const stuck = "nobody can deliver this"

// receive has the new host take a message by way of the old address, an upload, and a
// message that stays in its queue.
func receive(ctx context.Context, t *testing.T, client *lab.Client, old, fresh *lab.Host) {
	t.Helper()
	said, err := client.Run(ctx, "swaks", "--server", old.Address, "--to", user+"@example.test", "--from", "friend@example.net", "--h-Subject", came)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	_, err = fresh.Run(ctx, "sh", "-c", `for n in $(seq 100); do grep -rqF "$2" "/home/$1/mail" && break; sleep 0.2; done`, "sh", user, came)
	must(t, err)
	_, err = fresh.Run(ctx, "sh", "-c", `printf 'Subject: %s\n\nText\n' "$1" | sendmail -f anna@example.test far@example.com`, "sh", stuck)
	must(t, err)
	must(t, upload(ctx, fresh))
}

// has fails the test unless a host has what receive made, once.
func has(ctx context.Context, t *testing.T, host *lab.Host) {
	t.Helper()
	got, err := host.Run(ctx, "sh", "-c", `grep -rlF "Subject: $2" "/home/$1/mail" | wc -l`, "sh", user, came)
	if err != nil || got != "1\n" {
		t.Errorf("host %s has the message %q times (%v), want it once", host.Name, got, err)
	}
	must(t, uploaded(ctx, host))
	// Sendmail takes a host without DNS for one that there is not, and sends the message back.
	got, err = host.Run(ctx, "sh", "-c", `find /var/spool/mqueue /var/spool/mqueue-client /var/spool/postfix "/home/$2/mail" -type f ! -name 'cutover*' -exec grep -l -a -F "Subject: $1" {} + 2>/dev/null | wc -l`, "sh", stuck, user)
	if err != nil || got != "1\n" {
		t.Errorf("host %s has the message that nobody can deliver %q times (%v), want it once, in the queue or come back to who sent it", host.Name, got, err)
	}
}

// serves fails the test unless every port of the old address is served by the
// host of that name.
func serves(ctx context.Context, t *testing.T, client *lab.Client, old *lab.Host, name string) {
	t.Helper()
	w := &witness{client: client, old: old}
	for _, port := range relayed {
		by, err := w.ask(ctx, port)
		if err != nil || by != name {
			t.Errorf("port %d of the old address is served by %q (%v), want %s", port, by, err, name)
		}
	}
}

func tree(t *testing.T, host *lab.Host) map[string]string {
	t.Helper()
	files, err := host.Tree(context.Background())
	must(t, err)
	return files
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
