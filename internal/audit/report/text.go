package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
)

// How many characters of a text the page shows.
const (
	nameLimit     = 160  // what something is called: a user, a site, a path
	valueLimit    = 400  // what a host has
	sentenceLimit = 1000 // what is said about it
)

// maxMarks is how many combining marks a character may carry. More of them would be drawn
// over the lines above and below.
const maxMarks = 4

// Two characters without a glyph that words of some scripts, and emoji, are spelt with.
const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'

// clean makes a text from a host readable in one line and at most limit characters long.
// What has no glyph is shown by its number: it could reverse the line, hide a part of it
// or look like nothing. Escaping is the template's.
func clean(s string, limit int) string {
	var b strings.Builder
	length, marks := 0, 0
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		shown := rest[:size]
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1:
			shown = fmt.Sprintf("[0x%02X]", rest[0])
		case unicode.IsSpace(r) && r != '\u00a0':
			shown = " "
		case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		case !unicode.IsGraphic(r) || marks > maxMarks:
			shown = fmt.Sprintf("[U+%04X]", r)
		}
		if length += utf8.RuneCountInString(shown); length > limit {
			return b.String() + fmt.Sprintf("… (%s characters)", number(int64(utf8.RuneCountInString(s))))
		}
		b.WriteString(shown)
		rest = rest[size:]
	}
	return b.String()
}

func name(s string) string     { return clean(s, nameLimit) }
func value(s string) string    { return clean(s, valueLimit) }
func sentence(s string) string { return clean(s, sentenceLimit) }

// number writes n with a comma between thousands.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "\u2212", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// counted is n with its noun, which takes an s where n is not one.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(int64(n)) + " " + noun + "s"
}

// joined is a list as a sentence has it.
func joined(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}

// change says by how much a number grew; "" where it did not.
func change(before, after int64, form func(int64) string) string {
	switch {
	case after > before:
		return "+" + form(after-before)
	case after < before:
		return "\u2212" + form(before-after)
	}
	return ""
}

// size keeps the unit with its number: no line ends between them.
func size(bytes int64) string { return strings.ReplaceAll(order.Size(bytes), " ", "\u00a0") }

// moment is a time for people and, in Stamp, for programs. Both are "" where the time is
// not known.
type moment struct{ Text, Stamp string }

func at(t time.Time, layout string) moment {
	if t.IsZero() {
		return moment{}
	}
	return moment{Text: t.UTC().Format(layout), Stamp: t.UTC().Format(time.RFC3339)}
}

// duration writes d with its two largest units. d is not negative.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	// Rounding comes first, so that 59.9 s is a minute and no 60 s.
	switch d = d.Round(time.Second); {
	case d >= day:
		d = d.Round(time.Hour)
	case d >= time.Hour:
		d = d.Round(time.Minute)
	}
	units := []struct {
		of   time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	var parts []string
	for _, unit := range units {
		if n := d / unit.of; n > 0 {
			parts = append(parts, number(int64(n))+" "+unit.name)
		}
		d %= unit.of
	}
	return strings.Join(parts, " ")
}
