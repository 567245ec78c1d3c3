#!/bin/sh
# The shop simulator: the same options give the same bytes, another seed gives
# others, and the files hold what the demonstration needs. $1: sotto-shopsim
set -eu
sim=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
    echo "shopsim: $*" >&2
    exit 1
}
lines() { cat "$dir/a/"*.ndjson | grep -c -- "$1" || true; }
at_least() {
    found=$(lines "$2")
    [ "$found" -ge "$1" ] || fail "$found lines with $2, expected $1 or more"
}

"$sim" --out "$dir/a" --seed 7 --until 2026-12-01 > "$dir/said"
"$sim" --out "$dir/b" --seed 7 --until 2026-12-01 > /dev/null
"$sim" --out "$dir/c" --seed 8 --until 2026-12-01 > /dev/null
for channel in site app kiosk; do
    cmp "$dir/a/$channel.ndjson" "$dir/b/$channel.ndjson"
    ! cmp -s "$dir/a/$channel.ndjson" "$dir/c/$channel.ndjson" ||
        fail "$channel does not depend on the seed"
    count=$(wc -l < "$dir/a/$channel.ndjson")
    grep -q "$channel.ndjson: $count lines" "$dir/said" ||
        fail "$channel has $count lines, it said: $(cat "$dir/said")"
done

total=$(lines '')
[ "$total" -ge 60000 ] && [ "$total" -le 85000 ] || fail "$total lines"
at_least 30000 '"event":"Product Viewed"'
at_least 5000 '"event":"Product Added"'
at_least 3000 '"event":"Order Completed"'
at_least 50 '"event":"Order Refunded"'
at_least 2000 '"event":"Product List Viewed"'
at_least 2000 '"personalise":false'
at_least 5000 '"anonymousId"'
at_least 500 '"context":{"ip":"[0-9.]*"}' # no word about consent
at_least 10 '"properties":{"name"'        # no product_id
at_least 10 '"timestamp":"yesterday"'
at_least 10 '"event":"Prodcut Viewed"'
at_least 10 '"event":"Product Vie$'

people=$(cat "$dir/a/"*.ndjson | grep -o 'customer-[0-9]*@shop.example' |
    sort -u | wc -l)
[ "$people" -ge 1150 ] && [ "$people" -le 1200 ] || fail "$people people"
latest=$(cat "$dir/a/"*.ndjson | grep -o '"timestamp":"2[^"]*' | sort |
    tail -n 1)
case $latest in
*2026-11-*) ;;
*) fail "the last event is at $latest" ;;
esac

"$sim" --out "$dir/d" --people 3 --days 5 --items 72 --until 2026-12-01 \
    > /dev/null
[ -s "$dir/d/site.ndjson" ] || fail "a small shop has no events"
! "$sim" --seed 1 2> /dev/null || fail "--out is not needed"
! "$sim" --out /dev/null/x 2> /dev/null > /dev/null || fail "writes nowhere"
echo "shopsim: $total lines of $people people"
