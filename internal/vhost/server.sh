# What the scripts of this package know of web servers. Other scripts follow
# this text.
set -u

say() { printf '%s\n' "$*" 2>/dev/null || :; }

quoted() { sed 's/^/| /'; }

# program finds the program that tests a server's configuration: Debian's
# apache2ctl, which knows the envvars, or what the project itself installs.
program() { # SERVER
	case $1 in
	apache) for program in apache2ctl apachectl httpd; do command -v "$program" && return; done ;;
	nginx) command -v nginx && return ;;
	esac
	return 1
}

# parent_and_name sets $parent and $name for a process, after stat in proc(5):
# the name is in parentheses and may hold anything.
parent_and_name() { # PROCESS DIRECTORY
	read -r line <"$1/stat" 2>/dev/null || return 1
	name=${line#*\(}
	name=${name%\)*}
	rest=${line##*\) }
	rest=${rest#* }
	parent=${rest%% *}
}

# master prints the process that the server's workers belong to. What runs in a
# container of its own is somebody else's.
master() { # SERVER
	own=$(readlink /proc/self/ns/pid)
	for process in /proc/[0-9]*; do
		parent_and_name "$process" 2>/dev/null || continue
		case $1:$name in
		apache:apache2 | apache:httpd | nginx:nginx) ;;
		*) continue ;;
		esac
		[ "$(readlink "$process/ns/pid" 2>/dev/null)" = "$own" ] || continue
		found=$name
		parent_and_name "/proc/$parent" 2>/dev/null || name=
		[ "$name" = "$found" ] || {
			say "${process#/proc/}"
			return
		}
	done
	return 1
}

workers() { # MASTER
	for process in /proc/[0-9]*; do
		parent_and_name "$process" 2>/dev/null || continue
		[ "$parent" != "$1" ] || say "${process#/proc/}"
	done
}
