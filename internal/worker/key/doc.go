//go:build linux

// Package key makes the key of one pass, lets it in on the old host, and keeps it
// out again. It runs as root on that host, and its files lie in directories of the
// login's user, who may put a link or another file in their place at any moment:
// so it opens a directory once, component by component and without following a
// link, and does everything else relative to it.
//
// What it has made is on record in pass-CHAIN below [Keeper.Base], from before it
// is made until after it is gone. So whoever comes after a kill finds it.
package key
