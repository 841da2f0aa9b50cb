package report

import (
	"fmt"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/audit"
)

// taken is when the sample was.
var taken = time.Date(2026, time.December, 2, 4, 12, 30, 0, time.UTC)

// night is a time on the evening before, or on the morning with an hour below 12.
func night(hour, minute, second int) time.Time {
	date := 1
	if hour < 12 {
		date = 2
	}
	return time.Date(2026, time.December, date, hour, minute, second, 0, time.UTC)
}

const gib = 1 << 30

// sample is an audit as there may be one on the morning after: most has arrived, and
// something of every kind has not.
func sample() audit.Audit {
	return audit.Audit{
		Old:   audit.Side{Name: "web1", Address: "192.0.2.10", System: "Debian GNU/Linux 9 (stretch), SysV init"},
		New:   audit.Side{Name: "web2", Address: "2001:db8:40::25", System: "Debian GNU/Linux 13 (trixie), systemd 257"},
		Taken: taken,
		Areas: []audit.Area{
			{Name: "accounts", Title: "Accounts", Compared: 61},
			{Name: "homes", Title: "Homes", Compared: 25},
			{Name: "sites", Title: "Sites", Compared: 12},
			{Name: "certificates", Title: "Certificates", Compared: 9},
			{Name: "mail", Title: "Mailboxes", Compared: 20},
			{Name: "aliases", Title: "Aliases", Compared: 44},
			{Name: "forwards", Title: "Forwards", Compared: 17},
			{Name: "queue", Title: "Mail queue", Compared: 3},
			{Name: "cron", Title: "Cron jobs", Compared: 31},
			{Name: "sudo", Title: "Sudo rules", Compared: 6},
			{Name: "ports", Title: "Open ports", Compared: 14},
			{Name: "services", Title: "Services", Compared: 22},
			{Name: "databases", Title: "Databases", Compared: 18},
			{Name: "quota", Title: "Quota", Skipped: "The old host has no quota tools, so its limits could not be read."},
			{Name: "locale", Title: "Locale and time", Compared: 4},
		},
		Findings:    sampleFindings(),
		Homes:       sampleHomes(),
		Sites:       sampleSites(),
		Mailboxes:   sampleMailboxes(),
		NotCompared: []string{"Database wiki: its tables are of MyISAM, and a count would lock them on the old host.", "/home/nadia/nas: it is another file system (nfs4).", "Port 8443 of web1: it closed the connection before TLS."},
	}
}

