package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	testFunc  = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
)

// What the guide on security promises, tests hold: each that it names is there.
func TestTheSecurityGuideNamesTests(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../templates/guides/security.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	if err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		for _, found := range testFunc.FindAllStringSubmatch(string(content), -1) {
			there[found[1]] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	named := namedTest.FindAllStringSubmatch(string(guide), -1)
	if len(named) < 20 {
		t.Errorf("the guide names %d tests", len(named))
	}
	for _, name := range named {
		if !there[name[1]] {
			t.Errorf("the guide names %s, which is not there", name[1])
		}
	}
}
