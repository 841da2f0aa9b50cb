package delta

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"
)

const benchSize = 64 << 20

func BenchmarkDiff(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	basis := random(rng, benchSize)
	pages := bytes.Clone(basis)
	for range 200 {
		copy(pages[rng.IntN(benchSize/8192)*8192:], random(rng, 8192))
	}
	block := BlockSize(benchSize)
	for _, c := range []struct {
		name  string
		basis []byte
		file  []byte
	}{
		{"unchanged", basis, basis},
		{"appended", basis, append(bytes.Clone(basis), random(rng, 10_000)...)},
		{"200 pages changed", basis, pages},
		{"inserted at the front", basis, append([]byte{1}, basis...)},
		{"different", basis, random(rng, benchSize)},
		{"different text", text(rng, benchSize), text(rng, benchSize)},
		{"zeros in another file", basis, make([]byte, benchSize)},
		{"more zeros", make([]byte, benchSize/2), make([]byte, benchSize)},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := signature(b, c.basis, block, 5)
			b.SetBytes(int64(len(c.file)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Diff(context.Background(), bytes.NewReader(c.file), &tally{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	basis := random(rand.New(rand.NewPCG(1, 2)), benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Sign(context.Background(), bytes.NewReader(basis), BlockSize(benchSize), 5, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	data := random(rand.New(rand.NewPCG(1, 2)), 256<<10)
	h := NewHash(5)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		h.Write(data)
		h.Sum()
	}
}

func BenchmarkBuilder(b *testing.B) {
	basis := random(rand.New(rand.NewPCG(1, 2)), benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for b.Loop() {
		if err := NewBuilder(bytes.NewReader(basis), benchSize, io.Discard, benchSize).Copy(0, benchSize); err != nil {
			b.Fatal(err)
		}
	}
}
