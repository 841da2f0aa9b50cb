package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// dotFiles are the files in a user's home that lead mail elsewhere or sort it.
func (f *facts) dotFiles(user string) []string {
	files := slices.Clone(f.mail.Filters[user])
	if len(f.mail.Forwards[user]) > 0 {
		files = append(files, ".forward")
	}
	return files
}

func (c *comparison) forwards() {
	for _, name := range c.old.people() {
		was, _ := c.old.accounts.User(name)
		is, there := c.new.accounts.User(name)
		for _, file := range c.old.dotFiles(name) {
			c.compared(1)
			before, after := c.old.own.sums[was.Home+"/"+file], ""
			if there {
				after = c.new.own.sums[is.Home+"/"+file]
			}
			subject := name + "/" + file
			switch {
			case before == after:
			case after == "":
				c.find(Error, subject, "file", "", "%s has a %s on the old host and none on the new one.", name, file).
					mend("Copy it with the home. Until then mail of %s takes another way.", name)
			default:
				c.find(Warning, subject, "file", "another file", "%s of %s is not the same on the new host.", file, name).
					mend("Look which of the two is right, and copy it.")
			}
		}
	}
}

// alias is where an alias leads to, and in which file it is.
type alias struct {
	file  string
	to    []string // sorted
	kinds string
}

// readAliases reads where the aliases of a host lead to. Nothing of it is told but that it
// differs.
func (f *facts) readAliases(ctx context.Context) (map[string]alias, error) {
	found, texts := map[string]alias{}, map[string][]string{}
	for _, each := range f.mail.Aliases {
		lines, known := texts[each.File]
		if !known {
			content, err := f.ReadFile(ctx, each.File)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // it was there a moment ago
			}
			if err != nil {
				return nil, err
			}
			lines = strings.Split(string(content), "\n")
			texts[each.File] = lines
		}
		if _, twice := found[each.Name]; !twice {
			found[each.Name] = alias{each.File, leadsTo(lines, each.Line), strings.Join(each.Kinds, " and ")}
		}
	}
	return found, nil
}

// leadsTo are the parts of the entry that begins at a line, sorted: "name: a, b" of
// aliases(5), or "name a" of virtual(5). Lines that begin with a blank go on with it.
func leadsTo(lines []string, at int) []string {
	if at < 1 || at > len(lines) {
		return nil
	}
	entry := lines[at-1]
	for _, line := range lines[at:] {
		if line == "" || line[0] != ' ' && line[0] != '\t' {
			break
		}
		entry += line
	}
	// The name may be in quotation marks, with blanks and colons inside.
	name := 0
	if strings.HasPrefix(entry, `"`) {
		name = strings.IndexByte(entry[1:], '"') + 2
	}
	end := strings.IndexAny(entry[name:], ": \t")
	if end < 0 {
		return nil
	}
	var parts []string
	inside, begin := false, 0
	value := strings.TrimLeft(entry[name+end:], ": \t")
	for i := 0; i <= len(value); i++ {
		if i < len(value) && value[i] == '"' {
			inside = !inside
		}
		if i == len(value) || value[i] == ',' && !inside {
			if part := strings.TrimSpace(value[begin:i]); part != "" {
				parts = append(parts, part)
			}
			begin = i + 1
		}
	}
	slices.Sort(parts)
	return parts
}

func (c *comparison) aliases() {
	was, is := c.old.aliases, c.new.aliases
	for _, name := range slices.Sorted(maps.Keys(was)) {
		c.compared(1)
		before := was[name]
		after, there := is[name]
		switch {
		case !there:
			c.find(Error, name, before.kinds, "", "Mail to %s goes on by %s on the old host; the new one has no such alias.", name, before.file).
				mend("Add the alias on the new host, and run newaliases or postmap.")
		case !slices.Equal(before.to, after.to):
			c.find(Warning, name, before.kinds, after.kinds, "Mail to %s goes elsewhere on the new host (%s on the old one, %s on the new).", name, before.file, after.file).
				mend("Compare the two entries.")
		}
	}
}

// crontabs are where the crontabs of users are: Debian's, SUSE's, and everybody else's directory.
var crontabs = regexp.MustCompile(`^/var/spool/cron/(?:crontabs/|tabs/)?([^/]+)$`)

