# Lends its input and outputs to a command that runs on a terminal, because
# doas asks for a password nowhere else. The command opens the other ends.
#   $1 mark, printed with the directory of the FIFOs
dir=$(mktemp -d "${TMPDIR:-/tmp}/cutover-XXXXXXXX") || exit 125
trap 'rm -rf "$dir"' 0
trap 'exit 125' 1 2 15
mkfifo -m 600 "$dir/in" "$dir/out" "$dir/err" || exit 125
printf '%s %s\n' "$1" "$dir"
# Opening a FIFO waits for the other end, so wait for word that it is coming.
read -r go && [ "$go" = go ] || exit 125
cat <"$dir/out" &
cat <"$dir/err" >&2 &
cat >"$dir/in"
wait
