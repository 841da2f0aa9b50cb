package audit

import (
	"context"
	"strconv"
	"strings"

	"github.com/cutover-dev/terraform-provider-cutover/internal/account"
)

func (c *comparison) accounts() {
	for _, name := range c.old.people() {
		c.compared(1)
		was, _ := c.old.accounts.User(name)
		is, there := c.new.accounts.User(name)
		if !there {
			c.find(Error, name, "account", "", "%s has no account on the new host.", name).
				mend("Make it with a cutover_host_user.")
			continue
		}
		c.account(was, is)
	}
	c.numbers()
	c.owners()
}

// fewNumbers is up to how many accounts with other numbers are findings of their own.
const fewNumbers = 3

// numbers tells of accounts with other numbers. Where they were given by the new host, all
// are others, and that is one finding.
func (c *comparison) numbers() {
	const mend = "Nothing, where files come by a cutover_sync_pass: it goes by names. Programs that have numbers in their own files need them changed there."
	var others []string
	for _, name := range c.old.people() {
		was, _ := c.old.accounts.User(name)
		if is, there := c.new.accounts.User(name); there && was.UID != is.UID {
			others = append(others, name)
		}
	}
	if len(others) > fewNumbers {
		c.find(Notice, "uid", "", shorten(list(others)), "%d accounts have other numbers on the new host.", len(others)).mend(mend)
		return
	}
	for _, name := range others {
		was, _ := c.old.accounts.User(name)
		is, _ := c.new.accounts.User(name)
		c.find(Notice, name+"/uid", strconv.Itoa(was.UID), strconv.Itoa(is.UID), "%s has another number on the new host.", name).mend(mend)
	}
}

// account compares an account that both hosts have.
func (c *comparison) account(was, is account.User) {
	name := was.Name
	if was.Home != is.Home {
		c.find(Warning, name+"/home", was.Home, is.Home, "The home of %s is another directory on the new host.", name).
			mend("Set home of the cutover_host_user, or write the directory into the files that name it.")
	}
	if was.Shell != is.Shell {
		c.find(Warning, name+"/shell", was.Shell, is.Shell, "%s has another shell on the new host.", name).
			mend("Set shell of the cutover_host_user, and install the shell.")
	}
	if was.Group != is.Group {
		c.find(Warning, name+"/group", was.Group, is.Group, "%s has another primary group on the new host.", name).
			mend("Set group of the cutover_host_user.")
	}
	if lost := missing(was.Groups, is.Groups); len(lost) > 0 {
		c.find(Warning, name+"/groups", list(was.Groups), list(is.Groups), "On the new host %s is not in %s.", name, list(lost)).
			mend("Add the groups to the cutover_host_user.")
	}
	if was.Gecos != is.Gecos {
		c.find(Notice, name+"/gecos", shorten(was.Gecos), shorten(is.Gecos), "%s has another full name on the new host.", name).
			mend("Set gecos of the cutover_host_user.")
	}
	if was.Locked && !is.Locked {
		c.find(Warning, name+"/locked", "locked", "not locked", "%s can log in on the new host and not on the old one.", name).
			mend("Lock the account (usermod --expiredate 1 --lock %s), unless it is a cutover_login_lock that holds it on the old host.", name)
	}
	if is.Locked && !was.Locked {
		c.find(Error, name+"/locked", "not locked", "locked", "%s cannot log in on the new host.", name).
			mend("Unlock the account (usermod --expiredate '' --unlock %s).", name)
	}
}

// passwords are the names of those whose password is another one on the new host, or who
// have one on one host alone. What they are is told to nobody.
func passwords(ctx context.Context, before, after *facts) ([]string, error) {
	var others []string
	for _, name := range before.people() {
		was, _ := before.accounts.User(name)
		is, there := after.accounts.User(name)
		switch {
		case !there || was.Locked || is.Locked:
		case was.Password == account.PasswordSet && is.Password == account.PasswordSet:
			a, err := before.Accounts.Password(ctx, name)
			if err != nil {
				return nil, err
			}
			b, err := after.Accounts.Password(ctx, name)
			if err != nil {
				return nil, err
			}
			if !a.Same(*b) {
				others = append(others, name)
			}
		case was.Password != is.Password:
			others = append(others, name)
		}
	}
	return others, nil
}

