package vhost

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Lines of a file of ours by which it is known again.
const (
	managed     = "# Managed by Terraform"
	extraBegins = "# Lines of the attribute extra."
	extraEnds   = "# End of the attribute extra."
)

// Managed reports whether a file's text is of our making.
func Managed(text string) bool { return strings.HasPrefix(text, managed) }

// Render is the text of a site's file for a server of a host.
func Render(s Site, server *Server) (string, error) {
	if err := s.Check(); err != nil {
		return "", err
	}
	p := &printer{}
	p.line("%s (cutover_vhost %q): what is changed here by hand, the next apply changes back.", managed, s.Label())
	if server.Name == Nginx {
		renderNginx(p, s, server)
		return p.String(), nil
	}
	if s.PHPSocket != "" && !server.atLeast(2, 4, 10) {
		return "", &FieldError{"php_fpm_socket", fmt.Errorf("a socket of PHP-FPM needs Apache 2.4.10 or later, and this is %s", server.Version)}
	}
	renderApache(p, s, server)
	return p.String(), nil
}

// printer writes lines, each block a tab deeper.
type printer struct {
	strings.Builder
	depth int
}

func (p *printer) line(format string, args ...any) {
	p.WriteString(strings.Repeat("\t", p.depth))
	if len(args) == 0 {
		p.WriteString(format)
	} else {
		fmt.Fprintf(p, format, args...)
	}
	p.WriteByte('\n')
}

// block writes a block's head, what is in it, and its end.
func (p *printer) block(head, end string, inside func()) {
	p.line("%s", head)
	p.depth++
	inside()
	p.depth--
	p.line("%s", end)
}

func (p *printer) extra(text string) {
	text = strings.Trim(text, "\n")
	if text == "" {
		return
	}
	p.line(extraBegins)
	for _, line := range strings.Split(text, "\n") {
		if line == "" {
			p.WriteByte('\n')
			continue
		}
		p.line("%s", line)
	}
	p.line(extraEnds)
}

// quote puts quotes around what a server would take for several words.
func quote(word string) string {
	if strings.ContainsAny(word, " #~=,()") {
		return `"` + word + `"`
	}
	return word
}

func renderApache(p *printer, s Site, server *Server) {
	if len(s.Ports) > 0 {
		p.block(apacheHead(s.Ports), "</VirtualHost>", func() {
			apacheNames(p, s)
			if s.RedirectToHTTPS {
				p.line("Redirect permanent / https://%s%s/", s.ServerName, portOf(s.TLSPorts))
				apacheLogs(p, s)
				return
			}
			apacheBody(p, s, server)
		})
	}
	if len(s.TLSPorts) > 0 {
		p.block(apacheHead(s.TLSPorts), "</VirtualHost>", func() {
			apacheNames(p, s)
			p.line("SSLEngine on")
			p.line("SSLCertificateFile %s", quote(s.Certificate))
			p.line("SSLCertificateKeyFile %s", quote(s.CertificateKey))
			apacheBody(p, s, server)
		})
	}
}

func apacheHead(ports []int) string {
	var b strings.Builder
	b.WriteString("<VirtualHost")
	for _, port := range ports {
		fmt.Fprintf(&b, " *:%d", port)
	}
	return b.String() + ">"
}

// portOf is the part of a URL for a port that is not HTTPS's own.
func portOf(ports []int) string {
	if len(ports) == 0 || ports[0] == 443 {
		return ""
	}
	return ":" + strconv.Itoa(ports[0])
}

func apacheNames(p *printer, s Site) {
	if s.ServerName != "" {
		p.line("ServerName %s", s.ServerName)
	}
	if len(s.Aliases) > 0 {
		p.line("ServerAlias %s", strings.Join(s.Aliases, " "))
	}
}

func apacheLogs(p *printer, s Site) {
	if s.ErrorLog != "" {
		p.line("ErrorLog %s", quote(s.ErrorLog))
	}
	if s.AccessLog != "" {
		p.line("CustomLog %s combined", quote(s.AccessLog))
	}
}

