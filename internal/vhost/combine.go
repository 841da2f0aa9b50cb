package vhost

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// part is one block of a configuration: a <VirtualHost> of Apache, or a server
// of nginx. A site over HTTP and HTTPS often has two.
type part struct {
	site      Site
	addresses []string // as the block names them
	file      string
	line      int
	redirect  string   // URL to which it sends everybody
	redirects string   // the line that says so
	unclear   []string // what of it has no place in a Site: "FILE:LINE: why"
}

// Listed is a site as a host's configuration has it.
type Listed struct {
	Site
	File      string // where its first block is
	Line      int
	Addresses []string // as its blocks name them
}

// Label is the key of the site among those of a host.
func (l Listed) Label() string { return l.Site.Label() }

// settleRedirect makes the attribute of a redirect that leads to the same name
// over HTTPS; any other is a line like others.
func (p *part) settleRedirect() {
	if p.redirect == "" {
		return
	}
	host, rest, _ := strings.Cut(strings.TrimPrefix(p.redirect, "https://"), "/")
	host = strings.TrimSuffix(host, "$request_uri") // nginx: https://$host$request_uri
	host, _, _ = strings.Cut(host, ":")
	same := slices.Contains([]string{"$host", "$server_name", "$http_host"}, host) ||
		p.site.ServerName != "" && strings.EqualFold(host, p.site.ServerName)
	if !strings.HasPrefix(p.redirect, "https://") || !same || rest != "" || len(p.site.Ports) == 0 {
		p.site.Extra = strings.Trim(p.site.Extra+"\n"+p.redirects, "\n")
		return
	}
	p.site.RedirectToHTTPS = true
	if len(p.site.TLSPorts) > 0 {
		return
	}
	if p.site.Extra != "" {
		p.unclear = append(p.unclear, fmt.Sprintf("%s:%d: everything is redirected to https, and these lines beside it are left out: %s",
			p.file, p.line, strings.ReplaceAll(p.site.Extra, "\n", " / ")))
	}
	p.site.DocumentRoot, p.site.Extra, p.site.PHPSocket = "", "", ""
}

// redirectOnly reports whether a block does nothing but send people to HTTPS.
func (p part) redirectOnly() bool { return p.site.RedirectToHTTPS && len(p.site.TLSPorts) == 0 }

// sameBody reports whether two blocks of a name show the same, so that one
// Site can stand for both.
func sameBody(a, b Site) bool {
	return a.DocumentRoot == b.DocumentRoot && a.AccessLog == b.AccessLog && a.ErrorLog == b.ErrorLog &&
		a.PHPSocket == b.PHPSocket && a.Extra == b.Extra
}

// combine puts the blocks of a name together where they are one site, and names
// what comes of it after the files.
func combine(parts []part) (sites []Listed, unclear []string) {
	for _, p := range parts {
		unclear = append(unclear, p.unclear...)
		at := slices.IndexFunc(sites, func(l Listed) bool { return belongs(l.Site, p) })
		if at < 0 {
			sites = append(sites, Listed{Site: p.site, File: p.file, Line: p.line, Addresses: p.addresses})
			continue
		}
		sites[at].join(p)
	}
	inFile := map[string]int{}
	for _, l := range sites {
		inFile[l.File]++
	}
	taken := map[string]bool{}
	for i := range sites {
		l := &sites[i]
		base := strings.TrimSuffix(path.Base(l.File), ".conf")
		l.Priority, l.Name = SplitLabel(base)
		if (inFile[l.File] > 1 || CheckName(l.Name) != nil) && l.ServerName != "" {
			l.Priority, l.Name = NoPriority, l.ServerName
		} else if CheckName(l.Name) != nil {
			l.Priority, l.Name = NoPriority, "site"
		}
		for n, name := 2, l.Name; taken[l.Site.Label()]; n++ {
			l.Name = fmt.Sprintf("%s-%d", name, n)
		}
		taken[l.Site.Label()] = true
	}
	for i := range sites {
		unclear = append(unclear, sites[i].unportable()...)
	}
	return sites, unclear
}

// belongs reports whether a block is the other half of a site found before.
func belongs(found Site, p part) bool {
	switch {
	case found.Server != p.site.Server || !strings.EqualFold(found.ServerName, p.site.ServerName) || found.ServerName == "":
		return false
	case overlaps(found.Ports, p.site.Ports) || overlaps(found.TLSPorts, p.site.TLSPorts):
		return false
	case p.redirectOnly():
		return len(found.TLSPorts) > 0 && len(found.Ports) == 0
	case found.RedirectToHTTPS && len(found.TLSPorts) == 0:
		return len(p.site.TLSPorts) > 0 && len(p.site.Ports) == 0
	}
	return sameBody(found, p.site) && len(found.TLSPorts) == 0 != (len(p.site.TLSPorts) == 0)
}

