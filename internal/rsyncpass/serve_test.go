package rsyncpass

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shells are the shells that a host's /bin/sh may be; each that is here is tried.
var shells = []string{"sh", "dash", "bash", "busybox"}

func eachShell(t *testing.T, run func(t *testing.T, shell []string)) {
	t.Helper()
	tried := 0
	for _, name := range shells {
		found, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		tried++
		shell := []string{found}
		if name == "busybox" {
			shell = append(shell, "sh")
		}
		t.Run(name, func(t *testing.T) { run(t, shell) })
	}
	if tried == 0 {
		t.Fatal("no shell to try")
	}
}

// served is the forced command on this machine, with an rsync that says how it
// was called instead of reading anything.
func served(t *testing.T, paths ...string) (script, fakes string) {
	t.Helper()
	dir := t.TempDir()
	fakes = filepath.Join(dir, "bin")
	const systemPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if !strings.Contains(serveText, systemPath) {
		t.Fatal("serve.sh sets another PATH than the test thinks")
	}
	text := strings.Replace(serveText, systemPath, "PATH="+fakes+":/usr/bin:/bin", 1)
	write(t, filepath.Join(dir, "serve"), text, 0o644)
	write(t, filepath.Join(dir, "paths"), strings.Join(paths, "\n")+"\n", 0o644)
	if err := os.Mkdir(fakes, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"rsync", "reboot", "sudo"} {
		write(t, filepath.Join(fakes, program), "#!/bin/sh\nprintf '%s' "+program+"\nfor a; do printf '<%s>' \"$a\"; done\n", 0o755)
	}
	return filepath.Join(dir, "serve"), fakes
}

func write(t *testing.T, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, shell []string, script, become, asked string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(shell[0], append(shell[1:], script, "login", become)...) //nolint:gosec // a test's own
	cmd.Env = []string{"SSH_ORIGINAL_COMMAND=" + asked}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// What rsync clients of several versions ask for, as they were seen to.
func TestServeLetsAReadingRsyncThrough(t *testing.T) {
	tests := map[string]string{
		"rsync --server --sender -lHogDtpAXrSze.iLsfxCIvu --bwlimit=1000 . 1/":                                        "rsync<--server><--sender><-lHogDtpAXrSze.iLsfxCIvu><--bwlimit=1000><.></home/>",
		"rsync --server --sender -nlHogDtpAXrce.iLsfxCIvu . 2/":                                                       "rsync<--server><--sender><-nlHogDtpAXrce.iLsfxCIvu><.></var/mail/o'dd name $(id)/>",
		"rsync --server --sender -vlHogDtpre.iLs . 1/":                                                                "rsync<--server><--sender><-vlHogDtpre.iLs><.></home/>",
		"rsync --server --sender -blHogDtpAXrRe.iLsfxCIvu --backup-dir /x --files-from want-2-3 --from0 . 2/":         "rsync<--server><--sender><-lHogDtpAXrRe.iLsfxCIvu><--from0><--files-from=DIR/want-2-3><.></var/mail/o'dd name $(id)/>",
		"rsync --server --sender -vlHogDtpr . 1/":                                                                     "rsync<--server><--sender><-vlHogDtpr><.></home/>",
		"rsync --server --sender -lHogDtpre.iLsfxCIvu --compress-choice=zstd --compress-level=1 --log-format=%i . 1/": "rsync<--server><--sender><-lHogDtpre.iLsfxCIvu><--compress-choice=zstd><--compress-level=1><--log-format=%i><.></home/>",
	}
	eachShell(t, func(t *testing.T, shell []string) {
		script, _ := served(t, "/home", "/var/mail/o'dd name $(id)")
		for asked, want := range tests {
			want = strings.ReplaceAll(want, "DIR", filepath.Dir(script))
			if got, said, code := serve(t, shell, script, "", asked); got != want || code != 0 {
				t.Errorf("%s\n gave %q (code %d, %q)\nwant %q", asked, got, code, said, want)
			}
		}
		if got, _, code := serve(t, shell, script, "", "cutover-hello"); got != "cutover-pass is ready\n" || code != 0 {
			t.Errorf("cutover-hello gave %q, code %d", got, code)
		}
	})
}

func TestServeRefuses(t *testing.T) {
	const good = "rsync --server --sender -lHogDtpre.iLsfxCIvu "
	hostile := []string{
		"", " ", "id", "sh", "sh -c id", "reboot", "rsync", "cutover-hello; reboot", "cutover-hello reboot",
		"rsync --server -lHogDtpre.iLsfxCIvu . 1/", // it would write
		"rsync --daemon", "rsync --server --daemon .", "rsync --server --sender --daemon . 1/",
		"/tmp/rsync --server --sender -r . 1/", "./rsync --server --sender -r . 1/",
		good + ". /etc", good + ". ../etc", good + ". 1/../../etc", good + ". 1", good + ". 1//", good + ". 1/.", good + ". 0/", good + ". 3/", good + ". 99999/", good + ". 01/", good + ". -1/", good + ". 1p/",
		good + ". 1;w/tmp/x", good + ". $(id)", good + ". `reboot`", good + ". *", good + "/etc 1", good + "/ 1", good + ". . 1/", good + "1", good + ".",
		good + ". 1 2", good + "x . 1/", good + "'-r' . 1/",
		good + "--remove-source-files . 1/", good + "--remove-sent-files . 1/", good + "--log-file=/etc/x . 1/", good + "--files-from=/etc/shadow . 1/", good + "--files-from want-2-1 . 1/", good + "--files-from want-1 . 1/", good + "--files-from want-1-1/x . 1/", good + "--files-from ../want-1-1 . 1/", good + "--files-from - . 1/", good + "--files-from . 1/", good + "--backup-dir . 1/", "cutover-list", "cutover-list 0", "cutover-list 3", "cutover-list 1 2", "cutover-list /etc", "cutover-want ../x 1", "cutover-want 99 1", "cutover-want 1 0", "cutover-want 1", "cutover-want 1 ../x", "cutover-names 1", "part", "part /tmp ./x", "all /etc", "inside /etc", "cutover-changes 1", "cutover-changes 1 x", "cutover-changes 1 1;id", "cutover-changes 99 1", "cutover-below", "cutover-below 99", "cutover-below 1 2",
		good + "--copy-unsafe-links . 1/", good + "--copy-links . 1/", good + "--rsync-path=reboot . 1/", good + "--rsh=reboot . 1/", good + "-M--log-file=/x . 1/",
		good + "--config=/x . 1/", good + "--temp-dir=/etc . 1/", good + "--partial-dir=/etc . 1/", good + "--bwlimit=1;reboot . 1/", good + "--bwlimit= . 1/",
		good + "--compress-choice=$(reboot) . 1/", good + "--compress-choice=../x . 1/", good + "--filter=merge_/etc/shadow . 1/",
		good + "--secluded-args . 1/", good + "--protect-args . 1/", good + "-- . 1/", good + "- . 1/",
		"rsync --server --sender -slHogDtpre.iLsfxCIvu . 1/",  // arguments by standard input
		"rsync --server --sender -logDtprLe.iLsfxCIvu . 1/",   // follows links out of the tree
		"rsync --server --sender -logDtprke.iLsfxCIvu . 1/",   // likewise
		"rsync --server --sender -logDtpre.iLsfx;reboot . 1/", // a second command
		"rsync --server --sender -logDtpre.iLsf/x . 1/", "rsync --server --sender -e. . 1/",
		"rsync --server --sender -r . 1/; reboot", "rsync --server --sender -r . 1/ && reboot", "rsync --server --sender -r . 1/ | sh",
		"reboot\nrsync --server --sender -r . 1/", good + ". 1\nreboot", "rsync\t--server", strings.Repeat("rsync ", 5000),
	}
	eachShell(t, func(t *testing.T, shell []string) {
		script, _ := served(t, "/home", "/srv")
		for _, asked := range hostile {
			stdout, stderr, code := serve(t, shell, script, "", asked)
			if stdout != "" || code != 126 || !strings.Contains(stderr, "may only read the directories of its pass") {
				t.Errorf("%.200q\n gave %q, code %d, %.200q; want a refusal", asked, stdout, code, stderr)
			}
		}
	})
}

func TestServeBecomesRootFirst(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		script, _ := served(t, "/home")
		asked := "rsync --server --sender -r . 1; $(reboot) 'x"
		got, _, code := serve(t, shell, script, "sudo", asked)
		if want := "sudo<-n><sh><" + script + "><run><" + asked + ">"; got != want || code != 0 {
			t.Errorf("gave %q, code %d; want %q", got, code, want)
		}
	})
}

