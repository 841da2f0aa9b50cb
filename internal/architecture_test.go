// Package internal_test holds the architecture: who may import whom, and what
// every file and script of the project keeps to. .golangci.yml has the same
// import rules for editors; this test needs nothing but Go.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cutover-dev/terraform-provider-cutover"

// layer is a place in the one-way order of the project. A package imports
// packages of the layers named in mayImport and nothing else of this project.
type layer struct {
	name string
	// packages are import paths below internal/; what lies below them belongs to
	// the same layer.
	packages  []string
	mayImport []string
}

// layers, from the top. Domains do not import each other, so that each can be
// read, tested and replaced alone. A new domain is one more word in the list.
var layers = []layer{
	{name: "main", mayImport: []string{"provider"}},
	{name: "provider", packages: []string{"provider"}, mayImport: []string{"audit", "domain", "host"}},
	{name: "audit", packages: []string{"audit"}, mayImport: []string{"domain", "mechanism", "worker", "host", "sh"}},
	{name: "domain", packages: []string{
		"account", "check", "dnscheck", "hold", "loginlock", "machine", "mail", "maildir", "mailqueue", "service", "skeleton", "syncpass", "traffic", "tunnel", "vhost",
	}, mayImport: []string{"mechanism", "batch", "worker", "host", "sh"}},
	{name: "mechanism", packages: []string{"deploy", "managedfile", "probe", "xtables"}, mayImport: []string{"worker", "host", "sh"}},
	{name: "host", packages: []string{"host"}, mayImport: []string{"sh"}},
	{name: "sh", packages: []string{"sh"}},
	{name: "batch", packages: []string{"batch"}}, // knows no host: it gathers whatever it is given
	// What runs in a program of its own on the hosts, and is tested on two directories with a pipe between. What asks it
	// imports its questions, and nothing that runs there: that is for Linux alone.
	{name: "worker", packages: []string{"worker"}},

	// Beside the product: nothing that ships imports these.
	{name: "fake host", packages: []string{"host/hosttest"}, mayImport: []string{"host", "sh"}},
	{name: "lab", packages: []string{"lab"}, mayImport: []string{"pace"}},
	{name: "bench", packages: []string{"lab/bench"}, mayImport: []string{"lab"}},
	{name: "demo", packages: []string{"lab/demo"}, mayImport: []string{"lab", "mechanism"}},
	{name: "pace", packages: []string{"pace"}},
	{name: "tools", packages: []string{"tools"}, mayImport: []string{"pace", "worker"}},
}

// testsMayImport is what tests of any layer import beside what their package may.
var testsMayImport = []string{"fake host", "host", "lab", "mechanism", "pace"}

// restricted are modules that only the named layers import: what is written
// elsewhere would have to change with them.
var restricted = []struct {
	prefix string
	layers []string
	// inTests is whether tests of any layer may.
	inTests bool
}{
	{"github.com/hashicorp/terraform-plugin-", []string{"main", "provider"}, false},
	{"golang.org/x/crypto/ssh", []string{"host", "lab"}, true},
	{"github.com/pkg/sftp", []string{"host", "lab"}, true},
}

// maxLines is the length of a file of product code at which its seam is overdue.
const maxLines = 500

// goPackage is what the test reads of go list -json; "go help list" describes it.
type goPackage struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,TestImports,XTestImports", "./...")
	list.Dir = ".."
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list ./...: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading go list's output: %v", err)
		}
		packages = append(packages, p)
	}
	// The test itself is one package, so an empty list is a list that went wrong.
	if len(packages) < 2 {
		t.Fatalf("go list ./... knows %d packages", len(packages))
	}
	return packages
}

// layerOf returns the layer of a package of this project: that of the longest
// path in the table that the package is or lies below.
func layerOf(importPath string) (layer, bool) {
	if importPath == module {
		return layers[0], true
	}
	below := strings.TrimPrefix(importPath, module+"/internal/")
	var found layer
	longest := -1
	for _, l := range layers {
		for _, p := range l.packages {
			if (below == p || strings.HasPrefix(below, p+"/")) && len(p) > longest {
				found, longest = l, len(p)
			}
		}
	}
	return found, longest >= 0
}

// family is the folder below internal/ that a package belongs to. Packages of
// one family are one subject in several folders and may import each other.
func family(importPath string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(importPath, module+"/internal/"), "/")
	return first
}