func (c *comparison) passwords(others []string) {
	for _, name := range others {
		was, _ := c.old.accounts.User(name)
		is, _ := c.new.accounts.User(name)
		severity, fact := Warning, "%s has another password on the new host."
		switch {
		case was.Password == account.PasswordSet && is.Password != account.PasswordSet:
			severity, fact = Error, "%s has a password on the old host, and none lets in on the new one."
		case is.Password == account.PasswordNone:
			severity, fact = Error, "%s gets into the new host without any password."
		}
		c.find(severity, name+"/password", string(was.Password), string(is.Password), fact, name).
			mend("Set password_from of the cutover_host_user. It may be right where the user has changed it on the new host since.")
	}
}

// owners looks for accounts that mail of virtual users belongs to.
func (c *comparison) owners() {
	told := map[string]bool{}
	for _, name := range c.old.people() {
		told[name] = true
	}
	for _, users := range c.old.mail.VirtualUsers {
		if told[users.UID] {
			continue
		}
		told[users.UID] = true
		if _, err := strconv.Atoi(users.UID); users.UID == "" || err == nil || strings.Contains(users.UID, "%") {
			continue
		}
		if _, there := c.new.accounts.User(users.UID); !there {
			c.find(Error, users.UID, "account", "", "The mail of the users of %s belongs to %s, who is not on the new host.", users.Source, users.UID).
				mend("Make the account before the first pass, with system = true of the cutover_host_user.")
		}
	}
}

func (c *comparison) homes() {
	for _, name := range c.old.people() {
		was, _ := c.old.accounts.User(name)
		before, there := c.old.own.homes[was.Home]
		if !there {
			continue // he has none on the old host either
		}
		c.compared(1)
		is, _ := c.new.accounts.User(name)
		after, there := c.new.own.homes[is.Home]
		pair := Home{User: name, OldPath: was.Home, Old: before.Amount, New: after.Amount, Brought: c.new.brought[is.Home]}
		if there {
			pair.NewPath = is.Home
		}
		c.audit.Homes = append(c.audit.Homes, pair)
		switch {
		case !there && is.Name != "":
			c.find(Error, name, was.Home, "", "%s has no home on the new host.", name).
				mend("Copy %s with a cutover_sync_pass.", was.Home)
		case there:
			c.home(pair, before, after)
		}
	}
}

func (c *comparison) home(pair Home, before, after home) {
	if pair.Old != pair.New {
		severity, mend := Warning, "Run another cutover_sync_pass; data.cutover_sync_preview names the paths. Until the final pass, a host that is live is ahead."
		if pair.New.Files >= pair.Old.Files && pair.New.Bytes >= pair.Old.Bytes {
			severity, mend = Notice, "Nothing, where the new host is live already. Before that, data.cutover_sync_preview names the paths."
		}
		brought := ""
		if pair.Brought != nil {
			brought = " The last pass had brought " + pair.Brought.String() + "."
		}
		c.find(severity, pair.User, pair.Old.String(), pair.New.String(), "The home of %s does not hold the same on both hosts.%s", pair.User, brought).
			mend("%s", mend)
	}
	if before.mode != after.mode {
		c.find(Warning, pair.User+"/mode", before.mode, after.mode, "The home of %s has other permissions on the new host.", pair.User).
			mend("chmod %s %s", before.mode, pair.NewPath)
	}
	if before.user != after.user || before.group != after.group {
		c.find(Error, pair.User+"/owner", before.user+":"+before.group, after.user+":"+after.group, "The home of %s belongs to somebody else on the new host.", pair.User).
			mend("chown %s:%s %s", before.user, before.group, pair.NewPath)
	}
}
