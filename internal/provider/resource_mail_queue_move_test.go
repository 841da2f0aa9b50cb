package provider_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab"
)

const theMove = "cutover_mail_queue_move.m"

func moveConfig(w *world, name, arguments string) string {
	return w.config(fmt.Sprintf("resource \"cutover_mail_queue_move\" \"m\" {\n  from = %q\n  to = \"new\"\n%s\n}\n", name, arguments))
}

func TestMailQueueMoveRefusesBadInput(t *testing.T) {
	t.Parallel()
	needsCLI(t)
	for name, c := range map[string]struct{ arguments, says string }{
		"same host": {"from = \"old\"\nto = \"old\"", `Same host twice`},
		"unknown":   {"from = \"old\"\nto = \"nwe\"", `no host "nwe"`},
	} {
		t.Run(name, func(t *testing.T) {
			resource.Test(t, resource.TestCase{
				IsUnitTest:               true,
				ProtoV6ProviderFactories: inProcess,
				Steps: []resource.TestStep{{
					Config:      "provider \"cutover\" {\n  hosts = { old = {}, new = {} }\n}\nresource \"cutover_mail_queue_move\" \"m\" {\n" + c.arguments + "\n}",
					PlanOnly:    true,
					ExpectError: regexp.MustCompile(c.says),
				}},
			})
		})
	}
}

// hardMessage has what mail programs trip over.
func hardMessage(subject string) string {
	return "Subject: " + subject + "\nFrom: Änna <anna@example.test>\nTo: someone\nMessage-ID: <" + subject + "@test>\nX-Folded: a\n\tb\n\n" +
		".\n..\nFrom here on\n>From there\nv\xe4 \xc3\xa4\n" + strings.Repeat("long ", 1000) + "\n\n.\nend\n"
}

// delivered are the mails with a subject that anna has on the new host, without what
// mail servers add in front: each the checksum of its body.
func delivered(t *testing.T, w *world, subject string) []string {
	t.Helper()
	return strings.Fields(run(t, w.trixie, "sh", "-c", `cd /home/anna/mail/new 2>/dev/null || exit 0
		for file in $(grep -l -x -e "Subject: $0" -- * 2>/dev/null); do sed '1,/^$/d' "$file" | sha256sum | cut -d ' ' -f 1; done`, subject))
}

// largeAgain has the new host's mail server take large messages again, its daemons too,
// which read their configuration once.
func largeAgain(t *testing.T, w *world) {
	t.Helper()
	run(t, w.trixie, "sh", "-c", "mv /root/main.cf /etc/postfix/main.cf && postfix reload 2>/dev/null")
}

// sumOf is the checksum of the body of a message.
func sumOf(t *testing.T, host *lab.Host, message string) string {
	t.Helper()
	_, body, _ := strings.Cut(message, "\n\n")
	out, err := host.RunInput(t.Context(), body, "sha256sum")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out)[0]
}

