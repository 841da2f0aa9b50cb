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

// The way back holds whatever is broken on the new host. [TestAccCutover] has the case
// of a Dovecot that is down.
func TestAccLongWayBack(t *testing.T) {
	if os.Getenv("TF_ACC") == "" {
		t.Skip("an acceptance test: TF_ACC=1 runs it")
	}
	lab.Require(t)
	for name, breaking := range map[string]string{
		"mail server down":   `systemctl stop postfix.service; systemctl mask --runtime postfix.service`,
		"web server broken":  `echo Nonsense >/etc/apache2/conf-enabled/broken.conf; systemctl restart apache2.service; test $? -ne 0`,
		"dovecot broken":     `echo '{' >/etc/dovecot/conf.d/99-broken.conf; systemctl restart dovecot.service; test $? -ne 0`,
		"relays killed":      "", // on the old host
		"new host cut off":   "", // its cable
		"destroy of it all":  `systemctl stop dovecot.socket dovecot.service`,
		"new host restarted": "",
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			wayBack(t, name, breaking)
		})
	}
}

func wayBack(t *testing.T, name, breaking string) {
	ctx, cancel := context.WithTimeout(context.Background(), pace.Limit(15*time.Minute))
	defer cancel()
	started, err := lab.New(ctx, lab.Options{Progress: t.Logf})
	must(t, err)
	defer func() { must(t, started.Close()) }()
	old, fresh, client, err := boot(ctx, started, lab.SysV)
	must(t, err)
	tf, err := newTerraform(ctx, "../../..", "cutover", variables(old), t.TempDir(), started, old, fresh)
	must(t, err)
	tf.say = func(line string) { t.Log(line) }
	must(t, tf.apply(ctx, "cutover"))
	serves(ctx, t, client, old, "new")
	receive(ctx, t, client, old, fresh)

	relays := true
	switch {
	case breaking != "":
		_, err = fresh.Run(ctx, "sh", "-c", breaking)
	case name == "relays killed":
		relays = false
		_, err = old.Run(ctx, "sh", "-c", `for pid in $(ps -eo pid,args | awk '/[c]utover-tunnel/ { print $1 }'); do kill -9 "$pid"; done`)
	case name == "new host cut off":
		relays = false
		err = fresh.Cut(ctx)
	case name == "new host restarted":
		relays = false
		err = fresh.Reboot(ctx)
	}
	must(t, err)

	witness := startWitness(ctx, client, old)
	defer witness.stop()
	witness.begin("back")
	switch name {
	case "destroy of it all":
		must(t, tf.run(ctx, func(string) bool { return false }, "destroy", "-no-color", "-input=false", "-auto-approve", "-var", "phase=cutover"))
	case "new host cut off":
		// Without a word nothing is left behind on it.
		if err := tf.apply(ctx, "rehearse"); err == nil || !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), `retired = true in the entry "new"`) {
			t.Errorf("with the new host out of reach: %v", err)
		} else {
			t.Log(err)
		}
		must(t, tf.run(ctx, func(string) bool { return true }, "destroy", "-no-color", "-input=false", "-auto-approve", "-var", "phase=cutover", "-var", "new_is_lost=true"))
	default:
		must(t, tf.apply(ctx, "rehearse"))
	}
	witness.settle(ctx, "old")
	witness.stop()
	if refused := witness.tally["back"].refused; refused > 0 && relays {
		t.Errorf("%d requests were refused", refused)
	}
	serves(ctx, t, client, old, "old")
	if name == "new host cut off" {
		return // what it had received stays there
	}
	has(ctx, t, old)
	if name != "destroy of it all" {
		return
	}
	for _, host := range []*lab.Host{old, fresh} {
		for path := range tree(t, host) {
			if strings.Contains(path, "cutover") {
				t.Errorf("%s was left on host %s", path, host.Name)
			}
		}
	}
}
