// Package release has the worker's builds, one for each kind of processor, as
// "make workers" makes them and a release of the provider carries them. A provider
// that was built without them says so when a worker is asked for.
//
// It imports nothing of this project.
package release

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/ulikunitz/xz"
)

// builds has a file cutover-worker-ARCH.xz for each of Architectures, after "make
// workers".
//
//go:embed all:builds
var builds embed.FS

// Architectures are the kinds of processors that there are builds for, as Go calls
// them. The system is Linux.
var Architectures = []string{"386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"}

// ErrNotBuilt is the error of a provider that has no workers.
var ErrNotBuilt = errors.New("this provider was built without the worker that sync passes run on the hosts; " +
	`"make workers" in its sources makes it, before "make build"`)

// Build is the worker for one kind of processor.
type Build struct {
	Architecture string
	SHA256       string // of Program, in hex
	Program      []byte
}

// For returns the build for a processor by the name that uname -m has for it. The
// error is ErrNotBuilt, or names a processor that there is no build for.
func For(machine string) (Build, error) {
	architecture, ok := architecture(machine)
	if !ok {
		return Build{}, fmt.Errorf("there is no worker for a processor of kind %q; there is one for %s", machine, strings.Join(Architectures, ", "))
	}
	return open(builds, architecture)
}

// architecture is Go's name of the processor.
func architecture(machine string) (string, bool) {
	switch machine {
	case "x86_64", "amd64":
		return "amd64", true
	case "aarch64", "arm64":
		return "arm64", true
	case "i386", "i486", "i586", "i686":
		return "386", true
	case "armv6l", "armv7l", "armv8l":
		return "arm", true
	case "ppc64le", "riscv64", "s390x":
		return machine, true
	}
	return "", false
}

// Name is the name of a build's file.
func Name(architecture string) string { return "cutover-worker-" + architecture + ".xz" }

func open(from fs.FS, architecture string) (Build, error) {
	packed, err := fs.ReadFile(from, "builds/"+Name(architecture))
	if errors.Is(err, fs.ErrNotExist) {
		return Build{}, ErrNotBuilt
	}
	if err != nil {
		return Build{}, err
	}
	reader, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		return Build{}, fmt.Errorf("the worker for %s: %w", architecture, err)
	}
	program, err := io.ReadAll(reader)
	if err != nil {
		return Build{}, fmt.Errorf("the worker for %s: %w", architecture, err)
	}
	sum := sha256.Sum256(program)
	return Build{Architecture: architecture, SHA256: hex.EncodeToString(sum[:]), Program: program}, nil
}
