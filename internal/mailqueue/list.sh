# Lists the mail queues of the old host. Changes nothing.
#   $1 mark of what is set aside; see parts.sh
#   $2 directory with sendmail.cf and submit.cf
# Prints lines:
#   queue NAME           a mail server with a queue here
#   running NAME         it works on its queue at this moment
#   message KIND NAME STATE PATH
#                        KIND is postfix, sendmail or exim; STATE is queued, held, odd or
#                        aside; PATH is that of its control file
#   frozen PATH          Exim does not try to deliver it
# shellcheck disable=SC2034 # mark is for parts.sh
set -u
mark=$1 sendmail_cf=$2

listed() { # KIND NAME
	echo "queue $2"
	if running "$2"; then echo "running $2"; fi
}

postfix_queues | while read -r name _ queue; do
	listed postfix "$name"
	for directory in incoming active deferred maildrop; do
		# A file that its writer has not finished has no right to be executed.
		find "$queue/$directory" -type f -perm -u+x -printf "message postfix $name queued %p\n" 2>/dev/null
	done
	find "$queue/hold" -type f -printf "message postfix $name held %p\n" 2>/dev/null
	find "$queue/corrupt" -type f -printf "message postfix $name odd %p\n" 2>/dev/null
	find "$(aside_root "$queue")" -type f ! -path '*/defer/*' -printf "message postfix $name aside %p\n" 2>/dev/null
done

queues=$(sendmail_queues "$sendmail_cf")
if [ -n "$queues" ]; then
	listed sendmail sendmail
	printf '%s\n' "$queues" | while IFS= read -r queue; do
		find "$(part "$queue" qf)" -maxdepth 1 -type f \( -name 'qf*' -printf "message sendmail sendmail queued %p\n" -o \
			-name 'hf*' -printf "message sendmail sendmail held %p\n" -o \
			-name 'Qf*' -printf "message sendmail sendmail odd %p\n" -o \
			-name "${mark}[qh]f*" -printf "message sendmail sendmail aside %p\n" \)
	done
fi

spool=$(exim_spool)
if [ -n "$spool" ]; then
	listed exim exim
	find "$spool" -path '*/input/*' -type f \( -name "$mark*-H" -printf "message exim exim aside %p\n" -o \
		-name '[0-9A-Za-z]*-H' ! -name 'cutover-*' -printf "message exim exim queued %p\n" \)
	find "$spool" -path '*/input/*' -type f -name '[0-9A-Za-z]*-H' ! -name 'cutover-*' \
		-exec grep -l -s -a -E '^-frozen( [0-9]+)?$' {} + 2>/dev/null | sed 's/^/frozen /'
fi
exit 0
