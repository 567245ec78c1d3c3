#!/bin/sh
# The privacy officer's day: keys, lint, dry run, build, sign, verify, bundle,
# subject, the next version; and for each verb a wrong input with its exit code.
#
#   policy_tool_test.sh SOTTO_POLICY SOURCE_DIR
set -eu

tool=$1
conf=$2/packaging/conf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail()
{
    echo "failed: $*" >&2
    [ ! -s err ] || cat err >&2
    exit 1
}

# run CODE VERB...: the exit code, output in out and err
run()
{
    wanted=$1
    shift
    code=0
    "$tool" "$@" >out 2>err || code=$?
    [ "$code" = "$wanted" ] || fail "exit $code, not $wanted: $*"
}

# says FILE WORDS: they are in it
says()
{
    grep -qF -e "$2" "$1" || { cat "$1" >&2; fail "no \"$2\" in $1"; }
}

# keygen: three files, none ever overwritten
run 0 keygen --out keys --name dpo
run 0 keygen --out eng --name eng --sign-only
for file in keys/dpo.sec keys/pseudonym.secret eng/eng.sec; do
    [ "$(stat -c %a $file)" = 600 ] || fail "mode of $file"
done
cp -r keys kept
run 4 keygen --out keys --name dpo
says err "is not overwritten"
run 4 keygen --out keys --name other # the master is there
diff -r keys kept || fail "keygen changed something"
run 2 keygen
says err "--out"

# lint: the shipped policies are clean, a risky one is not
for policy in shop online-retail; do
    run 0 lint "$conf/$policy.policy.yaml"
    run 0 lint --json "$conf/$policy.policy.yaml"
    says out '"count": 0'
done
sed 's/, pattern: "[^"]*", required: true}/}/' "$conf/shop.policy.yaml" \
    >risky.yaml
run 1 lint risky.yaml
says out "Product Viewed.item: keeps free text"
says out "risky.yaml:"
run 1 lint --json risky.yaml
says out '"rule": "free-text"'
sed 's/action: session/action: sesion/' "$conf/shop.policy.yaml" >wrong.yaml
run 2 lint wrong.yaml
says err 'did you mean `session`?'
run 2 lint absent.yaml

# dryrun: before and after, drops by reason, bytes on the wire
cat >sample.jsonl <<'EOF'
{"type":"track","event":"Product Viewed","userId":"ann-17","timestamp":"2026-11-10T10:11:12Z","properties":{"product_id":"mug-red","price":7.95,"name":"ann@example.com"},"context":{"ip":"192.0.2.7"}}
{"type":"track","event":"Product Viewed","userId":"ann-17","timestamp":"2026-11-10T10:12:12Z","properties":{"product_id":"mug-red"},"context":{"consent":{"categoryPreferences":{"personalise":true}}}}
{"type":"track","event":"Newsletter Opened","userId":"ann-17","timestamp":"2026-11-10T10:12:12Z"}
this is not an event
EOF
run 0 dryrun "$conf/shop.policy.yaml" --events sample.jsonl \
    --keys keys --at 2026-11-20
says out "at = 2026-11-10T10:11:00Z"
says out "visitor = (empty)"
says out "name = (empty)"
says out "192.0.2.7"
says out "(dropped: not in the policy)"
says out "DROPPED, unknown_event"
says out "4 events: 2 taken, 2 dropped"
says out "bytes on the wire"
run 0 dryrun "$conf/shop.policy.yaml" --events sample.jsonl \
    --at 2026-11-20 --consent personalise --show 1 --json
says out '"taken": 2'
says out '"unknown_event": 1'
says out '"bad_row": 1'
[ "$(grep -c '"row":' out)" = 1 ] || fail "--show 1 shows one"
# what an event says of consent goes before --consent
sed -n '2s/true/false/p' sample.jsonl >denied.jsonl
run 0 dryrun "$conf/shop.policy.yaml" --events denied.jsonl --at 2026-11-20 \
    --consent personalise
says out "visitor = (empty)"
run 2 dryrun "$conf/shop.policy.yaml" --events absent.jsonl
run 2 dryrun "$conf/shop.policy.yaml" --events sample.jsonl \
    --consent personalize
