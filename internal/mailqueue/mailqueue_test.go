package mailqueue

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/host/hosttest"
)

// printed is a file of testdata: what read.sh, or a mail server's own program, printed
// on Debian 11 (Sendmail 8.15) and Debian 12 (Postfix 3.7, Exim 4.96).
func printed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readPrinted(t *testing.T, text string) Queue {
	t.Helper()
	h := hosttest.New(t)
	h.Expect("mailqueue/read.sh 100 /etc/mail").Prints(text)
	queue, err := Read(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return queue
}

// brief is a message in a line, for comparison.
func brief(m Message) string {
	return fmt.Sprintf("%s %s %s %d <%s> %s %q", m.MTA, m.ID, m.State, m.Bytes, m.Sender, strings.Join(m.Recipients, ","), m.Reason)
}

func TestReadTellsWhatIsQueued(t *testing.T) {
	const refused = `"connect to 127.0.0.1[127.0.0.1]:2: Connection refused"`
	postfix := []string{
		`postfix 8113D9D8963 deferred 293 <anna@example.test> far@example.com,"other user"@example.net ` + refused,
		`postfix 6114C9D8965 deferred 277 <> far@example.com ` + refused,
		`postfix 7D5FC9D8935 hold 237 <anna@example.test> far@example.com,"other user"@example.net ` + refused,
	}
	for name, c := range map[string]struct {
		want    []string
		byState string
		bytes   int64
		oldest  int64
		odd     []string
	}{
		"sendmail.txt": {[]string{
			`sendmail 6B1278SL000010 deferred 1172 <> anna@example.test ""`, // a bounce, whose sender's line is MAILER-DAEMON
			`sendmail 6B1278af000014 deferred 5 <anna@example.test> far@example.com "Deferred: Connection refused by [127.0.0.1]"`,
			`sendmail 6B1278JJ000012 incoming 17 <> far@example.com ""`,
			`sendmail 6B1278SK000010 incoming 22 <anna@example.test> root,far@example.com,user@example.net "User unknown"`,
			`sendmail 6B12CYDO000007 quarantined 2 <anna@example.test> far@example.com "spam"`,
		}, "map[deferred:2 incoming:2 quarantined:1]", 1218, 1796090828, []string{"sendmail: /var/spool/mqueue/qfBROKEN"}},
		"postfix.txt":      {postfix, "map[deferred:2 hold:1]", 807, 1796090828, nil},
		"postfix-list.txt": {postfix, "map[deferred:2 hold:1]", 807, 1796090828, nil},
		"exim.txt": {[]string{
			`exim 1xYDMA-00000b-10 deferred 41 <anna@example.test> far@example.com,"other user"@example.net ` +
				`"2026-12-01 02:12:34 far@example.com R=dnslookup defer (-1): host lookup did not complete"`,
			`exim 1xYDMA-00000k-15 incoming 37 <> far@example.com ""`,
			`exim 1xYDMA-00000m-17 frozen 21 <bob@example.test> far@example.com ""`,
			`exim 1xYDML-000008-2C incoming 21 <anna@example.test> far@example.com ""`,
		}, "map[deferred:1 frozen:1 incoming:2]", 120, 1796091154, nil},
	} {
		t.Run(name, func(t *testing.T) {
			queue := readPrinted(t, printed(t, name))
			var got []string
			for _, m := range queue.Messages {
				got = append(got, brief(m))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if byState := fmt.Sprint(queue.ByState); byState != c.byState || queue.Bytes != c.bytes || queue.Oldest.Unix() != c.oldest {
				t.Errorf("%s, %d bytes, oldest %d", byState, queue.Bytes, queue.Oldest.Unix())
			}
			if !slices.Equal(queue.NotUnderstood, c.odd) {
				t.Errorf("not understood: %q", queue.NotUnderstood)
			}
		})
	}
}

func TestReadKeepsTheOldestOfManyMessages(t *testing.T) {
	var text strings.Builder
	text.WriteString("now 1796091012 +0100\nmta postfix\n")
	many := strings.Repeat(`{"address":"a@example.com","delay_reason":"`+strings.Repeat("why ", 500)+`"},`, 70)
	for i := range 5000 {
		arrival := 1796000000 + (i*7919)%5000 // in no order
		recipients := `{"address":"far@example.com"}`
		if arrival == 1796000000 {
			recipients = many[:len(many)-1]
		}
		fmt.Fprintf(&text, `json {"queue_name":"deferred","queue_id":"ID%d","arrival_time":%d,"message_size":10,"sender":"s","recipients":[%s]}`+"\n", arrival, arrival, recipients)
	}
	text.WriteString("json {\"queue_name\": broken\nfailed postqueue: fatal: no such queue\n")
	queue := readPrinted(t, text.String())
	if queue.Count != 5000 || queue.Bytes != 50000 || len(queue.Messages) != MaxMessages {
		t.Fatalf("%d messages of %d bytes, %d kept", queue.Count, queue.Bytes, len(queue.Messages))
	}
	for i, m := range queue.Messages {
		if want := fmt.Sprint("ID", 1796000000+i); m.ID != want {
			t.Fatalf("message %d is %s, want %s", i, m.ID, want)
		}
	}
	first := queue.Messages[0]
	if first.RecipientCount != 70 || len(first.Recipients) != MaxRecipients || len(first.Reason) > maxReason+len("…") {
		t.Errorf("%d recipients, %d kept, a reason of %d bytes", first.RecipientCount, len(first.Recipients), len(first.Reason))
	}
	want := []string{`postfix: a message of which postqueue says {"queue_name": broken`, "postfix: its queue could not be read: postqueue: fatal: no such queue"}
	if !slices.Equal(queue.NotUnderstood, want) {
		t.Errorf("not understood: %q", queue.NotUnderstood)
	}
}

func TestReadOfAHostThatCannotBeAsked(t *testing.T) {
	h := hosttest.New(t)
	lost := errors.New("the connection was lost")
	h.Expect("mailqueue/read.sh 100 /etc/mail").Fails(lost)
	if _, err := Read(t.Context(), h); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
	h.Expect("mailqueue/read.sh 100 /etc/mail")
	if _, err := Read(t.Context(), h); err == nil {
		t.Error("an answer without a word was taken for an empty queue")
	}
}

// The list of an old Postfix has no years.
func TestMomentWithoutAYear(t *testing.T) {
	zone := time.FixedZone("", 3600)
	l := postqueueList{now: time.Date(2027, 1, 2, 12, 0, 0, 0, zone)}
	for text, want := range map[string]string{
		"Dec 31 23:59:00": "2026-12-31T22:59:00Z",
		"Jan  2 00:30:00": "2027-01-01T23:30:00Z",
		"Jan  2 12:05:00": "2027-01-02T11:05:00Z",
	} {
		if got := l.moment(text).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
