// Package release has the worker's builds, one for each kind of processor, as
// "make workers" makes them and a release of the provider carries them. A provider
// that was built without them says so when a worker is asked for.
//
// It imports nothing of this project.
package release

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/ulikunitz/xz"
)

// builds has a file cutover-worker-ARCH.xz for each of Architectures, and Sums, after
// "make workers".
//
//go:embed all:builds
var builds embed.FS

// Architectures are the kinds of processors that there are builds for, as Go calls
// them. The system is Linux.
var Architectures = []string{"386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"}

// ErrNotBuilt is the error of a provider that has no workers.
var ErrNotBuilt = errors.New("this provider was built without the worker that sync passes run on the hosts; " +
	`"make workers" in its sources makes it, before "make build"`)

// Sums is the file with the digests of all builds, a line each as sha256sum(1)
// prints it: to look whether a host has the right one, none has to be unpacked.
const Sums = "SHA256SUMS"

// Digests are the SHA-256 of the builds, in hex, by the names that uname -m has for
// their processors. The error is ErrNotBuilt, or of a file that is damaged.
func Digests() (map[string]string, error) { return digests(builds) }

func digests(from fs.FS) (map[string]string, error) {
	text, err := fs.ReadFile(from, "builds/"+Sums)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotBuilt
	}
	if err != nil {
		return nil, err
	}
	known := map[string]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || len(fields[0]) != hex.EncodedLen(sha256.Size) {
			return nil, fmt.Errorf("%s has the line %q", Sums, line)
		}
		for machine, architecture := range machines {
			if Name(architecture) == fields[1]+".xz" {
				known[machine] = fields[0]
			}
		}
	}
	return known, nil
}

// Build is the worker for one kind of processor.
type Build struct {
	Architecture string
	SHA256       string // of Program, in hex
	Program      []byte
}

// For returns the build for a processor by the name that uname -m has for it. The
// error is ErrNotBuilt, or names a processor that there is no build for.
func For(machine string) (Build, error) {
	architecture, ok := machines[machine]
	if !ok {
		return Build{}, fmt.Errorf("there is no worker for a processor of kind %q; there is one for %s", machine, strings.Join(Architectures, ", "))
	}
	unpacked.Lock()
	defer unpacked.Unlock()
	if build, ok := unpacked.builds[architecture]; ok {
		return build, nil
	}
	build, err := open(builds, architecture)
	if err == nil {
		unpacked.builds[architecture] = build
	}
	return build, err
}

// unpacked are the builds that a host has needed. Both hosts of a pass mostly need the
// same, and to unpack it takes several times its size in memory.
var unpacked = struct {
	sync.Mutex
	builds map[string]Build
}{builds: map[string]Build{}}

// machines are Go's names of the processors, by those that uname -m has for them.
var machines = map[string]string{
	"x86_64": "amd64", "amd64": "amd64",
	"aarch64": "arm64", "arm64": "arm64",
	"i386": "386", "i486": "386", "i586": "386", "i686": "386",
	"armv6l": "arm", "armv7l": "arm", "armv8l": "arm",
	"ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
}

// Name is the name of a build's file.
func Name(architecture string) string { return "cutover-worker-" + architecture + ".xz" }

func open(from fs.FS, architecture string) (Build, error) {
	packed, err := from.Open("builds/" + Name(architecture))
	if errors.Is(err, fs.ErrNotExist) {
		return Build{}, ErrNotBuilt
	}
	if err != nil {
		return Build{}, err
	}
	defer packed.Close()
	size := int64(0)
	if info, err := packed.Stat(); err == nil {
		size = info.Size()
	}
	reader, err := xz.NewReader(bufio.NewReader(packed))
	if err != nil {
		return Build{}, fmt.Errorf("the worker for %s: %w", architecture, err)
	}
	// It is a little more than three times as large; memory that has to grow is taken
	// again and again.
	program := bytes.NewBuffer(make([]byte, 0, 4*size))
	if _, err := program.ReadFrom(reader); err != nil {
		return Build{}, fmt.Errorf("the worker for %s: %w", architecture, err)
	}
	sum := sha256.Sum256(program.Bytes())
	return Build{Architecture: architecture, SHA256: hex.EncodeToString(sum[:]), Program: program.Bytes()}, nil
}
