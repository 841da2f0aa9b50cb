//go:build linux

package attr

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestWireRoundTrip(t *testing.T) {
	t.Parallel()
	var most []Attr
	for i := range MaxAttrs {
		most = append(most, Attr{fmt.Sprintf("user.%04d", i), []byte{1}})
	}
	for name, attrs := range map[string][]Attr{
		"none":    nil,
		"many":    most,
		"kinds":   {{"security.capability", netRaw}, {ACLAccess, sharedACL}, {ACLDefault, sharedACL}, {"trusted.t", nil}, {"user.\xff", []byte{0}}},
		"longest": {{"user." + strings.Repeat("n", MaxName-5), make([]byte, MaxValue)}},
	} {
		front := []byte("front")
		b := AppendTo(front, attrs)
		if !bytes.HasPrefix(b, front) {
			t.Errorf("%s: AppendTo writes over what was there", name)
		}
		got, err := Parse(b[len(front):])
		if err != nil || !Equal(got, attrs) {
			t.Errorf("%s: %q: %v", name, got, err)
		}
		for i := range b {
			b[i] = 0xff
		}
		if !Equal(got, attrs) {
			t.Errorf("%s: what Parse returns changes with its argument", name)
		}
	}
}

func TestHostileBytes(t *testing.T) {
	t.Parallel()
	one := AppendTo(nil, []Attr{{"user.a", []byte("value")}})
	big := make([]byte, MaxValue)
	var large, many []Attr
	for i := range MaxSize/MaxValue + 1 {
		large = append(large, Attr{fmt.Sprintf("user.%04d", i), big})
	}
	for i := range MaxAttrs + 1 {
		many = append(many, Attr{fmt.Sprintf("user.%04d", i), nil})
	}
	cases := map[string][]byte{
		"nothing":               {},
		"a number cut":          {0x80},
		"a number beyond 64 b":  bytes.Repeat([]byte{0xff}, 11),
		"more than there are":   {2, 6, 'u', 's', 'e', 'r', '.', 'a', 0},
		"the most there can be": binary.AppendUvarint(nil, 1<<64-1),
		"a name of 2^63 bytes":  append(binary.AppendUvarint([]byte{1}, 1<<63), make([]byte, 20)...),
		"something behind":      append(bytes.Clone(one), 0),
		"twice":                 AppendTo(nil, []Attr{{"user.a", nil}, {"user.a", nil}}),
		"not sorted":            AppendTo(nil, []Attr{{"user.b", nil}, {"user.a", nil}}),
		"a label":               AppendTo(nil, []Attr{{"security.selinux", []byte("x")}}),
		"another of system":     AppendTo(nil, []Attr{{"system.nfs4_acl", []byte("x")}}),
		"XFS's name of an ACL":  AppendTo(nil, []Attr{{"trusted.SGI_ACL_FILE", []byte("x")}}),
		"an unknown namespace":  AppendTo(nil, []Attr{{"btrfs.compression", []byte("x")}}),
		"no namespace":          AppendTo(nil, []Attr{{"comment", []byte("x")}}),
		"a NUL":                 AppendTo(nil, []Attr{{"user.a\x00b", []byte("x")}}),
		"a name too long":       AppendTo(nil, []Attr{{"user." + strings.Repeat("n", MaxName), nil}}),
		"a value too long":      AppendTo(nil, []Attr{{"user.a", make([]byte, MaxValue+1)}}),
		"too much together":     AppendTo(nil, large),
		"too many":              AppendTo(nil, many),
	}
	for i := range one {
		cases[fmt.Sprintf("cut at %d", i)] = one[:i]
	}
	for name, b := range cases {
		if attrs, err := Parse(b); err == nil {
			t.Errorf("%s: %q", name, attrs)
		}
	}
}

// A claim of a thousand attributes in a few bytes takes no memory for them. Not
// parallel: allocations of all goroutines count.
func TestParseTakesMemoryInProportion(t *testing.T) {
	claim := append(binary.AppendUvarint(nil, MaxAttrs), make([]byte, 100)...)
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := Parse(claim); err == nil {
			t.Fatal("no error")
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 1000 {
		t.Errorf("%d bytes for %d", n, len(claim))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add(AppendTo(nil, []Attr{{"security.capability", netRaw}, {ACLAccess, sharedACL}, {"user.a", nil}}))
	f.Add(AppendTo(nil, []Attr{{"user.b", nil}, {"user.a", nil}}))
	f.Add(binary.AppendUvarint(nil, 1<<64-1))
	f.Fuzz(func(t *testing.T, b []byte) {
		attrs, err := Parse(b)
		if err != nil {
			return
		}
		if err := check(attrs); err != nil {
			t.Fatal(err)
		}
		again, err := Parse(AppendTo(nil, attrs))
		if err != nil || !Equal(attrs, again) {
			t.Fatalf("%q becomes %q: %v", attrs, again, err)
		}
	})
}
