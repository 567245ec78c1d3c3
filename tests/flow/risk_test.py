"""What the privacy officer asks of a running aggregator: risk on the live store
is that of its people counted another way, released counts are charged to the
budget and refused beyond it, and the same request gets the same answer."""

import json
import subprocess

import harness
from harness import check, check_equal
from refusals_test import make_shop, take_sales

EVENTS = 3000
ADULT = """age, workclass, sex, pay
39, State-gov, Male, <=50K
39, State-gov, Male, >50K
50, ?, Male, <=50K
"""


def of_a_file_without_a_directory(site):
    words = [site.args.aggregator, "risk", "--json", "--qi", "age,workclass,sex",
             "--sensitive", "pay", "--csv"]
    file = site.path("adult.csv")
    harness.write(file, ADULT)
    answer = subprocess.run(words + [file], capture_output=True, text=True)
    check_equal(answer.returncode, 0, answer.stderr)
    report = json.loads(answer.stdout)
    check_equal([report[name] for name in ("rows", "classes", "unique",
                                           "below_k", "smallest")],
                [3, 2, 1, 3, 1], "the classes of three rows")
    harness.write(file, ADULT + "39, State-gov\n")
    answer = subprocess.run(words + [file], capture_output=True, text=True)
    check_equal(answer.returncode, 2, "exit code of a ragged file")
    check("adult.csv:5: 2 fields" in answer.stderr, "names file and line",
          answer.stderr)


def people_of(aggregator, report):
    """Each subject's purchases, by the segments' sizes: all of them."""
    people = aggregator.status()["subjects"]
    check_equal(report["rows"], people, "rows of risk")
    check(report["classes"] >= report["unique"], "classes hold the unique")
    check(0 <= report["unique"] <= report["below_k"] <= people,
          "unique is within below k")
    return people


def released(aggregator, *words, codes=(0,)):
    return aggregator.ask("release", "count", *words, codes=codes)


def a_shop_with_people(site):
    _, policy, _ = make_shop(site)
    agent = site.make_agent("till-1", site.bundle(policy))
    agent.start()
    take_sales(site, agent, EVENTS)
    agent.wait_drained()
    site.aggregator.wait_folded()
    agent.stop()
    return site.aggregator


def of_a_store_and_its_released_counts(site):
    aggregator = a_shop_with_people(site)
    report = aggregator.ask("risk", "--sensitive", "segment", "--points", "3")
    people = people_of(aggregator, report.json)
    check_equal([u["points"] for u in report.json["unicity"]], [1, 2, 3],
                "points of unicity")
    first = released(aggregator, "--by", "event", "--request", "monday").json
    check(first["label"].startswith("anonymous statistics ("), "the label",
          first["label"])
    again = released(aggregator, "--by", "event", "--request", "monday").json
    check_equal(again, first, "the answer of one request")
    ledger = aggregator.ask("ledger").json
    check_equal((ledger["rho_spent"], len(ledger["releases"])), ("0.01", 1),
                "what one request took")
    refused = released(aggregator, "--by", "segment", "--rho", "0.5",
                       codes=(4,))
    check("nothing was released" in refused.err, "a sentence", refused.err)
    released(aggregator, "--by", "item", "--rho", "0.49")
    check_equal(aggregator.ask("ledger").json["rho_left"], "0", "left")
    aggregator.stop()
    check_equal(aggregator.ask("risk").json["rows"], people,
                "rows without a daemon")
    check_equal(released(aggregator, "--by", "event", "--request",
                         "monday").json, first, "without a daemon")
    aggregator.settle(release_rho=0.51)
    check_equal(aggregator.ask("ledger").json["rho_left"], "0.01",
                "left of a larger budget")
    aggregator.settle(release_rho="much")
    said = aggregator.ask("ledger", codes=(2,)).err
    check("aggregator.yaml:1:14: release_rho" in said, "names the place", said)


if __name__ == "__main__":
    harness.run(__doc__, of_a_file_without_a_directory,
                of_a_store_and_its_released_counts)
