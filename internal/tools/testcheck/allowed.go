package main

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// allowance is one line of the allow-list: patterns of path.Match for the end of the package's import
// path and for the test's name.
type allowance struct{ pkg, test string }

// readAllowed reads an allow-list: "PACKAGE TEST reason" a line, # for comments. No path is no list.
func readAllowed(file string) ([]allowance, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []allowance
	for n, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s:%d: want PACKAGE TEST and the reason why it may be skipped", file, n+1)
		}
		for _, pattern := range fields[:2] {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("%s:%d: %q: %w", file, n+1, pattern, err)
			}
		}
		list = append(list, allowance{fields[0], fields[1]})
	}
	return list, nil
}

func isAllowed(allowed []allowance, id testID) bool {
	for _, a := range allowed {
		_, below, _ := strings.Cut(id.pkg, "/internal/")
		pkg, _ := path.Match(a.pkg, below)
		test, _ := path.Match(a.test, id.test)
		if pkg && test {
			return true
		}
	}
	return false
}