// jobs are the files of scheduled jobs by their names, and by the user where it is a
// crontab.
func jobs(files map[string][]string) map[string][]string {
	named := map[string][]string{}
	for file, lines := range files {
		if user := crontabs.FindStringSubmatch(file); user != nil {
			file = "crontab of " + user[1]
		}
		named[file] = lines
	}
	return named
}

func (c *comparison) cron() {
	was, is := jobs(c.old.own.own("cron")), jobs(c.new.own.all("cron"))
	for _, file := range slices.Sorted(maps.Keys(was)) {
		if len(was[file]) == 0 {
			continue
		}
		c.compared(1)
		name := path.Base(file)
		switch after, there := is[file]; {
		case !there && slices.Contains(c.old.own.packages, name) && !slices.Contains(c.new.own.packages, name):
			c.find(Notice, file, plural(int64(len(was[file])), "line"), "", "The jobs of %s belong to the package %s, which the new host does not have.", file, name).
				mend("Nothing, where another program does the work of %s on the new host.", name)
		case !there:
			c.find(Error, file, plural(int64(len(was[file])), "line"), "", "The jobs of %s are not on the new host.", file).
				mend("Copy them when the old host runs them no more, so that none runs on both.")
		case !slices.Equal(was[file], after):
			c.find(Warning, file, plural(int64(len(was[file])), "line"), plural(int64(len(after)), "line"), "The jobs of %s are not the same on the new host.", file).
				mend("Compare the two files.")
		}
	}
	c.compared(2)
	if c.old.own.at > c.new.own.at {
		c.find(Warning, "at", plural(int64(c.old.own.at), "job"), plural(int64(c.new.own.at), "job"), "Jobs of at wait on the old host.").
			mend("List them with atq, and submit them again on the new host.")
	}
	if before, after := c.old.own.zone, c.new.own.zone; before.winter != after.winter || before.summer != after.summer {
		c.find(Warning, "time zone", before.name, after.name, "The new host has another time zone, so that jobs run at other hours.").
			mend("timedatectl set-timezone %s, or link /etc/localtime to that zone.", before.name)
	}
}

// rules are the rules of sudo and doas in files, with the file of each.
func rules(files map[string][]string) map[string]string {
	all := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		entry := ""
		for _, line := range files[file] {
			if before, goesOn := strings.CutSuffix(line, `\`); goesOn {
				entry += before + " "
				continue
			}
			entry = strings.Join(strings.Fields(entry+line), " ")
			if !strings.HasPrefix(entry, "@include") && !strings.HasPrefix(entry, "Defaults") {
				all[entry] = file
			}
			entry = ""
		}
	}
	return all
}

func (c *comparison) sudo() {
	was, is := rules(c.old.own.own("sudo")), rules(c.new.own.all("sudo"))
	subjects := map[string]int{}
	for _, rule := range slices.Sorted(maps.Keys(was)) {
		c.compared(1)
		if _, there := is[rule]; there {
			continue
		}
		who, _, _ := strings.Cut(rule, " ")
		subject := path.Base(was[rule]) + "/" + who
		if subjects[subject]++; subjects[subject] > 1 {
			subject = fmt.Sprintf("%s (%d)", subject, subjects[subject])
		}
		c.find(Warning, subject, shorten(rule), "", "The new host does not have this rule of %s.", was[rule]).
			mend("Add it with visudo -f, where it is still wanted.")
	}
}

func (c *comparison) queue() {
	c.compared(1)
	if n := c.old.queue.Count; n > 0 {
		c.find(Warning, "queue", messages(n), messages(c.new.queue.Count), "The old host has accepted %s and not delivered it yet.", messages(n)).
			mend("Move it with a cutover_mail_queue_move once the old mail server is stopped.")
	}
}

func (c *comparison) databases() {
	for _, each := range c.old.own.database {
		c.compared(1)
		if slices.Contains(c.new.own.database, each) {
			continue
		}
		kind, name := each[0], each[1]
		c.find(Error, kind+"/"+name, name, "", "%s has %s on the old host, and not on the new one.", kind, name).
			mend("Move it first, by the means of %s itself (a dump, or replication): a copy of its files while it runs cannot be used.", kind)
	}
}
