package vhost

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/managedfile"
)

// item is an order with what it comes to on the host.
type item struct {
	order   Order
	server  *Server
	file    string // path of the site's file
	other   string // see Server.place
	changes []managedfile.Change
	outcome *outcome
}

// questions are what snapshot.sh is asked for an order, in a fixed sequence.
func (o Order) questions() []string {
	if o.remove {
		return nil
	}
	var questions []string
	if o.Site.DocumentRoot != "" {
		questions = append(questions, "root\t"+o.Site.DocumentRoot)
	}
	if o.Site.Certificate != "" {
		questions = append(questions, "pair\t"+o.Site.Certificate+"\t"+o.Site.CertificateKey)
	}
	if o.Site.AccessLog != "" {
		questions = append(questions, "log\t"+o.Site.AccessLog)
	}
	if o.Site.ErrorLog != "" {
		questions = append(questions, "log\t"+o.Site.ErrorLog)
	}
	if o.Site.PHPSocket != "" {
		questions = append(questions, "socket\t"+o.Site.PHPSocket)
	}
	return questions
}

// decide says what an order changes, or why it cannot be.
func decide(snapshot *Snapshot, o Order, answers []answer) (*item, error) {
	server, err := snapshot.Server(o.Site.Server)
	if err != nil {
		var missing *FieldError
		if o.remove && (errors.Is(err, ErrNoServer) || errors.As(err, &missing)) {
			// The server went, and its files with it.
			return &item{order: o, server: &Server{Name: o.Site.Server}}, nil
		}
		return nil, err
	}
	if server.available == "" {
		return nil, fmt.Errorf("host %q, %s: %w", snapshot.host, server.main, errNoLayout)
	}
	o.Site.Server = server.Name
	it := &item{order: o, server: server}
	it.file, it.other = server.place(o.Site)
	if o.remove {
		it.removal(snapshot)
		return it, nil
	}
	if o.Text == "" {
		if it.order.Text, err = Render(o.Site, server); err != nil {
			return nil, err
		}
	}
	if err := it.examine(snapshot.host, answers); err != nil {
		return nil, err
	}
	if err := it.placement(snapshot); err != nil {
		return nil, err
	}
	if o.CreateRoot && o.Site.DocumentRoot != "" && answers[0].word == "absent" {
		it.changes = append(it.changes, managedfile.Directory(o.Site.DocumentRoot, o.RootOwner, 0o755))
	}
	return it, nil
}

// examine goes through the answers, and through what Apache has loaded.
func (it *item) examine(hostName string, answers []answer) error {
	site := it.order.Site
	refuse := func(field, format string, args ...any) error {
		return &FieldError{field, fmt.Errorf("on host %q, "+format, append([]any{hostName}, args...)...)}
	}
	next := func() answer {
		first := answers[0]
		answers = answers[1:]
		return first
	}
	if site.DocumentRoot != "" {
		switch a := next(); a.word {
		case "astray":
			link, goal, _ := strings.Cut(a.detail, " ")
			return refuse("document_root", "%s is a link that leads out of its directory, to %s; whoever can change that link would choose what the site shows. Give the directory itself", link, goal)
		case "other":
			return refuse("document_root", "%s is no directory", site.DocumentRoot)
		}
	}
	if site.Certificate != "" {
		a := next()
		field := "certificate"
		if a.detail == site.CertificateKey {
			field = "certificate_key"
		}
		switch a.word {
		case "missing":
			return refuse(field, "there is no file %s", a.detail)
		case "unreadable":
			return refuse(field, "openssl cannot read %s: it has to be in PEM form, a key without a passphrase", a.detail)
		case "mismatch":
			return refuse("certificate_key", "the key %s does not belong to the certificate %s: their public keys differ", site.CertificateKey, site.Certificate)
		case "untold":
			// nginx loads both while it tests; Apache does not, and would end over it.
			if site.Server == Apache {
				return refuse("certificate", "there is no openssl to see whether key and certificate belong together; install it")
			}
		}
	}
	for _, log := range []struct{ field, path string }{{"access_log", site.AccessLog}, {"error_log", site.ErrorLog}} {
		if log.path != "" && next().word == "absent" {
			return refuse(log.field, "there is no directory %s, and %s does not start without it", path.Dir(log.path), display(site.Server))
		}
	}
	if site.PHPSocket != "" && next().word == "absent" {
		return refuse("php_fpm_socket", "there is no socket %s; is PHP-FPM running, and is this where its pool listens?", site.PHPSocket)
	}
	return it.modules(hostName)
}

