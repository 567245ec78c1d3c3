#!/bin/sh
# Recommendation quality on real purchases: Online Retail, strong
# generalization. The local ridge must reach its figure with parameters chosen
# on validation users, and beat item kNN.
#
#   lab_test.sh BINARY SOURCE_DIR [SHARED_DIR]
#
# LAB_SEEDS lists the splits (default: 1). Prints skipped and exits 77 where
# the data is absent.
set -eu

binary=$1
source_dir=$2
shared=${3:-$source_dir/../shared}
data=$shared/data/online-retail/online_retail.csv.xz

if [ ! -r "$data" ]; then
    echo "skipped: no $data"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run SEED OPTIONS...: one JSON object a line, one line a model
run()
{
    dir=$work/$1
    seed=$1
    shift
    "$binary" lab recommend --json --train "$dir/train.csv" \
        --history "$dir/history.csv" --truth "$dir/truth.csv" \
        --seed "$seed" "$@"
}

for seed in ${LAB_SEEDS:-1}; do
    dir=$work/$seed
    python3 "$source_dir/tests/support/split_retail.py" "$data" "$dir" \
        --seed "$seed"
    run "$seed" --model all --validate-history "$dir/validate-history.csv" \
        --validate-truth "$dir/validate-truth.csv" >"$dir/chosen.json"
    run "$seed" --model localridge --threads 1 >"$dir/one.json"
    run "$seed" --model localridge --threads 3 >"$dir/three.json"
    run "$seed" --model localridge --ranked "$dir/ranked.csv" -n 7 >/dev/null
    cut -d, -f1,2 "$dir/ranked.csv" >"$dir/pairs.csv"
    run "$seed" --model localridge --candidates "$dir/pairs.csv" \
        --scores "$dir/scores.csv" >/dev/null
    python3 - "$dir" <<'PYTHON'
import csv
import json
import sys

LEAST_NDCG = 0.395   # with parameters chosen on validation users
LEAST_RATIO = 1.20   # to item kNN


def models(name):
    with open(sys.argv[1] + "/" + name) as lines:
        return {row["model"]: row for row in map(json.loads, lines)}


def table(name):
    with open(sys.argv[1] + "/" + name, newline="") as lines:
        return list(csv.DictReader(lines))


chosen = models("chosen.json")
ridge = chosen["localridge"]
ndcg = ridge["ndcg@100"]
knn = chosen["itemknn"]["ndcg@100"]
print("localridge %.4f, %.3f x itemknn %.4f, popularity %.4f; fit %.2f s, "
      "search %.1f s, %s" % (
          ndcg, ndcg / knn, knn, chosen["popularity"]["ndcg@100"],
          ridge["fit_seconds"], ridge["search_seconds"],
          json.dumps(ridge["parameters"])))
assert ridge["evaluated_users"] == 800, ridge
assert ndcg >= LEAST_NDCG, "localridge %.4f is below %.3f" % (ndcg, LEAST_NDCG)
assert ndcg >= LEAST_RATIO * knn, "not %.2f x itemknn" % LEAST_RATIO

figures = ("recall@20", "recall@50", "ndcg@100", "coverage@100")
one, three = models("one.json"), models("three.json")
for figure in figures:
    assert (one["localridge"][figure] == three["localridge"][figure]), figure

ranked, scores = table("ranked.csv"), table("scores.csv")
held = {(row["user"], row["item"]) for row in table("history.csv")}
assert len(ranked) == 800 * 7, len(ranked)
assert not any((row["user"], row["item"]) in held for row in ranked)
assert [row["score"] for row in ranked] == [row["score"] for row in scores]
PYTHON
done

# Bad input: one sentence with file and line, and exit 2.
printf 'user,item\na,x\nb\n' >"$work/bad.csv"
status=0
"$binary" lab recommend --train "$work/bad.csv" --history "$work/bad.csv" \
    --truth "$work/bad.csv" 2>"$work/error" || status=$?
[ "$status" = 2 ]
grep -q "bad.csv:3: 1 fields" "$work/error"
echo "lab_test: good"
