# Runs doas on a terminal, with the input and outputs of streams.sh.
#   $1 directory of the FIFOs
#   $2… the command
dir=$1
shift
exec doas -- "$@" <"$dir/in" >"$dir/out" 2>"$dir/err"
