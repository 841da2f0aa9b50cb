package vhost

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// apacheReader turns directives into sites.
type apacheReader struct {
	includes
	server  *Server
	defined map[string]string

	parts   []part
	outside []directive // beside the sites
	unclear []string
	guesses bool // whether modules are loaded
}

func (r *apacheReader) note(d directive, format string, args ...any) string {
	return d.place() + ": " + fmt.Sprintf(format, args...)
}

var variables = regexp.MustCompile(`\$\{([^}]+)\}`)

// expand puts the values of ${…} in.
func (r *apacheReader) expand(text string) string {
	return variables.ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-1]
		if value, ok := r.defined[name]; ok {
			return value
		}
		if value, ok := r.server.variables[name]; ok {
			return value
		}
		return found
	})
}

// absolute is a path as Apache takes it: from ServerRoot on.
func (r *apacheReader) absolute(text string) string {
	text = r.expand(text)
	if text == "" || strings.HasPrefix(text, "/") {
		return text
	}
	return path.Join(r.server.tree, text)
}

// effective are the directives that count: sections with conditions are
// replaced by what is in them, or left out, and includes by the files. notes
// says which files could not be read.
func (r *apacheReader) effective(directives []directive, notes *[]string) []directive {
	var all []directive
	for _, d := range directives {
		switch d.name {
		case "ifmodule":
			if len(r.server.modules) == 0 && !r.guesses {
				r.guesses = true
				r.unclear = append(r.unclear, r.note(d, "Apache does not say which modules it has loaded (`apachectl -M`); all conditions on modules are taken as true"))
			}
			if r.holds(d, r.moduleLoaded) {
				all = append(all, r.effective(d.inside, notes)...)
			}
		case "ifdefine":
			if r.holds(d, func(name string) bool { _, ok := r.defined[name]; return ok }) {
				all = append(all, r.effective(d.inside, notes)...)
			}
		case "define":
			if len(d.args) > 0 {
				r.defined[d.args[0]] = strings.Join(d.args[1:], " ")
			}
		case "include", "includeoptional":
			if len(d.args) != 1 || r.files == nil {
				all = append(all, d)
				continue
			}
			found, lost := r.follow(d, r.absolute(d.args[0]), func(f file) []directive {
				return r.effective(parseApache(f.path, f.text), notes)
			})
			all, *notes = append(all, found...), append(*notes, lost...)
		default:
			all = append(all, d)
		}
	}
	return all
}

func (r *apacheReader) holds(d directive, test func(string) bool) bool {
	if len(d.args) == 0 {
		return false
	}
	name, not := strings.CutPrefix(d.args[0], "!")
	return test(name) != not
}

// moduleLoaded takes a module's name as IfModule does: ssl_module or mod_ssl.c.
// An Apache whose configuration is faulty names none; then all count as loaded.
func (r *apacheReader) moduleLoaded(name string) bool {
	if len(r.server.modules) == 0 {
		return true
	}
	if short, ok := strings.CutSuffix(name, ".c"); ok {
		name = strings.TrimPrefix(short, "mod_") + "_module"
	}
	return r.server.modules[name]
}

// top reads what is outside of sites.
func (r *apacheReader) top(directives []directive) {
	for _, d := range r.effective(directives, &r.unclear) {
		switch {
		case d.included: // its sites are in another file than the one that is read
		case d.name == "virtualhost":
			r.parts = append(r.parts, r.part(d))
		case d.name == "use":
			r.unclear = append(r.unclear, r.note(d, "Use %s: sites made by a macro are not understood", strings.Join(d.args, " ")))
		case slices.Contains(conditions, d.name):
			r.unclear = append(r.unclear, r.note(d, "a section <%s>: what it depends on is not understood", d.name))
		default:
			r.outside = append(r.outside, d)
		}
	}
}

// conditions are sections that depend on what only the server knows.
var conditions = []string{"if", "ifversion", "iffile", "ifdirective", "ifsection"}

// part reads one <VirtualHost>.
func (r *apacheReader) part(block directive) part {
	p := part{site: Site{Server: Apache, Priority: NoPriority}, file: block.file, line: block.line}
	ports := r.addresses(&p, block)
	var kept []directive
	for _, d := range r.effective(block.inside, &p.problems) {
		if d.included {
			r.learn(&p, d)
		} else if r.siteDirective(&p, d) {
			kept = append(kept, d)
		}
	}
	p.site.Ports = ports
	if p.tls {
		p.site.Ports, p.site.TLSPorts = nil, ports
	}
	kept = r.withoutOwn(p.site, kept)
	p.keep(kept)
	if p.redirect == nil || !p.onlyRedirects {
		p.problems = append(p.problems, r.undefined(kept)...)
	}
	return p
}

// addresses reads where a <VirtualHost> listens, and returns the ports.
func (r *apacheReader) addresses(p *part, block directive) (ports []int) {
	for _, address := range block.args {
		address = r.expand(address)
		host, port := splitAddress(address)
		number, err := strconv.Atoi(port)
		if err != nil {
			number = 80
			if port != "" || !slices.Contains([]string{"*", "_default_"}, host) {
				p.remarks = append(p.remarks, r.note(block, "the address %s has no port; 80 is taken", address))
			}
		}
		if !slices.Contains(ports, number) {
			ports = append(ports, number)
		}
		p.addresses = append(p.addresses, address)
	}
	return ports
}