func sampleFindings() []audit.Finding {
	const e, w, n = audit.Error, audit.Warning, audit.Notice
	is := func(area string, severity audit.Severity, subject, older, newer, text, mend string) audit.Finding {
		return audit.Finding{Area: area, Severity: severity, Subject: subject, Old: older, New: newer, Text: text, Mend: mend}
	}
	return []audit.Finding{
		is("accounts", e, "petra", "uid 1043, /bin/bash", "", "petra can log in to the old host and has no account on the new one.", "Add petra to cutover_host_user, or accept that she is gone."),
		is("accounts", w, "deploy", "/bin/bash", "/usr/sbin/nologin", "deploy may not use a shell on the new host.", "Set shell of cutover_host_user.deploy to /bin/bash."),
		is("accounts", w, "backup-op", "groups: adm, backup", "groups: backup", "backup-op is not in group adm on the new host.", "Add adm to its groups."),
		is("accounts", n, "gert", "password of 2014, $1$", "password of 2014, $1$", "The hash of the password is MD5, which the next release of Debian refuses.", "Ask gert to set the password anew."),

		is("homes", e, "nadia", "18,204 files", "17,911 files", "The new home lacks 293 files that the old one has.", "Apply cutover_sync_pass.final once more for nadia."),
		is("homes", w, "ines", "8,416 files", "8,412 files", "ines has changed 4 files on the old host since the last pass.", "Make another pass while the login lock holds."),
		is("homes", n, "tom", "files of uid 1077", "files of uid 1077", "12 files belong to a user that neither host knows.", ""),

		is("sites", e, "shop.example:443", "200", "503", "The new host answers with an error: 503 Service Unavailable.", "Look at the log of php-fpm on web2; the pool shop is not running."),
		is("sites", e, "intern.example:80", "200", "no answer", "The new host closes the connection.", "Add a cutover_vhost for intern.example."),
		is("sites", w, "www.bakery.example:443", "Bäckerei Anders", "Apache2 Debian Default Page: It works", "The new host shows another page.", "Enable the virtual host of www.bakery.example, and disable 000-default."),
		is("sites", w, "blog.example:80", "→ https://blog.example/", "200", "The new host does not redirect to HTTPS.", "Set redirect_https of cutover_vhost.blog."),
		is("sites", n, "status.example:80", "Status", "Status (web2)", "The titles of the page differ.", ""),

		is("certificates", e, "lists.example:443", "until 2027-02-19", "self-signed", "The new host's certificate is not signed by an authority. Browsers will refuse it.", "Copy the certificate, or let certbot fetch one after the change of DNS."),
		is("certificates", w, "shop.example:443", "until 2027-02-28", "until 2026-12-09", "The new host's certificate ends in 7 days.", "Renew it now; the timer of certbot is not enabled on web2."),
		is("certificates", n, "mail.example:993", "Let's Encrypt R10", "Let's Encrypt R12", "The certificates are of different issuers.", ""),

		is("mail", e, "alice/Archive.2019", "4,310 messages", "", "The folder does not exist on the new host.", "Apply cutover_sync_pass.mail once more for alice."),
		is("mail", e, "karl", "11,872 messages", "11,860 messages", "12 messages are missing on the new host.", "Apply cutover_sync_pass.mail once more for karl."),
		is("mail", w, "info", "subscribed: 14 folders", "subscribed: 9 folders", "5 folders are not subscribed on the new host. Mail programs will not show them.", "Copy the file subscriptions of the Maildir."),
		is("mail", n, "greta", "301 messages", "304 messages", "The new host has 3 messages more, which arrived after the change.", ""),

		is("aliases", e, "postmaster", "karl, root", "", "Mail to postmaster bounces on the new host.", "Add the alias to /etc/aliases on web2, then run newaliases."),
		is("aliases", w, "orders", "shop, mia@partner.example", "shop", "The alias leads to one address fewer.", "Add mia@partner.example."),
		is("aliases", w, "news", "|/usr/local/bin/list-feed", "|/usr/local/bin/list-feed", "The program that the alias pipes to does not exist on the new host.", "Install list-feed on web2, or remove the alias."),

		is("forwards", e, "ines", `"|/usr/bin/procmail"`, `"|/usr/bin/procmail"`, "procmail is not installed on the new host. Mail to ines would be deferred.", "Install procmail, or move the rules to Sieve."),
		is("forwards", w, "otto", "otto@elsewhere.example", "", "The new home has no .forward, so mail stays on the new host.", "Copy the file with the next pass; a filter of the chain leaves it out."),
		is("forwards", n, "ruth", "mode 0664", "mode 0644", "The file was writable by the group on the old host.", ""),

		is("queue", w, "deferred", "3 messages", "", "3 messages still wait in the old host's queue, the oldest for 2 days.", "Apply cutover_mail_queue_move."),

		is("cron", e, "shop: 15 3 * * *", "/home/shop/bin/invoice.sh", "", "The job does not exist on the new host.", "Install it with crontab -u shop on web2."),
		is("cron", w, "root: /etc/cron.d/awstats", "*/10 * * * *", "*/10 * * * *", "The job calls /usr/share/awstats/tools/update.sh, which the new host does not have.", "Install awstats, or remove the job."),
		is("cron", w, "mia: @daily", "PATH=/opt/bin:/usr/bin", "PATH=/usr/bin", "PATH lacks /opt/bin on the new host.", "Set PATH in her crontab."),
		is("cron", n, "karl: 0 * * * *", "MAILTO=karl", "MAILTO=karl", "Both hosts run the job. The mail of it comes twice until the old host is off.", ""),

		is("sudo", e, "deploy", "NOPASSWD: /usr/sbin/apachectl graceful", "", "deploy may not reload the web server on the new host.", "Add the rule to /etc/sudoers.d/deploy."),
		is("sudo", n, "%adm", "ALL", "ALL", "The rule is in /etc/sudoers on the old host and in /etc/sudoers.d/adm on the new one.", ""),

		is("ports", e, "465/tcp", "master (Postfix)", "", "Nothing listens for SMTP with implicit TLS on the new host.", "Enable the service submissions in master.cf."),
		is("ports", w, "21/tcp", "proftpd", "", "FTP is not offered on the new host.", "Tell its 2 users of the last month, or install proftpd."),
		is("ports", n, "5432/tcp", "", "postgres on 127.0.0.1", "The new host runs a service that the old one does not.", ""),

		is("services", e, "php7.0-fpm@shop", "running", "failed", "The unit failed on the new host: pm.max_children must be greater than 0.", "Correct /etc/php/8.4/fpm/pool.d/shop.conf."),
		is("services", w, "spamassassin", "running", "disabled", "The service does not start at boot on the new host.", "Set enabled of cutover_service.spamd to true."),
		is("services", n, "ntp", "ntpd", "systemd-timesyncd", "The clock is kept by another program.", ""),

		is("databases", e, "shop_live.orders", "182,340 rows", "182,122 rows", "The table has 218 rows fewer on the new host.", "Stop the shop, dump the database again and load it on web2."),
		is("databases", w, "wiki", "latin1", "utf8mb4", "The character set differs. Umlauts of old articles may be broken.", "Load the dump with --default-character-set=latin1."),
	}
}