func TestAccMailQueueMove(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		mailWorld(t, w, name, host)
		mta := mailService[name]
		hard := hardMessage("hard")
		want := sumOf(t, host, hard)
		// arrived wants a mail with the same body, once.
		arrived := func(subject string) resource.TestCheckFunc {
			return check(t, func() error {
				return eventually(30*time.Second, func() error {
					if got := delivered(t, w, subject); len(got) != 1 || subject == "hard" && got[0] != want {
						shown := run(t, w.trixie, "sh", "-c", `grep -l -x -e "Subject: $0" /home/anna/mail/new/* | xargs -r cat -A | cut -c 1-200`, subject)
						return fmt.Errorf("anna has %d mails %s: %q, want %s:\n%s", len(got), subject, got, want, shown)
					}
					return nil
				})
			})
		}
		left := func(count int) resource.TestCheckFunc {
			return is(host, fmt.Sprint(count), "sh", "-c", "find "+queues[name]+` -type f \( -path '*/mqueue*/[qh]f*' -o -path '*/postfix/maildrop/*' -o -path '*/postfix/hold/*' -o -path '*/postfix/deferred/*' \) | wc -l`)
		}
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{
				{
					PreConfig: func() {
						enqueue(t, host, "anna@example.test", hard, "anna@example.test")
						enqueue(t, host, "<>", "Subject: bounce\n\nText\n", "anna@example.test", "far@example.com")
						enqueue(t, host, "anna@example.test", "Subject: held\n\nText\n", "anna@example.test")
						holdOne(t, host, "held")
					},
					Config: moveConfig(w, name, ""),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(theMove, "id", name+"/new"),
						resource.TestCheckResourceAttr(theMove, "status", "complete"),
						resource.TestCheckResourceAttr(theMove, "moved", "2"),
						resource.TestCheckResourceAttr(theMove, "waiting", "0"),
						resource.TestCheckResourceAttr(theMove, "left", "1"),
						resource.TestCheckResourceAttr(theMove, "refused.#", "0"),
						resource.TestCheckResourceAttr(theMove, "problems.#", "0"),
						arrived("hard"), arrived("bounce"), left(1),
						// The null sender stays one, and so does the other recipient.
						is(w.trixie, "Return-Path: <>", "sh", "-c", `grep -h -A 99 '^Return-Path' $(grep -l 'Subject: bounce' /home/anna/mail/new/*) | head -n 1`),
						check(t, func() error {
							return eventually(30*time.Second, func() error {
								return is(w.trixie, "1", "sh", "-c", `postqueue -j | grep '"sender": "MAILER-DAEMON"' | grep -c '"address": "far@example.com"'`)(nil)
							})
						}),
					),
				},
				{ResourceName: theMove, ImportState: true, ImportStateVerify: true, ImportStateId: name + "/new"},
				{ // mail that comes later
					PreConfig:        func() { enqueue(t, host, "anna@example.test", "Subject: later\n\nText\n", "anna@example.test") },
					Config:           moveConfig(w, name, ""),
					ConfigPlanChecks: changes(theMove, plancheck.ResourceActionUpdate),
					Check:            resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(theMove, "moved", "3"), arrived("later"), left(1)),
				},
				{
					Config:           moveConfig(w, name, "  include_held = true"),
					ConfigPlanChecks: changes(theMove, plancheck.ResourceActionUpdate),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(theMove, "moved", "4"),
						resource.TestCheckResourceAttr(theMove, "left", "0"),
						arrived("held"), left(0)),
				},
				{ // one that the new mail server does not take, and the next apply brings
					PreConfig: func() {
						run(t, w.trixie, "sh", "-c", "cp -p /etc/postfix/main.cf /root/main.cf && postconf -e message_size_limit=2000")
						enqueue(t, host, "anna@example.test", hardMessage("large"), "anna@example.test")
					},
					Config: moveConfig(w, name, ""),
					Check: resource.ComposeTestCheckFunc(
						resource.TestCheckResourceAttr(theMove, "moved", "4"),
						resource.TestCheckResourceAttr(theMove, "waiting", "1"),
						resource.TestCheckResourceAttr(theMove, "refused.#", "1"),
						resource.TestMatchResourceAttr(theMove, "refused.0.id", regexp.MustCompile("^"+mta+`\.\w+$`)),
						resource.TestMatchResourceAttr(theMove, "refused.0.reason", regexp.MustCompile(`too (big|large)`)),
						resource.TestMatchResourceAttr(theMove, "status", regexp.MustCompile(`^incomplete: .*did not accept 1`)),
						left(0),
					),
					ExpectNonEmptyPlan: true,
				},
				{
					PreConfig:        func() { largeAgain(t, w) },
					Config:           moveConfig(w, name, ""),
					ConfigPlanChecks: changes(theMove, plancheck.ResourceActionUpdate),
					Check:            resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr(theMove, "moved", "5"), arrived("large")),
				},
				{ // what the server delivers itself is left to it
					PreConfig: func() { run(t, host, "sh", "-c", `service "$0" start >/dev/null 2>&1`, mta) },
					Config:    moveConfig(w, name, ""),
					Check:     resource.TestCheckResourceAttr(theMove, "moved", "5"),
				},
			},
		})
		for _, h := range []*lab.Host{host, w.trixie} {
			if found := run(t, h, "sh", "-c", "find "+queues[h.Name]+" -name 'cutover*'"); found != "" {
				t.Errorf("left on %s:\n%s", h.Name, found)
			}
		}
		for _, subject := range []string{"hard", "bounce", "later", "held", "large"} {
			if err := arrived(subject)(nil); err != nil {
				t.Errorf("after destroy: %v", err)
			}
		}
	})
}