// modules are what the rendered lines need of Apache. They are not loaded
// behind the back of whoever runs it.
func (it *item) modules(hostName string) error {
	site := it.order.Site
	if site.Server != Apache || len(it.server.modules) == 0 { // Apache's own test says it then
		return nil
	}
	for _, need := range []struct {
		when          bool
		field, module string
	}{
		{site.Certificate != "", "certificate", "ssl"},
		{site.PHPSocket != "", "php_fpm_socket", "proxy"},
		{site.PHPSocket != "", "php_fpm_socket", "proxy_fcgi"},
		{site.RedirectToHTTPS, "redirect_to_https", "alias"},
	} {
		if need.when && !it.server.modules[need.module+"_module"] {
			return &FieldError{need.field, fmt.Errorf("on host %q, Apache has not loaded the module %[2]s, which this needs: `a2enmod %[2]s` on Debian, elsewhere a LoadModule line; then restart Apache", hostName, need.module)}
		}
	}
	return nil
}

// saved is where the original of an adopted file is kept.
func (it *item) saved(on bool) string {
	state := ".off"
	if on {
		state = ".on"
	}
	return it.server.Name + "-" + path.Base(it.file) + state
}

// placement adds the changes of files, as far as there is anything to change.
func (it *item) placement(snapshot *Snapshot) error {
	s, o := it.server, it.order
	found, exists := s.Look(o.Site)
	if exists && !o.Ours && found.Text != o.Text {
		if !o.Adopt {
			whose := "that this provider did not make"
			if found.Managed {
				whose = "made by Terraform, but not in this state"
			}
			return &FieldError{"name", fmt.Errorf("on host %q, there is a site %s already, %s. To take it over, import it (terraform import … %s/%s/%s), or set adopt = true; or give this one another name",
				snapshot.host, found.Path, whose, snapshot.host, s.Name, o.Site.Label())}
		}
		if !found.Managed && !snapshot.saved[it.saved(true)] && !snapshot.saved[it.saved(false)] {
			it.changes = append(it.changes, managedfile.Copy(found.Path, managedfile.Saved+"/"+it.saved(found.Enabled)))
		}
	}
	if s.byLink() {
		if goal, linked := s.links[it.other]; linked && goal != it.file || s.files[it.other] != "" {
			return &FieldError{"name", fmt.Errorf("on host %q, %s is there already and does not lead to %s; move it away first", snapshot.host, it.other, it.file)}
		}
	}
	it.put(found, exists)
	return nil
}

func (it *item) put(found Found, exists bool) {
	s, o := it.server, it.order
	target := it.file
	if !s.byLink() && !o.Enabled {
		target = it.other
	}
	if !exists || found.Path != target || found.Text != o.Text {
		change := managedfile.Put(target, []byte(o.Text), 0o644)
		if !exists {
			change = change.IfNew()
		}
		it.changes = append(it.changes, change)
	}
	switch {
	case !s.byLink():
		if exists && found.Path != target {
			it.changes = append(it.changes, managedfile.Remove(found.Path))
		}
	case o.Enabled && (!exists || !found.Enabled):
		it.changes = append(it.changes, managedfile.Link(it.other, relative(it.other, it.file)))
	case !o.Enabled && exists && found.Enabled:
		it.changes = append(it.changes, managedfile.Remove(it.other))
	}
}

// relative is a link's target as a2ensite writes it: without the directory
// that both sides share.
func relative(link, file string) string {
	if path.Dir(path.Dir(link)) == path.Dir(path.Dir(file)) {
		return "../" + path.Base(path.Dir(file)) + "/" + path.Base(file)
	}
	return file
}

// removal undoes placement.
func (it *item) removal(snapshot *Snapshot) {
	s := it.server
	found, exists := s.Look(it.order.Site)
	_, linked := s.links[it.other]
	for _, on := range []bool{true, false} {
		if !snapshot.saved[it.saved(on)] {
			continue
		}
		saved := managedfile.Saved + "/" + it.saved(on)
		target := it.file
		if !s.byLink() && !on {
			target = it.other
		}
		it.changes = append(it.changes, managedfile.Copy(saved, target), managedfile.Remove(saved))
		switch {
		case !s.byLink() && exists && found.Path != target:
			it.changes = append(it.changes, managedfile.Remove(found.Path))
		case s.byLink() && on && !linked:
			it.changes = append(it.changes, managedfile.Link(it.other, relative(it.other, it.file)))
		case s.byLink() && !on && linked:
			it.changes = append(it.changes, managedfile.Remove(it.other))
		}
		return
	}
	if s.byLink() && s.links[it.other] == it.file {
		it.changes = append(it.changes, managedfile.Remove(it.other))
	}
	if exists {
		it.changes = append(it.changes, managedfile.Remove(found.Path))
	}
}
