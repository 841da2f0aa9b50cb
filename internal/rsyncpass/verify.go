package rsyncpass

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed compare.sh
var compareText string

//go:embed verify.sh
var verifyText string

//go:embed verify.awk
var verifyAwkText string

// Verifications are the values of Pass.Verify.
//
// "changed" compares what the pass has given to rsync by what a listing says of
// it, for rsync itself checks the content that it transfers. "metadata" does so
// with the whole of both trees, and "checksum" compares the content of all files
// too.
var Verifications = []string{"none", "changed", "metadata", "checksum"}

func (p Pass) verify() string {
	if p.Verify == "" {
		return "changed"
	}
	return p.Verify
}

// coarse reports whether times arrive as whole seconds: nanoseconds came with
// rsync 3.1.0, and protocol 31 (its news, "NEWS for rsync 3.1.0").
func (s survey) coarse() bool {
	return min(s.old.rsync.protocol, s.new.rsync.protocol) < 31
}

// progress are the options by which rsync says how far it is: --info came with
// 3.1.0 (its news). The names come before what is said of them.
func (s survey) progress() string {
	if !s.new.rsync.atLeast(3, 1, 0) {
		return ""
	}
	return "--info=progress2 --out-format=%n"
}

// differing says what is not the same on both hosts.
func (w witness) differing(r report) error {
	var count int64
	var list []string
	for i, each := range r.paths {
		count += each.differing
		for _, one := range each.differs {
			if len(list) < maxDiffering {
				list = append(list, w.pass.Paths[i].target()+strings.TrimPrefix(one, "."))
			}
		}
	}
	if count == 0 {
		return nil
	}
	if more := count - int64(len(list)); more > 0 {
		list = append(list, fmt.Sprintf("(and %d more)", more))
	}
	return fmt.Errorf("the pass is done, but %d entries on host %q are not as they are on host %q. Something else writes there, or its disk is faulty. "+
		"When it is clear what: apply again, and they are copied anew. They are:\n  %s",
		count, w.to.Name(), w.from.Name(), strings.Join(list, "\n  "))
}

// maxDiffering bounds how many paths a message lists.
const maxDiffering = 50
