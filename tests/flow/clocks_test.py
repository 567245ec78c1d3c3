"""Clocks that are wrong: ten years ahead, ten years behind, set back while
everything runs, standing, and none at all, 1970 after each start. Events are
stored once all the same; what waits is not given up for an age that only the
clock says; and the times of events are those that are known to be true."""

import time

import harness
from apps import NOT_TAKEN, TAKEN, App
from harness import Clock, check, check_equal, conf, sales_file, wait_until
from refusals_test import assert_sales, make_shop, map_of, take_sales

YEAR = 365 * 86400
EXPIRE = 11 * 60  # an agent looks for batches that are too old every ten minutes
EACH = 400
LONG = 100000


def made_wrong(clock, how):
    if how == "frozen":
        clock.freeze()
    else:
        clock.set_wall(time.time() + {"ahead": 10 * YEAR, "behind": -10 * YEAR,
                                      "back": -3600}[how])


def wait_drained(agent, clock):
    """Time passes faster until the agent has found the aggregator again."""
    clock.run(20)
    wait_until(agent.drained, 120, agent.name + " has delivered everything",
               every=0.1)
    clock.run(1)


def agents_clock_is_wrong(site):
    """Set while the agent runs, with and without the aggregator, and wrong at
    its start."""
    line, policy, _ = make_shop(site)
    clock = Clock(site)
    site.env = clock.env
    agent = site.make_agent("shop", site.bundle(policy), batch_events=100)
    agent.start()
    value, count = 0, 0
    for how in ("ahead", "behind", "back", "frozen"):
        for restart in (False, True):
            clock.set_wall(time.time())
            for away in (False, True):
                if away:
                    site.aggregator.stop()
                    made_wrong(clock, how)
                    if restart:
                        agent.stop()
                        agent.start()
                name = "%s-%d-%d" % (how, restart, away)
                value += take_sales(site, agent, EACH, name, seed=count)
                count += EACH
                clock.pass_time(EXPIRE)
            check_equal(agent.status()["events"]["dropped"], 0,
                        "dropped with a clock that is " + name)
            made_wrong(clock, how)
            site.aggregator.start()
            wait_drained(agent, clock)
    check_equal(agent.status()["events"]["voided"], 0, "voided")
    assert_sales(site, count, value)
    print("clocks: agent's wrong 8 ways, events %d, lost 0, doubled 0, voided "
          "0, dropped 0" % count)


def aggregators_clock_is_wrong(site):
    """What was accepted is stored. The aggregator's time is that of the agents:
    while it is ten years off the policy is over or has not begun, and they say
    so."""
    clock = Clock(site)
    site.env = clock.env
    line, policy, _ = make_shop(site)
    hasty = Clock(site, "hasty")  # its timeouts are not what is tested here
    hasty.run(10)
    site.env = hasty.env
    agent = site.make_agent("shop", site.bundle(policy), batch_events=100)
    agent.start()
    value, count = 0, 0
    probes = Probes(site, agent)
    for how in ("ahead", "behind", "back", "frozen"):
        for restart in (False, True):
            clock.set_wall(time.time())
            wait_until(probes.is_taken, 60, "the agent knows the time",
                       every=0.2)
            site.aggregator.stop()
            value += take_sales(site, agent, EACH, "%s-%d" % (how, restart),
                                seed=count)
            count += EACH
            if not restart:
                site.aggregator.start()
            made_wrong(clock, how)
            if restart:
                site.aggregator.start()
            agent.wait_drained()
    status = agent.status()["events"]
    check_equal(status["voided"], 0, "voided")
    check_equal(sorted(status["drops"]), ["expired", "no_policy"], "drops")
    check_equal(status["dropped"], probes.refused, "dropped")
    assert_sales(site, count + probes.count, value + probes.value)
    print("clocks: aggregator's wrong 8 ways, events %d, lost 0, doubled 0, "
          "refused outside of the policy's time %d"
          % (count + probes.count, probes.refused))


class Probes:
    """Single events, until one is taken: the agent knows the time again."""

    def __init__(self, site, agent):
        self.site, self.agent = site, agent
        self.tried = self.count = self.value = self.refused = 0

    def is_taken(self):
        self.tried += 1
        file = self.site.path("probe-%d" % self.tried)
        value = sales_file(file, 1, seed=self.tried)
        taken = self.agent.take(file, map_of(self.site)).json["accepted"]
        self.count += taken
        self.value += taken * value
        self.refused += 1 - taken
        return taken


def kiosk_without_a_clock(site):
    """It is 1970 after each start, until the aggregator tells the time."""
    boots = 50 if site.args.full else 6
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"), "shop")
    aggregator = site.make_aggregator(policy)
    clock = Clock(site)
    site.env = clock.env
    app = App(site, "kiosk", site.bundle(policy), batch_events=20)

    clock.boot(wall=0)
    app.run(5)  # before the time was ever known: counted, not kept
    check_equal(app.events(TAKEN), [], "taken in 1970")
    aggregator.start()
    known_ms = 1000 * time.time()
    app.start(LONG, pause_us=20000)
    wait_until(lambda: len(app.events(TAKEN)) >= 5, 60, "the time is known")
    app.kill()
    refused, taken = len(app.events(NOT_TAKEN)), len(app.events(TAKEN))
    for boot in range(boots):
        if boot == 1:
            aggregator.stop()
        clock.boot(wall=0)
        app.start(100)
        time.sleep(0.2)
        clock.pass_time(EXPIRE)
        app.end()
    clock.boot(wall=0)
    aggregator.start()
    app.run(1, flush_ms=60000)
    site.assert_balance()
    check_equal(len(app.events(NOT_TAKEN)), refused, "not taken in all")
    taken += 100 * boots + 1
    check_equal(len(app.events(TAKEN)), taken, "taken")
    check_equal(app.agent.status()["events"]["drops"], {"no_policy": refused},
                "drops")
    app.assert_stored(aggregator.status()["totals"]["purchase"])
    profile = aggregator.profile(site.subject(policy, "visitor-17"))
    late = known_ms + 1000 * (boots + 1) * 2 * EXPIRE
    check(known_ms - 120000 < profile["first_ms"] <= profile["last_ms"] < late,
          "the times of events are not those of today", profile["first_ms"],
          profile["last_ms"], known_ms)
    print("clocks: kiosk started %d times in 1970, events %d, lost 0, doubled "
          "0, refused as before the policy %d" % (boots + 3, taken, refused))


if __name__ == "__main__":
    harness.run(__doc__, agents_clock_is_wrong, aggregators_clock_is_wrong,
                kiosk_without_a_clock)
