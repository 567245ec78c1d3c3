"""The real year of a shop, from its CSV to lists at the edge: every row is
accounted for, money is exact, and the lists answer when the aggregator is
gone."""

import subprocess
import time

import harness
from harness import check, check_equal, conf, wait_until

ROWS = 541909
REFUSED = {"adjustment": 3, "write_off": 1336, "zero_price": 1179}
PURCHASES, KNOWN_PURCHASES = 530103, 397884
RETURNS, KNOWN_RETURNS = 9288, 8905
SUBJECTS = 4371
KNOWN_VALUE = 8911407904000  # millionths
CUSTOMER, SPENT, ORDERS = "14646", 280206020000, 73


def assert_totals(status):
    totals = status["totals"]
    purchase, back = totals["purchase"], totals["return"]
    check_equal(sorted(totals), ["purchase", "return"], "roles")
    check_equal(purchase["events"], PURCHASES, "purchases")
    check_equal(purchase["known_events"], KNOWN_PURCHASES, "known purchases")
    check_equal(purchase["known_value"], KNOWN_VALUE, "their value")
    check_equal(back["events"], RETURNS, "returns")
    check_equal(back["known_events"], KNOWN_RETURNS, "known returns")
    check_equal(status["subjects"], SUBJECTS, "subjects")


def assert_customer(site, policy):
    p = site.aggregator.profile(site.subject(policy, CUSTOMER))
    check_equal(p["spent"], SPENT, "what customer %s spent" % CUSTOMER)
    check_equal(p["orders"], ORDERS, "orders of customer %s" % CUSTOMER)


def assert_refused(drops):
    check_equal(drops, REFUSED, "refused by name")


def time_recommend(agent, count=20):
    """Milliseconds of a whole `recommend` process: the median of count."""
    words = [agent.program, "recommend", "--user", CUSTOMER, "--json",
             "--dir", agent.folder]
    spent = []
    for _ in range(count):
        begin = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        spent.append(1000 * (time.perf_counter() - begin))
    return sorted(spent)[count // 2]


def assert_answer(agent):
    answer = agent.ask("recommend", "--user", CUSTOMER, "-n", "10").json
    check_equal(len(answer["items"]), 10, "items in the list")
    check(answer["personal"], "the list is not personal")
    for item in answer["items"]:
        check(item["reason"] and item["item"], "an item without a reason",
              item)
    check_equal(len({i["item"] for i in answer["items"]}), 10,
                "different items")
    stranger = agent.ask("recommend", "-n", "5").json
    check_equal(len(stranger["items"]), 5, "items for a stranger")
    check(not stranger["personal"], "a stranger got a personal list")


def every_row_is_accounted_for(site):
    file = harness.retail_file(site.args)
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "online-retail.policy.yaml"),
                                  "retail.policy")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    agent = site.make_agent("shop", site.bundle(policy))
    agent.start()

    begin = time.monotonic()
    report = agent.take(file, conf(site.args, "online-retail.map.yaml")).json
    agent.wait_drained()
    aggregator.wait_folded()
    print("imported, delivered and folded in %.1f s"
          % (time.monotonic() - begin))
    check_equal(report["rows"], ROWS, "rows")
    check_equal(report["accepted"], PURCHASES + RETURNS, "accepted")
    assert_refused(report["refused"])
    assert_refused(agent.status()["events"]["drops"])
    assert_totals(aggregator.status())
    assert_refused(aggregator.agents()["shop"]["drops"])
    assert_customer(site, policy)

    again = agent.take(file, conf(site.args, "online-retail.map.yaml")).json
    check_equal(again["accepted"], 0, "taken when imported again")
    site.assert_balance()

    begin = time.monotonic()
    aggregator.ask("train", seconds=600)
    print("trained in %.1f s" % (time.monotonic() - begin))
    wait_until(lambda: agent.status()["lists"]["personal"] >= SUBJECTS and
               aggregator.status()["link"]["publish"]["idle"], 120,
               "the agent has the lists")
    aggregator.stop()
    assert_answer(agent)
    print("recommend, whole process, daemon running: %.1f ms"
          % time_recommend(agent))
    agent.stop()
    assert_answer(agent)
    print("recommend, whole process, no daemon: %.1f ms"
          % time_recommend(agent))
    aggregator.start()
    agent.start()
    site.assert_balance()


if __name__ == "__main__":
    harness.run(__doc__, every_row_is_accounted_for)
