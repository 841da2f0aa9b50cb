# How a host keeps mail, in one round trip. It only reads.
#
# The whole is begin.sh, dovecot.sh, server.sh, domains.sh and homes.sh, one behind the other.
# They print lines of a word and its values with tabs between, and "end" at the
# last. What may hold a secret or a private address is reduced here: of passwords,
# queries, arguments of commands and targets of aliases nothing leaves the host.
#   $1 /etc
# Exit code 0; 1 where the host's accounts cannot be listed.
set -u
tab=$(printf '\t')

# say WORD VALUE...
say() {
	said=$1
	shift
	for value; do said=$said$tab$(printf '%s' "$value" | tr '\t\n' '  '); done
	printf '%s\n' "$said"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# The kinds of what an alias or a .forward leads to, and not where: user, address
# (it has an @), pipe, file, include, filter, special (":fail:", "error:...").
# shellcheck disable=SC2016,SC2034 # the dollars are awk's; server.sh and homes.sh use it
kinds_of='
function kind(text) {
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	sub(/^"[ \t]*/, "", text)
	if (text == "" || text == "\"") return ""
	if (text ~ /^\|/) return "pipe"
	if (text ~ /^\//) return "file"
	if (text ~ /^:include:/) return "include"
	if (text ~ /^:/ || text ~ /^error:/) return "special"
	if (text ~ /@/) return "address"
	return "user"
}
# kinds: of all parts between commas that are in no quotation marks.
function kinds(text,   i, c, part, inside, found, list) {
	split("", found)
	list = part = ""
	inside = 0
	for (i = 1; i <= length(text) + 1; i++) {
		c = substr(text, i, 1)
		if (c == "\\") {
			part = part c substr(text, ++i, 1)
			continue
		}
		if (c == "\"") inside = !inside
		if (i <= length(text) && (c != "," || inside)) {
			part = part c
			continue
		}
		c = kind(part)
		part = ""
		if (c != "" && !(c in found)) {
			found[c] = 1
			list = list (list == "" ? "" : ",") c
		}
	}
	return list
}'
