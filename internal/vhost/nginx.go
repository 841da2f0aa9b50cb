package vhost

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// nginxReader turns directives into sites.
type nginxReader struct {
	includes
	server *Server

	parts   []part
	outside []directive // beside the sites
	unclear []string
}

func (r *nginxReader) absolute(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return path.Join(r.server.tree, name)
}

// effective are the directives with the files of include in their places. notes
// says which files could not be read.
func (r *nginxReader) effective(directives []directive, notes *[]string) []directive {
	var all []directive
	for _, d := range directives {
		if d.name != "include" || len(d.args) != 1 || r.files == nil {
			all = append(all, d)
			continue
		}
		found, lost := r.follow(d, r.absolute(d.args[0]), func(f file) []directive {
			return r.effective(parseNginx(f.path, f.text), notes)
		})
		all, *notes = append(all, found...), append(*notes, lost...)
	}
	return all
}

// top reads the main file, or one of those that it includes.
func (r *nginxReader) top(directives []directive) {
	for _, d := range r.effective(directives, &r.unclear) {
		switch {
		case d.included: // its sites are in another file than the one that is read
		case d.name == "http" && d.isOpen:
			r.top(d.inside)
		case d.name == "server" && d.isOpen:
			r.parts = append(r.parts, r.part(d))
		default:
			r.outside = append(r.outside, d)
		}
	}
}

// part reads one server block, but for its ports.
func (r *nginxReader) part(block directive) part {
	p := part{site: Site{Server: Nginx, Priority: NoPriority}, file: block.file, line: block.line}
	inside := r.effective(block.inside, &p.problems)
	allTLS := slices.ContainsFunc(inside, func(d directive) bool { return d.name == "ssl" && slices.Equal(d.args, []string{"on"}) })
	if !slices.ContainsFunc(inside, func(d directive) bool { return d.name == "listen" }) {
		p.listens = []listen{{socket: "*:80", port: 80, tls: allTLS}} // nginx's default for root
	}
	var kept []directive
	for _, d := range inside {
		if d.included {
			r.learn(&p, d, allTLS)
		} else if r.siteDirective(&p, d, allTLS) {
			kept = append(kept, d)
		}
	}
	p.keep(kept)
	return p
}

// learn takes from an included file what the site cannot do without: where it
// listens, and with what certificate. The rest stays in that file.
func (r *nginxReader) learn(p *part, d directive, allTLS bool) {
	if len(d.args) == 0 {
		return
	}
	again := false
	switch d.name {
	case "listen":
		r.listen(p, d, allTLS)
		again = true
	case "ssl_certificate":
		p.learned.certificate, _ = r.plain(d.args[0])
		again = !r.server.atLeast(1, 11, 0) // nginx.org/en/CHANGES
	case "ssl_certificate_key":
		p.learned.key, _ = r.plain(d.args[0])
		again = !r.server.atLeast(1, 11, 0)
	}
	if again {
		p.problems = append(p.problems, fmt.Sprintf("%s: nginx refuses this %s beside that of an attribute; take it out of the included file, or the include out of extra", d.place(), d.name))
	}
}

// plain is a path as attributes take it; ok is false for any other, such as
// engine:NAME:ID of a key.
func (r *nginxReader) plain(text string) (name string, ok bool) {
	for _, scheme := range []string{"data:", "engine:", "store:", "syslog:"} {
		if strings.HasPrefix(text, scheme) {
			return "", false
		}
	}
	return plainPath(r.absolute(text))
}

// siteDirective takes over a directive of a site, and says whether it has no
// attribute and stays as it is.
func (r *nginxReader) siteDirective(p *part, d directive, allTLS bool) (kept bool) {
	into := func(field *string) bool {
		name, ok := r.plain(d.args[0])
		if ok = ok && *field == ""; ok {
			*field = name
		}
		return !ok
	}
	switch {
	case d.name == "listen" && len(d.args) > 0:
		r.listen(p, d, allTLS)
	case d.name == "server_name":
		for _, name := range d.args {
			r.serverName(p, d, name)
		}
	case d.name == "root" && len(d.args) == 1:
		return into(&p.site.DocumentRoot)
	case d.name == "access_log" && (len(d.args) == 1 || len(d.args) == 2 && d.args[1] == "combined") && strings.HasPrefix(d.args[0], "/"):
		return into(&p.site.AccessLog)
	case d.name == "error_log" && len(d.args) == 1 && strings.HasPrefix(d.args[0], "/"):
		return into(&p.site.ErrorLog)
	case d.name == "ssl_certificate" && len(d.args) == 1:
		return into(&p.site.Certificate)
	case d.name == "ssl_certificate_key" && len(d.args) == 1:
		return into(&p.site.CertificateKey)
	case d.name == "ssl" && len(d.args) == 1:
	case d.name == "return" && len(d.args) == 2 && d.args[0] == "301" && p.redirect == nil:
		p.redirect = &redirect{bracedVariables.ReplaceAllString(d.args[1], "$$$1"), d.text}
	case d.name == "location" && p.php.text == "":
		socket, ok := nginxPHP(d)
		if !ok {
			return true
		}
		p.php.socket, p.php.text = socket, d.text
	default:
		return true
	}
	return false
}