// sampleHomes are 25. Passes have brought all but the last two.
func sampleHomes() []audit.Home {
	homes := []audit.Home{}
	add := func(user string, files, bytes, newFiles, newBytes int64) *audit.Home {
		homes = append(homes, audit.Home{
			User: user, OldPath: "/home/" + user, NewPath: "/home/" + user,
			Old: audit.Amount{Files: files, Bytes: bytes}, New: audit.Amount{Files: newFiles, Bytes: newBytes},
			Brought: &audit.Amount{Files: files, Bytes: bytes},
		})
		return &homes[len(homes)-1]
	}
	same := func(user string, files, bytes int64) *audit.Home { return add(user, files, bytes, files, bytes) }
	same("alice", 41212, 9*gib+411<<20)
	same("bernd", 812, 96<<20)
	same("carla", 15004, 2*gib+87<<20)
	same("deploy", 212, 18<<20)
	same("eva", 6417, 1*gib+12<<20)
	same("frank", 33, 41<<10)
	same("gert", 2790, 340<<20)
	same("greta", 1904, 212<<20)
	same("hanna", 9911, 4*gib)
	ines := add("ines", 8416, 2*gib+130<<20+2048, 8412, 2*gib+130<<20)
	ines.Brought = &audit.Amount{Files: 8412, Bytes: 2*gib + 130<<20}
	same("info", 120, 2<<20)
	same("jan", 55, 310<<10)
	same("karl", 22018, 11*gib+900<<20)
	same("lena", 471, 77<<20)
	mia := add("mia", 3310, 640<<20, 3317, 641<<20)
	mia.Brought = &audit.Amount{Files: 3310, Bytes: 640 << 20}
	nadia := add("nadia", 18204, 3*gib+200<<20, 17911, 3*gib+12<<20)
	nadia.Brought = &audit.Amount{Files: 18011, Bytes: 3*gib + 100<<20}
	same("otto", 19, 12<<10)
	same("paul", 7002, 1*gib+600<<20)
	same("ruth", 640, 51<<20)
	same("shop", 64120, 7*gib+700<<20).NewPath = "/srv/shop"
	same("tom", 4108, 512<<20)
	same("ute", 77, 600<<10)
	same("wiki", 12877, 1*gib+44<<20).NewPath = "/srv/wiki"
	petra := add("petra", 931, 120<<20, 0, 0)
	petra.NewPath, petra.Brought = "", nil
	ci := add("ci", 0, 0, 14, 90<<10)
	ci.OldPath, ci.Brought = "", nil
	return homes
}

func sampleSites() []audit.Site {
	until := func(month time.Month, date int) time.Time { return time.Date(2027, month, date, 9, 30, 0, 0, time.UTC) }
	plain := func(name, title string) audit.Site {
		answer := audit.Answer{Status: 200, Title: title}
		return audit.Site{Name: name, Port: 80, Old: answer, New: answer}
	}
	secure := func(name, title string, until time.Time) audit.Site {
		answer := audit.Answer{Status: 200, Title: title, Certificate: name, Expires: until}
		return audit.Site{Name: name, Port: 443, TLS: true, Old: answer, New: answer}
	}
	sites := []audit.Site{
		plain("blog.example", "Redirecting"),
		secure("blog.example", "Notes from the harbour", until(time.February, 11)),
		secure("cloud.example", "Login – Nextcloud", until(time.January, 30)),
		plain("intern.example", "Intranet"),
		secure("lists.example", "Mailing lists", until(time.February, 19)),
		secure("shop.example", "Shop: everything for small boats", until(time.February, 28)),
		plain("status.example", "Status"),
		secure("webmail.example", "Roundcube Webmail", until(time.February, 3)),
		secure("wiki.example", "Hauptseite – Wiki", until(time.January, 22)),
		secure("www.bakery.example", "Bäckerei Anders", until(time.March, 2)),
		secure("www.example", "Example & Sons", until(time.March, 14)),
		plain("www.example", "Example & Sons"),
	}
	sites[0].Old = audit.Answer{Status: 301, Location: "https://blog.example/"}
	sites[0].New.Title = "Notes from the harbour"
	sites[3].New = audit.Answer{Problem: "the host closed the connection"}
	sites[4].New.Certificate, sites[4].New.CertificateProblem = "web2", "signed by itself"
	sites[4].New.Expires = time.Date(2036, time.November, 28, 0, 0, 0, 0, time.UTC)
	sites[5].New.Status, sites[5].New.Title = 503, "503 Service Unavailable"
	sites[5].New.Expires = time.Date(2026, time.December, 9, 7, 0, 0, 0, time.UTC)
	sites[6].New.Title = "Status (web2)"
	sites[7].Old.Expires = time.Date(2026, time.November, 30, 7, 0, 0, 0, time.UTC)
	sites[7].Old.CertificateProblem = "it ended on 30 November 2026"
	sites[9].New.Title = "Apache2 Debian Default Page: It works"
	return sites
}

