# Runs one rsync of a pass on the new host, and says when.
#
#   $@       the command
#
# Prints "cutover-started TIME" and "cutover-finished TIME" around what rsync
# prints; TIME is RFC 3339 in UTC. The exit code is rsync's.
set -u
date -u '+cutover-started %Y-%m-%dT%H:%M:%SZ'
code=0
"$@" || code=$?
date -u '+cutover-finished %Y-%m-%dT%H:%M:%SZ'
exit "$code"
