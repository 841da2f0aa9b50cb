// Package vhost is the sites of a web server, Apache or nginx: rendered, tried
// by the server's own test before anything live changes, taken over by a
// reload, and read back, from files of its own making and from those of others.
//
// Sites of a host that change at the same time share a test and a reload. It
// may import internal/batch, internal/managedfile and internal/host.
package vhost

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The servers.
const (
	Apache = "apache"
	Nginx  = "nginx"
)

// NoPriority is the Priority of a site whose file's name begins with none.
const NoPriority = -1

// Site is one site: one file of the server.
type Site struct {
	Server   string // Apache or Nginx
	Name     string // the file's name, without priority and ending
	Priority int    // 0 to 999, in front of the file's name; NoPriority: none

	ServerName    string // "" answers to what nobody else answers to
	Aliases       []string
	DefaultServer bool  // nginx: answers to names that no site has
	Ports         []int // TCP ports spoken to in plain HTTP
	TLSPorts      []int // TCP ports spoken to in HTTPS

	DocumentRoot    string // "": none, as for a site that only redirects
	Certificate     string // path of the certificate with its chain, PEM
	CertificateKey  string // path of its key, PEM
	AccessLog       string // "": the server's own
	ErrorLog        string // "": the server's own
	PHPSocket       string // Unix socket of PHP-FPM
	RedirectToHTTPS bool
	Extra           string // lines of the server's own language, at the end of the site's block
}

// FieldError is an error with the field of a Site at fault, in the words of the
// configuration: "server_name", "certificate_key" and so on.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

var (
	fileNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	numbered  = regexp.MustCompile(`^([0-9]{3})-(.+)$`)
	hostNames = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*(\.\*)?$`)
	// paths are what both servers take between quotes as it stands: no quote, no
	// backslash, no variable ($) and no pattern.
	paths = regexp.MustCompile(`^/[^\x00-\x1f\x7f"'\\$*?\[\]{};<>|]*$`)
)

// CheckName says why a text cannot be the name of a site's file.
func CheckName(name string) error {
	switch {
	case !fileNames.MatchString(name) || len(name) > 200:
		return fmt.Errorf("%q is not a name for a site's file: letters, digits, and _ . - after a first letter or digit, at most 200", name)
	case numbered.MatchString(name):
		return fmt.Errorf("%q begins with a priority; that is an attribute of its own: priority = %s", name, strings.TrimLeft(name[:2], "0")+name[2:3])
	}
	return nil
}

// CheckServerName says why a text cannot be the name of a site.
func CheckServerName(name string) error {
	if !hostNames.MatchString(name) || len(name) > 253 || strings.HasPrefix(name, "*") || strings.HasSuffix(name, "*") {
		return fmt.Errorf("%q is not a host name: letters, digits, - and _ between dots (an international name in its xn-- form)", name)
	}
	return nil
}

// CheckAlias says why a text cannot be a further name of a site; a label at its
// begin or end may be a star.
func CheckAlias(name string) error {
	if !hostNames.MatchString(name) || len(name) > 253 {
		return fmt.Errorf("%q is not a host name, nor one with a star for its first label, such as *.example.com", name)
	}
	return nil
}

// CheckPath says why a text cannot be the path of a directory or file of a site.
func CheckPath(name string) error {
	if !paths.MatchString(name) || path.Clean(name) != name || strings.ContainsRune(name, utf8.RuneError) {
		return fmt.Errorf("%q is not an absolute path, without . and .. and a slash at its end, that both servers take: no quotes, \\ $ * ? [ ] { } ; < > | and no line's end", name)
	}
	return nil
}

// CheckExtra says why a text cannot be the extra lines of a site.
func CheckExtra(extra string) error {
	switch {
	case strings.ContainsFunc(extra, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f }):
		return errors.New("it has a control character")
	case strings.ContainsRune(extra, utf8.RuneError):
		return errors.New("it has a character that is not in UTF-8")
	case strings.Contains(extra, extraBegins) || strings.Contains(extra, extraEnds):
		return fmt.Errorf("the lines %q and %q mark where it begins and ends in the file", extraBegins, extraEnds)
	}
	return nil
}

