"""Programs that stand still and programs that die: the aggregator and an agent
stopped with SIGSTOP in the middle of their work, and an application that is
killed and started again. Nothing is lost, nothing is stored twice."""

import random
import signal
import time

import harness
from apps import BEGUN, NOT_TAKEN, TAKEN, App
from harness import Clock, check, check_equal, conf, wait_until
from network_test import Tracking
from refusals_test import assert_sales, make_shop

AGENTS = ("site", "app", "kiosk")
STALLS = 6
KILLS = 10


def stalled_and_continued(site):
    """The clocks run ten times as fast, so that requests time out at a
    program that stands for seconds as they would in minutes."""
    full = site.args.full
    rng = random.Random(site.args.seed)
    clock = Clock(site)
    clock.run(1 if full else 10)
    site.env = clock.env
    _, policy, _ = make_shop(site)
    bundle = site.bundle(policy)
    for name in AGENTS:
        site.make_agent(name, bundle, batch_events=40).start()
    tracking = [Tracking(site, a, site.args.seed * 10 + i)
                for i, a in enumerate(site.agents.values())]
    stood = 0
    for stall in range(STALLS):
        victim = site.aggregator if stall % 2 == 0 else \
            site.agents[rng.choice(AGENTS)]
        seconds = rng.uniform(60, 180) if full else rng.uniform(0.5, 5)
        others = [t for t in tracking if t.agent is not victim]
        victim.process.send_signal(signal.SIGSTOP)
        goes_on = time.monotonic() + seconds
        while time.monotonic() < goes_on:
            for t in others:
                t.step()
            time.sleep(0.05)
        victim.process.send_signal(signal.SIGCONT)
        stood += seconds
        goes_on = time.monotonic() + 0.5
        while time.monotonic() < goes_on:
            for t in tracking:
                t.step()
            time.sleep(0.05)
    wait_until(lambda: all([t.step(more=False) for t in tracking]), 300,
               "the imports end", every=0.1)
    events = sum(t.events() for t in tracking)
    assert_sales(site, events, sum(t.value for t in tracking))
    print("stalls: %d, %.0f s of %s, events %d, lost 0, doubled 0"
          % (STALLS, stood, "real time" if full else "tenfold time", events))


def killed_application_loses_nothing(site):
    rng = random.Random(site.args.seed)
    kills = 300 if site.args.full else KILLS
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"), "shop")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    app = App(site, "kiosk", site.bundle(policy), batch_events=50,
              batch_age="PT0.05S")
    app.run(10)
    for _ in range(kills):
        before = len(app.events(TAKEN))
        app.start(1000000)
        wait_until(lambda: len(app.events(TAKEN)) > before, 60,
                   "the application tracks")
        time.sleep(rng.uniform(0, 0.2))
        app.kill()
    app.run(10, flush_ms=60000)
    site.assert_balance()
    purchase = aggregator.status()["totals"]["purchase"]
    app.assert_stored(purchase)
    check_equal(app.events(NOT_TAKEN), [], "not taken")
    check(app.kills == kills and purchase["events"] > 10 * kills,
          "it hardly ran", purchase["events"])
    print("stalls: application killed %d, in doubt %d, events %d, lost 0, "
          "doubled 0" % (app.kills, len(app.events(BEGUN)), purchase["events"]))


if __name__ == "__main__":
    harness.run(__doc__, stalled_and_continued,
                killed_application_loses_nothing)
