package xtables

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What iptables has made for our chains alone goes with them; what somebody
// else has there stays.
//
//nolint:paralleltest // what is started elsewhere at the moment when a program is written has it open, and then it cannot be run
func TestEmptyTableOfIptablesGoes(t *testing.T) {
	const hooks = "*nat\n:PREROUTING ACCEPT [5:6]\nCOMMIT\n*mangle\n:FORWARD ACCEPT [0:0]\n"
	for name, c := range map[string]struct {
		saved, version string
		goes           bool
	}{
		"empty":        {hooks + "COMMIT\n", "iptables v1.8.7 (nf_tables)", true},
		"a rule":       {hooks + "-A FORWARD -j DROP\nCOMMIT\n", "iptables v1.8.7 (nf_tables)", false},
		"a chain":      {hooks + ":MINE - [0:0]\nCOMMIT\n", "iptables v1.8.7 (nf_tables)", false},
		"a policy":     {"*mangle\n:FORWARD DROP [0:0]\nCOMMIT\n", "iptables v1.8.7 (nf_tables)", false},
		"not there":    {"*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", "iptables v1.8.7 (nf_tables)", false},
		"a rule below": {hooks + "COMMIT\n*raw\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j DROP\nCOMMIT\n", "iptables v1.8.7 (nf_tables)", true},
		"the old one":  {hooks + "COMMIT\n", "iptables v1.4.8", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for program, text := range map[string]string{
				"iptables-save":    "cat <<'EOF'\n" + c.saved + "EOF\n",
				"iptables-restore": "case ${1:-} in --version) echo '" + c.version + "' ;; *) cat >'" + dir + "/restored' ;; esac\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // it is to be run
					t.Fatal(err)
				}
			}
			script := exec.Command("sh", "-c", "set -eu\nPATH=$1:$PATH\n"+Unmake+"unmake iptables mangle", "sh", dir)
			if out, err := script.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			restored, err := os.ReadFile(filepath.Join(dir, "restored"))
			if goes := err == nil; goes != c.goes {
				t.Errorf("gone: %v, want %v", goes, c.goes)
			} else if goes && string(restored) != "*mangle\nCOMMIT\n" {
				t.Errorf("restored %q", restored)
			}
		})
	}
}
