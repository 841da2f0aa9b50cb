//go:build linux

package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/key"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// Prepare makes all that a job needs, and starts nothing. Where there is a job of
// that name, it says so and does nothing.
func (h Host) Prepare(ctx context.Context, p order.Prepare) (answer order.Prepared, err error) {
	dir, err := h.dir(p.Job)
	if err != nil {
		return answer, err
	}
	h.sweep()
	if taken, err := h.reserve(dir); taken || err != nil {
		return order.Prepared{Taken: taken}, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
			_ = unix.Rmdir(h.Run)
		}
	}()
	if answer.Writable, err = h.place(dir, &p); err != nil {
		return answer, err
	}
	if answer.Public, err = h.makeKey(ctx, dir, p); err != nil {
		return answer, err
	}
	files := map[string]string{
		"ssh_config":  strings.ReplaceAll(p.SSHConfig, "%DIR%", dir) + "\n",
		"known_hosts": p.KnownHosts,
		filePublic:    answer.Public + "\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return answer, err
		}
	}
	if err := order.Write(filepath.Join(dir, fileOrder), p.Pass); err != nil {
		return answer, err
	}
	// Without a token there is no job.
	beside := filepath.Join(dir, fileToken+".new")
	if err := os.WriteFile(beside, []byte(p.Token+"\n"), 0o600); err != nil {
		return answer, err
	}
	return answer, os.Rename(beside, filepath.Join(dir, fileToken))
}

// oldPreview is when a preview that is over has nobody any more who waits for it.
const oldPreview = 10 * time.Minute

// sweep forgets previews that nobody waited for to their end.
func (h Host) sweep() {
	names, err := h.Jobs()
	if err != nil {
		return
	}
	for _, name := range names {
		dir, err := h.dir(name)
		if err != nil || !strings.HasPrefix(name, "preview-") {
			continue
		}
		j, err := h.Look(name)
		if waited, ageErr := age(dir); err == nil && ageErr == nil && waited > oldPreview && j.Phase != order.Runs {
			_, _ = h.drop(name)
		}
	}
}

