//go:build linux

package main

import (
	"maps"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/order"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

func TestAmountsOfABase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1.base")
	base, err := tree.OpenBase(file, "boot")
	if err != nil {
		t.Fatal(err)
	}
	for path, sizes := range map[string][]int64{"": {1}, "anna": {10, 20}, "anna/mail/cur": {300}, "annabel": {4000}, "bert": nil} {
		d := tree.Brought{Path: path, Source: tree.Stat{Mode: unix.S_IFDIR}}
		for i, size := range sizes {
			d.Add([]byte{'a' + byte(i)}, tree.Known{Source: tree.Stat{Mode: unix.S_IFREG, Size: size, Ino: uint64(i)}})
		}
		d.Add([]byte("link"), tree.Known{Source: tree.Stat{Mode: unix.S_IFLNK, Size: 7}})
		d.Add([]byte("sub"), tree.Known{Source: tree.Stat{Mode: unix.S_IFDIR, Size: 4096}})
		d.Sort()
		if err := base.Put(&d); err != nil {
			t.Fatal(err)
		}
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	if base, err = tree.ReadBase(file, "boot"); err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	got, err := amountsOf(base, "/home", []string{"/home/anna/", "/home/bert", "/home/carl", "/srv", "/home"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]order.Amount{"/home/anna": {Files: 5, Bytes: 330}, "/home/bert": {Files: 1}, "/home": {Files: 10, Bytes: 4331}}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
