// Package deploy puts the worker on a host, the program that makes sync passes, and
// runs it there.
//
// It may import internal/host, internal/sh and internal/worker and nothing else of
// this module.
package deploy

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/release"
)

//go:embed worker.sh
var workerText string

var workerScript = host.Script{Name: "deploy/worker.sh", Text: workerText}

// Exit codes of worker.sh, and of a shell that cannot start a program (POSIX, 2.8.2). A
// worker, too, says exitNotThere where its file was taken away and it can be asked again.
const (
	exitAbsent    = 69
	exitCannotRun = 126
	exitNotThere  = 127
)

// Worker is the worker of a host.
type Worker struct {
	host host.Host

	mu    sync.Mutex
	file  string // once it is known to be there and right
	known bool   // it is asked only where something of passes is
}

// On returns the worker of a host. It is put there when it is first asked something.
func On(h host.Host) *Worker { return &Worker{host: h} }

// Where returns the worker of a host for questions about what an earlier one has left.
// Where nothing was left, the error of asking is ErrNothing, and none is put there.
func Where(h host.Host) *Worker { return &Worker{host: h, known: true} }

// ErrNothing is the error where nothing of passes is on a host.
var ErrNothing = errors.New("nothing of a pass is there")

// At is the worker's host.
func (w *Worker) At() host.Host { return w.host }

// Ask asks the worker a question, see the package order, and decodes its answer.
func (w *Worker) Ask(ctx context.Context, question string, asked, answer any) error {
	var text []byte
	other, err := w.run(ctx, question, asked, false, func(line []byte, _ io.Writer) error {
		text = append(text, line...)
		return nil
	})
	if err != nil {
		return err
	}
	var said order.Answer
	if err = json.Unmarshal(text, &said); err == nil {
		err = json.Unmarshal(said.Answer, answer)
	}
	if err != nil {
		return fmt.Errorf("on host %q: the worker did not answer %s: %w; it printed:\n%s%s", w.host.Name(), question, err, other, text)
	}
	w.lies(said.Worker)
	return nil
}

// Talk asks the worker a question, and gives each line of the answer to take, as it
// comes. What take returns goes to the worker.
func (w *Worker) Talk(ctx context.Context, question string, asked any, take func(line []byte) (reply string, err error)) error {
	_, err := w.run(ctx, question, asked, true, func(line []byte, say io.Writer) error {
		reply, err := take(line)
		if err == nil && reply != "" {
			// Whoever reads it may have ended: then its end says how.
			go func() { _, _ = io.WriteString(say, reply) }()
		}
		return err
	})
	return err
}

// run asks the worker a question, and gives each line of JSON that it says to take. In a
// talk the input stays open, and what take writes to say goes to the worker. It returns
// the last other line.
func (w *Worker) run(ctx context.Context, question string, asked any, talk bool, take func(line []byte, say io.Writer) error) (other string, err error) {
	stdin, err := json.Marshal(asked)
	if err != nil {
		return "", err
	}
	for tries := 0; ; tries++ {
		cmd, err := w.command(question)
		if err != nil {
			return "", err
		}
		looks := cmd.Script.Text != ""
		// Each try has replies of its own: who feeds a command that has ended takes the next
		// reply as well, and then it is lost.
		replies, say := io.Pipe()
		out := &lines{take: func(line []byte) error { return take(line, say) }}
		cmd.Stdin, cmd.Stdout = bytes.NewReader(stdin), out
		if talk {
			cmd.Stdin = io.MultiReader(bytes.NewReader(append(stdin, '\n')), replies)
		}
		_, err = w.host.Run(ctx, cmd)
		say.Close()
		code, _ := host.ExitCode(err)
		switch {
		case looks && code == exitAbsent && tries < maxTries:
			// Its directory may be taken away meanwhile, too.
			if err := w.put(ctx, out.other); err != nil && (!errors.Is(err, fs.ErrNotExist) || tries == maxTries-1) {
				return "", err
			}
		case code == exitNotThere && tries < maxTries:
			// The last pass of another chain took it away meanwhile.
			w.lies("")
		case code == exitCannotRun && isBusy(err) && tries < maxTries:
			// Another one puts it at this moment, and has not closed it yet.
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return "", ctx.Err()
			}
		case code == exitCannotRun:
			return "", w.cannotRun(ctx, err)
		default:
			return out.other, err
		}
	}
}

