# Describes the services whose names it reads, one a line.
# shellcheck disable=SC2154 # $init comes from detect.sh

echo "init $init"
while read -r name; do
	describe "$name" </dev/null
done
