//go:build linux

package main

import (
	"os"
)

// logFile is the file of an order's log. A log that cannot be written is said
// once, by the first error that it returns, and stops no pass.
type logFile struct {
	name   string
	file   *os.File // nil until it is opened, and where it cannot be
	failed bool
}

// newLog returns the log in the file of the given name; nil for "".
func newLog(name string) *logFile {
	if name == "" {
		return nil
	}
	return &logFile{name: name}
}

// Name is that of the file.
func (l *logFile) Name() string { return l.name }

// Write appends to the file. After an error it takes all, and writes nothing.
func (l *logFile) Write(b []byte) (int, error) {
	if l.failed {
		return len(b), nil
	}
	if l.file == nil {
		file, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			l.failed = true
			return 0, err
		}
		l.file = file
	}
	n, err := l.file.Write(b)
	l.failed = err != nil
	return n, err
}

func (l *logFile) close() {
	if l != nil && l.file != nil {
		l.file.Close()
	}
}
