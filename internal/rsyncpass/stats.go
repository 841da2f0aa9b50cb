package rsyncpass

import (
	"strconv"
	"strings"
	"time"
)

// Stats are the figures of a path: what the source holds, by its listing, and the
// sums of rsync's --stats, as rsync(1) explains them.
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
	Deleted          int64 // entries taken away on the new host, directories aside
	DeletedBytes     int64

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
		Deleted: s.Deleted + o.Deleted, DeletedBytes: s.DeletedBytes + o.DeletedBytes,
		SentBytes: s.SentBytes + o.SentBytes, ReceivedBytes: s.ReceivedBytes + o.ReceivedBytes,
		Duration: s.Duration + o.Duration,
	}
}

// add counts a line of rsync's --stats, of any version since 3.0, in. Of the
// files in the source it counts none: rsync is shown only a part of them.
func (s *Stats) add(line string) {
	what, value, found := strings.Cut(line, ": ")
	if !found {
		return
	}
	switch what {
	case "Number of created files":
		s.Created += number(value)
	case "Number of regular files transferred", "Number of files transferred":
		s.Transferred += number(value)
	case "Total transferred file size":
		s.TransferredBytes += number(value)
	case "Literal data":
		s.LiteralBytes += number(value)
	case "Matched data":
		s.MatchedBytes += number(value)
	case "Total bytes sent":
		s.SentBytes += number(value)
	case "Total bytes received":
		s.ReceivedBytes += number(value)
	}
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
