package mailqueue

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// What breaks off on the way leaves an archive that receive.sh refuses: one without END.
func TestConvertOfWhatBreaksOff(t *testing.T) {
	control := "V8\nT1\nSa@b\nRPFD:c@d\nH??Message-Id: <m@x>\n.\n"
	text := fmt.Sprintf("message sendmail.one 1.2.3\ncontrol %d\n%sbody 5\nhelloend\n", len(control), control)
	text += fmt.Sprintf("message sendmail.two 1.2.3\ncontrol %d\n%sbody 5\nworldend\n", len(control), control)
	batch := []listed{{kind: Sendmail, key: "sendmail.one", path: "/q/qfone"}, {kind: Sendmail, key: "sendmail.two", path: "/q/qftwo"}}
	var whole bytes.Buffer
	done, err := convert(bufio.NewReaderSize(strings.NewReader(text), 64<<10), &whole, batch)
	if err != nil || len(done.stamps) != 2 || done.stamps["sendmail.two"] != "1.2.3" {
		t.Fatalf("%+v, %v", done, err)
	}
	if names := namesIn(t, &whole); names != "sendmail.one.message sendmail.one.envelope sendmail.two.message sendmail.two.envelope END" {
		t.Errorf("the archive has %s", names)
	}
	for cut := range len(text) {
		var part bytes.Buffer
		if _, err := convert(bufio.NewReaderSize(strings.NewReader(text[:cut]), 64<<10), &part, batch); err == nil {
			t.Fatalf("nobody noticed that %d bytes are all that came of %d", cut, len(text))
		}
		if strings.Contains(namesIn(t, &part), "END") {
			t.Fatalf("after %d bytes of %d the archive has an end", cut, len(text))
		}
	}
	// Another message than was asked for is none of the batch.
	if _, err := convert(bufio.NewReaderSize(strings.NewReader(strings.ReplaceAll(text, "sendmail.two", "sendmail.six")), 64<<10), io.Discard, batch); err == nil {
		t.Error("a message came in the place of another, and was taken")
	}
}

func namesIn(t *testing.T, archive io.Reader) string {
	t.Helper()
	var names []string
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if err != nil { // it may have broken off
			return strings.Join(names, " ")
		}
		names = append(names, header.Name)
	}
}
