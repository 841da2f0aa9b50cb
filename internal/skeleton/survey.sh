# Looks at all homes that skeletons were made in, as the notes of
# skeleton/skeleton.sh say, in as many processes as for one. Changes nothing.
#
# Root only asks what there is, without following a link: an entry to which a
# plain way of directories leads from a home is the same for root and for its
# user. Everything else, whatever is missing included, is left to each_home,
# which looks as the user.

# plainly reads the accounts, the notes and, once they are known, what stat says
# of the paths, each part after a line "==". Without the third part it prints
# the paths to ask for. With it, it prints the homes in which everything is
# plain, as each_home would, behind "= ", and the blocks of the others behind "+ ".
plainly() {
	# shellcheck disable=SC2016 # the program is awk's
	awk '
		$0 == "==" { part++; next }
		part == 1 {
			split($0, f, ":")
			lives[f[1]] = f[6]
		}
		part == 2 && $1 == "user" {
			n++
			block[n] = $0
			user[n] = $2
			asked[n] = substr($0, length($2) + 7)
			home[n] = asked[n] == "-" ? lives[$2] : asked[n]
			next
		}
		part == 2 { block[n] = block[n] "\n" $0 }
		part == 2 && $1 == "look" { look[n, ++looks[n]] = substr($0, 6) }
		part == 2 && $1 == "end" { whole[n] = 1 }
		part == 3 {
			at = index($0, "/")
			path = substr($0, at)
			split($0, f, " ")
			mode[path] = f[1]
			owner[path] = f[2]
			kind[path] = substr($0, length(f[1]) + length(f[2]) + 3, at - length(f[1]) - length(f[2]) - 3)
		}
		function way(n, i,    steps, j, path) { # every step from the home on
			steps = split(look[n, i], step, "/")
			path = home[n]
			for (j = 1; j <= steps; j++) {
				path = path "/" step[j]
				if (part < 3) print path
				else if (j < steps && kind[path] != "directory") return ""
			}
			return path
		}
		END {
			for (n = 1; n in block; n++) {
				if (part < 3 && home[n] ~ /^\/./) print home[n]
				plain = part == 3 && whole[n] && (user[n] in lives) && home[n] ~ /^\/./ && kind[home[n]] == "directory"
				said = "= begin - " user[n] " " asked[n] "\n= home " home[n]
				for (i = 1; i <= looks[n] && (plain || part < 3); i++) {
					path = way(n, i)
					if (kind[path] == "directory") what = "directory"
					else if (kind[path] ~ /^regular (empty )?file$/) what = "file"
					else plain = 0
					said = said "\n= is " what " " mode[path] " " owner[path] " " look[n, i]
				}
				if (plain) print said "\n= end -"
				else if (part == 3 && whole[n]) {
					gsub(/\n/, "\n+ ", block[n])
					print "+ " block[n]
				}
			}
		}'
}

# shellcheck disable=SC2154 # skeleton/skeleton.sh is put in front of this script
survey() {
	[ -d "$notes" ] || return 0
	# awk 1 ends a line that was cut off, which cat would join with the next note.
	noted=$(find "$notes" -type f -exec awk 1 {} +) || exit 1
	[ -n "$noted" ] || return 0
	people=$(say "$noted" | awk '$1 == "user" { print $2 }' | xargs getent passwd)
	facts=$(say "==
$people
==
$noted" | plainly | sort -u | tr '\n' '\0' | xargs -0 stat -c '%a %U %F%n' 2>/dev/null)
	found=$(say "==
$people
==
$noted
==
$facts" | plainly) || exit 1
	say "$found" | sed -n 's/^= //p'
	say "$found" | sed -n 's/^+ //p' | each_home
}

survey
say over
