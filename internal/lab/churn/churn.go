// Package churn changes a tree as users and their programs do, at random: names are few,
// so that things meet. It is for tests of passes, on hosts of the lab and in directories.
// Its texts are scripts of sh(1), which need setfacl, getfacl, setfattr and getfattr.
package churn

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// People makes the accounts soaka, soakb and soakc, with numbers from $1 on: other ones
// on each host.
const People = `set -e
number=$1
for name in soaka soakb soakc; do
	useradd -M -u "$number" "$name"
	number=$((number + 1))
done`

// Outside is a directory beside the trees. What leads there on the old host
// must not be followed on the new.
const Outside = "/srv/soak-outside"

// Tree makes in $1 what the old host has before the first pass: a Maildir or two,
// a site, links of both kinds, holes, ACLs, attributes and odd names.
const Tree = `set -e
mkdir -p "$1"
cd "$1"
for user in a b; do
	mkdir -p "$user/mail/cur" "$user/mail/new" "$user/mail/tmp" "$user/www/c d"
	for n in 1 2 3 4 5 6 7 8 9 10 11 12; do seq "$n" 300 >"$user/mail/new/$n"; seq "$n" >"$user/mail/cur/$n:2,S"; done
	chown -R "soak$user" "$user"
done
mkdir -p e stable/deep
ln a/mail/new/1 e/1; ln a/mail/new/1 b/www/1; ln -s /nowhere/at/all e/dangling; ln -s ../a e/directory
truncate -s 3M e/holes; echo end >>e/holes; head -c 1500000 /dev/zero | tr '\0' x >a/www/large
setfacl -m u:soakc:rw e/1; setfattr -n user.origin -v old e/holes; mkfifo e/fifo
chmod 2775 b/www; chmod 4755 b/www/1; setfacl -d -m u:soakb:rx e
for name in -e 'f*' "$(printf 'new\nline')" "$(printf 'tab\there')" "$(printf 'latin\351')" '$(reboot)' "'quote\"" "$(printf '%0255d' 1)" ' ' '\'; do echo "$name" >"stable/$name"; done
cp -a stable g`

// helpers are what the changes are made with. Each line of changes may
// fail: the names are few, so that things meet. Nothing is ever written through
// a symbolic link, and nothing grows without end.
const helpers = `cd "$1" || exit 1
plain() { [ -f "$1" ] && [ ! -L "$1" ]; }
free() { [ ! -e "$1" ] && [ ! -L "$1" ]; }
create() { free "$1" && seq "$2" "$3" >"$1"; }
edit() { plain "$1" && seq "$2" "$3" >"$1"; }
append() { plain "$1" && seq "$2" "$3" >>"$1"; }
# Other content under the same size and time, in place and by another file.
forge() { plain "$1" && touch -r "$1" ../ref.$$ && tr 0-9a-y 1-9b-za0 <"$1" >../new.$$ && cat ../new.$$ >"$1"; touch -r ../ref.$$ "$1"; rm -f ../ref.$$ ../new.$$; }
swap() { plain "$1" && cp -p "$1" ../new.$$ && tr 0-9a-y 1-9b-za0 <"$1" >../new.$$ && touch -r "$1" ../new.$$ && mv -f ../new.$$ "$1"; }
# Without --remove-destination cp would wait for a reader of a FIFO in its way.
copy() { [ -e "$1" ] && [ "$(find "$1" | wc -l)" -lt 40 ] && [ ! -p "$1" ] && [ ! -p "$2" ] && cp -a --remove-destination -T "$1" "$2"; }
# One directory in another's place, as a whole.
exchange() { [ -d "$1" ] && [ -d "$2" ] && [ ! -L "$1" ] && [ ! -L "$2" ] && mv -T "$1" ../x.$$ && { mv -T "$2" "$1"; mv -T ../x.$$ "$2" || mv -T ../x.$$ "$1"; }; }
`