// bracedVariables are ${host} for $host.
var bracedVariables = regexp.MustCompile(`\$\{(\w+)\}`)

func (r *nginxReader) serverName(p *part, d directive, name string) {
	switch {
	case name == "_" || name == "":
	case strings.HasPrefix(name, "."): // the name and all below it
		r.serverName(p, d, name[1:])
		r.serverName(p, d, "*"+name)
	case strings.HasPrefix(name, "~") || CheckAlias(name) != nil:
		p.problems = append(p.problems, fmt.Sprintf("%s: the name %s is not understood", d.place(), name))
	case p.site.ServerName == "" && CheckServerName(name) == nil:
		p.site.ServerName = name
	default:
		p.site.Aliases = append(p.site.Aliases, name)
	}
}

// listen is a socket that a server block of nginx listens on.
type listen struct {
	socket string // address and port; the blocks of a socket speak TLS if one does
	port   int
	tls    bool
	place  string
}

func (r *nginxReader) listen(p *part, d directive, allTLS bool) {
	address := d.args[0]
	problem := func(format string, args ...any) {
		p.problems = append(p.problems, fmt.Sprintf("%s: listen %s: %s", d.place(), address, fmt.Sprintf(format, args...)))
	}
	remark := func(format string, args ...any) {
		p.remarks = append(p.remarks, fmt.Sprintf("%s: listen %s: %s", d.place(), address, fmt.Sprintf(format, args...)))
	}
	if strings.HasPrefix(address, "unix:") {
		problem("it is left out, for sites listen on TCP ports only")
		return
	}
	host, text := splitAddress(address)
	if text == "" && host != "" && strings.Trim(host, "0123456789-") == "" {
		host, text = "", host // a port alone
	}
	port := 80
	if text != "" {
		number, err := strconv.Atoi(text)
		if err != nil {
			problem("it is left out, for %s is no port", text)
			return
		}
		port = number
	}
	p.addresses = append(p.addresses, address)
	if slices.Contains(d.args[1:], "quic") { // UDP; browsers take TCP where it is missing
		remark("quic is left out, for sites listen on TCP ports only")
		return
	}
	if !slices.Contains([]string{"", "*", "[::]", "0.0.0.0"}, host) {
		remark("the address %s is left out, for sites listen on all addresses", host)
	} else if host != "[::]" {
		host = "*"
	}
	l := listen{socket: host + ":" + strconv.Itoa(port), port: port, tls: allTLS, place: d.place()}
	for _, flag := range d.args[1:] {
		name, _, _ := strings.Cut(flag, "=")
		switch {
		case flag == "ssl":
			l.tls = true
		case flag == "default_server" || flag == "default":
			p.site.DefaultServer = true
		case flag == "ipv6only=on":
		case slices.Contains(socketOptions, name):
			remark("the parameter %s is left out", flag)
		default:
			problem("the parameter %s is left out", flag)
		}
	}
	p.listens = append(p.listens, l)
}

// socketOptions are parameters of listen without which a site answers the same
// requests, if perhaps not as fast
// (nginx.org/en/docs/http/ngx_http_core_module.html#listen).
var socketOptions = []string{"http2", "spdy", "reuseport", "deferred", "bind", "backlog", "rcvbuf", "sndbuf", "fastopen", "so_keepalive", "setfib", "multipath", "ipv6only", "accept_filter"}

// settlePorts gives the blocks their ports, once all of them are known.
func settlePorts(parts []part) {
	tls := map[string]bool{}
	for _, p := range parts {
		for _, l := range p.listens {
			tls[l.socket] = tls[l.socket] || l.tls
		}
	}
	for i := range parts {
		p := &parts[i]
		var plain []listen
		for _, l := range p.listens {
			if !tls[l.socket] {
				plain = append(plain, l)
			} else if !slices.Contains(p.site.TLSPorts, l.port) {
				p.site.TLSPorts = append(p.site.TLSPorts, l.port)
			}
		}
		for _, l := range plain {
			switch {
			case slices.Contains(p.site.TLSPorts, l.port):
				p.problems = append(p.problems, fmt.Sprintf("%s: port %d without TLS is left out, for the site speaks TLS on it at another address", l.place, l.port))
			case !slices.Contains(p.site.Ports, l.port):
				p.site.Ports = append(p.site.Ports, l.port)
			}
		}
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
