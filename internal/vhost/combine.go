package vhost

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// part is one block of a configuration: a <VirtualHost> of Apache, or a server
// of nginx. A site over HTTP and HTTPS often has two.
type part struct {
	site      Site
	addresses []string // as the block names them
	file      string
	line      int
	shared    bool     // the file was found under a pattern for its directory
	problems  []string // what of it has no place in a Site: "FILE:LINE: why"
	remarks   []string // the same of what the site can do without

	redirect      *redirect
	redirectPort  string // where the attribute of the redirect leads, see portOf
	onlyRedirects bool   // all lines beside the redirect can be left out
	listens       []listen
	tls           bool // Apache: SSLEngine on
	php           struct{ socket, text string }
	learned       struct{ certificate, key string } // from included files, see includes.keep
}

// Listed is a site as a host's configuration has it.
type Listed struct {
	Site
	File      string // where its first block is
	Line      int
	Addresses []string // as its blocks name them
	Problems  []string // why a cutover_vhost cannot be it, or what was left out of it

	shared       bool
	redirectPort string
}

// ownIndex is what Render writes beside PHP.
var ownIndex = map[string]string{Apache: "DirectoryIndex index.php index.html", Nginx: "index index.php index.html;"}

// keep gives a block what has no attribute as lines, and what was learned from
// included files.
func (p *part) keep(kept []directive) {
	s := &p.site
	p.onlyRedirects = true
	var lines []string
	for _, d := range kept {
		lines = append(lines, d.text)
		p.onlyRedirects = p.onlyRedirects && slices.Contains(beside[s.Server], d.name)
	}
	switch socket, ok := plainPath(p.php.socket); {
	case p.php.text == "":
	case ok && s.DocumentRoot != "":
		s.PHPSocket = socket
		lines = slices.DeleteFunc(lines, func(text string) bool { return text == ownIndex[s.Server] })
	default:
		lines = append(lines, p.php.text)
	}
	s.Extra = strings.Join(lines, "\n")
	if s.Certificate == "" {
		s.Certificate = p.learned.certificate
	}
	if s.CertificateKey == "" {
		s.CertificateKey = p.learned.key
	}
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
// what comes of it.
func combine(parts []part) (sites []Listed, unclear []string) {
	for _, p := range parts {
		unclear = append(unclear, p.remarks...)
		at := slices.IndexFunc(sites, func(l Listed) bool { return belongs(l.Site, p) })
		if at < 0 {
			sites = append(sites, Listed{
				Site: p.site, File: p.file, Line: p.line, Addresses: p.addresses, Problems: p.problems, shared: p.shared, redirectPort: p.redirectPort,
			})
			continue
		}
		sites[at].join(p)
	}
	nameAll(sites)
	for i := range sites {
		sites[i].judge()
		unclear = append(unclear, sites[i].Problems...)
	}
	return sites, unclear
}

// belongs reports whether a block is the other half of a site found before.
func belongs(found Site, p part) bool {
	switch {
	case found.Server != p.site.Server || !strings.EqualFold(found.ServerName, p.site.ServerName) || found.ServerName == "":
		return false
	case overlaps(found.ports(), p.site.ports()):
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
	l.Problems = append(l.Problems, p.problems...)
	l.shared = l.shared || p.shared
	if p.site.RedirectToHTTPS {
		l.redirectPort = p.redirectPort
	}
}

// judge takes out of a site what cutover_vhost would refuse, as far as the rest
// is a site without it, and says what is wrong.
func (l *Listed) judge() {
	note := func(format string, args ...any) {
		l.Problems = append(l.Problems, fmt.Sprintf("%s:%d: ", l.File, l.Line)+fmt.Sprintf(format, args...))
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
	if l.Server == Apache && l.Certificate != "" && l.CertificateKey == "" { // one file with both
		l.CertificateKey = l.Certificate
	}
	slices.Sort(l.Ports)
	slices.Sort(l.TLSPorts)
	if l.RedirectToHTTPS && l.redirectPort != portOf(l.TLSPorts) {
		note("its redirect leads to https on %s, and redirect_to_https to that on %s", portName(l.redirectPort), portName(portOf(l.TLSPorts)))
	}
	if len(l.Addresses) > 0 && !slices.ContainsFunc(l.Addresses, func(address string) bool { return !isLoopback(address) }) {
		note("it listens for this machine alone (%s), and a cutover_vhost listens on all addresses", strings.Join(l.Addresses, ", "))
	}
	if err := l.Check(); err != nil {
		note("cutover_vhost refuses it: %v", err)
	}
}

// portName is a port of portOf in words.
func portName(port string) string { return "port " + cmp.Or(strings.TrimPrefix(port, ":"), "443") }

func isLoopback(address string) bool {
	host, _ := splitAddress(address)
	return host == "localhost" || host == "[::1]" || strings.HasPrefix(host, "127.")
}

// parse reads a site's file, as after an import. What it includes is read as
// far as files has it, and stays in extra as a line. unclear says what of the
// file has no place in a Site.
func (s *Server) parse(found Found, files func(string) []file) (site Site, unclear []string, err error) {
	text, extra := strings.ToValidUTF8(found.Text, string(utf8.RuneError)), ""
	if found.Managed {
		text, extra = takeExtra(text)
	}
	parts, unclear := s.parts([]file{{path: found.Path, text: text}}, includes{files: files, keep: true})
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

// parts reads files, and what they include.
func (s *Server) parts(read []file, in includes) (parts []part, unclear []string) {
	in.open = map[string]bool{}
	var outside []directive
	if s.Name == Nginx {
		r := &nginxReader{server: s, includes: in}
		for _, f := range read {
			r.top(parseNginx(f.path, f.text))
		}
		parts, outside, unclear = r.parts, r.outside, r.unclear
		settlePorts(parts)
	} else {
		r := &apacheReader{server: s, includes: in, defined: map[string]string{}}
		for _, f := range read {
			r.top(parseApache(f.path, f.text))
		}
		parts, outside, unclear = r.parts, r.outside, r.unclear
	}
	settleRedirects(parts)
	return parts, append(unclear, s.outside(outside, parts)...)
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
