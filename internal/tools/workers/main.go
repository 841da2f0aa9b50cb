// Command workers builds the worker for all kinds of processors that the provider
// carries it for, packed, into a directory:
//
//	go run ./internal/tools/workers internal/worker/release/builds [ARCH...]
//
// Beside them goes SHA256SUMS, of what is packed. The same sources and the same Go
// give the same programs, wherever they lie.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/release"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: workers DIRECTORY [ARCH...]")
		os.Exit(2)
	}
	architectures := os.Args[2:]
	if len(architectures) == 0 {
		architectures = release.Architectures
	}
	var sums strings.Builder
	for _, architecture := range architectures {
		sum, err := build(os.Args[1], architecture)
		if err != nil {
			fail("%s: %v", architecture, err)
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, strings.TrimSuffix(release.Name(architecture), ".xz"))
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], release.Sums), []byte(sums.String()), 0o600); err != nil {
		fail("%v", err)
	}
	// What is not built now is of other sources.
	for _, architecture := range release.Architectures {
		if !slices.Contains(architectures, architecture) {
			if err := os.Remove(filepath.Join(os.Args[1], release.Name(architecture))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				fail("%v", err)
			}
		}
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "workers: "+format+"\n", args...)
	os.Exit(1)
}

// build returns the SHA-256 of the program, in hex.
func build(directory, architecture string) (sum string, err error) {
	scratch, err := os.MkdirTemp("", "cutover-worker-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	program := filepath.Join(scratch, "cutover-worker")
	compile := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", program,
		"github.com/cutover-dev/terraform-provider-cutover/internal/worker/cmd")
	// The oldest processors of each kind.
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOFLAGS=",
		"GOAMD64=v1", "GO386=sse2", "GOARM=6", "GOARM64=v8.0", "GOPPC64=power8", "GORISCV64=rva20u64")
	compile.Stderr = os.Stderr
	if err := compile.Run(); err != nil {
		return "", fmt.Errorf("go build: %w", err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	packed, err := pack(content)
	if err != nil {
		return "", err
	}
	fmt.Printf("%-8s %8d bytes, packed %8d\n", architecture, len(content), len(packed))
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:]), os.WriteFile(filepath.Join(directory, release.Name(architecture)), packed, 0o600)
}

// pack packs a program by xz(1), or, where that is not there, by the library that
// unpacks it, which makes a sixth more of it.
func pack(content []byte) ([]byte, error) {
	if program, err := exec.LookPath("xz"); err == nil {
		// One thread: several would cut it into blocks.
		// Who unpacks it needs as much memory as the dictionary is large, and a larger one
		// than the program is of no use.
		cmd := exec.Command(program, "--lzma2=preset=9e,dict=5MiB", "--threads=1", "--stdout")
		cmd.Stdin, cmd.Stderr = bytes.NewReader(content), os.Stderr
		return cmd.Output()
	}
	var packed bytes.Buffer
	writer, err := xz.WriterConfig{DictCap: 5 << 20}.NewWriter(&packed)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