// The real rsync of this machine through the forced command: what it asks for
// is let through, and what comes out is the tree.
func TestServeWithRsync(t *testing.T) {
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Skip("this machine has no rsync; internal/lab/setup.sh installs it")
	}
	source, target, dir := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "a 'file' $(id)\n"), "content", 0o640)
	if err := os.Symlink("/etc", filepath.Join(source, "link")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "serve"), serveText, 0o644)
	write(t, filepath.Join(dir, "paths"), source+"\n", 0o644)
	rsh := filepath.Join(dir, "rsh")
	write(t, rsh, "#!/bin/sh\nshift\nSSH_ORIGINAL_COMMAND=\"$*\" exec sh "+dir+"/serve login\n", 0o755)

	s := survey{old: oldHost{rsync: localRsync(t)}}
	s.new.rsync = s.old.rsync
	for name, p := range map[string]Pass{
		"plain":   {},
		"options": {Compress: true, BandwidthLimit: 100000},
	} {
		write(t, filepath.Join(dir, "want-1-1"), ".\x00./link\x00./a 'file' $(id)\n\x00", 0o644)
		argv := append(p.rsyncOptions(s), "--from0", "--files-from=:want-1-1", "--rsh="+rsh, oldAlias+":1/", target+"/")
		cmd := exec.Command("rsync", argv...) //nolint:gosec // a test's own
		cmd.Env = append(os.Environ(), "RSYNC_PROTECT_ARGS=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	if got, err := os.ReadFile(filepath.Join(target, "a 'file' $(id)\n")); err != nil || string(got) != "content" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := os.Readlink(filepath.Join(target, "link")); err != nil || got != "/etc" {
		t.Errorf("link to %q, %v", got, err)
	}
	bad := exec.Command("rsync", "-rL", "--rsh="+rsh, oldAlias+":1/", t.TempDir()+"/") //nolint:gosec // a test's own
	if out, err := bad.CombinedOutput(); err == nil || !strings.Contains(string(out), "refused: -Lr") {
		t.Errorf("rsync -rL: %v\n%s", err, out)
	}
}

func localRsync(t *testing.T) rsyncVersion {
	t.Helper()
	out, err := exec.Command("rsync", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v rsyncVersion
	for _, line := range strings.Split(string(out), "\n") {
		v.parse(line)
	}
	if v.version == "" || v.protocol < 29 {
		t.Fatalf("read %+v of\n%s", v, out)
	}
	return v
}
