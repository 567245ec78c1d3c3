"""A bad network between three agents and their aggregator: frames come late,
byte by byte, at 64 kbit/s and twice, connections are cut and reset in the
middle of a frame, and go silent without an end. Events are tracked all the
while; once the network is good again everything arrives, and once.

The daemons' clocks run ten times as fast as ours, so that their timeouts of
half a minute fit into a test; with --full as fast as ours, for ten minutes."""

import time

import harness
from harness import Clock, check, sales_file, wait_until
from kills_test import Feeding
from proxy import FaultyLine
from refusals_test import EVENTS, assert_sales, make_shop, map_of, \
    take_sales

AGENTS = ("site", "app", "kiosk")
SLOW_EVENTS = 20000
CHUNK = 300  # events of one import
AT_LEAST = 3  # of every fault


class Tracking:
    """One agent that is given events for as long as step is called."""

    def __init__(self, site, agent, seed):
        self.site, self.agent, self.seed = site, agent, seed
        self.chunks, self.value, self.feed = 0, 0, None

    def step(self, more=True):
        """True when nothing is under way."""
        if self.feed is not None and not self.feed.step():
            return False
        if not more:
            return True
        name = "%s-%d.csv" % (self.agent.name, self.chunks)
        file = self.site.path(name)
        self.value += sales_file(file, CHUNK, self.seed * 10000 + self.chunks)
        self.chunks += 1
        self.feed = Feeding(self.agent, file, map_of(self.site))
        return False

    def events(self):
        return self.chunks * CHUNK


def track_under_faults(tracking, line, seconds, at_least):
    """Until the time is over and every kind of fault was there often enough."""
    begin = time.monotonic()
    line.faulty = True
    while time.monotonic() < begin + seconds or \
            min(line.counts.values()) < at_least:
        check(time.monotonic() < begin + 20 * seconds,
              "the line does not come to every fault", line.counts)
        for t in tracking:
            t.step()
        time.sleep(0.1)
    line.faulty = False
    wait_until(lambda: all([t.step(more=False) for t in tracking]), 300,
               "the imports end", every=0.1)


def no_fault_loses_or_doubles(site):
    full = site.args.full
    clock = Clock(site)
    clock.run(1 if full else 10)
    site.env = clock.env
    line, policy, _ = make_shop(
        site, make_line=lambda *ports: FaultyLine(*ports, site.args.seed))
    bundle = site.bundle(policy)
    for name in AGENTS:
        site.make_agent(name, bundle, batch_events=40).start()
    tracking = [Tracking(site, a, site.args.seed * 10 + i)
                for i, a in enumerate(site.agents.values())]

    track_under_faults(tracking, line, 600 if full else 15, AT_LEAST)

    events = sum(t.events() for t in tracking)
    assert_sales(site, events, sum(t.value for t in tracking))
    link = site.aggregator.status()["link"]
    check(link["duplicates"] > 0, "nothing came twice", link)
    c = line.counts
    print("network: connections %d, cut %d, half-open %d, late %d, byte by "
          "byte %d, slow %d, repeated %d, duplicates %d, events %d, lost 0, "
          "doubled 0" % (line.connections, line.cuts(),
                         c["half open"] + c["gone"], c["late"],
                         c["byte by byte"], c["64 kbit/s"], c["repeated"],
                         link["duplicates"], events))


def silent_connection_is_given_up(site):
    """The aggregator can be reached, but not over the connection there is,
    which nobody ends: the agent makes another."""
    clock = Clock(site)
    clock.run(10)
    site.env = clock.env
    line, policy, _ = make_shop(site, make_line=FaultyLine)
    agent = site.make_agent("shop", site.bundle(policy))
    agent.start()
    value = take_sales(site, agent, 500, "first.csv", seed=2)
    agent.wait_drained()
    before = line.connections
    line.silence()
    value += take_sales(site, agent)
    wait_until(lambda: line.connections > before, 60,
               "the agent connects again")
    assert_sales(site, EVENTS + 500, value)


def slow_line_delivers(site):
    """Batches of the usual size over 64 kbit/s: eight of them in flight take
    longer than a request may, and yet they arrive."""
    rate = 10
    clock = Clock(site)
    clock.run(rate)
    site.env = clock.env
    line, policy, _ = make_shop(site, make_line=FaultyLine)
    agent = site.make_agent("shop", site.bundle(policy))
    line.slow, line.bit_rate = True, rate * 64000
    begin = time.monotonic()
    agent.start()
    value = take_sales(site, agent, SLOW_EVENTS)
    agent.wait_drained(120)
    seconds = rate * (time.monotonic() - begin)
    sent = sum(len(e.request) for e in line.exchanges)
    print("slow line: %d requests, %d bytes, %d s, events %d"
          % (len(line.exchanges), sent, seconds, SLOW_EVENTS))
    line.slow = False
    assert_sales(site, SLOW_EVENTS, value)


if __name__ == "__main__":
    harness.run(__doc__, silent_connection_is_given_up,
                slow_line_delivers, no_fault_loses_or_doubles)
