# Ends the sessions of an account: one whose connection broke off keeps the port
# that it listens on until its sshd notices, which may take hours.
#   $1 account
set -eu
for process in $(ps -o pid= -u "$1"); do
	kill "$process" 2>/dev/null || true
done