says err 'did you mean `personalise`?'
# the pseudonym in a dry run with the keys is the one that `subject` prints
run 0 dryrun "$conf/shop.policy.yaml" --events sample.jsonl --keys keys \
    --at 2026-11-20
pseudonym=$(sed -n 's/.*visitor = \([0-9a-f]\{32\}\)$/\1/p' out)
[ -n "$pseudonym" ] || fail "no pseudonym in the dry run"

# build: every signer needs a key
sed 's/{need: 1, keys: \[dpo\]}/{need: 2, keys: [dpo, eng]}/' \
    "$conf/shop.policy.yaml" >shop.yaml
run 2 build shop.yaml --signer dpo=keys/dpo.pub --out shop.policy
says err "--signer eng=FILE.pub"
[ ! -e shop.policy ] || fail "a policy that does not compile was written"
run 2 build shop.yaml --signer dpo=keys/dpo.sec --out shop.policy
run 2 build shop.yaml --signer dpo=keys/dpo.pub --signer eng=eng/eng.pub \
    --out absent/shop.policy
run 0 build shop.yaml --signer dpo=keys/dpo.pub --signer eng=eng/eng.pub \
    --out shop.policy
says out "policy shop, version 1"
hash=$(sed -n 's/^blake2b://p' out)
run 0 build --json shop.yaml --signer dpo=keys/dpo.pub \
    --signer eng=eng/eng.pub --out again.policy
says out "blake2b:$hash"
cmp shop.policy again.policy || fail "two builds differ"

# sign and verify: one signature is not two
run 0 sign shop.policy --key keys/dpo.sec
[ -s shop.policy.dpo.minisig ] || fail "no signature"
run 3 verify shop.policy
says err '`eng` missing'
run 3 verify shop.policy --signer keys/dpo.pub # nor its own rule
run 3 verify shop.policy --json
says out '"verified": false'
run 0 sign shop.policy --key eng/eng.sec
run 0 verify shop.policy
says out "the signatures hold"
run 0 verify shop.policy --signer keys/dpo.pub --signer eng=eng/eng.pub
run 0 keygen --out mallory --name mallory
run 3 verify shop.policy --signer mallory/mallory.pub
run 2 verify absent.policy
run 2 sign shop.yaml --key keys/dpo.sec
says err "sotto-policy build"
run 2 sign shop.policy --key keys/dpo.pub
if command -v minisign >/dev/null; then
    minisign -V -q -p keys/dpo.pub -m shop.policy \
        -x shop.policy.dpo.minisig || fail "minisign disagrees"
else
    echo "skipped: minisign is not installed"
fi

# a byte changed after signing
mkdir changed
cp shop.policy shop.policy.*.minisig changed/
printf 'X' | dd of=changed/shop.policy bs=1 seek=40 conv=notrunc 2>/dev/null
run 3 verify changed/shop.policy
run 3 verify changed/shop.policy --signer keys/dpo.pub

# bundle: only of a policy that is signed, the code shown once
run 3 bundle --policy changed/shop.policy --keys keys --out bad.bundle
run 2 bundle --policy shop.policy --keys eng --out bad.bundle
says err "pseudonym.secret"
[ ! -e bad.bundle ] || fail "a bundle was written"
run 0 bundle --policy shop.policy --keys keys --out shop.bundle
grep -Eq '^([0-9A-Z]{4}-){4}[0-9A-Z]{4}$' out || fail "no code"
run 0 bundle --policy shop.policy --keys keys --out shop.bundle \
    --code-file shop.code
grep -Eq '^([0-9A-Z]{4}-){4}[0-9A-Z]{4}$' shop.code || fail "no code file"
[ "$(stat -c %a shop.code)" = 600 ] || fail "mode of shop.code"
[ "$(stat -c %a shop.bundle)" = 600 ] || fail "mode of shop.bundle"
grep -qFf shop.code out && fail "the code was printed as well"
grep -qa visitor shop.bundle && fail "the bundle is readable"