func TestImportsKeepToTheLayers(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath == module+"/internal" {
			continue // this test
		}
		from, known := layerOf(p.ImportPath)
		if !known {
			t.Errorf("%s is in no layer: say which layer it is, in the table of this test", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if why := refused(from, p.ImportPath, imported, false); why != "" {
				t.Errorf("%s (%s) imports %s: %s", p.ImportPath, from.name, imported, why)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := refused(from, p.ImportPath, imported, true); why != "" {
				t.Errorf("a test of %s (%s) imports %s: %s", p.ImportPath, from.name, imported, why)
			}
		}
	}
}

// refused says why a package may not import another, or nothing where it may.
func refused(from layer, importer, imported string, test bool) string {
	for _, r := range restricted {
		if strings.HasPrefix(imported, r.prefix) && !slices.Contains(r.layers, from.name) && !(test && r.inTests) {
			return "only " + strings.Join(r.layers, " and ") + " may"
		}
	}
	if !strings.HasPrefix(imported, module+"/") {
		return ""
	}
	to, known := layerOf(imported)
	switch {
	case !known:
		return "say which layer it is, in the table of this test"
	case slices.Contains(from.mayImport, to.name):
		return ""
	case test && slices.Contains(testsMayImport, to.name):
		return ""
	case test && imported == importer:
		return ""
	case from.name == to.name && family(importer) == family(imported):
		return ""
	case from.name == to.name:
		return "packages of this layer do not import each other"
	default:
		return "it may import " + strings.Join(append([]string{"of this project only:"}, from.mayImport...), " ")
	}
}

func TestRefusedTellsGoodFromBad(t *testing.T) {
	for _, c := range []struct {
		importer, imported string
		test, want         bool // want: refused
	}{
		{"internal/tunnel", "internal/host", false, false},
		{"internal/tunnel", "internal/managedfile", false, false},
		{"internal/tunnel", "internal/tunnel/sysv", false, false},
		{"internal/tunnel", "internal/service", false, true},
		{"internal/tunnel", "internal/service", true, true},
		{"internal/tunnel", "internal/provider", false, true},
		{"internal/tunnel", "internal/lab", false, true},
		{"internal/tunnel", "internal/lab", true, false},
		{"internal/tunnel", "internal/host/hosttest", false, true},
		{"internal/tunnel", "internal/host/hosttest", true, false},
		{"internal/provider", "internal/host/hosttest", false, true},
		{"internal/host", "internal/sh", false, false},
		{"internal/host", "internal/probe", false, true},
		{"internal/sh", "internal/host", false, true},
		{"internal/lab/demo", "internal/lab", false, false},
		{"internal/lab", "internal/tunnel", false, true},
	} {
		importer, imported := module+"/"+c.importer, module+"/"+c.imported
		from, known := layerOf(importer)
		if !known {
			t.Fatalf("%s is in no layer", importer)
		}
		if why := refused(from, importer, imported, c.test); (why != "") != c.want {
			t.Errorf("%s imports %s (test: %v): refused %q, want refused: %v", c.importer, c.imported, c.test, why, c.want)
		}
	}
	domain, _ := layerOf(module + "/internal/account")
	if refused(domain, module+"/internal/account", "github.com/hashicorp/terraform-plugin-framework/types", false) == "" {
		t.Error("a domain may import the plugin framework")
	}
	if refused(domain, module+"/internal/account", "golang.org/x/crypto/ssh", false) == "" {
		t.Error("a domain may import x/crypto/ssh")
	}
	if _, known := layerOf(module + "/internal/nowhere"); known {
		t.Error("internal/nowhere is in a layer")
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no doc comment: say what it is for and what it may import", p.ImportPath)
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
				t.Errorf("%s has %d lines, more than %d: find the seam", file, lines, maxLines)
			}
		}
	}
}

// Every script runs on hosts whose /bin/sh is dash or older, the lab's and the
// tools' own included.
func TestScriptsPassShellcheck(t *testing.T) {
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs shellcheck: %v", err)
		}
		t.Skipf("%v; install the package shellcheck to run this test", err)
	}
	var scripts []string
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".sh") {
			scripts = append(scripts, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Fatal("no script found below internal/")
	}
	out, err := exec.Command(shellcheck, append([]string{"-s", "sh"}, scripts...)...).CombinedOutput()
	if err != nil {
		t.Errorf("shellcheck -s sh: %v\n%s", err, out)
	}
}
