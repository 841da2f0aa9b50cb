package rsyncpass

import (
	"bufio"
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Stats are the figures of rsync's --stats, as rsync(1) explains them.
type Stats struct {
	Files       int64 // everything in the source: the sum of the next four and of devices
	Regular     int64
	Directories int64
	Links       int64
	Special     int64 // sockets, fifos and devices

	Created          int64 // entries that the target did not have
	Transferred      int64 // regular files sent, whole or in part
	TotalBytes       int64 // of all files in the source
	TransferredBytes int64 // of the files that were sent
	LiteralBytes     int64 // of them what the target did not have
	MatchedBytes     int64 // of them what the target had
	SentBytes        int64 // from the new host over the wire
	ReceivedBytes    int64 // by the new host over the wire

	Duration time.Duration // by the new host's clock, to the second
}

// Speedup is rsync's own figure: how much larger the tree is than what went
// over the wire for it; 0 where nothing did.
func (s Stats) Speedup() float64 {
	wire := s.SentBytes + s.ReceivedBytes
	if wire == 0 {
		return 0
	}
	return float64(s.TotalBytes) / float64(wire)
}

// Rate is bytes a second over the wire. What took less than a second counts as one.
func (s Stats) Rate() int64 {
	return int64(float64(s.SentBytes+s.ReceivedBytes) / max(s.Duration.Seconds(), 1))
}

func (s Stats) plus(o Stats) Stats {
	return Stats{
		Files: s.Files + o.Files, Regular: s.Regular + o.Regular, Directories: s.Directories + o.Directories,
		Links: s.Links + o.Links, Special: s.Special + o.Special,
		Created: s.Created + o.Created, Transferred: s.Transferred + o.Transferred,
		TotalBytes: s.TotalBytes + o.TotalBytes, TransferredBytes: s.TransferredBytes + o.TransferredBytes,
		LiteralBytes: s.LiteralBytes + o.LiteralBytes, MatchedBytes: s.MatchedBytes + o.MatchedBytes,
		SentBytes: s.SentBytes + o.SentBytes, ReceivedBytes: s.ReceivedBytes + o.ReceivedBytes,
		Duration: s.Duration + o.Duration,
	}
}

// kinds are the parts of "Number of files: 9 (reg: 4, dir: 2, link: 2, special: 1)".
var kinds = regexp.MustCompile(`(reg|dir|link|special|dev): ([0-9,.]+)`)

// parseRun reads what pull.sh printed: the times, and rsync's --stats of any
// version since 3.0 (before 3.1 without kinds and created files). A run that
// broke off has no figures, or no end.
func parseRun(stdout []byte) (stats Stats, started, finished time.Time) {
	lines := bufio.NewScanner(bytes.NewReader(stdout))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if at, ok := strings.CutPrefix(line, "cutover-started "); ok {
			started, _ = time.Parse(time.RFC3339, at)
			continue
		}
		if at, ok := strings.CutPrefix(line, "cutover-finished "); ok {
			finished, _ = time.Parse(time.RFC3339, at)
			continue
		}
		what, value, found := strings.Cut(line, ": ")
		if !found {
			continue
		}
		switch what {
		case "Number of files":
			stats.Files = number(value)
			for _, kind := range kinds.FindAllStringSubmatch(value, -1) {
				switch kind[1] {
				case "reg":
					stats.Regular = number(kind[2])
				case "dir":
					stats.Directories = number(kind[2])
				case "link":
					stats.Links = number(kind[2])
				default:
					stats.Special += number(kind[2])
				}
			}
		case "Number of created files":
			stats.Created = number(value)
		case "Number of regular files transferred", "Number of files transferred":
			stats.Transferred = number(value)
		case "Total file size":
			stats.TotalBytes = number(value)
		case "Total transferred file size":
			stats.TransferredBytes = number(value)
		case "Literal data":
			stats.LiteralBytes = number(value)
		case "Matched data":
			stats.MatchedBytes = number(value)
		case "Total bytes sent":
			stats.SentBytes = number(value)
		case "Total bytes received":
			stats.ReceivedBytes = number(value)
		}
	}
	if !started.IsZero() && finished.After(started) {
		stats.Duration = finished.Sub(started)
	}
	return stats, started, finished
}

// number reads the leading number, with or without marks between its groups.
func number(text string) int64 {
	digits := strings.Map(func(r rune) rune {
		if r == ',' || r == '.' {
			return -1
		}
		return r
	}, strings.SplitN(strings.TrimSpace(text), " ", 2)[0])
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