func overlaps(a, b []int) bool {
	return slices.ContainsFunc(a, func(port int) bool { return slices.Contains(b, port) })
}

// join adds the other half.
func (l *Listed) join(p part) {
	merged := l.Site
	if l.RedirectToHTTPS && len(l.TLSPorts) == 0 {
		merged = p.site // the half that shows something
	}
	merged.Ports = slices.Concat(l.Ports, p.site.Ports)
	merged.TLSPorts = slices.Concat(l.TLSPorts, p.site.TLSPorts)
	merged.RedirectToHTTPS = l.RedirectToHTTPS || p.site.RedirectToHTTPS
	merged.DefaultServer = l.DefaultServer || p.site.DefaultServer
	merged.Aliases = slices.Clone(l.Aliases)
	for _, alias := range p.site.Aliases {
		if !slices.Contains(merged.Aliases, alias) {
			merged.Aliases = append(merged.Aliases, alias)
		}
	}
	if merged.Certificate == "" {
		merged.Certificate, merged.CertificateKey = l.Certificate, l.CertificateKey
		if merged.Certificate == "" {
			merged.Certificate, merged.CertificateKey = p.site.Certificate, p.site.CertificateKey
		}
	}
	l.Site = merged
	l.Addresses = append(l.Addresses, p.addresses...)
}

// unportable takes out of a site what cutover_vhost would refuse, and says so.
func (l *Listed) unportable() []string {
	var unclear []string
	note := func(format string, args ...any) {
		unclear = append(unclear, fmt.Sprintf("%s:%d: ", l.File, l.Line)+fmt.Sprintf(format, args...))
	}
	if l.ServerName != "" && CheckServerName(l.ServerName) != nil {
		note("the name %q is left out, for it is no host name", l.ServerName)
		l.ServerName = ""
	}
	l.Aliases = slices.DeleteFunc(l.Aliases, func(alias string) bool {
		bad := CheckAlias(alias) != nil || l.ServerName == ""
		if bad {
			note("the alias %q is left out, for it is no alias that cutover_vhost takes", alias)
		}
		return bad
	})
	for _, f := range []struct {
		what string
		path *string
	}{
		{"document root", &l.DocumentRoot}, {"certificate", &l.Certificate}, {"certificate's key", &l.CertificateKey},
		{"access log", &l.AccessLog}, {"error log", &l.ErrorLog}, {"socket of PHP-FPM", &l.PHPSocket},
	} {
		if *f.path != "" && CheckPath(*f.path) != nil {
			note("the %s %q is left out, for it is no plain path", f.what, *f.path)
			*f.path = ""
		}
	}
	if l.Certificate != "" && l.CertificateKey == "" { // one file with both
		l.CertificateKey = l.Certificate
	}
	slices.Sort(l.Ports)
	slices.Sort(l.TLSPorts)
	return unclear
}

// Parse reads a site's file alone, as after an import: what it includes stays
// in extra. unclear says what of it has no place in a Site.
func (s *Server) Parse(found Found) (site Site, unclear []string, err error) {
	text, extra := found.Text, ""
	if found.Managed {
		text, extra = takeExtra(text)
	}
	parts, unclear := s.parts([]file{{found.Path, text}}, nil)
	sites, more := combine(parts)
	unclear = append(unclear, more...)
	if len(sites) != 1 {
		return Site{}, nil, fmt.Errorf("%s has %d sites, and a cutover_vhost is one; move each to a file of its own first", found.Path, len(sites))
	}
	site = sites[0].Site
	if found.Managed {
		site.Extra = extra
		if strings.Contains(extra, "\n") {
			site.Extra += "\n" // several lines are written as a here-document, which ends so
		}
	}
	return site, unclear, nil
}

// parts reads files, and what they include as far as files has it.
func (s *Server) parts(read []file, files func(string) []file) (parts []part, unclear []string) {
	if s.Name == Nginx {
		r := &nginxReader{server: s, files: files, open: map[string]bool{}}
		for _, f := range read {
			r.top(parseNginx(f.path, f.text))
		}
		return r.parts, r.unclear
	}
	r := &apacheReader{server: s, files: files, defined: map[string]string{}, open: map[string]bool{}}
	for _, f := range read {
		r.top(parseApache(f.path, f.text))
	}
	return r.parts, r.unclear
}

// takeExtra splits a file of ours into what has attributes and the lines of
// extra, to the letter.
func takeExtra(text string) (rest, extra string) {
	var kept, lines []string
	inside, blocks := false, 0
	for _, line := range strings.Split(text, "\n") {
		switch strings.TrimSpace(line) {
		case extraBegins:
			inside = true
			blocks++
			continue
		case extraEnds:
			inside = false
			continue
		}
		if !inside {
			kept = append(kept, line)
		} else if blocks == 1 {
			lines = append(lines, strings.TrimPrefix(line, "\t"))
		}
	}
	return strings.Join(kept, "\n"), strings.Join(lines, "\n")
}