// It refuses in a sentence while the old mail server runs, and changes nothing.
func TestAccMailQueueMoveOfAServerThatRuns(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config:      moveConfig(w, name, ""),
				ExpectError: regexp.MustCompile(`(?s)Unable to create mail queue move.*mail\s+server\s+of\s+host\s+"` + name + `"\s+runs\s+\(` + mailService[name] + `\).*stop\s+it\s+first`),
			}},
		})
	})
}

// On the way back, what the new mail server did not take is in the old queue again.
func TestAccMailQueueMovePutsBack(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		mailWorld(t, w, name, host)
		run(t, w.trixie, "sh", "-c", "cp -p /etc/postfix/main.cf /root/main.cf && postconf -e message_size_limit=2000")
		t.Cleanup(func() { largeAgain(t, w) })
		enqueue(t, host, "anna@example.test", hardMessage("large"), "anna@example.test")
		enqueue(t, host, "anna@example.test", "Subject: small\n\nText\n", "anna@example.test")
		files := "cd / && find " + queues[name] + ` -type f \( -path '*/mqueue*/*' -o -path '*/postfix/maildrop/*' \) -exec grep -l 'Subject: large' {} +`
		before := run(t, host, "sh", "-c", files)
		resource.Test(t, resource.TestCase{
			ProtoV6ProviderFactories: inProcess,
			Steps: []resource.TestStep{{
				Config:             moveConfig(w, name, ""),
				Check:              resource.TestCheckResourceAttr(theMove, "refused.#", "1"),
				ExpectNonEmptyPlan: true,
			}},
		})
		if after := run(t, host, "sh", "-c", files); after != before || before == "" {
			t.Errorf("the queue had %q, and after destroy has %q", before, after)
		}
		// The old mail server takes it up again, and nothing else.
		run(t, host, "sh", "-c", `service "$0" start >/dev/null 2>&1; if [ "$0" = sendmail ]; then sendmail -q >/dev/null 2>&1; fi`, mailService[name])
		if err := eventually(30*time.Second, func() error {
			return is(host, "Subject: large", "sh", "-c", "grep -h '^Subject:' /home/anna/mail/new/*")(nil)
		}); err != nil {
			t.Error(err)
		}
	})
}

