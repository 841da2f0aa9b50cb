package vhost

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

var (
	//go:embed fetch.sh
	fetchText string
	//go:embed dump.sh
	dumpText string
)

var (
	fetchScript = host.Script{Name: "vhost/fetch.sh", Text: serverText + "\n" + fetchText}
	dumpScript  = host.Script{Name: "vhost/dump.sh", Text: dumpText}
)

// maxRounds bounds how deep includes are followed; each round is a round trip.
const maxRounds = 12

// List returns the sites that a server serves, from its main file on, with
// everything that it includes. wanted is Apache or Nginx; "" is whichever the
// host has, and comes back as the one that it was. unclear says, with file and line, what was not understood.
func (s *Sites) List(ctx context.Context, wanted string) (server string, sites []Listed, unclear []string, err error) {
	snapshot, err := s.Snapshot(ctx)
	if err != nil {
		return "", nil, nil, err
	}
	on, err := snapshot.Server(wanted)
	if err != nil {
		return "", nil, nil, err
	}
	var parts []part
	fetched, err := s.follow(ctx, on.main, func(files func(string) []file) {
		parts, unclear = on.parts(files(on.main), includes{files: files})
	})
	if err != nil {
		return "", nil, nil, err
	}
	if len(fetched[on.main]) == 0 {
		return "", nil, nil, fmt.Errorf("host %q: there is no %s", s.host.Name(), on.main)
	}
	for i := range parts {
		parts[i].foundIn(fetched)
	}
	if on.Name == Apache {
		more, err := s.unlisted(ctx, on, parts)
		if err != nil {
			return "", nil, nil, err
		}
		unclear = append(unclear, more...)
	}
	sites, more := combine(parts)
	return on.Name, sites, append(unclear, more...), nil
}

// Parse reads a site's file, as after an import. What it includes is read from
// the host, and stays in extra as a line. unclear says what of the file has no
// place in a Site.
func (s *Sites) Parse(ctx context.Context, on *Server, found Found) (site Site, unclear []string, err error) {
	var faulty error
	_, err = s.follow(ctx, found.Path, func(files func(string) []file) {
		site, unclear, faulty = on.parse(found, files)
	})
	return site, unclear, cmp.Or(err, faulty)
}

// follow reads a configuration again and again, until all files that it asks
// for have been fetched.
func (s *Sites) follow(ctx context.Context, from string, read func(files func(pattern string) []file)) (map[string][]file, error) {
	fetched := map[string][]file{}
	for round := 0; ; round++ {
		var missing []string
		read(func(pattern string) []file {
			files, known := fetched[pattern]
			if !known && !slices.Contains(missing, pattern) {
				missing = append(missing, pattern)
			}
			return files
		})
		if len(missing) == 0 {
			return fetched, nil
		}
		if round > maxRounds {
			return nil, fmt.Errorf("host %q, %s: includes are nested more than %d deep", s.host.Name(), from, maxRounds)
		}
		if err := s.fetch(ctx, missing, fetched); err != nil {
			return nil, err
		}
	}
}

// foundIn tells a block how its file was found, and gives a block of a file of
// our making its extra lines to the letter.
func (p *part) foundIn(fetched map[string][]file) {
	for pattern, files := range fetched {
		for _, f := range files {
			if f.path != p.file {
				continue
			}
			p.shared = p.shared || strings.ContainsAny(path.Dir(pattern), "*?[")
			if Managed(f.text) && !p.site.RedirectToHTTPS {
				_, p.site.Extra = takeExtra(f.text)
			}
		}
	}
}

// fetch adds the files of patterns to those that are there already.
func (s *Sites) fetch(ctx context.Context, patterns []string, fetched map[string][]file) error {
	result, err := s.host.Run(ctx, host.Sh(fetchScript, patterns...))
	if err != nil {
		return err
	}
	// Terraform takes UTF-8 alone. Checks refuse what stands for other bytes.
	out := strings.ToValidUTF8(string(result.Stdout), string(utf8.RuneError))
	if !strings.HasSuffix(out, "\nend\n") {
		return fmt.Errorf("on host %q: %s broke off after %d bytes", s.host.Name(), fetchScript.Name, len(result.Stdout))
	}
	pattern := ""
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if text, ok := strings.CutPrefix(line, "| "); ok {
			if files := fetched[pattern]; len(files) > 0 {
				files[len(files)-1].text += text + "\n"
			}
			continue
		}
		word, value, _ := strings.Cut(line, " ")
		switch word {
		case "pattern":
			pattern = value
			fetched[pattern] = []file{}
		case "is":
			fetched[pattern] = append(fetched[pattern], file{path: value})
		case "missing", "unreadable":
			fetched[pattern] = append(fetched[pattern], file{path: value, lost: word})
		}
	}
	return nil
}

// dumped is a site in the words of Apache's own list
// (httpd.apache.org/docs/2.4/vhosts/#directives, -D DUMP_VHOSTS).
var dumped = regexp.MustCompile(`(?m)([^\s()]+) \(([^():]+):([0-9]+)\)\s*$`)

// unlisted are the sites that Apache knows of, and that were not found in its
// files: those that a macro has made, above all.
func (s *Sites) unlisted(ctx context.Context, on *Server, parts []part) ([]string, error) {
	result, err := s.host.Run(ctx, host.Sh(dumpScript, on.tree))
	if err != nil {
		if _, ran := host.ExitCode(err); ran {
			return nil, nil // a faulty configuration has no list; its files have been read
		}
		return nil, err
	}
	known := map[string]bool{}
	for _, p := range parts {
		known[path.Clean(p.file)+":"+strconv.Itoa(p.line)] = true
	}
	var unclear []string
	for _, found := range dumped.FindAllStringSubmatch(strings.ToValidUTF8(string(result.Stdout), string(utf8.RuneError)), -1) {
		place := path.Clean(found[2]) + ":" + found[3]
		if !known[place] {
			known[place] = true
			unclear = append(unclear, fmt.Sprintf("%s: Apache has a site %s from here, which is not in the plain text of its files", place, found[1]))
		}
	}
	return unclear, nil
}