// Script is a script of random changes below $1. The directory "stable"
// stays what it is; what is in it does not.
func Script(random *rand.Rand, count int) string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	name := func() string {
		switch random.IntN(10) {
		case 0:
			return fmt.Sprintf(`./stable/"$(printf %s)"`, pick(`'new\nline'`, `'tab\there'`, `'latin\351'`, `'x'`, `'deep/y'`))
		case 1:
			return fmt.Sprintf("./%s/mail/%s/%d", pick("a", "b"), pick("new", "cur", "tmp"), 1+random.IntN(14))
		}
		path := "."
		for range 1 + random.IntN(4) {
			path += "/" + pick("a", "b", "'c d'", "-e", "'f*'", "g", "mail", "www")
		}
		return path
	}
	size := func() string {
		from := random.IntN(1000)
		return fmt.Sprintf("%d %d", from, from+[]int{-1, 0, 20, 400, 20000}[random.IntN(5)])
	}
	mail := func(place string) string {
		return fmt.Sprintf("./%s/mail/%s/%d", pick("a", "b"), place, 1+random.IntN(14))
	}
	var b strings.Builder
	b.WriteString(helpers + "changes() {\n")
	for range count {
		one, other := name(), name()
		var change string
		switch random.IntN(30) {
		case 0, 1:
			change = "mkdir -p " + one
		case 2, 3, 4, 5:
			change = "create " + one + " " + size()
		case 6, 7:
			change = "edit " + one + " " + size()
		case 8:
			change = "append " + one + " " + size()
		case 9:
			change = "plain " + one + " && : >" + one
		case 10:
			change = "rm -f " + one
		case 11:
			change = "rm -rf " + one
		case 12:
			change = "mv " + one + " " + other
		case 13, 14:
			change = "mv -T " + one + " " + other
		case 15:
			change = "exchange " + one + " " + other
		case 16:
			change = "rm -rf " + one + " && copy " + other + " " + one
		case 17, 18:
			change = pick("ln ", "ln -f ") + one + " " + other
		case 19:
			change = "free " + one + " && ln -s " + pick("target", "/nowhere/at/all", "../a", Outside) + " " + one
		case 20:
			change = "[ -L " + one + " ] && ln -sfn " + pick("elsewhere", Outside) + " " + one
		case 21:
			change = "copy " + one + " " + other
		case 22:
			change = fmt.Sprintf("[ ! -L %s ] && chmod %o %[1]s", one, 0o700+random.IntN(64))
		case 23:
			change = "chown -h " + pick("soaka", "soakb:soakb", ":soakc", "root:soaka") + " " + one
		case 24:
			change = fmt.Sprintf("touch -h -c -d @%d %s", 1_000_000_000+random.IntN(3), one)
		case 25:
			change = pick("forge ", "swap ") + one
		case 26:
			change = fmt.Sprintf("[ ! -L %s ] && setfattr -n user.%s -v %d %[1]s", one, pick("x", "y"), random.IntN(9))
		case 27:
			change = fmt.Sprintf("[ ! -L %s ] && setfacl %s %[1]s", one, pick("-m u:soaka:rw", "-m g:soakb:r", "-b", "-x u:soaka"))
		case 28:
			change = "free " + one + " && mkfifo " + one
		default: // what a mail server does
			change = pick("mv -f "+mail("new")+" "+mail("cur"), "create "+mail("tmp")+" "+size(), "mv -f "+mail("tmp")+" "+mail("new"))
		}
		b.WriteString("\t" + change + "\n")
	}
	b.WriteString("}\nchanges >/dev/null 2>&1 </dev/null\nexit 0\n")
	return b.String()
}

// Show prints all of the tree $1 that a pass has to keep: a line for each entry
// and one for its content, then hard-link groups, ACLs and attributes. What only
// the new host has is left out by its name.
const Show = `cd "$1" || exit 1
# A file may have names outside of the tree.
mine='-name *.only-new -prune -o'
set -f
{
	find . $mine -printf '%p|%y|%m|%u|%g|%T@|%l|' \( -type f -printf '%s' -o -true \) -printf '\0'
	find . $mine -type f -exec sha256sum -z {} +
	find . $mine -type f -links +1 -printf '%i %p\0' | sort -z | awk 'BEGIN { RS = "\0"; ORS = "\0" } { i = $1; sub(/^[^ ]* /, ""); n[i] = n[i] "=" $0 } END { for (i in n) if (n[i] ~ /=.*=/) print "linked " n[i] }'
} | tr '\n\0' '\001\n' | sort
find . $mine ! -type l -print0 | sort -z | xargs -0 getfattr -d -m '^user' -- 2>/dev/null
find . $mine ! -type l -print0 | sort -z | xargs -0 getfacl -s -p -- 2>/dev/null
true`

// Own puts things of the new host's own, with the name $2, among what the passes
// bring, and OwnShow prints them.
const (
	Own = `set -e
cd "$1"
mkdir -p "$2.only-new/in"
echo "$2" >"$2.only-new/in/file"
if [ -d stable ]; then echo "$2" >"stable/$2.only-new"; setfattr -n user.own -v "$2" "stable/$2.only-new"; fi`
	OwnShow = `cd "$1" && find . -name '*.only-new' -exec find {} -printf '%p %y %m %u %T@ %C@\n' \; -exec find {} -type f -exec sha256sum {} + \; | sort`
)
