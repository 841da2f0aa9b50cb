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

// quoted is what a line of a table in the guide on troubleshooting says that an error has.
var quoted = regexp.MustCompile("`([^`]+)`")

// What the guide on troubleshooting tells to look for is what the provider says.
func TestTheTroubleshootingGuideQuotesErrors(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../templates/guides/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	if err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		source.Write(content)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(guide)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		rows++
		for _, phrase := range quoted.FindAllStringSubmatch(cells[0], -1) {
			for part := range strings.SplitSeq(phrase[1], "…") {
				if part = strings.TrimSpace(part); !strings.Contains(source.String(), part) {
					t.Errorf("no error says %q", part)
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("the guide has %d errors", rows)
	}
}
