package provider_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

// queues are the directories of the mail queues of a host of the lab.
var queues = map[string]string{
	"sysv":     "/var/spool/mqueue /var/spool/mqueue-client",
	"bookworm": "/var/spool/postfix",
	"new":      "/var/spool/postfix",
	"exim":     "/var/spool/exim4/input /var/spool/exim4/msglog",
}

// mailWorld gives both hosts a user anna, stops the old host's mail server, and sees to
// it that nothing of the test is left in a queue.
func mailWorld(t *testing.T, w *world, name string, host *lab.Host) {
	t.Helper()
	for _, h := range []*lab.Host{host, w.trixie} {
		run(t, h, "useradd", "-m", "anna")
	}
	// Debian 12's postfix.service has stopped before Postfix has.
	mta := mailService[name]
	if name == "exim" {
		mta = "exim4"
	}
	run(t, host, "sh", "-c", `service "$0" stop >/dev/null 2>&1; if [ "$0" = postfix ]; then while postfix status 2>/dev/null; do sleep 0.1; done; fi`, mta)
	t.Cleanup(func() {
		run(t, host, "sh", "-c", `case $0 in
			sendmail) rm -f /var/spool/mqueue/?f* /var/spool/mqueue-client/?f* ;;
			postfix) postsuper -d ALL >/dev/null 2>&1 ;;
			exim4) rm -f /var/spool/exim4/input/*-? /var/spool/exim4/msglog/* ;;
		esac; service "$0" restart >/dev/null 2>&1 || :`, mta)
		if err := host.WaitPorts(context.Background(), 25); err != nil {
			t.Error(err)
		}
		run(t, w.trixie, "sh", "-c", "postsuper -d ALL >/dev/null 2>&1")
		for _, h := range []*lab.Host{host, w.trixie} {
			run(t, h, "userdel", "-rf", "anna")
		}
	})
}

// enqueue puts a message into the queue of a host whose mail server is stopped.
func enqueue(t *testing.T, host *lab.Host, sender, message string, recipients ...string) {
	t.Helper()
	argv := []string{"sendmail", "-i", "-f", sender}
	switch host.Name {
	case "sysv":
		argv = append(argv, "-Am", "-odq")
	case "exim":
		argv = append(argv, "-odq")
	}
	if out, err := host.RunInput(context.Background(), message, append(append(argv, "--"), recipients...)...); err != nil {
		t.Fatalf("on %s: %v\n%s", host.Name, err, out)
	}
}

// holdOne puts the message with a subject on hold, or into quarantine.
func holdOne(t *testing.T, host *lab.Host, subject string) {
	t.Helper()
	run(t, host, "sh", "-c", `if command -v postsuper >/dev/null; then
		# postsuper itself holds only what the server has looked at.
		file=$(grep -r -l -F "Subject: $0" /var/spool/postfix/maildrop)
		mv "$file" "/var/spool/postfix/hold/${file##*/}"
	else
		file=$(grep -l -F "Subject: $0" /var/spool/mqueue/qf*)
		mv "$file" "/var/spool/mqueue/hf${file##*/qf}"
	fi`, subject)
}

const theQueue = "data.cutover_mail_queue.q"

func queueConfig(w *world, name string) string {
	return w.config(fmt.Sprintf("data \"cutover_mail_queue\" \"q\" {\n  host = %q\n}\n", name))
}

func TestAccMailQueue(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		mailWorld(t, w, name, host)
		mta := mailService[name]
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{ // nothing, and of a server that is stopped
					Config: queueConfig(w, name),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(theQueue, "id", name),
						resource.TestCheckResourceAttr(theQueue, "mtas.#", "1"),
						resource.TestCheckResourceAttr(theQueue, "mtas.0", mta),
						resource.TestCheckResourceAttr(theQueue, "message_count", "0"),
						resource.TestCheckResourceAttr(theQueue, "messages.#", "0"),
						resource.TestCheckNoResourceAttr(theQueue, "oldest"),
					),
				},
				{
					PreConfig: func() {
						enqueue(t, host, "anna@example.test", "Subject: first\n\nText\n", "anna@example.test", "far@example.com")
						time.Sleep(1100 * time.Millisecond) // arrivals have seconds
						enqueue(t, host, "<>", "Subject: bounce\n\nText\n", "anna@example.test")
						enqueue(t, host, "anna@example.test", "Subject: held\n\nText\n", "anna@example.test")
						holdOne(t, host, "held")
					},
					Config: queueConfig(w, name),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(theQueue, "message_count", "3"),
						resource.TestCheckResourceAttr(theQueue, map[string]string{"sysv": "by_state.quarantined", "bookworm": "by_state.hold"}[name], "1"),
						resource.TestCheckResourceAttr(theQueue, map[string]string{"sysv": "by_state.incoming", "bookworm": "by_state.maildrop"}[name], "2"),
						resource.TestCheckResourceAttr(theQueue, "messages.0.mta", mta),
						resource.TestCheckResourceAttr(theQueue, "messages.0.sender", "anna@example.test"),
						resource.TestCheckResourceAttr(theQueue, "messages.0.recipient_count", "2"),
						resource.TestMatchResourceAttr(theQueue, "messages.0.id", regexp.MustCompile(`^[0-9A-Za-z]{8,}$`)),
						resource.TestCheckResourceAttr(theQueue, "not_understood.#", "0"),
						resource.TestMatchResourceAttr(theQueue, "bytes", regexp.MustCompile(`^[1-9][0-9]*$`)),
						recently(theQueue, "oldest", nil),
						recently(theQueue, "messages.0.arrival", nil),
					),
				},
				{ // while it runs and tries
					PreConfig: func() {
						run(t, host, "sh", "-c", `service "$0" start >/dev/null 2>&1; if [ "$0" = sendmail ]; then sendmail -q >/dev/null 2>&1; fi`, mta)
						if mta == "postfix" {
							if err := eventually(30*time.Second, func() error {
								if out := run(t, host, "postqueue", "-p"); !strings.Contains(out, "far@example.com") || !strings.Contains(out, "(") || strings.Contains(out, "*") {
									return fmt.Errorf("not deferred: %s", out)
								}
								return nil
							}); err != nil {
								t.Fatal(err)
							}
						}
					},
					Config: queueConfig(w, name),
					Check: func() resource.TestCheckFunc {
						if mta == "sendmail" { // without a resolver it knows at once that there is no such host
							return resource.TestCheckResourceAttr(theQueue, "by_state.quarantined", "1")
						}
						return resource.ComposeTestCheckFunc(
							resource.TestCheckResourceAttr(theQueue, "message_count", "2"),
							resource.TestCheckResourceAttr(theQueue, "by_state.deferred", "1"),
							resource.TestCheckResourceAttr(theQueue, "messages.0.recipients.#", "1"),
							resource.TestCheckResourceAttr(theQueue, "messages.0.recipients.0", "far@example.com"),
							resource.TestMatchResourceAttr(theQueue, "messages.0.reason", regexp.MustCompile(`example\.com`)),
						)
					}(),
				},
			},
		})
	})
}
