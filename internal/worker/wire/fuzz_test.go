package wire

import (
	"bytes"
	"io"
	"testing"
)

// FuzzReader reads any bytes as elements in any order. What it returns is of the
// bytes that it was given.
func FuzzReader(f *testing.F) {
	f.Add([]byte("0123456789"), everything())
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{5, 5, 6}, []byte{3, 1, 2, 3, 0, 9})
	f.Fuzz(func(t *testing.T, order, content []byte) {
		r := NewReader(content)
		for _, what := range order {
			before, failed, returned := r.Len(), r.Err() != nil, 0
			switch what % 10 {
			case 0:
				r.Byte()
			case 1:
				r.Flag()
			case 2:
				r.Uint()
			case 3:
				r.Uint32()
			case 4:
				r.Int()
			case 5:
				returned = len(r.Bytes())
			case 6:
				returned = len(r.Text())
			case 7:
				returned = len(r.Raw(int(int8(what))))
			case 8:
				size := int(what)/10 + 1
				if returned = r.Count(size) * size; returned > r.Len() {
					t.Errorf("%d bytes of elements in %d", returned, r.Len())
				}
			case 9:
				returned = len(r.Rest())
			}
			if r.Len() > before || returned > before || failed && returned > 0 {
				t.Fatalf("of %d bytes %d are returned and %d left", before, returned, r.Len())
			}
		}
		left := r.Len()
		if err := r.Done(); (err == nil) != (r.Err() == nil) || left > 0 && err == nil {
			t.Errorf("with %d bytes left the error is %v", left, err)
		}
	})
}

// FuzzReadFrame reads any bytes as a stream of frames.
func FuzzReadFrame(f *testing.F) {
	f.Add(append(frame(1, []byte("one")), frame(2, nil)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add(frame(3, []byte("half"))[:7])
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		var buffer, again []byte
		for {
			kind, content, err := ReadFrame(r, &buffer)
			if err == io.EOF { //nolint:errorlint // io.EOF itself, as a Reader has it
				break
			}
			if err != nil {
				return
			}
			again = append(again, frame(kind, content)...)
		}
		if !bytes.Equal(again, stream) {
			t.Errorf("written again it is %x", again)
		}
	})
}
