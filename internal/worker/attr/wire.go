//go:build linux

package attr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// shortest is the length of the shortest attribute on the wire: user.x, empty,
// with the lengths of name and value.
const shortest = 1 + len("user.x") + 1

// AppendTo appends the attributes of one file, as Read returns them: their
// number, and for each the length of the name, the name, the length of the value
// and the value. Numbers are unsigned varints of encoding/binary.
func AppendTo(b []byte, attrs []Attr) []byte {
	b = binary.AppendUvarint(b, uint64(len(attrs)))
	for _, a := range attrs {
		b = binary.AppendUvarint(b, uint64(len(a.Name)))
		b = append(b, a.Name...)
		b = binary.AppendUvarint(b, uint64(len(a.Value)))
		b = append(b, a.Value...)
	}
	return b
}

// Parse reads what AppendTo wrote, and all of b must be that. It shares no
// memory with b. An error is whatever Set would not take: a name that is not
// copied, names that are not sorted or come twice, more than MaxAttrs, MaxName,
// MaxValue or MaxSize allow. An ACL is not looked into; MapACL does that.
func Parse(b []byte) ([]Attr, error) {
	count, b, err := number(b)
	if err != nil {
		return nil, fmt.Errorf("number of attributes: %w", err)
	}
	// Before memory is taken for as many as a peer claims.
	if count > MaxAttrs || count > uint64(len(b)/shortest) {
		return nil, fmt.Errorf("%d attributes in %d bytes, and %d are allowed on one file", count, len(b), MaxAttrs)
	}
	var attrs []Attr
	if count > 0 {
		attrs = make([]Attr, 0, count)
	}
	for range count {
		var name, value []byte
		if name, b, err = field(b, MaxName); err != nil {
			return nil, fmt.Errorf("name of an attribute: %w", err)
		}
		if value, b, err = field(b, MaxValue); err != nil {
			return nil, fmt.Errorf("value of attribute %q: %w", name, err)
		}
		attrs = append(attrs, Attr{Name: string(name), Value: bytes.Clone(value)})
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes after the last attribute", len(b))
	}
	if err := check(attrs); err != nil {
		return nil, err
	}
	return attrs, nil
}

func field(b []byte, most uint64) (value, rest []byte, err error) {
	length, b, err := number(b)
	if err != nil {
		return nil, nil, err
	}
	if length > most {
		return nil, nil, fmt.Errorf("%d bytes, and %d are allowed", length, most)
	}
	if length > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%d bytes, and %d are left", length, len(b))
	}
	return b[:length], b[length:], nil
}

func number(b []byte) (uint64, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, errors.New("no number is there")
	}
	return n, b[size:], nil
}