func apacheBody(p *printer, s Site, server *Server) {
	if s.DocumentRoot != "" {
		p.line("DocumentRoot %s", quote(s.DocumentRoot))
		p.block("<Directory "+quote(s.DocumentRoot)+">", "</Directory>", func() {
			for _, line := range apacheAccess(server) {
				p.line("%s", line)
			}
		})
	}
	if s.PHPSocket != "" {
		p.line("DirectoryIndex index.php index.html")
		p.block(`<FilesMatch "\.php$">`, "</FilesMatch>", func() {
			p.line(`SetHandler "proxy:unix:%s|fcgi://localhost"`, s.PHPSocket)
		})
	}
	apacheLogs(p, s)
	p.extra(s.Extra)
}

// apacheAccess lets everybody in, in the words of the release
// (httpd.apache.org/docs/2.4/upgrading.html).
func apacheAccess(server *Server) []string {
	if server.atLeast(2, 4, 0) {
		return []string{"Options SymLinksIfOwnerMatch", "Require all granted"}
	}
	return []string{"Options SymLinksIfOwnerMatch", "Order allow,deny", "Allow from all"}
}

func renderNginx(p *printer, s Site, server *Server) {
	apart := s.RedirectToHTTPS
	p.block("server {", "}", func() {
		nginxListen(p, s, server, s.Ports, "")
		if !apart {
			nginxListen(p, s, server, s.TLSPorts, " ssl")
		}
		nginxNames(p, s)
		if apart {
			p.line("return 301 https://$host%s$request_uri;", portOf(s.TLSPorts))
			nginxLogs(p, s)
			return
		}
		nginxBody(p, s)
	})
	if apart && len(s.TLSPorts) > 0 {
		p.block("server {", "}", func() {
			nginxListen(p, s, server, s.TLSPorts, " ssl")
			nginxNames(p, s)
			nginxBody(p, s)
		})
	}
}

func nginxListen(p *printer, s Site, server *Server, ports []int, flags string) {
	if s.DefaultServer {
		flags += " default_server"
	}
	for _, port := range ports {
		p.line("listen %d%s;", port, flags)
		if server.listensOnIPv6() {
			p.line("listen [::]:%d%s;", port, flags)
		}
	}
}

func nginxNames(p *printer, s Site) {
	names := append([]string{s.ServerName}, s.Aliases...)
	if s.ServerName == "" {
		names = []string{"_"}
	}
	p.line("server_name %s;", strings.Join(names, " "))
}

func nginxLogs(p *printer, s Site) {
	if s.ErrorLog != "" {
		p.line("error_log %s;", quote(s.ErrorLog))
	}
	if s.AccessLog != "" {
		p.line("access_log %s combined;", quote(s.AccessLog))
	}
}

func nginxBody(p *printer, s Site) {
	if s.Certificate != "" {
		p.line("ssl_certificate %s;", quote(s.Certificate))
		p.line("ssl_certificate_key %s;", quote(s.CertificateKey))
	}
	if s.DocumentRoot != "" {
		p.line("root %s;", quote(s.DocumentRoot))
	}
	if s.PHPSocket != "" {
		p.line("index index.php index.html;")
		p.block(`location ~ \.php$ {`, "}", func() {
			// A file that is not there must not reach PHP, which would look for
			// one above it.
			p.line("try_files $uri =404;")
			p.line("include fastcgi_params;")
			p.line("fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;")
			p.line("fastcgi_pass unix:%s;", s.PHPSocket)
		})
	}
	nginxLogs(p, s)
	p.extra(s.Extra)
}

// errNoLayout is the error of a server whose main file includes no directory
// for sites.
var errNoLayout = errors.New("its main file includes neither sites-enabled nor conf.d, so that there is no place for a site; include one there")

// ErrNoServer is the error of a host without a web server.
var ErrNoServer = errors.New("there is neither Apache nor nginx; install one first")
