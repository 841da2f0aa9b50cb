package vhost

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// nginxParser reads a configuration of nginx into directives: words up to a
// semicolon, or up to a block in braces
// (nginx.org/en/docs/beginners_guide.html#conf_structure).
type nginxParser struct {
	file string
	text string
	at   int
}

func parseNginx(file, text string) []directive {
	p := &nginxParser{file: file, text: text}
	return p.block()
}

func (p *nginxParser) block() []directive {
	var found []directive
	var words []string
	start := -1
	finish := func(inside []directive, isOpen bool) {
		if len(words) > 0 {
			from := strings.LastIndexByte(p.text[:start], '\n') + 1
			if strings.TrimSpace(p.text[from:start]) != "" {
				from = start
			}
			found = append(found, directive{
				name: words[0], args: words[1:], file: p.file, line: 1 + strings.Count(p.text[:start], "\n"),
				text: dedent(strings.Split(p.text[from:p.at], "\n")), inside: inside, isOpen: isOpen,
			})
		}
		words, start = nil, -1
	}
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		case strings.IndexByte(" \t\r\n", c) >= 0:
			p.at++
		case c == ';':
			p.at++
			finish(nil, false)
		case c == '{':
			p.at++
			open, from := words, start
			inside := p.block()
			words, start = open, from
			finish(inside, true)
		case c == '}':
			p.at++
			return found
		default:
			if start < 0 {
				start = p.at
			}
			words = append(words, p.word())
		}
	}
	return found
}

func (p *nginxParser) word() string {
	var word strings.Builder
	mark := p.text[p.at]
	quotedWord := mark == '"' || mark == '\''
	if quotedWord {
		p.at++
	}
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '\\' && p.at+1 < len(p.text):
			word.WriteByte(c)
			p.at++
			c = p.text[p.at]
		case quotedWord && c == mark:
			p.at++
			return word.String()
		case !quotedWord && c == '$' && p.at+1 < len(p.text) && p.text[p.at+1] == '{':
			word.WriteByte(c)
			p.at++
			c = '{'
		case !quotedWord && c == '{' && !strings.HasSuffix(word.String(), "$"):
			return word.String()
		case !quotedWord && strings.IndexByte(" \t\r\n;", c) >= 0:
			return word.String()
		}
		word.WriteByte(c)
	}
	return word.String()
}

// nginxReader turns directives into sites.
type nginxReader struct {
	server *Server
	files  func(pattern string) []file
	open   map[string]bool // files that are being read

	parts   []part
	unclear []string
}

func (r *nginxReader) absolute(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return path.Join(r.server.tree, name)
}

// effective are the directives with the files of include in their places.
func (r *nginxReader) effective(directives []directive) []directive {
	var all []directive
	for _, d := range directives {
		if d.name != "include" || len(d.args) != 1 || r.files == nil {
			all = append(all, d)
			continue
		}
		for _, f := range r.files(r.absolute(d.args[0])) {
			if !r.open[f.path] { // a file that includes itself
				r.open[f.path] = true
				all = append(all, r.effective(parseNginx(f.path, f.text))...)
				delete(r.open, f.path)
			}
		}
	}
	return all
}

// top reads the main file, or one of those that it includes.
func (r *nginxReader) top(directives []directive) {
	for _, d := range r.effective(directives) {
		switch d.name {
		case "http":
			r.top(d.inside)
		case "server":
			if d.isOpen {
				r.parts = append(r.parts, r.part(d))
			}
		}
	}
}

// part reads one server block.
func (r *nginxReader) part(block directive) part {
	p := part{site: Site{Server: Nginx, Priority: NoPriority}, file: block.file, line: block.line}
	inside := r.effective(block.inside)
	allTLS := slices.ContainsFunc(inside, func(d directive) bool { return d.name == "ssl" && slices.Equal(d.args, []string{"on"}) })
	var extra []string
	for _, d := range inside {
		if r.siteDirective(&p, d, allTLS) {
			extra = append(extra, d.text)
		}
	}
	if len(p.site.Ports)+len(p.site.TLSPorts) == 0 {
		p.site.Ports = []int{80} // nginx's default for root
	}
	if p.site.PHPSocket != "" {
		extra = slices.DeleteFunc(extra, func(text string) bool { return text == "index index.php index.html;" })
	}
	p.site.Extra = strings.Join(extra, "\n")
	p.settleRedirect()
	return p
}

