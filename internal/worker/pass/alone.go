//go:build linux

package pass

import (
	"io"

	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/delta"
	"github.com/cutover-dev/terraform-provider-cutover/internal/worker/tree"
)

// What are names of one file on the target may be files of their own on the source by
// now. Then each is to be one on the target, too: what becomes of one is not to become of
// the others.

// alone makes one of several names of a file on the target a file of its own, as
// it now is on the source: what becomes of it is not to become of the others.
func (w *writer) alone(b *batch, in *incoming, from int, was *tree.Stat, hash [delta.HashSize]byte) (bool, error) {
	t := w.target
	if t.options.Preview && t.single(was) {
		return true, w.inPlace(b, from, false, in)
	}
	if in.alone = true; t.options.Preview {
		return true, nil
	}
	dir, err := w.directory(b)
	if err != nil {
		return true, err
	}
	if in.fd, in.name, err = t.staging.create(); err != nil {
		return true, err
	}
	in.staged = true
	in.hash = w.newHash()
	_, err = io.CopyBuffer(&output{w: w, in: in}, struct{ io.Reader }{&basisReader{fd: from}}, w.buffer)
	copied := w.sum(in.hash)
	in.hash = nil
	if err == nil && copied == hash {
		err = w.dress(b, in)
	}
	if err != nil {
		return true, err
	}
	now, err := tree.StatAt(dir, in.item.name)
	if err != nil || now.Ino != was.Ino || copied != hash {
		w.discard(b, in)
		in.item.verdict.Likely, in.staged = false, false
		return false, nil //nolint:nilerr // somebody has changed it meanwhile: it is brought
	}
	return true, t.moveOver(b.dir, t.staging.fd, in.name, dir, in.item)
}

// sameSpecial gives an entry without content, which the target has, its attributes. One
// of several names on the target that is a file of its own on the source is made anew,
// as alone does with a file.
func (w *writer) sameSpecial(b *batch, fd int, in *incoming, anew func(dir int, name string) error) error {
	in.item.verdict.Likely = true
	have, err := tree.Fstat(fd)
	if err != nil {
		return err
	}
	if in.stat.Nlink > 1 || have.Nlink == 1 || w.target.options.Preview && w.target.single(&have) {
		return w.inPlace(b, fd, true, in)
	}
	in.alone = true
	return w.byName(b, in, anew)
}

// placeAlone moves an entry over the name that it had together with others. Those keep
// what was there, so that nothing goes to the trash.
func (w *writer) placeAlone(b *batch, in *incoming) error {
	dir, err := w.directory(b)
	if err != nil {
		return err
	}
	if now, err := tree.StatAt(dir, in.item.name); err != nil || now.Ino != in.item.target.Ino {
		return w.place(b, in) // somebody has changed it meanwhile
	}
	return w.target.moveOver(b.dir, w.target.staging.fd, in.name, dir, in.item)
}
