//go:build linux

package key

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const ed25519Name = "ssh-ed25519"

// Generate makes an ed25519 key. private is the text of a file as ssh-keygen
// writes it, without a passphrase (openssh-key-v1, OpenSSH's PROTOCOL.key); public
// is a line without its end, "ssh-ed25519 AAAA… COMMENT". It is an error if the
// comment has a line end.
func Generate(comment string) (private []byte, public string, err error) {
	if strings.ContainsAny(comment, "\r\n\x00") {
		return nil, "", fmt.Errorf("the comment %q of a key is more than a line", comment)
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	var check [4]byte
	if _, err := rand.Read(check[:]); err != nil {
		return nil, "", err
	}
	return encode(pub, priv, check, comment), publicLine(pub, comment), nil
}

// field appends a string of the SSH protocol (RFC 4251, section 5).
func field[T string | ~[]byte](b []byte, text T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}

// blob is a public key as it goes over the wire (RFC 8709, section 4).
func blob(pub ed25519.PublicKey) []byte {
	return field(field(nil, ed25519Name), pub)
}

func publicLine(pub ed25519.PublicKey, comment string) string {
	return strings.TrimSpace(ed25519Name + " " + base64.StdEncoding.EncodeToString(blob(pub)) + " " + comment)
}

// blockSize is that of the cipher "none".
const blockSize = 8

// lineLength is how many characters of base64 ssh-keygen writes in a line.
const lineLength = 70

// encode writes the private key. check comes twice in it: whoever decrypts with a
// wrong passphrase sees two different numbers.
func encode(pub ed25519.PublicKey, priv ed25519.PrivateKey, check [4]byte, comment string) []byte {
	secret := append(check[:], check[:]...)
	secret = field(secret, ed25519Name)
	secret = field(secret, pub)
	secret = field(secret, priv)
	secret = field(secret, comment)
	for pad := byte(1); len(secret)%blockSize != 0; pad++ {
		secret = append(secret, pad)
	}

	b := []byte("openssh-key-v1\x00")
	b = field(b, "none") // the cipher
	b = field(b, "none") // what makes a key for it of a passphrase
	b = field(b, "")     // its options
	b = binary.BigEndian.AppendUint32(b, 1)
	b = field(b, blob(pub))
	b = field(b, secret)

	var text bytes.Buffer
	text.WriteString("-----BEGIN OPENSSH PRIVATE KEY-----\n")
	for rest := base64.StdEncoding.EncodeToString(b); rest != ""; {
		n := min(lineLength, len(rest))
		text.WriteString(rest[:n] + "\n")
		rest = rest[n:]
	}
	text.WriteString("-----END OPENSSH PRIVATE KEY-----\n")
	return text.Bytes()
}

// GenerateRSA makes an RSA key of so many bits by ssh-keygen, for an sshd that
// knows no ed25519 (before OpenSSH 6.5). It returns what Generate does, in
// whatever format this host's ssh-keygen writes. The files are in dir until it returns,
// so nobody else may write there.
func GenerateRSA(ctx context.Context, dir string, bits int, comment string) (private []byte, public string, err error) {
	own, err := os.MkdirTemp(dir, "rsa-")
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(own)) }()
	file := filepath.Join(own, "key")
	cmd := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "rsa", "-b", strconv.Itoa(bits), "-N", "", "-C", comment, "-f", file)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("ssh-keygen -t rsa: %w %s", err, bytes.TrimSpace(said))
	}
	if private, err = os.ReadFile(file); err != nil {
		return nil, "", err
	}
	line, err := os.ReadFile(file + ".pub")
	return private, strings.TrimSpace(string(line)), err
}
