package lab

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Content says how much [Host.Fill] makes.
type Content struct {
	Users        int // 12 if zero
	MailsPerUser int // in the inbox, 5 if zero; two more are in the folder Archive
}

// people are the first users and their full names.
var people = [][2]string{
	{"anna", "Anna Müller"}, {"bert", "Bert Groß,Raum 12,+49 30 1234,"}, {"carl", "Carl Ångström"}, {"dora", "Dora Łukasiewicz"},
	{"emil", "Émile Zola"}, {"frida", "Frida Kahlo"}, {"gustav", "Gustav Mahler"}, {"hanna", "Hanna O'Neill"}, {"ivan", "Иван Петров"},
	{"jutta", "Jutta"}, {"karl", "Karl & Söhne"}, {"lena", ""},
}

// UserNames are the first n accounts that [Host.Fill] makes.
func UserNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		if i < len(people) {
			names[i] = people[i][0]
		} else {
			names[i] = fmt.Sprintf("user%03d", i+1)
		}
	}
	return names
}

// Password is the password of an account that [Host.Fill] makes.
func Password(user string) string { return "secret-" + user }

func (c Content) withDefaults() Content {
	if c.Users == 0 {
		c.Users = 12
	}
	if c.MailsPerUser == 0 {
		c.MailsPerUser = 5
	}
	return c
}

// Fill gives a host the content of a server that people have used for years.
// The accounts are those of [UserNames], with the hash (SHA-512) of
// [Password]; every third may log in with the lab's key, some are in the groups
// webteam and staff, and carl has a number below 1000. Each has a site
// USER.example.test (~/public_html), a Maildir ~/mail with the folder Archive,
// and an mbox in /var/mail. The first has www.example.test (~/www), and in
// ~/odd files with odd names, links, holes, ACLs, attributes, owners and modes.
func (h *Host) Fill(ctx context.Context, c Content) error {
	c = c.withDefaults()
	key, err := os.ReadFile(h.lab.KeyPath() + ".pub")
	if err != nil {
		return err
	}
	names := UserNames(c.Users)
	var users, passwords strings.Builder
	for i, name := range names {
		uid, gecos, groups, login := "-", "User "+name, "-", "-"
		if i < len(people) {
			gecos = people[i][1]
		}
		if name == "carl" {
			uid = "500" // as on a host whose first users came from another system
		}
		switch i % 4 {
		case 0:
			groups = "webteam"
		case 1:
			groups = "webteam,staff"
		}
		if i%3 == 0 {
			login = strings.TrimSpace(string(key))
		}
		fmt.Fprintf(&users, "%s\t%s\t%s\t%s\t%s\n", name, uid, gecos, groups, login)
		fmt.Fprintf(&passwords, "%s:%s\n", name, Password(name))
	}
	h.lab.progress("filling %s: %d users with %d mails each", h.Name, c.Users, c.MailsPerUser)
	if _, err := h.RunInput(ctx, users.String(), "sh", "-c", script("content.sh"), "content.sh", fmt.Sprint(c.MailsPerUser)); err != nil {
		return err
	}
	if _, err := h.RunInput(ctx, passwords.String(), "chpasswd", "-c", "SHA512"); err != nil {
		return err
	}
	return h.ConfigureSites(ctx, names)
}

// ConfigureSites gives a host's web server the sites that [Host.Fill] makes
// for the users, without any content: once the homes have come over, it serves
// the same pages. Every answer has a header X-Served-By with the host's name.
func (h *Host) ConfigureSites(ctx context.Context, users []string) error {
	if len(users) == 0 {
		return nil
	}
	_, err := h.Run(ctx, append([]string{"sh", "-c", script("sites.sh"), "sites.sh"}, users...)...)
	return err
}
