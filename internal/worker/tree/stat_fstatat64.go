//go:build linux && (386 || arm)

package tree

import "golang.org/x/sys/unix"

const sysFstatat = unix.SYS_FSTATAT64
