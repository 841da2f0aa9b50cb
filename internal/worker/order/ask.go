package order

import (
	"encoding/json"
	"time"
)

// What the provider asks of a worker, and what that answers, beside a pass itself.
// Each is a call of the worker with the question as JSON on standard input and the
// answer as JSON on standard output. One call for a question keeps the number of
// processes on a host small: each takes milliseconds to begin, and a pass at night
// competes with the clients for the processors.

// Answer is every answer: what was asked for, and where the worker lies that gives it.
type Answer struct {
	Worker string          `json:"worker"`
	Answer json.RawMessage `json:"answer"`
}

// OldQuestion is what "survey-old" is asked.
type OldQuestion struct {
	User   string   `json:"user"`             // login of the provider
	Become string   `json:"become,omitempty"` // how it becomes root there: "", sudo or doas
	Client string   `json:"client"`           // address from which the new host comes
	Paths  []string `json:"paths"`
}

// OldAnswer is what an old host is.
type OldAnswer struct {
	OS              string      `json:"os"`
	Login           *Login      `json:"login,omitempty"` // where the key of the pass goes; none was found where it is missing
	PermitRootLogin string      `json:"permit_root_login,omitempty"`
	HostKeys        []string    `json:"host_keys"` // "ssh-ed25519 AAAA…"
	Listening       []string    `json:"listening"` // where its sshd says that it listens: "0.0.0.0:22"
	Paths           []Directory `json:"paths"`
}

// Login is an account of the old host that the key of a pass is for.
type Login struct {
	User   string `json:"user"`
	Become string `json:"become,omitempty"`
	Home   string `json:"home"`
	Keys   string `json:"keys"` // AuthorizedKeysFile, with its %h, %u and %%
}

// NewQuestion is what "survey-new" is asked.
type NewQuestion struct {
	Job     string   `json:"job"`
	Targets []string `json:"targets"`
}

// NewAnswer is what a new host is.
type NewAnswer struct {
	OS        string      `json:"os"`
	Missing   []string    `json:"missing,omitempty"` // programs that a pass needs
	Addresses []string    `json:"addresses"`
	Paths     []Directory `json:"paths"`
	Job       Job         `json:"job"`
}

// Directory is a path of a pass on one of the hosts.
type Directory struct {
	Kind string `json:"kind"`           // KindDirectory, KindOther or KindMissing
	Real string `json:"real,omitempty"` // without symbolic links; of what is missing, of the nearest directory that exists
}

// Kinds of a Directory.
const (
	KindDirectory = "directory"
	KindOther     = "other"
	KindMissing   = "missing"
)

// Prepare is what "prepare" does on the new host: it makes the targets and all that
// a pass needs, and starts nothing yet.
type Prepare struct {
	Job   string `json:"job"`   // names the pass's chain; of one name there is one job at a time
	Token string `json:"token"` // what the pass does, and by whom: DIGEST ID
	Chain string `json:"chain"`
	ID    string `json:"id"`

	RSA        bool   `json:"rsa,omitempty"`     // the old host's sshd knows no Ed25519
	BackOf     string `json:"back_of,omitempty"` // chain from whose target this pass brings back to its source
	Comment    string `json:"comment"`           // of the key
	SSHConfig  string `json:"ssh_config"`        // with %DIR% for the job's directory
	KnownHosts string `json:"known_hosts"`
	OldHost    string `json:"old_host"` // as the configuration calls it

	// Pass is the order, but for what the host itself settles: how it connects, and
	// where the base, the trash, the log and the outcome are.
	Pass Pass `json:"pass"`
}

// Prepared is the answer.
type Prepared struct {
	Taken    bool     `json:"taken,omitempty"` // there is a job of that name; nothing was done
	Public   string   `json:"public,omitempty"`
	Writable []string `json:"writable,omitempty"` // the targets, by their real names
	// Claimed are passes of the chain of which nothing runs and nobody has the outcome:
	// the host was restarted under them. What they left is this one's now.
	Claimed []string `json:"claimed,omitempty"`
}

// Follow is what "follow" does on the new host: it starts a prepared job where it
// is told to, and says how it gets on until it is over: Event after Event, a line
// each.
type Follow struct {
	Job      string   `json:"job"`
	Start    string   `json:"start,omitempty"`    // token of the job that is to be started
	Writable []string `json:"writable,omitempty"` // all that it can change, where the host's systemd can hold it to that
}

// Event is a line of "follow". The last one has a Job, and where that is answered by
// Taken, one more says whether the job was there to be forgotten: of several who take
// its outcome, one is told so.
type Event struct {
	Status  string `json:"status,omitempty"`
	Job     *Job   `json:"job,omitempty"`
	Removed *bool  `json:"removed,omitempty"`
}

