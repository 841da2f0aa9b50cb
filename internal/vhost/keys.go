package vhost

import (
	"fmt"
	"path"
	"strings"
)

// generic are names of files that do not tell the site: those that control
// panels give to the file of each site, and that people give to a file of all.
var generic = map[string]bool{
	"nginx": true, "nginx.ssl": true, "snginx": true, "apache": true, "apache2": true, "apache2.ssl": true, "sapache2": true,
	"httpd": true, "httpd.ssl": true, "shttpd": true, "httpd-vhosts": true, "vhost": true, "vhosts": true, "vhost_ssl": true,
}

// nameAll names sites after their files, or after their server_name where the
// file does not tell the site. A site that is added under a name of its own
// changes no other's key, but that a file's second site has both of them
// called by their server_name.
func nameAll(sites []Listed) {
	inFile, files := map[string]int{}, map[string]map[string]bool{}
	for _, l := range sites {
		inFile[l.File]++
		label := fileLabel(l.File)
		if files[label] == nil {
			files[label] = map[string]bool{}
		}
		files[label][l.File] = true
	}
	taken := map[string]bool{}
	var again []*Listed
	for i := range sites {
		l := &sites[i]
		label := fileLabel(l.File)
		tells := inFile[l.File] == 1 && len(files[label]) == 1 && !generic[strings.ToLower(label)] && !l.shared
		l.call(tells, label)
		if taken[l.Label()] {
			again = append(again, l)
		}
		taken[l.Label()] = true
	}
	// Numbers come last, so that none of them takes the key of another site.
	for _, l := range again {
		name := l.Name
		for n := 2; taken[l.Label()]; n++ {
			l.Name = fmt.Sprintf("%s-%d", name, n)
		}
		taken[l.Label()] = true
	}
}

// call gives a site the first name that can be a file's.
func (l *Listed) call(byFile bool, label string) {
	labels := []string{label, l.ServerName}
	if !byFile {
		labels = []string{l.ServerName, label}
	}
	for _, label := range labels {
		l.Priority, l.Name = SplitLabel(label)
		if CheckName(l.Name) == nil {
			return
		}
	}
	l.Priority, l.Name = NoPriority, "site"
}

// fileLabel is a file's name without its ending.
func fileLabel(name string) string { return strings.TrimSuffix(path.Base(name), ".conf") }