// maxTries is how often a worker is put or asked again. Each time another chain has to
// end, or another worker to be put, at the very moment.
const maxTries = 8

// isBusy says whether a program could not be run because it is open for writing
// (ETXTBSY of execve(2)).
func isBusy(err error) bool {
	var exit *host.ExitError
	return errors.As(err, &exit) && strings.Contains(exit.Stderr, "Text file busy")
}

// lines gives whole lines of JSON to take, and keeps the last other one: what worker.sh
// says where there is no worker.
type lines struct {
	take  func(line []byte) error
	other string
	part  []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if bytes.HasPrefix(line, []byte("{")) {
			if err := l.take(line); err != nil {
				return 0, err
			}
		} else {
			l.other = string(line)
		}
		l.part = append(l.part[:0], rest...)
	}
}

// command is the first call by a script that looks whether the right worker is there,
// and then the worker itself: nobody but root writes where it lies.
func (w *Worker) command(question string) (host.Command, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != "" {
		return host.Exec(w.file, question), nil
	}
	digests, err := release.Digests()
	if err != nil {
		return host.Command{}, err
	}
	var list []string
	for _, machine := range slices.Sorted(maps.Keys(digests)) {
		if each := machine + "=" + digests[machine]; !slices.ContainsFunc(list, func(s string) bool { return strings.HasSuffix(s, "="+digests[machine]) }) {
			list = append(list, each)
		}
	}
	return host.Sh(workerScript, order.State, strings.Join(list, " "), question), nil
}

// lies remembers where the worker is, "" where that has to be found out.
func (w *Worker) lies(file string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if file == "" || strings.HasPrefix(file, order.State+"/worker-") {
		w.file = file
	}
}

var kernelForm = regexp.MustCompile(`^(\d+)\.(\d+)`)

// The oldest kernel that the worker runs on: fstat(2) of a handle that was opened by
// O_PATH came with Linux 3.6 (open(2)).
const oldestMajor, oldestMinor = 3, 6

// put puts the worker on the host that is a machine with a kernel, as worker.sh says
// them.
func (w *Worker) put(ctx context.Context, says string) error {
	fields := strings.Fields(says)
	if len(fields) < 2 {
		return fmt.Errorf("on host %q: %s does not say what machine it is; it printed %q", w.host.Name(), workerScript.Name, says)
	}
	if w.known && len(fields) == 2 {
		return ErrNothing
	}
	machine, kernel := fields[0], fields[1]
	if match := kernelForm.FindStringSubmatch(kernel); match != nil {
		major, _ := strconv.Atoi(match[1])
		minor, _ := strconv.Atoi(match[2])
		if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
			return fmt.Errorf("host %q runs Linux %s, and a pass needs %d.%d or later there", w.host.Name(), kernel, oldestMajor, oldestMinor)
		}
	}
	build, err := release.For(machine)
	if err != nil {
		return fmt.Errorf("host %q: %w", w.host.Name(), err)
	}
	if _, err := w.host.Run(ctx, host.Exec("mkdir", "-p", order.State)); err != nil {
		return err
	}
	// It is complete, or not there; who else puts it at this moment puts the same.
	return w.host.WriteFile(ctx, place(build.SHA256), build.Program, host.FileAttr{Mode: 0o700})
}

// place is where the worker with a digest lies; see worker.sh.
func place(digest string) string { return order.State + "/worker-" + digest[:16] }

// cannotRun takes away what cannot be run: nobody else would.
func (w *Worker) cannotRun(ctx context.Context, why error) error {
	if digests, err := release.Digests(); err == nil {
		for _, digest := range digests {
			_ = w.host.Remove(ctx, place(digest)) // what stays is found by the next destroy
		}
		_ = w.host.Remove(ctx, order.State) // it is not empty where there is more
	}
	return fmt.Errorf("host %q does not run programs in %s: %w. Look whether that is mounted noexec (findmnt -T %[2]s): "+
		"until the last pass is destroyed it has to be without that", w.host.Name(), order.State, why)
}
