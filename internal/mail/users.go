package mail

import (
	"fmt"
	"slices"
)

// VirtualUsers are users who have mail and need have no account of the host.
type VirtualUsers struct {
	Program        string // "dovecot" or "postfix"
	Source         string // Dovecot's driver, or Postfix's kind of map: "passwd-file", "static", "sql", "hash"
	File           string // of accounts or addresses; "" where it is no file
	UID, GID, Home string // of all of them, as in the configuration; "" where they differ or are not known
	Accounts       int    // entries of File; -1 where they were not counted
}

// dovecotUsers are the sources of Dovecot's users beside the host's own accounts.
func (a *answer) dovecotUsers(s Store, n *notes) []VirtualUsers {
	var list []VirtualUsers
	top := a.blocks[0].set
	for _, u := range a.users {
		driver := u.set["driver"]
		if u.kind != "userdb" || driver == "passwd" || driver == "passwd-nss" || driver == "nss" {
			continue
		}
		v := VirtualUsers{
			Program: "dovecot", Source: driver, File: u.set["file"], Accounts: -1,
			UID: first(u.set["uid"], top["mail_uid"]), GID: first(u.set["gid"], top["mail_gid"]), Home: first(u.set["home"], top["mail_home"]),
		}
		if driver == "static" {
			v.File = a.onePassdbFile()
		}
		if f, ok := a.passwdFiles[v.File]; ok {
			v.Accounts = f.accounts
			v.UID, v.GID = first(v.UID, f.uid), first(v.GID, f.gid)
			if f.homes > 0 && driver == "passwd-file" {
				v.Home = ""
			}
			if f.places > 0 {
				n.notUnderstood("%s: %d accounts have a place of mail of their own (userdb_mail)", v.File, f.places)
			}
		}
		for _, key := range []string{"mail", "mail_driver", "mail_path"} {
			if value := u.set[key]; value != "" {
				n.notUnderstood("Dovecot: userdb %s gives its users a place of mail of their own: %s=%s", driver, key, value)
			}
		}
		if v.File == "" && driver != "static" {
			n.notUnderstood("Dovecot: userdb %s: who its users are and where their homes are was not read", driver)
		}
		list = append(list, v)
		if s.Driver == "maildir" {
			where := ""
			if v.Home != "" {
				where = fmt.Sprintf(" with the home %s", v.Home)
			}
			n.problem("userdb %s: Dovecot has users%s who need have no account of the host; a Maildir in the homes of accounts is not theirs", driver, where)
		}
	}
	return list
}

// onePassdbFile is the file that says who the users of userdb static are: it has
// no list itself.
func (a *answer) onePassdbFile() string {
	var files []string
	for _, u := range a.users {
		if file := u.set["file"]; u.kind == "passdb" && file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	if len(files) != 1 {
		return ""
	}
	return files[0]
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