# subject: the same from YAML and compiled, from option and standard input
run 0 subject --id ann-17 --policy shop.policy --keys keys
[ "$(cat out)" = "$pseudonym" ] || fail "subject and dryrun differ"
run 0 subject --id " ann-17 " --policy shop.yaml --keys keys
[ "$(cat out)" = "$pseudonym" ] || fail "YAML and compiled differ"
echo ann-17 | "$tool" subject --id - --policy shop.policy --keys keys >out
[ "$(cat out)" = "$pseudonym" ] || fail "--id - differs"
run 0 subject --id ann-17 --policy shop.policy --keys mallory
[ "$(cat out)" != "$pseudonym" ] || fail "another master, same pseudonym"
run 0 subject --id 1007 --from properties.order_id --policy shop.policy \
    --keys keys --json
says out '"key": "order"'
run 2 subject --id ann-17 --from traits.email --policy shop.policy --keys keys
run 2 subject --id "  " --policy shop.policy --keys keys

# a key with epochs: a pseudonym of each day, while the day's key lives
sed 's/visitor: {kind: blake2b, epoch: none}/visitor: {kind: blake2b, epoch: P1D, destroy_after: P2D}/' \
    "$conf/shop.policy.yaml" >day.yaml
cp -r keys daykeys
today=$(date -u +%Y-%m-%dT%H:%M:%SZ)
run 0 subject --id ann-17 --policy day.yaml --keys daykeys --at "$today"
day=$(cat out)
run 0 subject --id ann-17 --policy day.yaml --keys daykeys --at "$today"
[ "$(cat out)" = "$day" ] || fail "one day, two pseudonyms"
run 0 subject --id ann-17 --policy day.yaml --keys daykeys \
    --at "$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)"
[ "$(cat out)" != "$day" ] || fail "two days, one pseudonym"
run 2 subject --id ann-17 --policy day.yaml --keys daykeys --at 2026-01-01
says err "is destroyed"
[ "$(stat -c %a daykeys/visitor.epoch)" = 600 ] || fail "mode of visitor.epoch"

# the next version: names the hash of this one, signed by its signers
sed -e 's/^version: 1/version: 2/' \
    -e "s/^effective/previous: \"blake2b:$hash\"\neffective/" \
    -e 's/{need: 2, keys: \[dpo, eng\]}/{need: 1, keys: [dpo]}/' \
    shop.yaml >shop2.yaml
run 0 build shop2.yaml --signer dpo=keys/dpo.pub --out shop2.policy
run 0 sign shop2.policy --key keys/dpo.sec
run 0 verify shop2.policy
run 3 verify shop2.policy --previous shop.policy
says err '`eng` missing'
run 5 diff shop.policy shop2.policy # it asks for fewer signatures
says out "up    signers.need: 1 must sign, it was 2"
says out '`dpo` given, `eng` missing'
run 5 diff --json shop.policy shop2.policy
says out '"approved": false'
run 0 sign shop2.policy --key eng/eng.sec
run 0 verify shop2.policy --previous shop.policy
run 1 diff shop.policy shop2.policy
says out "those who must have signed"
run 0 diff shop.policy shop.policy
says out "0 changes"
run 1 diff shop2.policy shop.policy # need is raised, but who may sign is new
says out "signers.eng: is a new signer"
run 3 verify shop.policy --previous shop2.policy
says err "rolled back: version 1 does not follow version 2"
run 3 verify shop.policy --previous shop2.policy --json
says out "rolled back"

# a signature that was made for another version, and a policy that is over
mkdir stale
cp shop2.policy stale/
for signer in dpo eng; do
    cp shop.policy.$signer.minisig stale/shop2.policy.$signer.minisig
done
run 3 verify stale/shop2.policy
says err '`dpo` wrong'
run 3 bundle --policy stale/shop2.policy --keys keys --out bad.bundle
expires=$(sed -n 's/^expires: \([0-9-]*\).*/\1/p' shop2.yaml)
run 0 verify shop2.policy --at 2026-12-31
run 3 verify shop2.policy --at "$expires"
says err "it expired on $expires"
run 3 verify shop2.policy --at "$expires" --json
says out '"verified": false'

