# sshd_settings USER HOST ADDRESS [OPTION...]: what this host's sshd has in force for
# a login of the user from there, as sshd -T prints it; the options are sshd's. Exit
# code as sshd's.
sshd_settings() (
	program=$(command -v sshd) || program=/usr/sbin/sshd
	login="user=$1,host=$2,addr=$3"
	shift 3
	# Where this very session came in, if that is known.
	at=${SSH_CONNECTION:-0 0 127.0.0.1 22}
	port=${at##* }
	at=${at% *}
	# For a block of Match, -C has to say what the block is about, or sshd -T fails,
	# also without -C; an sshd of long ago does not know all words (sshd(8)).
	for more in ",laddr=${at##* },lport=$port,rdomain=" ",laddr=${at##* },lport=$port" ''; do
		"$program" -T "$@" -C "$login$more" 2>/dev/null && return
	done
	"$program" -T "$@" 2>/dev/null
)
