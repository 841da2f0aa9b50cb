//go:build linux

package attr

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The names of POSIX ACLs; acl(5). A folder alone has a default ACL.
const (
	ACLAccess  = "system.posix_acl_access"
	ACLDefault = "system.posix_acl_default"
)

// What one file may carry. A name and a value have the kernel's limits, of
// linux/limits.h. The rest is ours, lest a user makes the worker hold gigabytes
// for one file: XFS takes thousands of attributes of 64 KiB.
const (
	MaxAttrs = 1000
	MaxName  = 255
	MaxValue = 64 << 10
	MaxSize  = 4 << 20 // of all names and values together
)

// maxList is the length of the longest list of names, XATTR_LIST_MAX.
const maxList = 64 << 10

// Attr is one extended attribute. The name has its namespace ("user.comment")
// and may have any byte but NUL, so it is quoted before it is shown.
type Attr struct {
	Name  string
	Value []byte
}

// IsACL says whether the value is an ACL, for [MapACL] and [IDsInACL].
func (a Attr) IsACL() bool {
	return a.Name == ACLAccess || a.Name == ACLDefault
}

// Equal says whether two files carry the same, both sorted as Read does.
func Equal(a, b []Attr) bool {
	return slices.EqualFunc(a, b, func(a, b Attr) bool {
		return a.Name == b.Name && bytes.Equal(a.Value, b.Value)
	})
}

type kind int

const (
	copied   kind = iota
	hostsOwn      // not copied, and nobody misses it
	unknown       // not copied, and Read names it
)

func kindOf(name string) kind {
	namespace, rest, _ := strings.Cut(name, ".")
	if rest == "" {
		return unknown
	}
	switch namespace {
	case "user":
		return copied
	case "trusted":
		// XFS lists an ACL under these names as well, and takes them: to copy
		// them would undo the mapping of ids.
		if strings.HasPrefix(rest, "SGI_ACL_") {
			return hostsOwn
		}
		return copied
	case "security":
		switch rest {
		case "selinux", "apparmor", "ima", "evm":
			return hostsOwn
		}
		if strings.HasPrefix(rest, "SMACK64") {
			return hostsOwn
		}
		return copied
	}
	if name == ACLAccess || name == ACLDefault {
		return copied
	}
	return unknown
}

// check is what holds for the attributes of one file, whoever hands them over.
func check(attrs []Attr) error {
	if len(attrs) > MaxAttrs {
		return fmt.Errorf("%d attributes on one file, and %d are allowed", len(attrs), MaxAttrs)
	}
	size, last := 0, ""
	for _, a := range attrs {
		switch {
		case len(a.Name) > MaxName:
			return fmt.Errorf("the name of an attribute has %d bytes, and %d are allowed", len(a.Name), MaxName)
		case strings.IndexByte(a.Name, 0) >= 0:
			return fmt.Errorf("the name of attribute %q has a NUL", a.Name)
		case kindOf(a.Name) != copied:
			return fmt.Errorf("attribute %q is none that is copied", a.Name)
		case a.Name <= last: // no name that is copied is empty
			return fmt.Errorf("attribute %q comes after %q: they are not sorted, or one comes twice", a.Name, last)
		case len(a.Value) > MaxValue:
			return fmt.Errorf("attribute %q has %d bytes, and %d are allowed", a.Name, len(a.Value), MaxValue)
		}
		last = a.Name
		if size += len(a.Name) + len(a.Value); size > MaxSize {
			return fmt.Errorf("the attributes of one file have more than the %d bytes that are allowed", MaxSize)
		}
	}
	return nil
}

// Read returns what the file carries and is copied, sorted by name, and the
// names of what is left out. It keeps to MaxAttrs and MaxSize. path says that fd
// was opened with O_PATH; the file may then be a symbolic link or a device.
//
// A file system without attributes gives none and no error. An attribute that
// goes while it is read is left out of both. Errors name the attribute, and wrap
// that of listxattr(2) or getxattr(2): E2BIG is a file with more names than the
// kernel lists.
func Read(fd int, path bool) (attrs []Attr, leftOut []string, err error) {
	f := fileOf(fd, path)
	// Most files carry nothing, or a label: they cost one call and no memory.
	var onStack [512]byte
	list, err := f.names(onStack[:])
	if err != nil {
		return nil, nil, fmt.Errorf("listing attributes: %w", err)
	}
	if len(list) == 0 {
		return nil, nil, nil
	}
	return f.read(list)
}

