//go:build linux

package attr

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The binary format of an ACL, of linux/posix_acl_xattr.h and linux/posix_acl.h:
// a version of four bytes, then entries of tag (2), permissions (2) and id (4),
// all little endian on every machine.
const (
	aclVersion = 2
	headerSize = 4
	entrySize  = 8

	tagUserObj  = 0x01 // the owner
	tagUser     = 0x02
	tagGroupObj = 0x04 // the owning group
	tagGroup    = 0x08
	tagMask     = 0x10
	tagOther    = 0x20

	noID = math.MaxUint32 // ACL_UNDEFINED_ID
)

type entry struct {
	tag, perm uint16
	id        uint32
	was       uint32 // the id before it was mapped
}

// named says whether the entry has an id of its own.
func (e entry) named() bool { return e.tag == tagUser || e.tag == tagGroup }

// parseACL accepts what the kernel does: the tags in ascending order, those of
// owner, owning group and other once each, a mask at most once and always where
// an entry has an id. Within a tag the kernel takes ids in any order, and twice.
func parseACL(value []byte) ([]entry, error) {
	if len(value) < headerSize || (len(value)-headerSize)%entrySize != 0 {
		return nil, fmt.Errorf("malformed ACL: %d bytes are no header with whole entries", len(value))
	}
	if len(value) > MaxValue {
		return nil, fmt.Errorf("malformed ACL: it has %d bytes, and %d are allowed", len(value), MaxValue)
	}
	if version := binary.LittleEndian.Uint32(value); version != aclVersion {
		return nil, fmt.Errorf("malformed ACL: version %d, and %d is known", version, aclVersion)
	}
	entries := make([]entry, 0, (len(value)-headerSize)/entrySize)
	var seen, last uint16
	for b := value[headerSize:]; len(b) > 0; b = b[entrySize:] {
		e := entry{
			tag:  binary.LittleEndian.Uint16(b),
			perm: binary.LittleEndian.Uint16(b[2:]),
			id:   binary.LittleEndian.Uint32(b[4:]),
		}
		switch e.tag {
		case tagUserObj, tagGroupObj, tagMask, tagOther:
			if seen&e.tag != 0 {
				return nil, fmt.Errorf("malformed ACL: tag %#x twice", e.tag)
			}
			e.id = noID // whatever stood there: the kernel does not look
		case tagUser, tagGroup:
			if e.id == noID {
				return nil, fmt.Errorf("malformed ACL: an entry of tag %#x has no id", e.tag)
			}
		default:
			return nil, fmt.Errorf("malformed ACL: tag %#x", e.tag)
		}
		if e.tag < last {
			return nil, fmt.Errorf("malformed ACL: tag %#x after tag %#x", e.tag, last)
		}
		if e.perm > 7 {
			return nil, fmt.Errorf("malformed ACL: permissions %#x", e.perm)
		}
		last = e.tag
		seen |= e.tag
		e.was = e.id
		entries = append(entries, e)
	}
	const always = tagUserObj | tagGroupObj | tagOther
	if seen&always != always {
		return nil, errors.New("malformed ACL: no entry of the owner, of the owning group or of the others")
	}
	if seen&(tagUser|tagGroup) != 0 && seen&tagMask == 0 {
		return nil, errors.New("malformed ACL: it names users or groups and has no mask")
	}
	return entries, nil
}

// MapACL returns the ACL with the ids that user and group give for those in it,
// sorted by tag and id. The kernel does not insist on sorted ids; it is so that
// the same ACL is the same bytes.
//
// Entries whose ids become one, with the same permissions, become one entry.
// With different ones there is no entry that means both, and it is an error. So
// is a malformed ACL, and whatever user or group refuse.
func MapACL(value []byte, user, group func(uint32) (uint32, error)) ([]byte, error) {
	entries, err := parseACL(value)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		if !e.named() {
			continue
		}
		mapped := user
		if e.tag == tagGroup {
			mapped = group
		}
		if e.id, err = mapped(e.was); err != nil {
			return nil, fmt.Errorf("ACL with %s: %w", e.name(e.was), err)
		}
		if e.id == noID {
			return nil, fmt.Errorf("ACL with %s: it becomes %d, which is no id", e.name(e.was), e.id)
		}
	}
	// Stable, because of two entries for one user the kernel takes the first.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.id, b.id))
	})
	mapped := binary.LittleEndian.AppendUint32(make([]byte, 0, len(value)), aclVersion)
	for i, e := range entries {
		if i > 0 && e.tag == entries[i-1].tag && e.id == entries[i-1].id {
			before := entries[i-1]
			if e.perm == before.perm {
				continue
			}
			if e.was != before.was {
				return nil, fmt.Errorf("ACL with %s and %d: both become %d, and their permissions differ", e.name(before.was), e.was, e.id)
			}
		}
		mapped = binary.LittleEndian.AppendUint16(mapped, e.tag)
		mapped = binary.LittleEndian.AppendUint16(mapped, e.perm)
		mapped = binary.LittleEndian.AppendUint32(mapped, e.id)
	}
	return mapped, nil
}

func (e entry) name(id uint32) string {
	if e.tag == tagGroup {
		return fmt.Sprintf("group %d", id)
	}
	return fmt.Sprintf("user %d", id)
}

// IDsInACL returns the ids that the ACL names, sorted and each once, for a
// caller to look up before MapACL. A malformed ACL is an error.
func IDsInACL(value []byte) (users, groups []uint32, err error) {
	entries, err := parseACL(value)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		switch e.tag {
		case tagUser:
			users = append(users, e.id)
		case tagGroup:
			groups = append(groups, e.id)
		}
	}
	slices.Sort(users)
	slices.Sort(groups)
	return slices.Compact(users), slices.Compact(groups), nil
}

// GroupMode returns the permissions that the ACL gives the owning group, as they
// are in a mode. In the mode of a file that has the ACL the mask is in their place:
// where the ACL is not kept, that would give the group more than it had.
func GroupMode(value []byte) (uint32, error) {
	entries, err := parseACL(value)
	if err != nil {
		return 0, err
	}
	permissions := uint32(7)
	for _, e := range entries {
		if e.tag == tagGroupObj || e.tag == tagMask {
			permissions &= uint32(e.perm)
		}
	}
	return permissions << 3, nil
}