// siteDirective takes over a directive of a site, and says whether it has no
// attribute and stays as it is.
func (r *nginxReader) siteDirective(p *part, d directive, allTLS bool) (kept bool) {
	switch {
	case d.name == "listen" && len(d.args) > 0:
		r.listen(p, d, allTLS)
	case d.name == "server_name":
		for _, name := range d.args {
			switch {
			case name == "_" || name == "":
			case strings.HasPrefix(name, "~") || CheckAlias(name) != nil:
				p.unclear = append(p.unclear, fmt.Sprintf("%s: the name %s is not understood", d.place(), name))
			case p.site.ServerName == "" && CheckServerName(name) == nil:
				p.site.ServerName = name
			default:
				p.site.Aliases = append(p.site.Aliases, name)
			}
		}
	case d.name == "root" && len(d.args) == 1 && !strings.Contains(d.args[0], "$"):
		p.site.DocumentRoot = clean(r.absolute(d.args[0]))
	case d.name == "access_log" && (len(d.args) == 1 || len(d.args) == 2 && d.args[1] == "combined") && strings.HasPrefix(d.args[0], "/") && !strings.Contains(d.args[0], "$"):
		p.site.AccessLog = clean(d.args[0])
	case d.name == "error_log" && len(d.args) == 1 && strings.HasPrefix(d.args[0], "/"):
		p.site.ErrorLog = clean(d.args[0])
	case d.name == "ssl_certificate" && len(d.args) == 1:
		p.site.Certificate = clean(r.absolute(d.args[0]))
	case d.name == "ssl_certificate_key" && len(d.args) == 1:
		p.site.CertificateKey = clean(r.absolute(d.args[0]))
	case d.name == "ssl" && len(d.args) == 1:
	case d.name == "return" && len(d.args) == 2 && slices.Contains([]string{"301", "302", "307", "308"}, d.args[0]) && p.redirect == "":
		p.redirect, p.redirects = d.args[1], d.text
	case d.name == "location" && p.site.PHPSocket == "":
		socket, ok := nginxPHP(d)
		p.site.PHPSocket = socket
		return !ok
	default:
		return true
	}
	return false
}

func (r *nginxReader) listen(p *part, d directive, allTLS bool) {
	address := d.args[0]
	if strings.HasPrefix(address, "unix:") {
		p.unclear = append(p.unclear, fmt.Sprintf("%s: listen %s: sites listen on TCP ports only", d.place(), address))
		return
	}
	host, text := "", address
	if colon := strings.LastIndexByte(address, ':'); colon >= 0 && !strings.HasSuffix(address, "]") {
		host, text = address[:colon], address[colon+1:]
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		host, port = address, 80
	}
	if host != "" && host != "*" && host != "[::]" && host != "0.0.0.0" {
		p.unclear = append(p.unclear, fmt.Sprintf("%s: the address %s is left out: sites listen on all addresses", d.place(), host))
	}
	p.addresses = append(p.addresses, address)
	tls := allTLS
	for _, flag := range d.args[1:] {
		switch flag {
		case "ssl":
			tls = true
		case "default_server", "default":
			p.site.DefaultServer = true
		case "ipv6only=on":
		default:
			p.unclear = append(p.unclear, fmt.Sprintf("%s: listen %s: the parameter %s is left out", d.place(), address, flag))
		}
	}
	into := &p.site.Ports
	if tls {
		into = &p.site.TLSPorts
	}
	if !slices.Contains(*into, port) {
		*into = append(*into, port)
	}
}

var phpLocation = regexp.MustCompile(`^\\\.php(\$|\(/\|\$\))$`)

// nginxPHP returns the socket of a location that hands .php to PHP-FPM, in the
// words of Render alone: others have a reason for theirs.
func nginxPHP(d directive) (socket string, ok bool) {
	if len(d.args) != 2 || d.args[0] != "~" || !phpLocation.MatchString(d.args[1]) {
		return "", false
	}
	for _, inside := range d.inside {
		switch {
		case inside.name == "fastcgi_pass" && len(inside.args) == 1 && strings.HasPrefix(inside.args[0], "unix:"):
			socket = strings.TrimPrefix(inside.args[0], "unix:")
		case inside.name == "include" && slices.Contains([]string{"fastcgi_params", "fastcgi.conf", "snippets/fastcgi-php.conf"}, strings.Join(inside.args, " ")),
			inside.name == "try_files" && strings.Join(inside.args, " ") == "$uri =404",
			inside.name == "fastcgi_param" && strings.Join(inside.args, " ") == "SCRIPT_FILENAME $document_root$fastcgi_script_name":
		default:
			return "", false
		}
	}
	return socket, socket != ""
}
