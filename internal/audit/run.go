package audit

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/deploy"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// Options are what is compared.
type Options struct {
	Areas []string // of Areas; none is all
	// Ignored are findings that are known and meant: AREA/SUBJECT, where * stands for
	// anything.
	Ignored []string
}

// Run compares two hosts. An error is one of a host that did not answer; what a host
// could not say of itself is in NotCompared.
func Run(ctx context.Context, from, to Host, o Options) (Audit, error) {
	wanted := func(area string) bool { return len(o.Areas) == 0 || slices.Contains(o.Areas, area) }
	before, after, err := gather(ctx, from, to, wanted)
	if err != nil {
		return Audit{}, err
	}
	c := comparison{old: before, new: after, audit: &Audit{Old: before.side, New: after.side, Taken: time.Now().UTC()}}
	var changed []string
	if wanted(accounts) {
		if changed, err = passwords(ctx, before, after); err != nil {
			return Audit{}, err
		}
	}
	if wanted(homes) {
		if after.brought, err = brought(ctx, after); err != nil {
			return Audit{}, err
		}
	}
	if wanted(aliases) {
		if err := both(func(i int) (err error) {
			f := []*facts{before, after}[i]
			f.aliases, err = f.readAliases(ctx)
			return err
		}); err != nil {
			return Audit{}, err
		}
	}
	if wanted(sites) {
		c.answers = askSites(ctx, before, after)
	}
	if wanted(certificates) {
		c.mails = askMail(ctx, before, after)
	}
	if err := ctx.Err(); err != nil {
		return Audit{}, err
	}
	for _, area := range areas {
		if !wanted(area.name) {
			continue
		}
		c.add(area.name, area.title, func(c *comparison) {
			area.compare(c)
			if area.name == accounts {
				c.passwords(changed)
			}
		})
	}
	for _, f := range []*facts{before, after} {
		for _, line := range f.own.unread {
			c.notCompared("%s", f.of(line))
		}
	}
	c.ignore(o.Ignored)
	return *c.audit, nil
}

// brought asks the new host's worker what the passes of its chains have brought. No worker
// is put there for it.
func brought(ctx context.Context, f *facts) (map[string]*Amount, error) {
	question := order.BroughtQuestion{}
	for home := range f.own.homes {
		question.Paths = append(question.Paths, home)
	}
	var answer order.BroughtAnswer
	err := deploy.Where(f).Ask(ctx, "brought", question, &answer)
	if errors.Is(err, deploy.ErrNothing) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, f.lack(homes, err)
	}
	found := map[string]*Amount{}
	for path, amount := range answer.Amounts {
		found[path] = &Amount{Files: amount.Files, Bytes: amount.Bytes}
	}
	return found, nil
}

// ignore takes out what is known and meant.
func (c *comparison) ignore(patterns []string) {
	c.audit.Findings = slices.DeleteFunc(c.audit.Findings, func(f Finding) bool {
		ignored := slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, f.Area+"/"+f.Subject) })
		if ignored {
			c.audit.Ignored++
		}
		return ignored
	})
}

// matches says whether a text is a pattern in which * stands for anything.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, begins := strings.CutPrefix(text, parts[0])
	if !begins || len(parts) == 1 {
		return begins && rest == ""
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}

// Counts are the numbers of findings by severity, those that are none included.
func (a Audit) Counts() map[Severity]int {
	counts := map[Severity]int{}
	for _, severity := range Severities {
		counts[severity] = 0
	}
	for _, f := range a.Findings {
		counts[f.Severity]++
	}
	return counts
}
