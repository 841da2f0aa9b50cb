package mailqueue

import (
	"bytes"
	"errors"
)

// maxLine bounds a line, in bytes: a message to 100,000 people is one line of
// postqueue -j.
const maxLine = 32 << 20

// lineWriter gives each line that is written to it to take, without its end.
type lineWriter struct {
	take func(line []byte) error
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		line := p[:end]
		if len(w.part) > 0 {
			line = append(w.part, line...)
			w.part = w.part[:0]
		}
		if err := w.take(line); err != nil {
			return 0, err
		}
		p = p[end+1:]
	}
	if len(w.part)+len(p) > maxLine {
		return 0, errors.New("the host printed a line without end")
	}
	w.part = append(w.part, p...)
	return n, nil
}