// Taken is the line by which whoever follows a job takes its outcome. A connection that
// broke off takes none.
const Taken = "taken\n"

// Job is where a job of the new host is.
type Job struct {
	Phase   Phase    `json:"phase"`
	Token   string   `json:"token,omitempty"`
	Public  string   `json:"public,omitempty"` // key of the pass
	Age     int64    `json:"age,omitempty"`    // of a prepared one, in seconds
	Outcome *Outcome `json:"outcome,omitempty"`
	Said    string   `json:"said,omitempty"` // the end of its stderr, when it is over
}

// Phase is where a job is.
type Phase string

// The phases of a job, in their order. One that died was killed or could not begin:
// it has no outcome.
const (
	None  Phase = "none"
	Ready Phase = "ready" // prepared, and not started
	Runs  Phase = "running"
	Ended Phase = "ended"
	Died  Phase = "died"
)

// Alive says whether a job may still do something.
func (p Phase) Alive() bool { return p == Ready || p == Runs }

// EndJob is what "cancel" and "remove" do on the new host. Cancel ends a job that
// runs, or is ready, and has this token, and leaves what it left. Remove forgets one
// that is over. The answer is EndedJob.
type EndJob struct {
	Job   string `json:"job"`
	Token string `json:"token"`
	Grace int    `json:"grace,omitempty"` // seconds it may clean up
}

// EndedJob is the answer: whether the job was there, with that token. Of several who
// remove it, one is told so.
type EndedJob struct {
	Was bool `json:"was"`
}

// Admit is what "admit" does on the old host: it lets the key of a pass in.
type Admit struct {
	Chain    string   `json:"chain"`
	ID       string   `json:"id"`
	Login    Login    `json:"login"`
	From     []string `json:"from"`               // addresses
	Restrict bool     `json:"restrict,omitempty"` // its sshd knows the option
	Expire   bool     `json:"expire,omitempty"`   // likewise expiry-time
	Seconds  int64    `json:"seconds"`            // how long the key may be used
	Public   string   `json:"public"`
	Paths    []string `json:"paths"`             // by their real names: all that the key can read
	Passing  bool     `json:"passing,omitempty"` // nothing is noted of the pass: it is a preview
	// Lends is the chain of passes the other way, whose base is lent to this one. BackOf
	// is the same where this pass is the one that brings back.
	Lends  string `json:"lends"`
	BackOf string `json:"back_of,omitempty"`
}

// Dismiss is what "dismiss" does on the old host: it keeps a key out again.
type Dismiss struct {
	Chain  string `json:"chain"`
	Public string `json:"public,omitempty"` // another one's line stays; "" is any key of the chain
}

// Claim is what "claim" does on either host: what a pass has left is another's from
// now on.
type Claim struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Forget is what "forget" does on either host: what is there of a pass goes, and the
// worker with the last one. What a pass has brought stays.
type Forget struct {
	ID         string   `json:"id"`
	Unfinished bool     `json:"unfinished,omitempty"` // it did not end well: what it brought is known on to the next of its chain
	Old        bool     `json:"old,omitempty"`        // the host is the old one
	Keep       []string `json:"keep,omitempty"`       // chains of which another pass runs: their keys stay
	Targets    []string `json:"targets,omitempty"`
}

// Forgotten is the answer.
type Forgotten struct {
	Ended   []string `json:"ended,omitempty"`   // jobs of the pass that still ran, and were ended
	Running []string `json:"running,omitempty"` // chains of which another pass runs
}

// State is where a host keeps what belongs to passes.
const State = "/var/lib/cutover"

// LogPath is where the new host keeps the log of a pass.
func LogPath(id string) string { return State + "/passes/" + id + ".log" }

// StatusPath is where the new host says how far a pass is, while it runs.
func StatusPath(id string) string { return State + "/passes/" + id + ".status" }

// TrashPath is where the new host keeps what a pass has deleted or overwritten:
// below it a directory for each run, named by its time, and in that one for each
// path, by its number from 1.
func TrashPath(id string) string { return State + "/trash/" + id }

// TrashStamp is the form of the names of the runs.
func TrashStamp(now time.Time) string { return now.UTC().Format("20060102T150405Z") }

// BroughtQuestion is what "brought" is asked on the new host: directories of it.
type BroughtQuestion struct {
	Paths []string `json:"paths"`
}

// BroughtAnswer is how much the passes have brought to the directories, what is below
// them included. One to which none has brought anything is missing from it.
type BroughtAnswer struct {
	Amounts map[string]Amount `json:"amounts"`
}

// Amount is how much is in a directory: all that is no directory, and the bytes of the
// content of files.
type Amount struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}
