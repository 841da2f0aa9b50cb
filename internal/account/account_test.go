package account

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func ptr[T any](v T) *T { return &v }

func TestCheckRefusesWhatUseraddWould(t *testing.T) {
	for _, c := range []struct {
		spec  Spec
		field string
	}{
		{Spec{Name: "anna"}, ""},
		{Spec{Name: "_apt"}, ""},
		{Spec{Name: "anna.b-2_c"}, ""},
		{Spec{Name: "machine$"}, ""},
		{Spec{Name: strings.Repeat("a", 32)}, ""},
		{Spec{Name: "anna", Gecos: strp("Anna Müller, room 7"), Home: strp("/srv/homes/anna b"), Shell: strp("/bin/sh")}, ""},
		{Spec{Name: ""}, "name"},
		{Spec{Name: "a;reboot"}, "name"},
		{Spec{Name: "$(id)"}, "name"},
		{Spec{Name: "-r"}, "name"},
		{Spec{Name: "1anna"}, "name"},
		{Spec{Name: "an na"}, "name"},
		{Spec{Name: "anna\n"}, "name"},
		{Spec{Name: "anna:"}, "name"},
		{Spec{Name: "änna"}, "name"},
		{Spec{Name: strings.Repeat("a", 33)}, "name"},
		{Spec{Name: "anna", UID: intp(-1)}, "uid"},
		{Spec{Name: "anna", GID: intp(1<<32 - 1)}, "gid"},
		{Spec{Name: "anna", Group: strp("a b")}, "group"},
		{Spec{Name: "anna", Groups: list("staff", "a,b")}, "groups"},
		{Spec{Name: "anna", Gecos: strp("a:b")}, "gecos"},
		{Spec{Name: "anna", Gecos: strp("a\nb")}, "gecos"},
		{Spec{Name: "anna", Home: strp("home/anna")}, "home"},
		{Spec{Name: "anna", Home: strp("/home/../etc")}, "home"},
		{Spec{Name: "anna", Home: strp("/home/anna/")}, ""},
		{Spec{Name: "anna", Home: strp("/srv/jail/anna/./home/anna")}, ""},
		{Spec{Name: "anna", Shell: strp("bash")}, "shell"},
		{Spec{Name: "anna", Shell: strp("/bin/a:b")}, "shell"},
		{Spec{Name: "anna", Password: &Password{}}, "password"},
		{Spec{Name: "anna", Password: ptr(hide("a b", 0))}, "password"},
	} {
		var field *FieldError
		err := c.spec.Check()
		if errors.As(err, &field); (err == nil) != (c.field == "") || (field != nil && field.Field != c.field) {
			t.Errorf("%q: %v, want the field %q", c.spec.Name, err, c.field)
		}
	}
}

func TestHashIsNeverShown(t *testing.T) {
	const hash = "$6$saltsalt$abcdefghijklmnop"
	p, err := NewPassword(hash)
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Name: "anna", Password: p}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{p, *p, spec, &spec, change{spec: spec}, []Password{*p}} {
			if shown := fmt.Sprintf(verb, value); strings.Contains(shown, "abcdef") || strings.Contains(shown, "616263") {
				t.Errorf("%s of %T shows the hash: %s", verb, value, shown)
			}
		}
	}
}

func TestNewPasswordTakesHashesAlone(t *testing.T) {
	for _, hash := range []string{
		"$6$salt$hash/.", "$y$j9T$salt$hash", "$1$salt$hash", "$6$rounds=5000$salt$hash", "abcdefghijklm", "_abcdefghijklmnopqrs", "!$6$salt$hash", "*", "!*",
	} {
		if _, err := NewPassword(hash); err != nil {
			t.Errorf("%q: %v", hash, err)
		}
	}
	for _, hash := range []string{"", "secret", "correct horse battery", "$6$salt$ha:sh", "$6$salt$ha\nsh", "$6$"} {
		if _, err := NewPassword(hash); err == nil {
			t.Errorf("%q was taken for a hash", hash)
		} else if hash != "" && hash != "$6$" && strings.Contains(err.Error(), hash) {
			t.Errorf("the error shows what was given: %v", err)
		}
	}
}

func TestNewerFollowsTheOldHostUntilTheUserChangesTheNewOne(t *testing.T) {
	for _, c := range []struct {
		what     string
		old, new Password
		newer    bool
	}{
		{"the same", hide("a", 10), hide("a", 10), false},
		{"changed on the old host", hide("b", 12), hide("a", 10), true},
		{"changed on the old host on the day of the copy", hide("b", 10), hide("a", 10), true},
		{"changed on the new host", hide("a", 10), hide("c", 11), false},
		{"no dates", hide("b", -1), hide("a", -1), true},
	} {
		if got := c.old.Newer(c.new); got != c.newer {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
