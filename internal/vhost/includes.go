package vhost

import "fmt"

// file is a configuration file with its text.
type file struct {
	path, text string
	lost       string // why it has no text: "missing" or "unreadable"
}

// includes reads the files that a configuration includes.
type includes struct {
	files func(pattern string) []file // that a pattern stands for; nil: includes stay as they are
	open  map[string]bool             // files that are being read
	// keep leaves the line of an include where it is, for what is written
	// afterwards. What its files say comes behind it, marked as included.
	keep bool
}

// follow returns the directives that stand for an include, and why some of its
// files could not be read.
func (in *includes) follow(d directive, pattern string, read func(file) []directive) (all []directive, notes []string) {
	if in.keep {
		all = append(all, d)
	}
	for _, f := range in.files(pattern) {
		switch {
		case f.lost == "missing" && d.name == "includeoptional":
		case f.lost != "":
			reason := map[string]string{"missing": "there is no such file", "unreadable": "it cannot be opened"}[f.lost]
			notes = append(notes, fmt.Sprintf("%s: the included file %s is unknown: %s", d.place(), f.path, reason))
		case !in.open[f.path]: // else a file that includes itself
			in.open[f.path] = true
			found := read(f)
			delete(in.open, f.path)
			for i := range found {
				found[i].included = found[i].included || in.keep
			}
			all = append(all, found...)
		}
	}
	return all, notes
}