// splitAddress splits 192.0.2.1:80 and [2001:db8::1]:80; either may be missing
// its port.
func splitAddress(address string) (host, port string) {
	if colon := strings.LastIndexByte(address, ':'); colon >= 0 && !strings.HasSuffix(address, "]") {
		return address[:colon], address[colon+1:]
	}
	return address, ""
}

// undefined names what is kept of a site and refers to a variable that is
// defined in the configuration: where the site goes, it is not.
func (r *apacheReader) undefined(kept []directive) (problems []string) {
	for _, d := range kept {
		for _, found := range variables.FindAllStringSubmatch(d.text, -1) {
			if value, ok := r.defined[found[1]]; ok {
				problems = append(problems, r.note(d, "this line of extra needs Define %s %s, which is left out", found[1], value))
			}
		}
	}
	return problems
}

// learn takes from an included file what the site cannot do without: whether it
// speaks TLS, and with what certificate. The rest stays in that file.
func (r *apacheReader) learn(p *part, d directive) {
	if len(d.args) == 0 {
		return
	}
	switch d.name {
	case "sslengine":
		p.tls = strings.EqualFold(d.args[0], "on")
	case "sslcertificatefile":
		p.learned.certificate, _ = r.plain(d.args[0])
	case "sslcertificatekeyfile":
		p.learned.key, _ = r.plain(d.args[0])
	}
}

// plain is a path as attributes take it; ok is false for any other.
func (r *apacheReader) plain(text string) (name string, ok bool) {
	return plainPath(r.absolute(text))
}

// siteDirective takes over a directive of a site; kept: it has no attribute
// and stays as it is.
func (r *apacheReader) siteDirective(p *part, d directive) (kept bool) {
	arg := ""
	if len(d.args) > 0 {
		arg = r.expand(d.args[0])
	}
	into := func(field *string) bool {
		name, ok := r.plain(arg)
		if ok {
			*field = name
		}
		return !ok
	}
	switch d.name {
	case "servername":
		p.site.ServerName = bareName(arg)
	case "serveralias":
		for _, alias := range d.args {
			p.site.Aliases = append(p.site.Aliases, bareName(r.expand(alias)))
		}
	case "documentroot":
		return into(&p.site.DocumentRoot)
	case "errorlog":
		return strings.HasPrefix(arg, "|") || strings.HasPrefix(arg, "syslog") || into(&p.site.ErrorLog)
	case "customlog":
		return p.site.AccessLog != "" || len(d.args) != 2 || d.args[1] != "combined" || strings.HasPrefix(arg, "|") || into(&p.site.AccessLog)
	case "sslengine":
		p.tls = strings.EqualFold(arg, "on")
		return !p.tls && !strings.EqualFold(arg, "off")
	case "sslcertificatefile": // another one is for clients of another kind
		return p.site.Certificate != "" || into(&p.site.Certificate)
	case "sslcertificatekeyfile":
		return p.site.CertificateKey != "" || into(&p.site.CertificateKey)
	case "redirect", "redirectpermanent":
		url, ok := r.sendsAll(d)
		if !ok || p.redirect != nil {
			return true
		}
		p.redirect = &redirect{url, d.text}
	case "use":
		p.problems = append(p.problems, r.note(d, "Use %s: what a macro adds to the site is not understood", strings.Join(d.args, " ")))
	case "filesmatch":
		socket, ok := apachePHP(d)
		if !ok || p.php.text != "" {
			return true
		}
		p.php.socket, p.php.text = socket, d.text
	default:
		if slices.Contains(conditions, d.name) {
			p.remarks = append(p.remarks, r.note(d, "a section <%s> was kept in extra", d.name))
		}
		return true
	}
	return false
}

// sendsAll returns where a Redirect sends everybody for good.
func (r *apacheReader) sendsAll(d directive) (url string, ok bool) {
	args := d.args
	if d.name == "redirect" {
		if len(args) == 0 || args[0] != "301" && !strings.EqualFold(args[0], "permanent") {
			return "", false
		}
		args = args[1:]
	}
	if len(args) != 2 || args[0] != "/" {
		return "", false
	}
	return r.expand(args[1]), true
}

var phpHandler = regexp.MustCompile(`^proxy:unix:([^|]+)\|fcgi://[^/]+/?$`)

// apachePHP returns the socket of a section that hands .php to PHP-FPM alone.
func apachePHP(d directive) (socket string, ok bool) {
	if len(d.args) != 1 || d.args[0] != `\.php$` || len(d.inside) != 1 {
		return "", false
	}
	inside := d.inside[0]
	if inside.name != "sethandler" || len(inside.args) != 1 {
		return "", false
	}
	found := phpHandler.FindStringSubmatch(inside.args[0])
	if found == nil {
		return "", false
	}
	return found[1], true
}

// withoutOwn leaves out what Render writes by itself.
func (r *apacheReader) withoutOwn(site Site, kept []directive) []directive {
	own := "<Directory " + quote(site.DocumentRoot) + ">\n\t" + strings.Join(apacheAccess(r.server), "\n\t") + "\n</Directory>"
	return slices.DeleteFunc(kept, func(d directive) bool { return d.text == own })
}

// bareName is a name of a ServerName without scheme and port.
func bareName(name string) string {
	if _, after, ok := strings.Cut(name, "://"); ok {
		name = after
	}
	if before, _, ok := strings.Cut(name, ":"); ok {
		name = before
	}
	return name
}

// plainPath is a path without a slash at its end, if it is one that a site's
// attributes take.
func plainPath(name string) (clean string, ok bool) {
	clean = path.Clean(name)
	return clean, name != "" && CheckPath(clean) == nil
}
