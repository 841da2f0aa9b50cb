// Package attr reads the extended attributes, POSIX ACLs and file capabilities
// of a file on the old host, and sets them on the new one. It is for a program
// that runs as root on trees in which hostile users work meanwhile, so it takes
// file descriptors and never the name of a file. Imports nothing of this
// project.
//
// # What is copied
//
// user.*, trusted.*, security.capability and the rest of security.*, and the
// ACLs [ACLAccess] and [ACLDefault]. Not copied, without a word, is what is the
// host's own: the labels of SELinux, AppArmor, Smack, IMA and EVM, and the ACL
// as XFS shows it a second time (trusted.SGI_ACL_FILE, with ids nobody has
// mapped). Everything else (system.nfs4_acl, btrfs.compression) is not copied
// either, and [Read] names it.
//
// # Order
//
// Set comes after the content and the owner: a write, a truncation and a chown,
// even to the same owner, drop security.capability. As for the mode, a file with
// an access ACL shows in the group's bits the mask of its ACL, and setting one
// of the two sets the other. So a caller
//
//  1. writes the content and sets the owner;
//  2. sees that the mode has no bits for the group (0600 or 0700, say);
//  3. calls Set, which sets the access ACL last and with it the nine lower bits
//     of the mode, and keeps set-user-ID, set-group-ID and sticky bits;
//  4. sets the whole mode.
//
// Were the whole mode set before the ACL, then the owning group would have the
// permissions of the mask until the ACL is there; and so would those whom an ACL
// inherited from the folder names, until Set removes it. The mode of step 4 says
// the same as the ACL if both were read from one file, and then the ACL stays
// as it is, byte for byte. It drops no capability.
package attr
