"""An application that embeds the library: it enrols by itself, delivers, keeps
its events while the aggregator is away, and delivers each once."""

import os
import re
import subprocess

import harness
from harness import check, check_equal, conf

SHOP = os.environ["SOTTO_SHOP"]  # sdk/examples/shop.c, built
VISITOR, SPENT = "visitor-17", 2 * 12750000  # millionths


def visit(home, *files):
    """One run of the example: its counts, and the events left behind."""
    done = subprocess.run([SHOP, home, *files], capture_output=True,
                          text=True, timeout=60)
    check_equal(done.returncode, 0, "exit of shop: " + done.stderr)
    counts = dict((k, int(v)) for k, v in re.findall(
        r"(produced|accepted|dropped|acknowledged) (\d+)", done.stdout))
    left = re.search(r"left behind for the next run: (\d+)", done.stdout)
    check(left and len(counts) == 4, "shop printed something else",
          done.stdout)
    return counts, int(left.group(1))


def totals_of(aggregator):
    aggregator.wait_folded()
    return {k: v["events"] for k, v in aggregator.status()["totals"].items()}


def app_delivers_each_event_once(site):
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"), "shop")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    bundle, code_file = site.bundle(policy)
    with open(code_file) as f:
        code = f.read().strip()
    token = site.token("kiosk")
    home = site.agent_at("kiosk").folder

    counts, left = visit(home, token, bundle, code, VISITOR)
    check_equal((counts["accepted"], counts["acknowledged"], left), (4, 4, 0),
                "first run: accepted, acknowledged, left")
    check_equal(totals_of(aggregator), {"view": 3, "purchase": 1},
                "events at the aggregator")
    profile = aggregator.profile(site.subject(policy, VISITOR))
    check_equal((profile["orders"], profile["spent"]), (1, SPENT),
                "orders and spending of the visitor")

    aggregator.stop()
    counts, left = visit(home)
    check_equal((counts["accepted"], counts["acknowledged"], left), (8, 4, 4),
                "aggregator away: accepted, acknowledged, left")

    aggregator.start()
    counts, left = visit(home)
    check_equal((counts["accepted"], counts["acknowledged"], left),
                (12, 12, 0), "aggregator back: accepted, acknowledged, left")
    check_equal(totals_of(aggregator), {"view": 9, "purchase": 3},
                "events at the aggregator, each once")


if __name__ == "__main__":
    harness.run(__doc__, app_delivers_each_event_once)
