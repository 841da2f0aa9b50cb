package release

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ulikunitz/xz"
)

// packed is a directory of builds as make workers makes it.
func packed(t *testing.T, architecture, program string) fs.FS {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"builds/" + Name(architecture): {Data: b.Bytes()}}
}

func TestAPackedBuild(t *testing.T) {
	build, err := open(packed(t, "arm64", "a program"), "arm64")
	if err != nil {
		t.Fatal(err)
	}
	// By sha256sum.
	const sum = "d69ea8cda2433733c1ce02de65da8f48e6a3dbba6bb18876a2062908e54ef7cb"
	if string(build.Program) != "a program" || build.SHA256 != sum {
		t.Errorf("the build is %+v", build)
	}
}

func TestDigests(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	got, err := digests(fstest.MapFS{"builds/" + Sums: {Data: []byte(sum + "  cutover-worker-386\n")}})
	if err != nil || len(got) != 4 || got["i686"] != sum {
		t.Errorf("the digests are %v, error %v", got, err)
	}
	if _, err := digests(fstest.MapFS{"builds/" + Sums: {Data: []byte("abc  cutover-worker-386\n")}}); err == nil || !strings.Contains(err.Error(), "abc") {
		t.Errorf("half a line: %v", err)
	}
	if _, err := digests(fstest.MapFS{}); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("without builds: %v", err)
	}
}

func TestWithoutBuilds(t *testing.T) {
	if _, err := open(fstest.MapFS{}, "amd64"); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("the error is %v", err)
	}
}

func TestProcessors(t *testing.T) {
	for machine, want := range map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm", "ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
		"mips": "", "armv5tel": "", "ppc64": "", "": "",
	} {
		got, ok := machines[machine]
		if got != want || ok != (want != "") {
			t.Errorf("%q is %q, want %q", machine, got, want)
		}
	}
	if _, err := For("sparc64"); err == nil || !strings.Contains(err.Error(), `"sparc64"`) || !strings.Contains(err.Error(), "amd64") {
		t.Errorf("the error is %v", err)
	}
}

// What make workers has made is whole, where it was run.
func TestTheBuildsThatThereAre(t *testing.T) {
	for _, machine := range []string{"x86_64", "aarch64", "i686", "armv7l", "ppc64le", "riscv64", "s390x"} {
		build, err := For(machine)
		if errors.Is(err, ErrNotBuilt) {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", machine, err)
			continue
		}
		if !bytes.HasPrefix(build.Program, []byte("\x7fELF")) {
			t.Errorf("%s: the build is no program", machine)
		}
		if known, err := Digests(); err != nil || known[machine] != build.SHA256 {
			t.Errorf("%s: its digest is not the one of %s, %v", machine, Sums, err)
		}
	}
}
