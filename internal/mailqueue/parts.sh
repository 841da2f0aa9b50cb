# Knows the files of a message in a queue of the old host, and their names once the
# message is set aside: they stay on their file system, where a rename is one step, and
# have names that no mail server takes for its own. $mark is "cutover-" with the new
# host's name and a dot. For the scripts that stand behind it and behind queues.sh.
# shellcheck disable=SC2034,SC2154 # tab is for them; mark comes from them

tab=$(printf '\t')
instances=$(postfix_queues)

# aside_root prints the directory of what is set aside from a queue of Postfix, which
# looks into its own directories alone.
aside_root() { # QUEUE-DIRECTORY
	printf '%s/%s\n' "$1" "${mark%.}"
}

# postfix_queue prints the queue directory of an instance of Postfix.
postfix_queue() { # NAME
	printf '%s\n' "$instances" | while read -r instance _ queue; do
		if [ "$instance" = "$1" ]; then printf '%s\n' "$queue"; fi
	done
}

# plain prints the path that a message's control file has in the queue, whether it is
# set aside or not.
plain() { # KIND PATH
	case $1:$2 in
	postfix:*/"${mark%.}"/*) printf '%s/%s\n' "${2%%/"${mark%.}"/*}" "${2#*/"${mark%.}"/}" ;;
	postfix:*) printf '%s\n' "$2" ;;
	*)
		file=${2##*/}
		printf '%s/%s\n' "${2%/*}" "${file#"$mark"}"
		;;
	esac
}

# parts prints the files of a message, the control file first, each as three words with
# a tab between: control, body, journal or other; its path in the queue; its path
# aside. Not all of them have to be there.
parts() { # KIND NAME PLAIN-PATH
	directory=${3%/*} file=${3##*/}
	case $1 in
	sendmail)
		id=${file#?f}
		printf 'control\t%s\t%s\n' "$3" "$directory/$mark$file"
		elsewhere=$(sed -n 's/^d//p' "$3" "$directory/$mark$file" 2>/dev/null | head -n 1)
		top=$directory
		if [ "${directory##*/}" = qf ]; then top=${directory%/*}; fi
		for kind in body/df other/xf; do
			for where in "$(part "$top" "${kind#*/}")" "${elsewhere:+$(part "$elsewhere" "${kind#*/}")}"; do
				if [ -n "$where" ]; then printf '%s\t%s\t%s\n' "${kind%/*}" "$where/${kind#*/}$id" "$where/$mark${kind#*/}$id"; fi
			done
		done
		;;
	postfix)
		queue=$(postfix_queue "$2")
		below=${3#"$queue"/}
		root=$(aside_root "$queue")
		printf 'control\t%s\t%s\n' "$3" "$root/$below"
		# Why it was not delivered, which bounces tell.
		below=defer/${below#*/}
		printf 'other\t%s\t%s\n' "$queue/$below" "$root/$below"
		;;
	exim)
		id=${file%-H}
		for kind in control/H body/D journal/J; do
			printf '%s\t%s\t%s\n' "${kind%/*}" "$directory/$id-${kind#*/}" "$directory/$mark$id-${kind#*/}"
		done
		;;
	esac
}
