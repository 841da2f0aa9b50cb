package vhost

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host"
)

var (
	//go:embed server.sh
	serverText string
	//go:embed snapshot.sh
	snapshotText string
)

var snapshotScript = host.Script{Name: "vhost/snapshot.sh", Text: serverText + "\n" + snapshotText}

// Server is a web server as a host has it installed.
type Server struct {
	Name    string // Apache or Nginx
	Version string // such as 2.4.62
	Running bool

	program, tree, main string // its control program, its configuration, its main file
	available, enabled  string // directories of the sites; the same one where a site is on by being there
	ending              string // of the sites' files
	modules             map[string]bool
	variables           map[string]string // of Debian's envvars
	builtWithIPv6       bool
	hostHasIPv6         bool

	files map[string]string // texts of the sites' files by their paths
	links map[string]string // links in the directories, with what they lead to in the end
}

// Snapshot is the web servers of a host at one moment.
type Snapshot struct {
	host    string
	servers map[string]*Server
	saved   map[string]bool // names in managedfile.Saved
	answers []answer        // to the questions that came with the request
}

// answer is what snapshot.sh says to a question: a word, and what belongs to it.
type answer struct{ word, detail string }

// parseSnapshot reads what vhost/snapshot.sh prints.
func parseSnapshot(hostName, out string) (*Snapshot, error) {
	s := &Snapshot{host: hostName, servers: map[string]*Server{}, saved: map[string]bool{}}
	if !strings.HasSuffix(out, "\nend\n") && out != "end\n" {
		return nil, fmt.Errorf("on host %q: %s broke off after %d bytes", hostName, snapshotScript.Name, len(out))
	}
	var server *Server
	var quotedFor string
	var ipv6, linked bool
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		if text, ok := strings.CutPrefix(line, "| "); ok {
			switch {
			case server == nil:
			case linked:
				server.links[quotedFor] = text
			default:
				server.files[quotedFor] += text + "\n"
			}
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		linked = key == "link"
		switch key {
		case "ipv6":
			ipv6 = true
		case "saved":
			s.saved[value] = true
		case "server":
			server = &Server{
				Name: value, hostHasIPv6: ipv6,
				modules: map[string]bool{}, variables: map[string]string{}, files: map[string]string{}, links: map[string]string{},
			}
			s.servers[value] = server
		case "answer":
			_, said, _ := strings.Cut(value, " ")
			word, detail, _ := strings.Cut(said, " ")
			s.answers = append(s.answers, answer{word, detail})
		case "link", "file", "is":
			quotedFor = value
			if server != nil && key == "is" {
				server.files[value] = ""
			}
		default:
			if server != nil {
				server.note(key, value)
			}
		}
	}
	return s, nil
}

func (s *Server) note(key, value string) {
	switch key {
	case "program":
		s.program = value
	case "version":
		s.Version = value
	case "tree":
		s.tree = value
	case "main":
		s.main = value
	case "running":
		s.Running = true
	case "available":
		s.available = value
	case "enabled":
		s.enabled = value
	case "ending":
		s.ending = value
	case "built":
		s.builtWithIPv6 = true
	case "module":
		s.modules[value] = true
	case "variable":
		name, text, _ := strings.Cut(value, " ")
		s.variables[name] = text
	}
}

// Server returns the server of a name, or, where the name is "", the one that
// the host has; of two the one that runs.
func (s *Snapshot) Server(name string) (*Server, error) {
	if name != "" {
		if server, ok := s.servers[name]; ok {
			return server, nil
		}
		return nil, &FieldError{"server", fmt.Errorf("host %q has no %s; install it there first", s.host, display(name))}
	}
	var running, all []*Server
	for _, name := range []string{Apache, Nginx} {
		if server, ok := s.servers[name]; ok {
			all = append(all, server)
			if server.Running {
				running = append(running, server)
			}
		}
	}
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("host %q: %w", s.host, ErrNoServer)
	case len(all) == 1:
		return all[0], nil
	case len(running) == 1:
		return running[0], nil
	}
	return nil, &FieldError{"server", fmt.Errorf("host %q has both Apache and nginx; say which one is meant", s.host)}
}

// display is a server's name as its makers write it.
func display(server string) string {
	if server == Apache {
		return "Apache"
	}
	return server
}

// unit is the name under which the init system knows the server.
func (s *Server) unit() string {
	switch {
	case s.Name == Nginx:
		return "nginx"
	case strings.HasPrefix(s.tree, "/etc/httpd"):
		return "httpd"
	}
	return "apache2"
}

// atLeast reports whether the server is of a release or a later one.
func (s *Server) atLeast(wanted ...int) bool {
	var version []int
	for _, part := range strings.Split(s.Version, ".") {
		number, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		version = append(version, number)
	}
	return slices.Compare(version, wanted) >= 0
}

// listensOnIPv6 reports whether nginx takes "listen [::]:80" beside "listen 80":
// both sockets are apart since 1.3.4, and IPv6 is always built in since 1.11.5
// (nginx.org/en/CHANGES).
func (s *Server) listensOnIPv6() bool {
	return s.hostHasIPv6 && s.atLeast(1, 3, 4) && (s.builtWithIPv6 || s.atLeast(1, 11, 5))
}

// links reports whether a site is on by a link in a directory of its own.
func (s *Server) byLink() bool { return s.available != s.enabled }

// place is where the file of a site is, and where the link that turns it on is;
// without links, where the file is while the site is off.
func (s *Server) place(site Site) (file, other string) {
	name := site.Label() + s.ending
	if s.byLink() {
		return s.available + "/" + name, s.enabled + "/" + name
	}
	return s.available + "/" + name, s.available + "/" + name + ".disabled"
}

// Path is where the file of a site is, on or off.
func (s *Server) Path(site Site, enabled bool) string {
	file, other := s.place(site)
	if !enabled && !s.byLink() {
		return other
	}
	return file
}

// Found is a site's file as it is.
type Found struct {
	Path    string
	Text    string
	Enabled bool
	Managed bool // of our making
}

// Look returns a site's file; found is false where there is none.
func (s *Server) Look(site Site) (found Found, ok bool) {
	file, other := s.place(site)
	text, ok := s.files[file]
	switch {
	case ok && s.byLink():
		return Found{Path: file, Text: text, Enabled: s.links[other] == file, Managed: Managed(text)}, true
	case ok:
		return Found{Path: file, Text: text, Enabled: true, Managed: Managed(text)}, true
	case !s.byLink():
		if text, ok := s.files[other]; ok {
			return Found{Path: other, Text: text, Managed: Managed(text)}, true
		}
	}
	return Found{}, false
}
