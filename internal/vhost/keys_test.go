package vhost

import (
	"slices"
	"strings"
	"testing"
)

// found is a site of a file; the pattern is that under which it was included.
type found struct{ pattern, file, serverName string }

func keysOf(sites ...found) []string {
	fetched := map[string][]file{}
	var parts []part
	for i, f := range sites {
		fetched[f.pattern] = append(fetched[f.pattern], file{path: f.file})
		parts = append(parts, part{file: f.file, line: i, site: Site{Server: Nginx, Priority: NoPriority, ServerName: f.serverName, Ports: []int{80}}})
	}
	for i := range parts {
		parts[i].foundIn(fetched)
	}
	listed, _ := combine(parts)
	var keys []string
	for _, l := range listed {
		keys = append(keys, l.Label())
	}
	return keys
}

func TestKeys(t *testing.T) {
	const hestia = "/home/*/conf/web/*/nginx.conf"
	for name, c := range map[string]struct {
		sites []found
		want  string
	}{
		"Debian": {
			[]found{{"s/*.conf", "/s/000-default.conf", ""}, {"s/*.conf", "/s/shop.conf", "shop.example.test"}, {"s/*", "/s/blog", "blog"}}, "000-default shop blog",
		},
		"a file for each site, all of one name": {
			[]found{{hestia, "/home/u/conf/web/a.test/nginx.conf", "a.test"}, {hestia, "/home/v/conf/web/b.test/nginx.conf", "b.test"}}, "a.test b.test",
		},
		"the only one of them":              {[]found{{hestia, "/home/u/conf/web/a.test/nginx.conf", "a.test"}}, "a.test"},
		"a star for the directory":          {[]found{{"/srv/*/site.conf", "/srv/a/site.conf", "a.test"}}, "a.test"},
		"included one by one":               {[]found{{"/u/a/httpd.conf", "/u/a/httpd.conf", "a.test"}}, "a.test"},
		"the same name in two directories":  {[]found{{"/s/*", "/s/shop", "a.test"}, {"/c/*", "/c/shop.conf", "b.test"}}, "a.test b.test"},
		"several in a file":                 {[]found{{"s/*", "/s/all", "a.test"}, {"s/*", "/s/all", "b.test"}, {"s/*", "/s/all", ""}}, "a.test b.test all"},
		"no name but that of the file":      {[]found{{hestia, "/home/u/conf/web/a.test/nginx.conf", ""}}, "nginx"},
		"a name that begins with a number":  {[]found{{hestia, "/x/nginx.conf", "123-a.test"}}, "123-a.test"},
		"the same name twice":               {[]found{{"s/*", "/s/all", "a"}, {"s/*", "/s/all", "b"}, {"s/*", "/s/all", "a"}}, "a b a-2"},
		"a number that a site has for name": {[]found{{"s/*", "/s/all", "a"}, {"s/*", "/s/all", "a"}, {"s/*", "/s/all", "a-2"}}, "a a-3 a-2"},
		"a file's name that cannot be one":  {[]found{{"s/*", "/s/-.conf", "a.test"}, {"s/*", "/s/+.conf", ""}}, "a.test site"},
	} {
		if got := strings.Join(keysOf(c.sites...), " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Whatever domain a panel adds, and wherever its file is read: the other sites
// keep their keys.
func TestAnotherDomainChangesNoKey(t *testing.T) {
	layouts := map[string]func(domain string) found{
		"a directory for each": func(d string) found {
			return found{"/home/*/conf/web/*/nginx.conf", "/home/u/conf/web/" + d + "/nginx.conf", d}
		},
		"a file for each": func(d string) found { return found{"/s/*.conf", "/s/" + d + ".conf", d} },
		"one by one":      func(d string) found { return found{"/u/" + d + "/httpd.conf", "/u/" + d + "/httpd.conf", d} },
		"a file of all":   func(d string) found { return found{"/vhosts.conf", "/vhosts.conf", d} },
	}
	for name, site := range layouts {
		for _, domains := range [][]string{{"m.test"}, {"b.test", "m.test"}, {"b.test", "b.test-2", "m.test"}} {
			var before []found
			for _, d := range domains {
				before = append(before, site(d))
			}
			keys := keysOf(before...)
			for at := range len(before) + 1 {
				after := keysOf(slices.Insert(slices.Clone(before), at, site("new.test"))...)
				if got := slices.Delete(slices.Clone(after), at, at+1); !slices.Equal(got, keys) {
					t.Errorf("%s: %q, and %q with another", name, keys, after)
				}
			}
		}
	}
}