func sampleMailboxes() []audit.Mailbox {
	var boxes []audit.Mailbox
	for _, m := range []struct {
		user     string
		folders  int
		messages int64
	}{
		{"alice", 38, 61204}, {"bernd", 6, 812}, {"carla", 11, 9120}, {"eva", 9, 4417}, {"frank", 1, 0},
		{"gert", 14, 20011}, {"greta", 5, 301}, {"hanna", 22, 31870}, {"ines", 8, 2950}, {"info", 14, 8804},
		{"jan", 3, 77}, {"karl", 41, 11872}, {"lena", 7, 1544}, {"mia", 12, 6218}, {"nadia", 10, 5120},
		{"otto", 1, 3}, {"paul", 16, 14409}, {"ruth", 4, 918}, {"tom", 9, 2207}, {"ute", 2, 56},
	} {
		mails := audit.Mails{Folders: m.folders, Messages: m.messages}
		boxes = append(boxes, audit.Mailbox{User: m.user, Old: mails, New: mails})
	}
	boxes[0].New = audit.Mails{Folders: 37, Messages: 56894}
	boxes[6].New.Messages = 304
	boxes[11].New.Messages = 11860
	return boxes
}

func sampleEvents() []audit.Event {
	return []audit.Event{
		{Name: "Pass 3: homes and mail", Started: night(22, 4, 10), Finished: night(23, 31, 2)},
		{Name: "Login lock, and services of the old host stopped", Downtime: true, Started: night(0, 0, 4), Finished: night(0, 3, 49)},
		{Name: "Final pass", Started: night(0, 0, 40), Finished: night(0, 3, 12)},
		{Name: "Forwarding tunnel from the old host", Started: night(0, 3, 49), Finished: night(2, 40, 0)},
		{Name: "Restart of Postfix on the new host", Downtime: true, Started: night(1, 22, 30), Finished: night(1, 23, 4)},
		{Name: "Change of DNS", Started: night(1, 30, 0), Finished: night(1, 30, 0)},
	}
}

// user is the name of one of many.
func user(i int) string { return fmt.Sprintf("user%04d", i) }

// thousand is an audit of a thousand users with ten findings each. Every tenth home and
// mailbox differs.
func thousand() audit.Audit {
	a := sample()
	a.Findings, a.Homes, a.Mailboxes = nil, nil, nil
	for _, area := range a.Areas[:10] {
		for i := range 1000 {
			a.Findings = append(a.Findings, audit.Finding{
				Area: area.Name, Severity: audit.Severities[i/400], Subject: user(i), Old: "something", New: "something else",
				Text: "The new host has something else than the old one.", Mend: "Look at both, and decide which is right.",
			})
		}
	}
	for i := range 1000 {
		amount := audit.Amount{Files: int64(100 + i), Bytes: int64(i) << 20}
		h := audit.Home{User: user(i), OldPath: "/home/" + user(i), NewPath: "/home/" + user(i), Old: amount, New: amount, Brought: &amount}
		m := audit.Mailbox{User: user(i), Old: audit.Mails{Folders: 3, Messages: int64(i)}, New: audit.Mails{Folders: 3, Messages: int64(i)}}
		if i%10 == 9 {
			h.New.Files++
			m.New.Messages--
		}
		a.Homes, a.Mailboxes = append(a.Homes, h), append(a.Mailboxes, m)
	}
	return a
}
