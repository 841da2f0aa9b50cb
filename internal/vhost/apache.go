package vhost

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// directive is a line of an Apache configuration, or a section with what is in
// it (httpd.apache.org/docs/current/configuring.html).
type directive struct {
	name   string // in lower case; a section's without the bracket
	args   []string
	text   string // as in the file, all lines of it
	file   string
	line   int
	inside []directive
	isOpen bool // a section
}

func (d directive) place() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// parseApache reads a file. What is not closed is closed by the end.
func parseApache(file, text string) []directive {
	p := &apacheParser{file: file, lines: strings.Split(text, "\n")}
	return p.section("")
}

type apacheParser struct {
	file  string
	lines []string
	at    int
}

func (p *apacheParser) section(until string) []directive {
	var found []directive
	for p.at < len(p.lines) {
		first := p.at
		line := strings.TrimSpace(p.lines[p.at])
		p.at++
		for strings.HasSuffix(line, `\`) && p.at < len(p.lines) {
			line = strings.TrimSpace(strings.TrimSuffix(line, `\`)) + " " + strings.TrimSpace(p.lines[p.at])
			p.at++
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if closing, ok := strings.CutPrefix(line, "</"); ok {
			if strings.EqualFold(strings.TrimSpace(strings.TrimSuffix(closing, ">")), until) {
				return found
			}
			continue
		}
		opening, isOpen := strings.CutPrefix(line, "<")
		words := apacheWords(strings.TrimSuffix(opening, ">"))
		if !isOpen {
			words = apacheWords(line)
		}
		if len(words) == 0 {
			continue
		}
		d := directive{name: strings.ToLower(words[0]), args: words[1:], file: p.file, line: first + 1, isOpen: isOpen}
		if isOpen {
			d.inside = p.section(words[0])
		}
		d.text = dedent(p.lines[first:p.at])
		found = append(found, d)
	}
	return found
}

// apacheWords splits a line at blanks that are not between quotes.
func apacheWords(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var word strings.Builder
		if mark := line[0]; mark == '"' || mark == '\'' {
			i := 1
			for ; i < len(line) && line[i] != mark; i++ {
				if line[i] == '\\' && i+1 < len(line) && (line[i+1] == mark || line[i+1] == '\\') {
					i++
				}
				word.WriteByte(line[i])
			}
			line = line[min(i+1, len(line)):]
		} else {
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			word.WriteString(line[:end])
			line = line[end:]
		}
		words = append(words, word.String())
	}
	return words
}

// dedent takes away the blanks that all lines begin with.
func dedent(lines []string) string {
	common := -1
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if common < 0 || indent < common {
			common = indent
		}
	}
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = strings.TrimRight(line[min(max(common, 0), len(line)):], " \t\r")
	}
	return strings.Join(cut, "\n")
}

// apacheReader turns directives into sites.
type apacheReader struct {
	server  *Server
	files   func(pattern string) []file // that a pattern of an Include stands for
	defined map[string]string
	open    map[string]bool // files that are being read

	parts   []part
	unclear []string
}

// file is a configuration file with its text.
type file struct{ path, text string }

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
// replaced by what is in them, or left out, and includes by the files.
func (r *apacheReader) effective(directives []directive) []directive {
	var all []directive
	for _, d := range directives {
		switch d.name {
		case "ifmodule":
			if r.holds(d, r.moduleLoaded) {
				all = append(all, r.effective(d.inside)...)
			}
		case "ifdefine":
			if r.holds(d, func(name string) bool { _, ok := r.defined[name]; return ok }) {
				all = append(all, r.effective(d.inside)...)
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
			for _, f := range r.files(r.absolute(d.args[0])) {
				if !r.open[f.path] { // a file that includes itself
					r.open[f.path] = true
					all = append(all, r.effective(parseApache(f.path, f.text))...)
					delete(r.open, f.path)
				}
			}
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
func (r *apacheReader) moduleLoaded(name string) bool {
	if short, ok := strings.CutSuffix(name, ".c"); ok {
		name = strings.TrimPrefix(short, "mod_") + "_module"
	}
	return r.server.modules[name]
}

// top reads what is outside of sites.
func (r *apacheReader) top(directives []directive) {
	for _, d := range r.effective(directives) {
		switch d.name {
		case "virtualhost":
			r.parts = append(r.parts, r.part(d))
		case "use":
			r.unclear = append(r.unclear, r.note(d, "Use %s: sites made by a macro are not understood", strings.Join(d.args, " ")))
		case "ifversion", "if":
			r.unclear = append(r.unclear, r.note(d, "a section <%s>: what it depends on is not understood", d.name))
		}
	}
}

// part reads one <VirtualHost>.
func (r *apacheReader) part(block directive) part {
	p := part{site: Site{Server: Apache, Priority: NoPriority}, file: block.file, line: block.line}
	var ports []int
	for _, address := range block.args {
		address = r.expand(address)
		host, port := address, ""
		if colon := strings.LastIndexByte(address, ':'); colon >= 0 && !strings.HasSuffix(address, "]") {
			host, port = address[:colon], address[colon+1:]
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			number = 80
			if port != "" || !slices.Contains([]string{"*", "_default_"}, host) {
				p.unclear = append(p.unclear, r.note(block, "the address %s has no port; 80 is taken", address))
			}
		}
		if !slices.Contains(ports, number) {
			ports = append(ports, number)
		}
		p.addresses = append(p.addresses, address)
	}
	tls := false
	var extra []string
	for _, d := range r.effective(block.inside) {
		kept, isTLS := r.siteDirective(&p, d)
		tls = tls || isTLS
		if kept {
			extra = append(extra, d.text)
		}
	}
	p.site.Ports = ports
	if tls {
		p.site.Ports, p.site.TLSPorts = nil, ports
	}
	p.site.Extra = strings.Join(r.withoutOwn(p.site, extra), "\n")
	p.settleRedirect()
	return p
}

// siteDirective takes over a directive of a site; kept: it has no attribute
// and stays as it is.
func (r *apacheReader) siteDirective(p *part, d directive) (kept, tls bool) {
	arg := ""
	if len(d.args) > 0 {
		arg = r.expand(d.args[0])
	}
	switch d.name {
	case "servername":
		p.site.ServerName = bareName(arg)
	case "serveralias":
		for _, alias := range d.args {
			p.site.Aliases = append(p.site.Aliases, bareName(r.expand(alias)))
		}
	case "documentroot":
		p.site.DocumentRoot = clean(r.absolute(arg))
	case "errorlog":
		if strings.HasPrefix(arg, "|") || strings.HasPrefix(arg, "syslog") {
			return true, false
		}
		p.site.ErrorLog = clean(r.absolute(arg))
	case "customlog":
		if p.site.AccessLog != "" || len(d.args) != 2 || d.args[1] != "combined" || strings.HasPrefix(arg, "|") {
			return true, false
		}
		p.site.AccessLog = clean(r.absolute(arg))
	case "sslengine":
		return false, strings.EqualFold(arg, "on")
	case "sslcertificatefile":
		p.site.Certificate = clean(r.absolute(arg))
	case "sslcertificatekeyfile":
		p.site.CertificateKey = clean(r.absolute(arg))
	case "redirect":
		if n := len(d.args); n >= 2 && d.args[n-2] == "/" && p.redirect == "" {
			p.redirect, p.redirects = r.expand(d.args[n-1]), d.text
			return false, false
		}
		return true, false
	case "use":
		p.unclear = append(p.unclear, r.note(d, "Use %s: what a macro adds to the site is not understood", strings.Join(d.args, " ")))
	case "if", "ifversion":
		p.unclear = append(p.unclear, r.note(d, "a section <%s> was kept in extra", d.name))
		return true, false
	case "filesmatch":
		if socket, ok := apachePHP(d); ok && p.site.PHPSocket == "" {
			p.site.PHPSocket = socket
			return false, false
		}
		return true, false
	default:
		return true, false
	}
	return false, false
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
func (r *apacheReader) withoutOwn(site Site, extra []string) []string {
	own := "<Directory " + quote(site.DocumentRoot) + ">\n\t" + strings.Join(apacheAccess(r.server), "\n\t") + "\n</Directory>"
	return slices.DeleteFunc(extra, func(text string) bool {
		return text == own || site.PHPSocket != "" && text == "DirectoryIndex index.php index.html"
	})
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

// clean is a path without a slash at its end; "" stays.
func clean(name string) string {
	if name == "" {
		return ""
	}
	return path.Clean(name)
}
