// Package tree is what a pass knows of trees of files: reading them by handles
// of their directories, what is noted of each entry, a digest of each directory,
// and the base, which is what the passes of a chain have brought. It knows no
// other host and changes nothing in a tree.
//
// It imports nothing of this project but wire.
package tree
