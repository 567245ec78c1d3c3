#!/bin/sh
# The library as its users meet it: header, exported symbols, and the examples
# run without an aggregator.
#
#   sdk_test.sh SOURCE_DIR LIBSOTTO FIXTURE MINIMAL SHOP
set -eu
source=$1 library=$2 fixture=$3 minimal=$4 shop=$5
header=$source/sdk/include/sotto/sotto.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "sdk_test: $*" >&2
    exit 1
}

echo "== the header alone is C11 and C++17"
cc -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c "$header"
if command -v c++ >/dev/null; then
    c++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c++ \
        "$header"
else
    echo "C++: skipped, no compiler"
fi
# It includes the standard library only.
if grep '#include' "$header" | grep -v -E '<std(bool|def|int)\.h>'; then
    fail "the header includes more than it may"
fi

echo "== the library exports what the header declares, nothing else"
sed -n 's/^SOTTO_API.*[ *]\(sotto_[a-z_]*\)(.*/\1/p' "$header" |
    sort >"$work/declared"
nm -D --defined-only "$library" | sed -n 's/.* T \([^@]*\).*/\1/p' |
    sort >"$work/exported"
diff "$work/declared" "$work/exported" || fail "exports differ from the header"
others=$(nm -D --defined-only "$library" | grep -v -E ' T | A ' || true)
[ -z "$others" ] || fail "data is exported: $others"

echo "== the examples work offline and keep their events"
"$fixture" "$work" tcp://127.0.0.1:9
code=$(cat "$work/code")
"$shop" "$work/home" "$work/token" "$work/bundle" "$code" >"$work/shop.out"
cat "$work/shop.out"
grep -q "produced 4, accepted 4, dropped 0" "$work/shop.out" ||
    fail "shop: counts"
grep -q "left behind for the next run: 4 events" "$work/shop.out" ||
    fail "shop: left behind"
# The second run needs the directory only; five events wait now.
"$minimal" "$work/home" >"$work/minimal.out"
cat "$work/minimal.out"
grep -q "left behind: 5" "$work/minimal.out" || fail "minimal: left behind"
if "$minimal" "$work/nowhere" 2>"$work/err"; then
    fail "opened without token"
fi
cat "$work/err"
grep -q "token" "$work/err" || fail "does not say what is missing"
if grep -r -a -l "visitor-17" "$work/home" "$work/ring"; then
    fail "a raw id is in a file"
fi
echo "ok"