// Check says what is wrong with a Site as far as can be told without the host.
// Its error is a *FieldError.
func (s Site) Check() error {
	field := func(name string, err error) error {
		if err == nil {
			return nil
		}
		return &FieldError{name, err}
	}
	checks := []error{field("name", CheckName(s.Name)), field("extra", CheckExtra(s.Extra))}
	if s.ServerName != "" {
		checks = append(checks, field("server_name", CheckServerName(s.ServerName)))
	}
	for _, alias := range s.Aliases {
		checks = append(checks, field("aliases", CheckAlias(alias)))
	}
	for _, c := range []struct{ name, path string }{
		{"document_root", s.DocumentRoot}, {"certificate", s.Certificate}, {"certificate_key", s.CertificateKey},
		{"access_log", s.AccessLog}, {"error_log", s.ErrorLog}, {"php_fpm_socket", s.PHPSocket},
	} {
		if c.path != "" {
			checks = append(checks, field(c.name, CheckPath(c.path)))
		}
	}
	checks = append(checks, s.checkTogether())
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTogether says what does not fit together.
func (s Site) checkTogether() error {
	for _, c := range []struct {
		field string
		ports []int
	}{{"ports", s.Ports}, {"tls_ports", s.TLSPorts}} {
		for _, port := range c.ports {
			if port < 1 || port > 65535 {
				return &FieldError{c.field, fmt.Errorf("%d is no port: they go from 1 to 65535", port)}
			}
		}
	}
	for _, port := range s.TLSPorts {
		if slices.Contains(s.Ports, port) {
			return &FieldError{"tls_ports", fmt.Errorf("port %d cannot speak both HTTP and HTTPS", port)}
		}
	}
	switch {
	case len(s.Ports)+len(s.TLSPorts) == 0:
		return &FieldError{"ports", errors.New("a site needs a port: ports and tls_ports are both empty")}
	case s.Certificate != "" && s.CertificateKey == "":
		return &FieldError{"certificate_key", errors.New("a certificate needs its key")}
	case s.Certificate == "" && s.CertificateKey != "":
		return &FieldError{"certificate", errors.New("a key needs its certificate")}
	case len(s.TLSPorts) > 0 && s.Certificate == "":
		return &FieldError{"certificate", errors.New("tls_ports need a certificate")}
	case s.Certificate != "" && len(s.TLSPorts) == 0:
		return &FieldError{"tls_ports", errors.New("a certificate needs a port for HTTPS")}
	case s.RedirectToHTTPS && len(s.Ports) == 0:
		return &FieldError{"redirect_to_https", errors.New("there is no port to redirect from: ports is empty")}
	case s.RedirectToHTTPS && s.Server == Apache && s.ServerName == "":
		return &FieldError{"redirect_to_https", errors.New("with Apache, it leads to the site's server_name, which is not set")}
	case s.PHPSocket != "" && s.DocumentRoot == "":
		return &FieldError{"php_fpm_socket", errors.New("PHP needs a document_root")}
	case len(s.Aliases) > 0 && s.ServerName == "":
		return &FieldError{"aliases", errors.New("aliases need a server_name that they are aliases of")}
	case s.DefaultServer && s.Server == Apache:
		return &FieldError{"default_server", errors.New("this is an option of nginx; the default of Apache is the first file by name, which priority = 0 makes of this one")}
	}
	return nil
}

// Label is the file's name without its ending.
func (s Site) Label() string {
	if s.Priority == NoPriority {
		return s.Name
	}
	return fmt.Sprintf("%03d-%s", s.Priority, s.Name)
}

// SplitLabel splits a file's name, without its ending, into priority and name.
func SplitLabel(label string) (priority int, name string) {
	found := numbered.FindStringSubmatch(label)
	if found == nil {
		return NoPriority, label
	}
	for _, digit := range found[1] {
		priority = priority*10 + int(digit-'0')
	}
	return priority, found[2]
}

// ports are all ports of the site.
func (s Site) ports() []int { return slices.Concat(s.Ports, s.TLSPorts) }
