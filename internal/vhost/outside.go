package vhost

import (
	"fmt"
	"strings"
)

// What a server reads outside of its sites may matter to them: an upstream, a
// WSGIPythonHome, a <Directory>. It is named where somebody has added it, and
// not where a distribution's own files have it, or nobody would read the list:
//   - Apache: in files that hold a site;
//   - nginx: in all files that nginx.conf includes;
//   - in the main file: what no distribution's main file has.

// notOurs are directives that the server needs for itself, in whatever file.
// A site that is moved does without them. Each is a name, or a name with its
// arguments.
var notOurs = map[string]map[string]bool{
	Apache: words("namevirtualhost", "listen 80", "listen 443", "listen 443 https", "macro", "use", "if", "ifversion", "iffile", "ifdirective", "ifsection",
		// conf.d/ssl.conf of Red Hat's systems, which holds a site.
		"loadmodule ssl_module modules/mod_ssl.so", "sslpassphrasedialog", "sslsessioncache", "sslsessioncachetimeout", "sslrandomseed", "sslcryptodevice", "sslmutex",
		"addtype application/x-x509-ca-cert .crt", "addtype application/x-pkcs7-crl .crl"),
	Nginx: words("server", "types", "load_module", "charset_map"),
}

// mainFiles are what the main files of Debian, Ubuntu, Red Hat, SUSE, Alpine
// and of the projects themselves have, each in some release.
var mainFiles = map[string]map[string]bool{
	Apache: words("acceptmutex", "accessfilename", "addcharset", "adddefaultcharset", "adddescription", "addencoding", "addhandler", "addicon", "addiconbyencoding",
		"addiconbytype", "addlanguage", "addoutputfilter", "addtype", "alias /icons/", "alias /error/", "browsermatch", "customlog", "defaulticon", "defaultruntimedir",
		"defaulttype", "directoryindex", "documentroot", "enablemmap", "enablesendfile", "errorlog", "extendedstatus", "fileetag", "files .ht*", "files ~ ^\\.ht",
		"filesmatch ^\\.ht", "forcelanguagepriority", "group", "headername", "hostnamelookups", "indexignore", "indexoptions", "keepalive", "keepalivetimeout",
		"languagepriority", "listen", "loadmodule", "lockfile", "logformat", "loglevel", "maxclients", "maxconnectionsperchild", "maxkeepaliverequests",
		"maxrequestsperchild", "maxrequestworkers", "maxsparethreads", "maxspareservers", "mimemagicfile", "minsparethreads", "minspareservers", "mutex",
		"pidfile", "readmename", "requestheader unset proxy early", "scoreboardfile", "scriptalias /cgi-bin/", "serveradmin", "serverlimit", "servername", "serverroot",
		"serversignature", "servertokens", "setenvif", "startservers", "threadlimit", "threadsperchild", "timeout", "traceenable", "typesconfig", "usecanonicalname",
		"user", "userdir", "directory /", "directory /usr/share", "directory /var/www", "directory /var/www/", "directory /var/www/html", "directory /var/www/cgi-bin",
		"directory /var/www/icons", "directory /var/www/error", "directory /usr/share/apache2", "directory /var/www/localhost/htdocs",
		"directory /var/www/localhost/cgi-bin", "directory /usr/share/httpd/icons", "directory /srv/www/htdocs"),
	Nginx: words("access_log", "client_max_body_size 1m", "default_type", "error_log", "events", "gzip", "gzip_buffers", "gzip_comp_level", "gzip_disable", "gzip_http_version",
		"gzip_proxied", "gzip_types", "gzip_vary", "http", "keepalive_timeout", "lock_file", "log_format main", "map $http_upgrade $connection_upgrade", "pcre_jit", "pid",
		"sendfile", "server_name_in_redirect", "server_names_hash_bucket_size", "server_names_hash_max_size", "server_tokens", "ssl_prefer_server_ciphers", "ssl_protocols",
		"ssl_session_cache", "ssl_session_tickets", "ssl_session_timeout", "tcp_nodelay", "tcp_nopush", "types_hash_bucket_size", "types_hash_max_size", "user",
		"worker_connections", "worker_processes", "worker_rlimit_nofile"),
}

func words(all ...string) map[string]bool {
	set := make(map[string]bool, len(all))
	for _, word := range all {
		set[word] = true
	}
	return set
}

// outside names those directives outside of sites that may matter to them.
func (s *Server) outside(directives []directive, parts []part) []string {
	holds := map[string]bool{}
	for _, p := range parts {
		holds[p.file] = true
	}
	var notes []string
	for _, d := range directives {
		switch {
		case d.included || d.isAny(notOurs[s.Name]):
		case d.file == s.main && d.isAny(mainFiles[s.Name]):
		case s.Name == Apache && !holds[d.file]:
		default:
			notes = append(notes, fmt.Sprintf("%s: %s stands outside the sites and is left out", d.place(), d.brief()))
		}
	}
	return notes
}

// isAny reports whether a directive is in a set by its name, by its name and
// first argument, or by its whole line.
func (d directive) isAny(set map[string]bool) bool {
	return set[d.name] || len(d.args) > 0 && set[d.name+" "+d.args[0]] || set[d.name+" "+strings.Join(d.args, " ")]
}

// brief is the first line of a directive, without the block behind it.
func (d directive) brief() string {
	line, _, _ := strings.Cut(strings.TrimSpace(d.text), "\n")
	line = strings.TrimRight(line, " \t\\;")
	if d.isOpen {
		line, _, _ = strings.Cut(line, "{")
		line = strings.TrimSpace(line)
	}
	if runes := []rune(line); len(runes) > 80 {
		line = string(runes[:80]) + "…"
	}
	return line
}
