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
	if err := b.tree(ctx, "mail", source, strconv.Itoa(users), strconv.Itoa(mails), "9000"); err != nil {
		return err
	}
	first := b.begin(fmt.Sprintf("first pass of %s small files", thousands(users*mails)), map[string]float64{nameOriginal: 2})
	warm := b.begin(fmt.Sprintf("warm pass of %s files, %d changes", thousands(users*mails), changes), nil)
	for run := range b.runs {
		subjects := turn(b.all, run)
		for _, s := range subjects {
			if err := b.measure(ctx, first, s, source, targetOf(s, source, run), false); err != nil {
				return err
			}
		}
		if err := b.tree(ctx, "change", source, strconv.Itoa(changes), strconv.Itoa(run)); err != nil {
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

// large copies ten files of 500 MB as a first pass.
func (b *comparison) large(ctx context.Context, scale float64) error {
	const source, files = "/srv/large", 10
	size := number(500e6, scale, 1e6)
	bench.Step("making %d files of %d MB", files, size/1e6)
	if err := b.tree(ctx, "large", source, strconv.Itoa(files), strconv.Itoa(size)); err != nil {
		return err
	}
	o := b.begin(fmt.Sprintf("first pass of %d files of %d MB", files, size/1e6), map[string]float64{nameOriginal: 2})
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

// final copies what has changed in a million small files.
func (b *comparison) final(ctx context.Context, scale float64) error {
	const source = "/srv/final"
	users, mails := number(200, scale, 4), 5000
	bench.Step("making %d mails", users*mails)
	if err := b.tree(ctx, "mail", source, strconv.Itoa(users), strconv.Itoa(mails), "735"); err != nil {
		return err
	}
	first := b.begin(fmt.Sprintf("first pass of %s files of 735 bytes", thousands(users*mails)), nil)
	o := b.begin(fmt.Sprintf("final pass of %s files, %d changes", thousands(users*mails), changes),
		map[string]float64{nameOriginal: 2.5, nameArchive: 4.5})
	var subjects []subject
	for _, s := range b.all {
		if !s.again() {
			continue
		}
		// Once is enough here: it is only what the next case starts from.
		if err := b.measure(ctx, first, s, source, targetOf(s, source, 0), false); err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	for run := range b.runs {
		if _, err := b.from.Run(ctx, "sh", "-c", `sleep 1; touch /root/bench.stamp`); err != nil {
			return err
		}
		if err := b.tree(ctx, "change", source, strconv.Itoa(changes), strconv.Itoa(run)); err != nil {
			return err
		}
		// The floor: nothing that looks at every file can be faster.
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
