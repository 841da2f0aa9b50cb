package host

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
)

// privateFiles is what an SFTP client writes to its server. It gives each request
// that opens a file the mode 0600, which the server gives a file that it makes
// with it. The client library sends no mode, and a file would have 0666 less the
// umask of the server until its own mode is set: whoever opened it until then
// could read what is written to it later.
//
// The format is that of SSH_FXP_OPEN in draft-ietf-secsh-filexfer-02, section 6.3.
type privateFiles struct {
	io.WriteCloser
	left int // bytes of the packet under way that are still to come
}

const (
	sftpOpen        = 3 // SSH_FXP_OPEN
	sftpPermissions = 4 // SSH_FILEXFER_ATTR_PERMISSIONS
	privateMode     = fs.FileMode(0o600)
)

var errPacket = errors.New("the SFTP client has sent half of a packet's head")

// Write takes what the client library writes in one call: the head of a packet
// with all of its fields, or the rest of a packet.
func (p *privateFiles) Write(b []byte) (int, error) {
	if p.left > 0 {
		n, err := p.WriteCloser.Write(b)
		p.left -= n
		return n, err
	}
	if len(b) < 5 {
		return 0, errPacket
	}
	whole := 4 + int(binary.BigEndian.Uint32(b))
	if b[4] != sftpOpen {
		n, err := p.WriteCloser.Write(b)
		p.left = whole - n
		return n, err
	}
	flags := len(b) - 4 // the last field, as the library sends no attributes
	if whole != len(b) || binary.BigEndian.Uint32(b[flags:]) != 0 {
		return 0, errPacket
	}
	private := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	private = append(private, b[4:flags]...)
	private = binary.BigEndian.AppendUint32(private, sftpPermissions)
	private = binary.BigEndian.AppendUint32(private, uint32(privateMode))
	if _, err := p.WriteCloser.Write(private); err != nil {
		return 0, err
	}
	return len(b), nil
}