// Terraform and the provider are killed while the new host takes the messages, and in the
// worse case the program on the new host with them, in the middle of one. Applied again,
// each message is there once.
func TestAccMailQueueMoveConvergesAfterAKill(t *testing.T) {
	onBothInits(t, func(t *testing.T, w *world, name string, host *lab.Host) {
		untouched(t, host)
		untouched(t, w.trixie)
		mailWorld(t, w, name, host)
		// A mail server that takes its time, so that there is a middle.
		slow := "#!/bin/sh\nsleep 0.5\nexec /usr/sbin/sendmail \"$@\"\n"
		if out, err := w.trixie.RunInput(t.Context(), slow, "sh", "-c", "cat >/usr/local/sbin/sendmail && chmod 755 /usr/local/sbin/sendmail"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Cleanup(func() { run(t, w.trixie, "rm", "-f", "/usr/local/sbin/sendmail") })
		terraform := newCommandLine(t, moveConfig(w, name, "")+requires)
		t.Cleanup(func() { terraform.run("destroy", "-auto-approve") })
		const many = 6
		subject := func(round, n int) string { return fmt.Sprintf("killed-%d-%d", round, n) }
		spool := "/var/lib/cutover/queue/" + name
		done := func(atLeast int) func() bool {
			return func() bool {
				_, err := w.trixie.Run(t.Context(), "sh", "-c", `[ "$(find "$0" -name '*.done' | wc -l)" -ge "$1" ]`, spool, fmt.Sprint(atLeast))
				return err == nil
			}
		}
		for round, alsoOnTheHost := range []bool{false, true} {
			for n := range many {
				enqueue(t, host, "anna@example.test", hardMessage(subject(round, n)), "anna@example.test")
			}
			terraform.runUntil(done(round*many+2), terraformWithProvider, "apply", "-auto-approve")
			if alsoOnTheHost {
				run(t, w.trixie, "pkill", "-KILL", "-f", spool+"/inject")
			}
			if done(round*many + many)() {
				t.Error("the kill came too late: there is nothing left to do")
			}
			terraform.run("apply", "-auto-approve")
			terraform.run("plan", "-detailed-exitcode")
			if !done(round*many + many)() {
				t.Error("messages are still to be handed over")
			}
			for n := range many {
				if err := eventually(30*time.Second, func() error {
					if got := delivered(t, w, subject(round, n)); len(got) == 0 {
						return fmt.Errorf("no mail %s", subject(round, n))
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second) // for one that would come twice
			for n := range many {
				if got := delivered(t, w, subject(round, n)); len(got) != 1 {
					t.Errorf("%d mails %s", len(got), subject(round, n))
				}
			}
		}
	})
}

// An old host with Exim: a message that one recipient has got, a bounce, a frozen one.
func TestAccMailQueueMoveFromExim(t *testing.T) {
	w := labWorld(t)
	host := w.eximHost(t)
	untouched(t, host)
	untouched(t, w.trixie)
	mailWorld(t, w, "exim", host)
	hard := hardMessage("hard")
	queue := `
data "cutover_mail_queue" "q" {
  host = "exim"
}
`
	resource.Test(t, resource.TestCase{
		ProtoV6ProviderFactories: inProcess,
		Steps: []resource.TestStep{
			{
				PreConfig: func() {
					// anna gets it there, and nobody knows where example.com is.
					run(t, host, "sh", "-c", `printf 'Subject: partly\n\nText\n' | sendmail -odi -i -f anna@example.test -- anna@example.test far@example.com`)
					enqueue(t, host, "anna@example.test", hard, "anna@example.test")
					enqueue(t, host, "<>", "Subject: bounce\n\nText\n", "anna@example.test")
					enqueue(t, host, "frozen@example.test", "Subject: held\n\nText\n", "anna@example.test")
					run(t, host, "sh", "-c", `exim -Mf "$(exim -bp | sed -n 's/.* \([^ ]*\) <frozen@.*/\1/p')"`)
				},
				Config: w.config(queue),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(theQueue, "mtas.0", "exim"),
					resource.TestCheckResourceAttr(theQueue, "message_count", "4"),
					resource.TestCheckResourceAttr(theQueue, "by_state.deferred", "1"),
					resource.TestCheckResourceAttr(theQueue, "by_state.incoming", "2"),
					resource.TestCheckResourceAttr(theQueue, "by_state.frozen", "1"),
					resource.TestCheckResourceAttr(theQueue, "messages.0.recipients.#", "1"),
					resource.TestCheckResourceAttr(theQueue, "messages.0.recipients.0", "far@example.com"),
					resource.TestMatchResourceAttr(theQueue, "messages.0.reason", regexp.MustCompile("far@example.com.*defer")),
				),
			},
			{
				Config: moveConfig(w, "exim", ""),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(theMove, "status", "complete"),
					resource.TestCheckResourceAttr(theMove, "moved", "3"),
					resource.TestCheckResourceAttr(theMove, "left", "1"),
				),
			},
			{
				Config:           moveConfig(w, "exim", "  include_held = true"),
				ConfigPlanChecks: changes(theMove, plancheck.ResourceActionUpdate),
				Check: resource.ComposeTestCheckFunc(
					resource.TestCheckResourceAttr(theMove, "moved", "4"),
					resource.TestCheckResourceAttr(theMove, "left", "0"),
				),
			},
		},
	})
	want := sumOf(t, host, hard)
	if err := eventually(30*time.Second, func() error {
		for _, subject := range []string{"hard", "bounce", "held"} {
			if got := delivered(t, w, subject); len(got) != 1 || subject == "hard" && got[0] != want {
				return fmt.Errorf("%d mails %s: %q", len(got), subject, got)
			}
		}
		return is(w.trixie, "1", "sh", "-c", `postqueue -j | grep -c '"address": "far@example.com"'`)(nil)
	}); err != nil {
		t.Error(err)
	}
	if got := delivered(t, w, "partly"); len(got) != 0 {
		t.Errorf("anna has got again what she had already: %d", len(got))
	}
	if found := run(t, host, "sh", "-c", "find /var/spool/exim4/input /var/spool/exim4/msglog -type f"); found != "" {
		t.Errorf("left:\n%s", found)
	}
}
