package host

import (
	"crypto/rand"
	_ "embed"
	"encoding/hex"
)

//go:embed scripts/run.sh
var runScript string

//go:embed scripts/end.sh
var endScript string

//go:embed scripts/sftp.sh
var sftpScript string

//go:embed scripts/write.sh
var writeText string

//go:embed scripts/streams.sh
var streamsScript string

//go:embed scripts/doas.sh
var doasScript string

// SSHDSettings is a function for the scripts of other packages, sshd_settings, which
// asks a host's sshd for its settings.
//
//go:embed scripts/sshd.sh
var SSHDSettings string

// remotePath is the PATH of all commands: root's, which an old sshd does not
// give and a login shell may spoil.
const remotePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// random returns 16 hexadecimal digits that nobody can foretell.
func random() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