// reserve makes the job's directory. One whose preparation broke off is taken over.
func (h Host) reserve(dir string) (taken bool, err error) {
	for range 20 {
		// Another job that ends takes the empty directory above away.
		if err := os.MkdirAll(h.Run, 0o755); err != nil { //nolint:gosec // there is nothing to hide in it
			return false, err
		}
		err = os.Mkdir(dir, 0o700)
		if err == nil {
			return false, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		// One without a token was never prepared to the end.
		_, tokenErr := os.Stat(filepath.Join(dir, fileToken))
		waited, ageErr := age(dir)
		if broken := errors.Is(tokenErr, fs.ErrNotExist) && ageErr == nil && waited > time.Minute; !broken {
			return true, nil
		}
		away := fmt.Sprintf("%s.removed-%d", dir, os.Getpid())
		if err := os.Rename(dir, away); err == nil {
			os.RemoveAll(away)
		}
	}
	return false, fmt.Errorf("cannot make %s: %w", dir, err)
}

// place makes the targets, and settles where the pass keeps what: base, trash, log.
// It returns the targets' real names. A preview makes nothing that stays.
func (h Host) place(dir string, p *order.Prepare) (writable []string, err error) {
	o := &p.Pass
	o.Connect = []string{"ssh", "-F", filepath.Join(dir, "ssh_config"), p.OldHost, "cutover"}
	o.Outcome, o.Status = filepath.Join(dir, fileOutcome), filepath.Join(dir, "status")
	chain := filepath.Join(h.State, "chains", p.Chain)
	o.Pace = filepath.Join(chain, "pace")
	if !o.Preview {
		o.ID = p.ID
		o.Log, o.Status = filepath.Join(h.State, "passes", p.ID+".log"), filepath.Join(h.State, "passes", p.ID+".status")
		for _, d := range []string{filepath.Dir(o.Log), chain} {
			if err := os.MkdirAll(d, 0o755); err != nil { //nolint:gosec // what is in it is root's alone
				return nil, err
			}
		}
	}
	stamp := order.TrashStamp(time.Now())
	for i := range o.Roots {
		r := &o.Roots[i]
		r.Number, r.Base = i, filepath.Join(chain, strconv.Itoa(i+1)+".base")
		if o.Delete == "trash" && !o.Preview {
			r.Trash = filepath.Join(h.State, "trash", p.ID, stamp, strconv.Itoa(i+1))
			if err := os.MkdirAll(r.Trash, 0o700); err != nil {
				return nil, err
			}
		}
		if r.Target, err = target(r.Target, dir, i, o.Preview); err != nil {
			return nil, err
		}
		writable = append(writable, r.Target)
	}
	if o.Preview {
		return writable, nil
	}
	// For whoever takes the chain away: a pass that broke off may have left something there.
	return writable, order.Write(filepath.Join(chain, "targets"), writable)
}

// target makes a target where it is missing, and returns its real name. A preview
// looks at an empty directory instead.
func target(path, dir string, number int, preview bool) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if preview {
		empty := filepath.Join(dir, "empty-"+strconv.Itoa(number+1))
		return empty, os.Mkdir(empty, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as mkdir -p would
		return "", err
	}
	// It gets its mode with the rest; until then what is in it is nobody's business.
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// rsaBits is the length of an RSA key: ssh-keygen's own default.
const rsaBits = 3072

// makeKey makes the pass's key, and returns the public one.
func (h Host) makeKey(ctx context.Context, dir string, p order.Prepare) (public string, err error) {
	var private []byte
	if p.RSA {
		private, public, err = key.GenerateRSA(ctx, dir, rsaBits, p.Comment)
	} else {
		private, public, err = key.Generate(p.Comment)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(public), os.WriteFile(filepath.Join(dir, "key"), private, 0o600)
}

// path is what a job finds its programs by.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// launch starts a prepared job. It is gone where another has taken it away.
func (h Host) launch(name string, writable []string) (gone bool, err error) {
	dir, err := h.dir(name)
	if err != nil {
		return false, err
	}
	mark, err := os.OpenFile(filepath.Join(dir, fileLaunched), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		// Somebody else has started it, or thrown it away.
		return true, ignore(err, fs.ErrExist, fs.ErrNotExist)
	}
	mark.Close()
	argv := []string{h.Program, "pass", filepath.Join(dir, fileOrder)}
	if h.systemd != nil {
		if len(writable) > 0 {
			writable = append([]string{h.Run, h.State}, writable...)
		}
		return false, h.systemd("cutover-"+name, writable, argv...)
	}
	// It must not end with this connection.
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it outlives who starts it
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + path, "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return false, cmd.Start()
}

func ignore(err error, kinds ...error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}

// systemdRun starts a transient unit: what belongs to a login may be ended with it
// (KillUserProcesses= of logind.conf), and what belongs to sshd's unit with sshd.
// Where writable has directories, the unit can change nothing else.
func systemdRun(unit string, writable []string, argv ...string) error {
	args := []string{"--quiet", "--no-ask-password", "--unit=" + unit, "--description=Pass of cutover",
		"--setenv=PATH=" + path, "--setenv=LC_ALL=C"}
	if len(writable) > 0 {
		args = append(args, "-p", "ProtectSystem=strict")
		for _, directory := range writable {
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(directory)
			args = append(args, "-p", `ReadWritePaths="`+quoted+`"`)
		}
	}
	args = append(append(args, "--"), argv...)
	run := func() error {
		said, err := exec.Command("systemd-run", args...).CombinedOutput() //nolint:noctx // it ends at once
		if err != nil {
			return fmt.Errorf("systemd-run: %w: %s", err, strings.TrimSpace(string(said)))
		}
		return nil
	}
	err := run()
	if err != nil {
		// One that was killed is in the way until it is forgotten.
		if reset := exec.Command("systemctl", "reset-failed", unit+".service").Run(); reset == nil { //nolint:noctx // likewise
			err = run()
		}
	}
	return err
}

const (
	// glance is how often a follower looks.
	glance = 50 * time.Millisecond
	// sign is how often it says something at least, so that either end notices when the
	// connection is gone.
	sign = 5 * time.Second
	// unattended is how long a job may wait for its start, which takes whoever prepared
	// it some seconds.
	unattended = 30 * time.Second
)

// Follow starts a job where it is told to, and says how it gets on until it is over,
// or nobody starts it. It ends when say fails. Where say returns true for the last
// event, whoever follows has taken the outcome, and the job is forgotten.
func (h Host) Follow(ctx context.Context, f order.Follow, say func(order.Event) (taken bool, err error)) error {
	if f.Start != "" {
		j, err := h.Look(f.Job)
		if err != nil {
			return err
		}
		if j.Phase == order.Ready && j.Token == f.Start {
			if _, err := h.launch(f.Job, f.Writable); err != nil {
				_, _ = h.drop(f.Job)
				return err
			}
		}
	}
	var last, file string
	var spoken time.Time
	for {
		j, err := h.Look(f.Job)
		if err != nil {
			return err
		}
		if !j.Phase.Alive() || j.Phase == order.Ready && time.Duration(j.Age)*time.Second >= unattended {
			taken, err := say(order.Event{Job: &j})
			if err != nil || !taken {
				return err
			}
			was, err := h.Remove(f.Job, j.Token)
			if err != nil {
				return err
			}
			_, err = say(order.Event{Removed: &was})
			return err
		}
		status := h.status(f.Job, &file)
		if status != last && time.Since(spoken) >= time.Second || time.Since(spoken) >= sign {
			last, spoken = status, time.Now()
			if _, err := say(order.Event{Status: status}); err != nil {
				return err
			}
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// status is what a job says in a file of how far it is, or "". The file is named by
// the job's order, which is read once.
func (h Host) status(name string, file *string) string {
	if *file == "" {
		dir, err := h.dir(name)
		if err != nil {
			return ""
		}
		o, err := order.ReadPass(filepath.Join(dir, fileOrder))
		if err != nil {
			return ""
		}
		*file = o.Status
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
