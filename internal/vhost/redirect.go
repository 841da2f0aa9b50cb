package vhost

import (
	"slices"
	"strings"
)

// redirect is a line that sends everybody to another address, for good.
type redirect struct {
	url  string
	text string // the line itself
}

// beside are lines that show nothing to whoever is redirected. Any other line
// beside a redirect keeps it a line like others, so that none is lost.
var beside = map[string][]string{
	Apache: {"serveradmin", "serversignature", "loglevel", "directoryindex", "directory"},
	Nginx:  {"index", "charset"},
}

// leads returns the port that a redirect leads to, in the form of portOf, if
// but for the port it is the redirect that Render writes.
func (p *part) leads() (port string, ok bool) {
	s := p.site
	url, isHTTPS := strings.CutPrefix(p.redirect.url, "https://")
	end := map[string]string{Apache: "/", Nginx: "$request_uri"}[s.Server]
	url, whole := strings.CutSuffix(url, end)
	if !isHTTPS || !whole {
		return "", false
	}
	host, port, hasPort := strings.Cut(url, ":")
	if hasPort && port != "443" {
		port = ":" + port
	} else {
		port = ""
	}
	named := s.ServerName != "" && strings.EqualFold(host, s.ServerName)
	if s.Server == Apache {
		return port, named
	}
	switch host {
	case "$host":
		return port, true
	case "$http_host": // with the port, where the browser says one
		return port, slices.Equal(s.Ports, []int{80}) && !hasPort
	case "$server_name":
		named = s.ServerName != ""
	}
	// Of a site with other names, Render's redirect keeps the name.
	return port, named && len(s.Aliases) == 0 && !s.DefaultServer
}

// settleRedirects makes the attribute of redirects that lead where Render's
// lead: to the other half of the site, or to 443. Others stay lines.
func settleRedirects(parts []part) {
	for i := range parts {
		p := &parts[i]
		if p.redirect == nil {
			continue
		}
		port, ok := p.leads()
		var tls []int
		for _, other := range parts {
			if len(other.site.Ports) == 0 && p.sameName(other.site) {
				tls = slices.Sorted(slices.Values(other.site.TLSPorts))
				break
			}
		}
		if !ok || !p.onlyRedirects || port != portOf(tls) || len(p.site.Ports) == 0 || len(p.site.TLSPorts) > 0 {
			p.site.Extra = strings.Trim(p.site.Extra+"\n"+p.redirect.text, "\n")
			continue
		}
		p.redirectPort = port
		p.site.RedirectToHTTPS = true
		p.site.DocumentRoot, p.site.Extra, p.site.PHPSocket = "", "", ""
	}
}

// sameName reports whether a site has the name of a block.
func (p *part) sameName(s Site) bool {
	return s.ServerName != "" && s.Server == p.site.Server && strings.EqualFold(s.ServerName, p.site.ServerName)
}
