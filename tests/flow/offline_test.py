"""Thirty days without the aggregator, a day in a moment: agents are started
again, the policy changes over there, spools reach their limits. Then the line
is back, and everything that was accepted is stored, or counted under a reason:
given up for its age, or dropped because there was no room."""

import time

import harness
from apps import NOT_TAKEN, TAKEN, App
from harness import Clock, check, check_equal, conf, wait_until
from refusals_test import MIB, assert_sales, make_shop, take_sales

DAYS = 30
DAY = 86400
EACH = 300  # events a day
EXPIRE = 11 * 60  # an agent looks for batches that are too old every ten minutes


def later_version(site, version, previous):
    """The shop's policy as a later version of it, published; its hash."""
    yaml = site.path("v%d.yaml" % version)
    with open(conf(site.args, "online-retail.policy.yaml")) as f:
        text = f.read().replace("version: 1\n", "version: %d\nprevious: \"%s\"\n"
                                % (version, previous))
    harness.write(yaml, text)
    policy, digest = site.build_policy(yaml, "v%d" % version)
    check(site.aggregator.policy_add(policy)["added"], "not added")
    return digest


def day_passes(clock):
    """In pieces, so that what is looked at every ten minutes is."""
    clock.pass_time(DAY - EXPIRE)
    time.sleep(0.12)
    clock.pass_time(EXPIRE)
    time.sleep(0.12)


def thirty_days_offline(site):
    """One agent keeps everything; one gives up what is ten days old; one is
    started again every few days."""
    clock = Clock(site)
    site.env = clock.env
    line, policy, digest = make_shop(site)
    bundle = site.bundle(policy)
    keeps = site.make_agent("keeps", bundle, batch_events=100)
    forgets = site.make_agent("forgets", bundle, batch_events=100,
                              spool_age="P10D")
    restarts = site.make_agent("restarts", bundle, batch_events=100)
    value = {}
    for agent in site.agents.values():
        agent.start()
        value[agent] = take_sales(site, agent, EACH, agent.name + "-0", seed=1)
    for agent in site.agents.values():
        agent.wait_drained()
    line.refusing = True
    line.cut()

    for day in range(1, DAYS + 1):
        for agent in site.agents.values():
            value[agent] += take_sales(site, agent, EACH,
                                       "%s-%d" % (agent.name, day), seed=day)
        if day % 10 == 0:
            digest = later_version(site, 1 + day // 10, digest)
        if day % 4 == 0:
            restarts.stop()
        if day < DAYS:
            day_passes(clock)
        if day % 4 == 0:
            restarts.start()
    events = EACH * (DAYS + 1)
    given_up = forgets.status()["events"]["voided"]
    check(EACH * (DAYS - 12) <= given_up <= EACH * (DAYS - 10),
          "given up for its age", given_up)

    line.refusing = False
    clock.run(20)
    for agent in site.agents.values():
        wait_until(agent.drained, 120, agent.name + " is drained")
    wait_until(lambda: keeps.status()["policy"]["version"] == 4, 60,
               "the newest policy arrives")
    clock.run(1)
    for agent in (keeps, restarts):
        check_equal(agent.status()["events"]["voided"], 0, "voided")
    value_stored = value[keeps] + value[restarts]
    site.assert_balance()
    rows = site.aggregator.agents()
    check_equal([rows[n]["events"] for n in ("keeps", "restarts")],
                [events, events], "stored")
    check_equal((rows["forgets"]["events"], rows["forgets"]["voided"]),
                (events - given_up, given_up), "stored and given up")
    stored = site.aggregator.status()["totals"]["purchase"]
    check_equal(stored["events"], 3 * events - given_up, "purchases")
    check(value_stored < stored["value"] < value_stored + value[forgets],
          "their value", stored)
    print("offline: %d days, restarts %d, policies 4, events %d, stored %d, "
          "given up for age %d, lost 0, doubled 0"
          % (DAYS, DAYS // 4, 3 * events, stored["events"], given_up))


def full_spool_counts_what_it_drops(site):
    """An application offline until its spool and its ring are full: the newest
    events are dropped and counted, the others are stored."""
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"), "shop")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    app = App(site, "kiosk", site.bundle(policy), ring_size=MIB // 2,
              batch_events=10, batch_age="PT0.02S", batch_bytes=16384,
              spool_size=MIB)
    app.run(10, flush_ms=60000)
    aggregator.stop()
    count = 0
    while not app.events(NOT_TAKEN):
        app.run(10000, pause_us=100)
        count += 10000
        check(count < 900000, "the spool never gets full")
        status = app.agent.status()
        check(status["spool"]["bytes"] <= MIB, "the spool is over its size",
              status["spool"]["bytes"])
    check(status["spool"]["bytes"] > 0.9 * MIB, "the spool was not full",
          status["spool"])
    aggregator.start()
    app.run(0, flush_ms=60000)
    app.run(10, flush_ms=60000)
    site.assert_balance()
    dropped = len(app.events(NOT_TAKEN))
    check_equal(app.agent.status()["events"]["drops"], {"ring_full": dropped},
                "drops")
    app.assert_stored(aggregator.status()["totals"]["purchase"])
    print("offline: events %d, stored %d, dropped and counted %d, lost 0, "
          "doubled 0" % (count + 20, len(app.events(TAKEN)), dropped))


if __name__ == "__main__":
    harness.run(__doc__, thirty_days_offline, full_spool_counts_what_it_drops)
