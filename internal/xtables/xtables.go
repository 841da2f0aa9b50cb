// Package xtables is what scripts that put chains into iptables and ip6tables
// have in common.
//
// It may import nothing of the project; domains may import it.
package xtables

import _ "embed"

// Unmake is the shell function "unmake TOOL TABLE", which goes before a script
// that takes chains away: a table that iptables, with nftables below it, has
// made for them alone goes too.
//
//go:embed unmake.sh
var Unmake string
