//go:build linux

package sshd

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// Addresses returns every address under which another host may see this one: without
// those of the loopback, and those of a link.
//
// It asks the kernel itself, by rtnetlink(7): the package net would be a tenth of the
// worker.
func Addresses() ([]string, error) {
	answer, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for the addresses: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for the addresses: %w", err)
	}
	var all []netip.Addr
	for i := range messages {
		if messages[i].Header.Type != syscall.RTM_NEWADDR {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil {
			return nil, fmt.Errorf("an address of the kernel: %w", err)
		}
		// On a point-to-point link IFA_ADDRESS is the other end's.
		own := map[uint16]netip.Addr{}
		for _, a := range attributes {
			if address, ok := netip.AddrFromSlice(a.Value); ok {
				own[a.Attr.Type] = address
			}
		}
		if address, ok := own[syscall.IFA_LOCAL]; ok {
			all = append(all, address)
		} else if address, ok := own[syscall.IFA_ADDRESS]; ok {
			all = append(all, address)
		}
	}
	return global(all), nil
}

func global(all []netip.Addr) []string {
	var list []string
	for _, address := range all {
		if address = address.Unmap(); address.IsGlobalUnicast() {
			list = append(list, address.String())
		}
	}
	return list
}

// Programs returns which of the programs this host does not have.
func Programs(names ...string) (missing []string) {
	for _, name := range names {
		if inPath(name) == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

// OS returns "ID ID_LIKE" of os-release(5), "ID" where it is like no other, or
// "debian" or "rhel" for a host from before that file; "" is one that does not say.
func OS() string {
	text, err := os.ReadFile(etc + "/os-release")
	if err == nil {
		values := release(string(text))
		if os := strings.TrimSpace(values["ID"] + " " + values["ID_LIKE"]); os != "" {
			return os
		}
	}
	switch {
	case exists(etc + "/debian_version"):
		return "debian"
	case exists(etc + "/redhat-release"):
		return "rhel"
	}
	return ""
}

// release reads os-release(5): assignments as a shell takes them, one a line, of
// which the last one counts.
func release(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && name != "" && !strings.HasPrefix(name, "#") {
			values[name] = unquote(value)
		}
	}
	return values
}

// unquote takes away quotes and backslashes: single quotes hold everything, double
// ones all but a backslash before one of $ ` " \.
func unquote(value string) string {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == c && quote != 0:
			quote = 0
		case c == '\\' && i+1 < len(value) && (quote == 0 || quote == '"' && strings.IndexByte("$`\"\\", value[i+1]) >= 0):
			i++
			b.WriteByte(value[i])
		case quote == 0 && (c == ' ' || c == '\t' || c == ';' || c == '#' && b.Len() == 0):
			return b.String() // what follows is no part of the word
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
