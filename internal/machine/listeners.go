package machine

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sockets gathers listening sockets from whichever tool the machine has.
type sockets struct {
	found     map[netip.AddrPort]Listener
	unowned   map[string]netip.AddrPort // of /proc/net/tcp, by inode
	processes map[string]string         // names by PID
}

func newSockets() *sockets {
	return &sockets{found: map[netip.AddrPort]Listener{}, unowned: map[string]netip.AddrPort{}, processes: map[string]string{}}
}

// owner is a process of ss's column: users:(("sshd",pid=7,fd=3)), and before
// iproute2 3.19 users:(("sshd",7,3)).
var owner = regexp.MustCompile(`\("([^"]*)",(?:pid=)?(\d+),`)

// add takes one line of facts.sh: the tool, and what it printed.
func (s *sockets) add(tool, line string) {
	fields := strings.Fields(line)
	switch {
	case (tool == "ss4" || tool == "ss6") && len(fields) >= 5 && fields[0] == "LISTEN":
		process, pid := "", 0
		// Workers share their socket; the first of them is the oldest.
		for _, each := range owner.FindAllStringSubmatch(line, -1) {
			if id, err := strconv.Atoi(each[2]); err == nil && (pid == 0 || id < pid) {
				process, pid = each[1], id
			}
		}
		local := fields[3]
		if port, everywhere := strings.CutPrefix(local, "*:"); everywhere {
			local = map[string]string{"ss4": "0.0.0.0:", "ss6": "[::]:"}[tool] + port
		}
		s.put(local, process, pid)
	case tool == "netstat" && len(fields) >= 6 && strings.HasPrefix(fields[0], "tcp") && fields[5] == "LISTEN":
		process, pid := "", 0
		if len(fields) >= 7 {
			id, name, _ := strings.Cut(fields[6], "/")
			if n, err := strconv.Atoi(id); err == nil {
				process, pid = strings.TrimSuffix(name, ":"), n
			}
		}
		s.put(fields[3], process, pid)
	case tool == "proc" && len(fields) == 2:
		if at, ok := kernelAddress(fields[0]); ok {
			s.found[at] = Listener{Address: at.Addr().String(), Port: int(at.Port())}
			s.unowned[fields[1]] = at
		}
	case tool == "process":
		pid, name, _ := strings.Cut(line, "\t")
		s.processes[pid] = name
	case tool == "socket" && len(fields) == 2:
		at, ok := s.unowned[fields[0]]
		pid, err := strconv.Atoi(fields[1])
		if l := s.found[at]; ok && err == nil && (l.PID == 0 || pid < l.PID) {
			l.Process, l.PID = s.processes[fields[1]], pid
			s.found[at] = l
		}
	}
}

// put records a socket by its address as ss and netstat write it: "0.0.0.0:25",
// "[::]:25", ":::25", "127.0.0.53%lo:53".
func (s *sockets) put(text, process string, pid int) {
	colon := strings.LastIndex(text, ":")
	if colon < 0 {
		return
	}
	port, err := strconv.ParseUint(text[colon+1:], 10, 16)
	if err != nil {
		return
	}
	address, _, _ := strings.Cut(strings.Trim(text[:colon], "[]"), "%")
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return
	}
	at := netip.AddrPortFrom(parsed, uint16(port))
	if earlier, ok := s.found[at]; ok && earlier.PID != 0 && (pid == 0 || earlier.PID < pid) {
		return
	}
	s.found[at] = Listener{Address: parsed.String(), Port: int(port), Process: process, PID: pid}
}

// kernelAddress reads "0100007F:0019" of /proc/net/tcp, where an address
// stands in words of the machine's own byte order; all that this is used on
// are little-endian.
func kernelAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	bytes, err := hex.DecodeString(address)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(bytes)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := 0; word < len(bytes); word += 4 {
		slices.Reverse(bytes[word : word+4])
	}
	parsed, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(parsed, uint16(number)), ok
}

func (s *sockets) list() []Listener {
	list := make([]Listener, 0, len(s.found))
	for _, l := range s.found {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Address, b.Address))
	})
	return list
}
