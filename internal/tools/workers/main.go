// Command workers builds the worker for all kinds of processors that the provider
// carries it for, packed, into a directory:
//
//	go run ./internal/tools/workers internal/worker/release/builds [ARCH...]
//
// The same sources and the same Go give the same bytes, wherever they lie.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

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
	for _, architecture := range architectures {
		if err := build(os.Args[1], architecture); err != nil {
			fmt.Fprintf(os.Stderr, "workers: %s: %v\n", architecture, err)
			os.Exit(1)
		}
	}
}

func build(directory, architecture string) error {
	scratch, err := os.MkdirTemp("", "cutover-worker-")
	if err != nil {
		return err
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
		return fmt.Errorf("go build: %w", err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	writer, err := xz.WriterConfig{DictCap: 8 << 20}.NewWriter(&packed)
	if err != nil {
		return err
	}
	if _, err := writer.Write(content); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	fmt.Printf("%-8s %8d bytes, packed %8d\n", architecture, len(content), packed.Len())
	return os.WriteFile(filepath.Join(directory, release.Name(architecture)), packed.Bytes(), 0o600)
}
