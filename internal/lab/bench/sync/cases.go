package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-dev/terraform-provider-cutover/internal/lab/bench"
)

// number is n of the full size, at that scale, and not less than least.
func number(n, scale float64, least int) int { return max(least, int(math.Round(n*scale))) }

// small copies 200,000 mails as a first pass, and then those that have changed.
func (b *comparison) small(ctx context.Context, scale float64) error {
	const source = "/srv/small"
	users, mails := number(200, scale, 4), 1000
	bench.Step("making %d mails", users*mails)
	if err := b.make(ctx, "mail", source, strconv.Itoa(users), strconv.Itoa(mails), "9000"); err != nil {
		return err
	}
	first := b.begin(fmt.Sprintf("first pass of %s small files", thousands(users*mails)), map[string]float64{nameOriginal: 2, nameTar: 1})
	warm := b.begin(fmt.Sprintf("warm pass of %s files, %d changes", thousands(users*mails), changes), nil)
	for run := range b.runs {
		subjects := turn(b.all, run)
		for _, s := range subjects {
			if err := b.measure(ctx, first, s, source, targetOf(s, source, run), false); err != nil {
				return err
			}
		}
		if err := b.change(ctx, "change", source, strconv.Itoa(changes), strconv.Itoa(run)); err != nil {
			return err
		}
		for _, s := range subjects {
			if s.again() {
				if err := b.measure(ctx, warm, s, source, targetOf(s, source, run), false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// line copies mails over a line of 100 Mbit/s, as between two data centres.
func (b *comparison) line(ctx context.Context, scale float64) (err error) {
	const source = "/srv/line"
	users, mails := number(20, scale, 1), 1000
	bench.Step("making %d mails", users*mails)
	if err := b.make(ctx, "mail", source, strconv.Itoa(users), strconv.Itoa(mails), "9000"); err != nil {
		return err
	}
	// What is sent alone: all the content comes from the old host.
	if _, err := b.from.Run(ctx, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "100mbit", "burst", "64kb", "latency", "50ms"); err != nil {
		return err
	}
	defer func() {
		_, removed := b.from.Run(ctx, "tc", "qdisc", "del", "dev", "eth0", "root")
		err = errors.Join(err, removed)
	}()
	o := b.begin(fmt.Sprintf("first pass of %s small files over 100 Mbit/s", thousands(users*mails)), map[string]float64{nameOriginal: 1, nameTar: 1})
	for run := range b.runs {
		for _, s := range turn(b.all, run) {
			if err := b.measure(ctx, o, s, source, targetOf(s, source, run), false); err != nil {
				return err
			}
		}
	}
	return nil
}

// large copies ten files of 500 MB as a first pass.
func (b *comparison) large(ctx context.Context, scale float64) error {
	const source, files = "/srv/large", 10
	size := number(500e6, scale, 1e6)
	bench.Step("making %d files of %d MB", files, size/1e6)
	if err := b.make(ctx, "large", source, strconv.Itoa(files), strconv.Itoa(size)); err != nil {
		return err
	}
	o := b.begin(fmt.Sprintf("first pass of %d files of %d MB", files, size/1e6), map[string]float64{nameOriginal: 1, nameArchive: 1, nameTar: 1})
	for run := range b.runs {
		for _, s := range turn(b.all, run) {
			target := targetOf(s, source, run)
			if err := b.measure(ctx, o, s, source, target, false); err != nil {
				return err
			}
			// These are few files, and large ones: here it is room that counts.
			if err := errors.Join(s.forget(ctx, target), b.remove(ctx, b.to, target)); err != nil {
				return err
			}
		}
	}
	return b.remove(ctx, b.from, source)
}

// ofFind is how many times as fast as find a pass has to be at least: it may take 1.3
// times as long.
const ofFind = 1 / 1.3

// final copies what has changed in a million small files.
func (b *comparison) final(ctx context.Context, scale float64) error {
	const source = "/srv/final"
	users, mails := number(200, scale, 4), 5000
	bench.Step("making %d mails", users*mails)
	if err := b.make(ctx, "mail", source, strconv.Itoa(users), strconv.Itoa(mails), "735"); err != nil {
		return err
	}
	return b.changed(ctx, source, "change", fmt.Sprintf("%s files", thousands(users*mails)))
}

// folder copies what has changed in one directory of a million files.
func (b *comparison) folder(ctx context.Context, scale float64) error {
	const source = "/srv/folder"
	files := number(1e6, scale, 20000)
	bench.Step("making one directory of %d files", files)
	if err := b.make(ctx, "folder", source, strconv.Itoa(files), "735"); err != nil {
		return err
	}
	return b.changed(ctx, source, "change-folder", fmt.Sprintf("%s files in one directory", thousands(files)))
}

// firstPasses measures a first pass of each subject that can bring changes, and returns
// them. Once is enough here: it is only what the next case starts from.
func (b *comparison) firstPasses(ctx context.Context, o *outcome, source string) ([]subject, error) {
	var subjects []subject
	for _, s := range b.all {
		if !s.again() {
			continue
		}
		if err := b.measure(ctx, o, s, source, targetOf(s, source, 0), false); err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}

// changed measures passes that bring changes of a large tree, beside the floor: nothing
// that looks at every file can be faster than find.
func (b *comparison) changed(ctx context.Context, source, change, what string) error {
	first := b.begin("first pass of "+what+", 735 bytes each", nil)
	o := b.begin(fmt.Sprintf("final pass of %s, %d changes", what, changes), map[string]float64{nameOriginal: 2.5, nameArchive: 4.5, nameFind: ofFind})
	subjects, err := b.firstPasses(ctx, first, source)
	if err != nil {
		return err
	}
	for run := range b.runs {
		if _, err := b.from.Run(ctx, "sh", "-c", `sleep 1; touch /root/bench.stamp`); err != nil {
			return err
		}
		if err := b.change(ctx, change, source, strconv.Itoa(changes), strconv.Itoa(run)); err != nil {
			return err
		}
		for range 2 { // the first one warms up
			began := time.Now()
			if _, err := b.from.Run(ctx, "sh", "-c", `find "$1" -cnewer /root/bench.stamp >/root/bench.out`, "sh", source); err != nil {
				return err
			}
			if took := time.Since(began); len(o.took[nameFind]) == run {
				o.took[nameFind] = append(o.took[nameFind], took)
			} else {
				o.took[nameFind][run] = took
			}
		}
		for _, s := range turn(subjects, run) {
			if err := b.measure(ctx, o, s, source, targetOf(s, source, 0), true); err != nil {
				return err
			}
		}
	}
	return nil
}

// appended is how many bytes come to the spool between two passes.
const appended = 10_000

// spool copies what was appended to a large file.
func (b *comparison) spool(ctx context.Context, scale float64) error {
	const source = "/srv/spool"
	size := number(2e9, scale, 2e6)
	bench.Step("making a spool of %d MB", size/1e6)
	if err := b.make(ctx, "large", source, "1", strconv.Itoa(size)); err != nil {
		return err
	}
	first := b.begin(fmt.Sprintf("first pass of a spool of %d MB", size/1e6), nil)
	o := b.begin(fmt.Sprintf("spool of %d MB, %d bytes appended", size/1e6, appended), nil)
	o.atMost = int64(size / 100)
	subjects, err := b.firstPasses(ctx, first, source)
	if err != nil {
		return err
	}
	for run := range b.runs {
		if err := b.change(ctx, "append", source, strconv.Itoa(appended)); err != nil {
			return err
		}
		for _, s := range turn(subjects, run) {
			if err := b.measure(ctx, o, s, source, targetOf(s, source, 0), false); err != nil {
				return err
			}
		}
	}
	return nil
}

// thousands is a number with marks between its groups.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, groups...), ",")
}
