package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// verdict is what clients went through, and what became of what they wrote.
type verdict struct {
	outcomes map[string]int // of all requests, by outcome
	errors   []string       // those that are of no outcome's sort, and what put clients off
	longest  time.Duration  // wait for an answer, of all who got one
	gaps     map[int]time.Duration
	handover time.Time // first answer of the new host
	lost     []string  // acknowledged, and not on the new host
	doubled  []string  // there more than once
	acked    int
	where    map[string]int // of the lost ones: "queue", "mailbox" or "upload" of the old host, or "nowhere"
	refusals map[int]*span  // when connections were refused, by port
}

// span is from when to when something came, and how often.
type span struct {
	n           int
	first, last time.Time
}

// judge waits until all mail is delivered, and looks for what the load wrote.
func (h *hosts) judge(ctx context.Context, l *load, all []request) (verdict, error) {
	v := verdict{outcomes: map[string]int{}, gaps: map[int]time.Duration{}, refusals: map[int]*span{}, where: map[string]int{}}
	if err := h.delivered(ctx); err != nil {
		return v, err
	}
	there, err := h.find(ctx, h.fresh, l.began)
	if err != nil {
		return v, err
	}
	left, err := h.find(ctx, h.old, l.began)
	if err != nil {
		return v, err
	}
	last, first := map[int]time.Time{}, map[int]time.Time{}
	put := map[string]int{}
	for _, r := range all {
		v.outcomes[r.outcome]++
		if r.outcome == refused {
			if v.refusals[r.port] == nil {
				v.refusals[r.port] = &span{first: r.began}
			}
			s := v.refusals[r.port]
			s.n, s.last = s.n+1, r.ended
		}
		if r.outcome != served {
			if r.err != nil && r.outcome != refused && r.outcome != reset && r.outcome != timedOut {
				put[r.sort+": "+r.err.Error()]++
			}
			continue
		}
		v.longest = max(v.longest, r.ended.Sub(r.began))
		switch {
		case r.by == "old" && r.ended.After(last[r.port]):
			last[r.port] = r.ended
		case r.by == "new" && (first[r.port].IsZero() || r.ended.Before(first[r.port])):
			first[r.port] = r.ended
		}
		if r.id == "" {
			continue
		}
		v.acked++
		switch n := there.copies(r); {
		case n == 0:
			v.lost = append(v.lost, r.id)
			v.where[left.place(r.id)]++
		case n > 1:
			v.doubled = append(v.doubled, r.id)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(put)) {
		v.errors = append(v.errors, fmt.Sprintf("%d times %s", put[what], what))
	}
	for _, port := range relayed {
		if last[port].IsZero() || first[port].IsZero() {
			return v, fmt.Errorf("port %d was not answered by both hosts, one after the other", port)
		}
		v.gaps[port] = first[port].Sub(last[port])
		if v.handover.IsZero() || first[port].Before(v.handover) {
			v.handover = first[port]
		}
	}
	return v, nil
}

// copies is how often the host has what a request wrote, whole.
func (f found) copies(r request) int {
	if r.sort != "dav" {
		return f.mails[r.id] + f.queued[r.id]
	}
	sum := sha256.Sum256([]byte(upload(r.id)))
	if f.files[r.id] == hex.EncodeToString(sum[:]) {
		return 1
	}
	return 0
}

func (f found) place(id string) string {
	switch {
	case f.queued[id] > 0:
		return "queue"
	case f.mails[id] > 0:
		return "mailbox"
	case f.files[id] != "":
		return "upload"
	}
	return "nowhere"
}

// longestGap is the longest time without service at a port.
func (v verdict) longestGap() time.Duration {
	var longest time.Duration
	for _, gap := range v.gaps {
		longest = max(longest, gap)
	}
	return longest
}

func (v verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d served", v.outcomes[served])
	for _, outcome := range slices.Sorted(maps.Keys(v.outcomes)) {
		if outcome != served {
			fmt.Fprintf(&b, ", %d %s", v.outcomes[outcome], outcome)
		}
	}
	fmt.Fprintf(&b, "; longest wait %.1f s; without service", v.longest.Seconds())
	for _, port := range relayed {
		fmt.Fprintf(&b, " %d: %.1f s", port, v.gaps[port].Seconds())
	}
	fmt.Fprintf(&b, "; of %d acknowledged %d lost, %d doubled", v.acked, len(v.lost), len(v.doubled))
	for _, place := range slices.Sorted(maps.Keys(v.where)) {
		fmt.Fprintf(&b, "; %d of the lost are in the old host's %s", v.where[place], place)
	}
	for _, port := range slices.Sorted(maps.Keys(v.refusals)) {
		const clock = "15:04:05.000"
		s := v.refusals[port]
		fmt.Fprintf(&b, "; port %d refused %d times from %s to %s UTC", port, s.n, s.first.UTC().Format(clock), s.last.UTC().Format(clock))
	}
	for i, err := range v.errors {
		if i == 5 {
			fmt.Fprintf(&b, "; and others")
			break
		}
		fmt.Fprintf(&b, "; %s", err)
	}
	return b.String()
}