# init: each kind lints clean, builds, and takes a sample event
cat >started.jsonl <<EOF
{"type":"track","event":"Product Viewed","userId":"ann-17","timestamp":"$(date -u +%FT%TZ)","properties":{"product_id":"mug-red","price":7.95,"name":"Red mug","email":"ann@example.com"}}
{"type":"track","event":"Products Searched","timestamp":"$(date -u +%FT%TZ)","properties":{"query":"a present for ann lee"}}
EOF
for kind in site app kiosk; do
    run 0 init $kind --name acme --out $kind.yaml
    run 4 init $kind --out $kind.yaml
    run 0 lint $kind.yaml
    run 0 build $kind.yaml --signer dpo=keys/dpo.pub --out $kind.policy
    run 0 dryrun $kind.policy --events started.jsonl --consent personalise
    says out "item = mug-red"
    says out "properties.email = ann@example.com  (dropped: not in the policy)"
    grep -q "  query = a" out && fail "$kind keeps what people type"
done
run 0 init site
says out "policy: my-shop"
run 0 init site --json
says out '"policy": "# A site.'
run 2 init sites
says err 'did you mean `site`?'
run 2 init site --name "a b"
run 2 init site --out absent/site.yaml

# record: from YAML and compiled; nothing is overwritten
run 0 record "$conf/shop.policy.yaml" --out record.md
says record.md "# Record of processing activities: shop"
says record.md "| not asked | LIA-1 |"
says record.md "Controller, name and address: **To fill in**"
run 4 record shop.policy --out record.md
run 0 record shop.policy
says out "Policy hash: \`blake2b:$hash"
run 0 record shop.policy --json
says out '"record": "# Record'
run 2 record wrong.yaml

# diff of drafts and of compiled files; a draft cannot be signed
sed 's/round: PT1M/round: PT15M/' shop2.yaml >coarse.yaml
run 0 diff shop2.yaml coarse.yaml
says out "down  Product Viewed.at: is rounded down to 15 minutes"
run 0 diff shop2.policy coarse.yaml
says out "is a draft, which cannot be signed"
run 5 diff coarse.yaml shop2.yaml
run 5 diff coarse.yaml shop2.policy
says out "names no keys"
run 2 diff shop.policy absent.policy
run 2 diff shop.policy
mkdir turned
cp shop2.policy.*.minisig turned/
run 0 build coarse.yaml --signer dpo=keys/dpo.pub --out turned/shop2.policy
run 3 diff shop.policy turned/shop2.policy # signatures of another text
says out "a signature is wrong"

# explain: all, an event, a field; YAML and compiled
run 0 explain shop.policy
says out "userId leaves as 8 or 16 bytes, keyed BLAKE2b"
says out "Can be linked for ever: the key"
says out "What never leaves: everything else."
run 0 explain shop.yaml "Product Viewed.price"
says out "properties.price leaves as the value itself"
! grep -q userId out || fail "explain tells more than was asked"
run 0 explain shop.yaml "Product Viewed" --json
says out '"reveals": '
run 2 explain shop.yaml "Product Veiwed"
says err 'did you mean `Product Viewed`?'
run 2 explain shop.yaml "Product Viewed.prise"
says err 'did you mean `price`?'

# leakscan: what was planted is found and not shown; what is not there is not
mkdir logs
echo "user ann.lee@example.com md5 $(printf %s canary-value-77 | md5sum)" \
    >logs/a.log
printf '\000\377' >logs/b.bin
printf %s xcanary-value-77 | base64 >>logs/b.bin
echo canary-value-77 >canaries
run 1 leakscan logs --canary-file canaries
says out "logs/a.log:5: email"
says out "logs/a.log:29: canary 1, MD5 in hexadecimal"
says out "logs/b.bin:4: canary 1, base64"
! grep -qE "ann.lee|canary-value" out err || fail "leakscan shows a value"
run 1 leakscan --json logs --canary-file canaries --kind none
says out '"count": 2'
run 0 leakscan logs --kind iban
run 2 leakscan absent
run 2 leakscan logs --kind mail
says err "national_id"
run 2 leakscan logs --canary-file absent
echo short >canaries
run 2 leakscan logs --canary-file canaries
says err "canary 1 has 5 bytes"

# the command line itself
run 2 biuld shop.yaml
says err "build"
run 0 --help
says out "dryrun"
run 0 subject --help
says out "--from"
echo "passed"