// read returns the attributes of a list of names, each ended by a NUL.
func (f file) read(list []byte) (attrs []Attr, leftOut []string, err error) {
	var onStack [1024]byte
	buf := onStack[:]
	size := 0
	for len(list) > 0 {
		var raw []byte
		raw, list, _ = bytes.Cut(list, []byte{0})
		switch kindOf(string(raw)) {
		case hostsOwn:
			continue
		case unknown:
			leftOut = append(leftOut, string(raw))
			continue
		}
		name := string(raw)
		if len(attrs) == MaxAttrs {
			return nil, nil, fmt.Errorf("more than the %d attributes that are allowed on one file", MaxAttrs)
		}
		n, err := f.get(name, buf)
		if errors.Is(err, unix.ERANGE) {
			// No value is longer, so that one growing meanwhile needs no third try.
			buf = make([]byte, MaxValue)
			n, err = f.get(name, buf)
		}
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading attribute %q: %w", name, err)
		}
		if size += len(name) + n; size > MaxSize {
			return nil, nil, fmt.Errorf("attribute %q and those before it have more than the %d bytes that are allowed on one file", name, MaxSize)
		}
		attrs = append(attrs, Attr{Name: name, Value: bytes.Clone(buf[:n])})
	}
	byName := func(a, b Attr) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(attrs, byName)
	// A file system in a user's hands (FUSE) may list a name twice.
	attrs = slices.CompactFunc(attrs, func(a, b Attr) bool { return a.Name == b.Name })
	slices.Sort(leftOut)
	return attrs, slices.Compact(leftOut), nil
}

// Set makes the file carry exactly these of what is copied, sorted as Read does,
// and leaves all else alone. It first removes what is too much, then sets what
// differs, and the access ACL last. Where there is nothing to do it changes
// nothing, not even ctime. The package says what a caller sets before and after.
//
// One attribute that is refused does not keep the others from being set: all
// errors come together, each with the name of its attribute and wrapping that of
// setxattr(2) or removexattr(2). EOPNOTSUPP: the file system has no such
// attributes; EPERM: this kind of file takes none (user.* on a symbolic link,
// fifo, socket or device), or the process may not; ENOSPC and E2BIG: the file
// system has no room for it; EACCES: a default ACL on what is no folder; EINVAL:
// the kernel finds a capability or an ACL malformed.
func Set(fd int, path bool, attrs []Attr) error {
	refused, err := set(fd, path, attrs)
	return errors.Join(append([]error{err}, refused...)...)
}

// SetKept is Set for a file system that may not keep all: it returns the names of
// those of which it has no kind (EOPNOTSUPP), and they are no error.
func SetKept(fd int, path bool, attrs []Attr) (lost []string, err error) {
	refused, err := set(fd, path, attrs)
	problems := []error{err}
	for _, r := range refused {
		var problem *settingError
		if errors.As(r, &problem) && errors.Is(r, unix.EOPNOTSUPP) {
			lost = append(lost, problem.name)
		} else {
			problems = append(problems, r)
		}
	}
	return lost, errors.Join(problems...)
}

// settingError is that of an attribute that could not be set.
type settingError struct {
	name string
	err  error
}

func (e *settingError) Error() string { return fmt.Sprintf("setting attribute %q: %v", e.name, e.err) }
func (e *settingError) Unwrap() error { return e.err }

// set is Set, with what was refused of single attributes apart from the rest.
func set(fd int, path bool, attrs []Attr) (refused []error, err error) {
	if err := check(attrs); err != nil {
		return nil, err
	}
	present, _, err := Read(fd, path)
	if err != nil {
		return nil, err
	}
	if Equal(present, attrs) {
		return nil, nil
	}
	f := fileOf(fd, path)
	// Removing first makes room: on ext4 all attributes share one block.
	for _, a := range present {
		if _, wanted := find(attrs, a.Name); wanted {
			continue
		}
		if err := f.remove(a.Name); err != nil && !errors.Is(err, unix.ENODATA) {
			refused = append(refused, fmt.Errorf("removing attribute %q: %w", a.Name, err))
		}
	}
	setOne := func(a Attr) {
		if i, there := find(present, a.Name); there && bytes.Equal(present[i].Value, a.Value) {
			return
		}
		if err := f.set(a.Name, a.Value); err != nil {
			refused = append(refused, &settingError{a.Name, err})
		}
	}
	for _, a := range attrs {
		if a.Name != ACLAccess {
			setOne(a)
		}
	}
	// The access ACL opens the file to others, and may close it to its owner,
	// who could set no user.* then.
	if i, wanted := find(attrs, ACLAccess); wanted {
		setOne(attrs[i])
	}
	return refused, nil
}

func find(attrs []Attr, name string) (int, bool) {
	return slices.BinarySearchFunc(attrs, name, func(a Attr, name string) int {
		return strings.Compare(a.Name, name)
	})
}
