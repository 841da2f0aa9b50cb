# Runs doas on a terminal, with the input and outputs of streams.sh.
#   $1 directory of the FIFOs
#   $2… the command
# No exec: doas closes what it inherits, and sshd gives a terminal up for dead
# when for a moment nobody has it open. The command leaves the terminal, whose
# end would otherwise hang up on what it starts.
dir=$1
shift
if command -v setsid >/dev/null 2>&1; then set -- setsid "$@"; fi
doas -- "$@" <"$dir/in" >"$dir/out" 2>"$dir/err"
exit "$?"
