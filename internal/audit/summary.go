package audit

import (
	"fmt"
	"strings"
)

// Summary is the audit as text for a terminal.
func (a Audit) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) and %s (%s): %s\n", a.Old.Name, a.Old.System, a.New.Name, a.New.System, a.Verdict())
	for _, area := range a.Areas {
		begun := false
		for _, f := range a.Findings {
			if f.Area != area.Name {
				continue
			}
			if !begun {
				fmt.Fprintf(&b, "%s\n", area.Title)
				begun = true
			}
			fmt.Fprintf(&b, "  %-7s  %s\n", f.Severity, f.Text)
		}
	}
	if len(a.NotCompared) > 0 {
		b.WriteString("Not compared\n")
		for _, line := range a.NotCompared {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}

// Verdict is the audit in a sentence.
func (a Audit) Verdict() string {
	counts := a.Counts()
	var parts []string
	for _, severity := range Severities {
		if n := counts[severity]; n > 0 {
			parts = append(parts, plural(int64(n), string(severity)))
		}
	}
	verdict := "nothing differs"
	if len(parts) > 0 {
		verdict = list(parts)
	}
	if a.Ignored > 0 {
		verdict += fmt.Sprintf(", %d ignored", a.Ignored)
	}
	if n := len(a.NotCompared); n > 0 {
		verdict += fmt.Sprintf(", %s not compared", plural(int64(n), "thing"))
	}
	return verdict
}
