package mailqueue

import (
	"slices"
	"strings"
	"testing"
)

func TestParsePostcatNamesThoseWhoHaveNotGotIt(t *testing.T) {
	e, err := parsePostcat([]byte(printed(t, "postcat.txt")))
	if err != nil {
		t.Fatal(err)
	}
	// anna has got it already, and is named there as done.
	if want := []string{"far@example.com", `"other user"@example.net`}; e.sender != "anna@example.test" || !slices.Equal(e.recipients, want) {
		t.Errorf("from %s to %q", e.sender, e.recipients)
	}
	for text, says := range map[string]string{
		"sender: a@b\nrecipient: c@d\n":              "did not read it to its end",
		"recipient: c@d\n*** MESSAGE FILE END f ***": "names no sender",
	} {
		if _, err := parsePostcat([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseSendmail(t *testing.T) {
	e, err := parseSendmail([]byte("V8\nT1796090828\nFrs\nSMAILER-DAEMON\nC:anna\nrRFC822; x\nRPFD:<anna@example.test>\nRPF:bob\nH?P?Return-Path: <\x81g>\n" +
		"H??Received: from a\n\tby b\nH?x?Full-Name: A\nH?${x}?X-Macro: m\nH?D?Date: d\nH?F?From: f\nH?M?Message-Id: <m@x>\nHX-Plain: p\nH??Resent-Bcc: h\n.\n"))
	if err != nil {
		t.Fatal(err)
	}
	const header = "Received: from a\n\tby b\nX-Macro: m\nDate: d\nFrom: f\nMessage-Id: <m@x>\nX-Plain: p\n"
	if e.sender != "" || !slices.Equal(e.recipients, []string{"anna@example.test", "bob"}) || string(e.header) != header {
		t.Errorf("from %q to %q:\n%s", e.sender, e.recipients, e.header)
	}
	// Before version 1 recipients had no flags.
	old, err := parseSendmail([]byte("P17\nT515961566\nDdfAA00186\nSdavid\nRcarolyn\nHreceived: by lab\nHsubject: old\n.\n"))
	if err != nil || !slices.Equal(old.recipients, []string{"carolyn"}) || string(old.header) != "received: by lab\nsubject: old\n" {
		t.Errorf("%+v, %v", old, err)
	}
	for text, says := range map[string]string{
		"V8\nT1\nSa\nRPFD:b\n": "ends in the middle",
		"V8\nT1\nRPFD:b\n.\n":  "names no sender",
		"V8\nTx\nSa\n.\n":      "no time",
	} {
		if _, err := parseSendmail([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseExim(t *testing.T) {
	const start = "1abcde-000000-00-H\nroot 0 0\n<anna@example.test>\n1796090828 0\n"
	const header = "013  Subject: one\n014* Bcc: x@y.test\n018I Message-Id: <m@x>\n"
	// A variable of an ACL that looks like other lines, and recipients with what may follow them.
	e, err := parseExim([]byte(start+"-aclm 0 11\nXX\n1\n-froze\n--aclc _x 2\n7\n\n-local\nYN has@example.com\nNN other@EXAMPLE.com\n5\nhas@example.com\nother@example.com\n"+
		"plain@example.com errors@x 8,-1#1\n\"a b\"@example.com rfc822;x 22,12  0,-1#3\njournal@example.com\n\n"+header), []string{"journal@example.com", ""})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"plain@example.com", `"a b"@example.com`}; !slices.Equal(e.recipients, want) || e.frozen {
		t.Errorf("to %q, frozen: %v", e.recipients, e.frozen)
	}
	if want := "Subject: one\nMessage-Id: <m@x>\n"; string(e.header) != want {
		t.Errorf("header %q, want %q", e.header, want)
	}
	for text, says := range map[string]string{
		start:                                 "does not say how many",
		start[:30]:                            "ends in the middle",
		"a\nb\nc\nd\n":                        "not those of a message",
		start + "QQ x\n1\na\n\n":              "is not understood",
		start + "XX\n2\na@b\n\n":              "ends in the middle",
		start + "XX\n1\na@b\n\n099  Subject:": "ends in the middle",
		start + "XX\n1\na@b\n\nSubject: x\n":  "not understood",
	} {
		if _, err := parseExim([]byte(text), nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
	}
}

func TestEnvelopesThatCannotBeMoved(t *testing.T) {
	for _, e := range []envelope{
		{sender: "a@b"},
		{sender: "a@b\n-x", recipients: []string{"c@d"}},
		{sender: "a@b", recipients: []string{"c@d", "e\r@f"}},
		{sender: "a@b", recipients: []string{"|/bin/sh"}},
		{sender: "a@b", recipients: []string{`"|/bin/sh"@x`}},
		{sender: "a@b", recipients: []string{"/home/anna/mbox"}},
		{sender: "a@b", recipients: []string{":include:/etc/list"}},
		{sender: "a@b", recipients: []string{""}},
	} {
		if e.check() == nil {
			t.Errorf("from %q to %q can be moved", e.sender, e.recipients)
		}
	}
	if err := (envelope{recipients: []string{"a/b@example.com", "-x@example.com", `"a b"@example.com`, "ä@example.com"}}).check(); err != nil {
		t.Error(err)
	}
}

func TestQuoted(t *testing.T) {
	for address, want := range map[string]string{
		"anna@example.com":     "anna@example.com",
		"o'brien@example.com":  "o'brien@example.com",
		"a b@example.com":      `"a b"@example.com`,
		`a"\b@example.com`:     `"a\"\\b"@example.com`,
		"a@b@example.com":      `"a@b"@example.com`,
		"a..b@example.com":     `"a..b"@example.com`,
		"änna@exämple.com":     "änna@exämple.com",
		"root":                 "root",
		"":                     "",
		"two words":            `"two words"`,
		"comma,x@example.com":  `"comma,x"@example.com`,
		"(comment)@example.co": `"(comment)"@example.co`,
	} {
		if got := quoted(address); got != want {
			t.Errorf("%s becomes %s, want %s", address, got, want)
		}
	}
}

func TestMessageID(t *testing.T) {
	for header, want := range map[string]string{
		"Subject: x\nMessage-ID: <a@b>\n\nMessage-ID: <body@b>\n": "<a@b>",
		"message-id:\n\t<folded@b>\n":                             "<folded@b>",
		"Subject: x\n\nMessage-ID: <body@b>\n":                    "",
		"Message-ID: two words\n":                                 "",
		"X: a\n Message-ID: <continued@b>\n":                      "",
		"":                                                        "",
	} {
		if got := messageID(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
