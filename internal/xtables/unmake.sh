# unmake TOOL TABLE: iptables with nftables below it makes a table when a rule is
# put there, and keeps it. One without rules, chains and policies goes again.
unmake() {
	case $("$1-restore" --version 2>/dev/null) in
	*nf_tables*) ;;
	*) return 0 ;;
	esac
	"$1-save" | awk -v table="*$2" '
		/^\*/ { within = $0 == table; if (within) there = 1 }
		within && (/^-/ || /^:/ && $2 != "ACCEPT") { used = 1 }
		END { exit !there || used }' || return 0
	printf '*%s\nCOMMIT\n' "$2" | "$1-restore"
}
