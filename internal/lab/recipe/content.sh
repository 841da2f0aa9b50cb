#!/bin/sh
# Fills a host with what people have on a server: accounts, sites, mail, and files of every odd sort.
#
#   content.sh MAILS < USERS
#
# A line of USERS is NAME TAB UID TAB GECOS TAB GROUPS TAB KEY; UID, GROUPS and KEY (a public key) may be "-".
set -eu
umask 022
mails=$1
host=$(hostname)
tab=$(printf '\t')

groupadd -f webteam

# mail FILE USER NUMBER
mail() {
	# printf, which the shell has built in: a process a mail takes minutes for a large server.
	printf 'Return-Path: <sender%d@elsewhere.test>
Received: from mx.elsewhere.test by %s.example.test with ESMTP id lab%d; Mon, 2 Mar 2009 10:00:00 +0100
Date: Mon, 2 Mar 2009 10:00:00 +0100
From: Sender %d <sender%d@elsewhere.test>
To: %s@example.test
Subject: Message %d for %s
Message-ID: <lab-%d-%s@elsewhere.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Dear %s,

this is message %d. It has been read, or not, on the old server, and must look the same on the new one.
Umlauts: ä ö ü ß. A line that From-quoting spoils:
From here on nothing follows.
' "$3" "$host" "$3" "$3" "$3" "$2" "$3" "$2" "$3" "$2" "$2" "$3" >"$1"
}

# maildir DIRECTORY USER FIRST LAST: a third of the mails is unread, some are answered or flagged.
maildir() {
	mkdir -p "$1/cur" "$1/new" "$1/tmp"
	n=$3
	while [ "$n" -le "$4" ]; do
		unique=$((1236000000 + n)).M${n}P42.$host
		case $((n % 6)) in
		0 | 3) mail "$1/new/$unique" "$2" "$n" ;;
		1) mail "$1/cur/$unique:2,S" "$2" "$n" ;;
		2) mail "$1/cur/$unique:2,RS" "$2" "$n" ;;
		4) mail "$1/cur/$unique:2,FS" "$2" "$n" ;;
		5) mail "$1/cur/$unique:2," "$2" "$n" ;;
		esac
		n=$((n + 1))
	done
}

# ordinary USER KEY: what everybody has.
ordinary() {
	home=/home/$1
	chmod 711 "$home"
	mkdir -p "$home/public_html/pictures" "$home/Documents/empty"
	cat <<PAGE >"$home/public_html/index.html"
<!DOCTYPE html>
<html><head><title>$1</title></head><body><h1>Home page of $1</h1></body></html>
PAGE
	printf 'About %s\n' "$1" >"$home/public_html/about me.html"
	dd if=/dev/urandom of="$home/public_html/pictures/cat.jpg" bs=1024 count=20 2>/dev/null
	printf 'Notes of %s\n' "$1" >"$home/Documents/notes.txt"
	touch -d '1999-12-31 23:59:59' "$home/Documents/notes.txt"

	maildir "$home/mail" "$1" 1 "$mails"
	maildir "$home/mail/.Archive" "$1" $((mails + 1)) $((mails + 2))
	: >"$home/mail/.Archive/maildirfolder"
	printf 'Archive\n' >"$home/mail/subscriptions"
	chmod -R go= "$home/mail"
	if [ "$2" != - ]; then
		mkdir -p "$home/.ssh"
		printf '%s\n' "$2" >"$home/.ssh/authorized_keys"
		chmod 700 "$home/.ssh"
		chmod 600 "$home/.ssh/authorized_keys"
	fi
	chown -Rh "$1:$1" "$home"

	# An old spool, from before there were Maildirs.
	n=1
	while [ "$n" -le 2 ]; do
		printf 'From sender@elsewhere.test Mon Mar  2 10:00:00 2009\nFrom: sender@elsewhere.test\nTo: %s@example.test\n' "$1"
		printf 'Subject: Spooled %d for %s\nMessage-ID: <spool-%d-%s@elsewhere.test>\n\nText %d\n\n' "$n" "$1" "$n" "$1" "$n"
		n=$((n + 1))
	done >"/var/mail/$1"
	chown "$1:mail" "/var/mail/$1"
	chmod 660 "/var/mail/$1"
}

# odd USER OTHER: what makes copying hard, in USER's home; OTHER is another account.
odd() {
	home=/home/$1
	mkdir -p "$home/www" "$home/odd"
	cat <<PAGE >"$home/www/index.html"
<!DOCTYPE html>
<html><head><title>www.example.test</title></head><body><h1>Welcome to www.example.test</h1></body></html>
PAGE
	cd "$home/odd"
	# shellcheck disable=SC2016 # names that must not be expanded
	for name in 'a space' "it's" '"quoted"' '-rf' '--delete' 'back\slash' '*' '?' '$(id)' '`id`' ';reboot' '#hash' '~' '.hidden' ' lead' 'trail ' \
		"$(printf 'new\nline')" "$(printf 'tab\there')" "$(printf 'bell\007')" "$(printf 'latin1-\344\366\374')" 'utf8-äöü' \
		"$(printf 'decomposed-a\314\210')" "$(printf '%0255d' 0)" '%s%n' 'CON' 'colon:2,S'; do
		printf 'content of %s\n' "$name" >"./$name"
	done
	mkdir -p hard/links deep/er/and/deeper empty 'dir with space' closed
	printf 'one inode\n' >hard/first
	ln hard/first hard/second
	ln hard/first hard/links/third
	ln -s /nonexistent/target dangling
	ln -s /etc/hostname absolute
	ln -s ../public_html to-directory
	ln -s a\ space relative
	mkfifo fifo
	truncate -s 10485760 sparse
	dd if=/dev/urandom of=sparse bs=4096 count=1 seek=1280 conv=notrunc 2>/dev/null
	: >zero
	printf 'x\n' >nobody-may
	printf 'x\n' >others
	printf 'x\n' >acl
	printf 'x\n' >xattr
	printf '#!/bin/sh\necho hello\n' >program
	mkdir team dropbox
	chown -Rh "$1:$1" "$home/www" "$home/odd"

	# Ownership first: chown takes away set-id bits.
	chown "$2:webteam" others
	chown "$1:webteam" team
	chmod 2775 team
	chmod 1733 dropbox
	chmod 750 program
	chmod 0 nobody-may
	chmod 555 closed
	setfacl -m "u:$2:rw,g:webteam:r" acl
	setfacl -d -m "u:$2:rwx" team
	setfattr -n user.comment -v 'a user attribute' xattr
	setfattr -n user.binary -v 0x00ff10 xattr
	touch -d '2038-01-20 00:00:00' zero
	touch -h -d '2001-02-03 04:05:06.789' dangling
	cd /
}

first=''
second=www-data
while IFS=$tab read -r name uid gecos groups key; do
	set --
	[ "$uid" = - ] || set -- "$@" -u "$uid"
	[ "$groups" = - ] || set -- "$@" -G "$groups"
	useradd -m -U -s /bin/bash -c "$gecos" "$@" "$name"
	ordinary "$name" "$key"
	if [ -z "$first" ]; then
		first=$name
	elif [ "$second" = www-data ]; then
		second=$name
	fi
done
odd "$first" "$second"
