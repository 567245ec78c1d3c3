"""kill -9, again and again, of one of three agents and of the aggregator while
a year of a shop goes through them: no row is lost or counted twice."""

import csv
import lzma
import os
import random
import time

import harness
from harness import check, check_equal, conf
from retail_test import REFUSED, ROWS, assert_customer, assert_totals

KILLS = 24
AGENTS = ("site", "app", "kiosk")
VICTIM = "kiosk"


def split(file, folder):
    """Deals the rows out, one to each agent in turn."""
    names = [os.path.join(folder, a + ".csv") for a in AGENTS]
    outs = [open(n, "w", newline="") for n in names]
    writers = [csv.writer(o) for o in outs]
    with lzma.open(file, "rt", newline="") as f:
        rows = csv.reader(f)
        head = next(rows)
        for w in writers:
            w.writerow(head)
        for i, row in enumerate(rows):
            writers[i % len(writers)].writerow(row)
    for o in outs:
        o.close()
    return dict(zip(AGENTS, names))


class Feeding:
    """One agent's file, imported again until it went through."""

    def __init__(self, agent, file, map_file):
        self.agent, self.file, self.map = agent, file, map_file
        self.process, self.report, self.runs = None, None, 0

    def step(self):
        """Goes on if it can; true when the file is through."""
        if self.report:
            return True
        if self.process is None:
            self.process = self.agent.take_begin(self.file, self.map)
            self.runs += 1
        elif self.process.poll() is not None:
            answer = self.agent.take_end(self.process, codes=None)
            self.process = None
            if answer.code == 0:
                self.report = answer.json
        return self.report is not None


def feed_and_kill(site, feeds, rng):
    """Kills and restarts until enough was killed and every file is through.
    Returns how often something was under way when it was killed."""
    daemons = [site.agents[VICTIM], site.aggregator]
    under_way = 0
    deadline = time.monotonic() + 600
    while sum(d.kills for d in daemons) < KILLS or \
            not all(f.report for f in feeds):
        check(time.monotonic() < deadline, "the files do not get through")
        for f in feeds:
            f.step()
        pause = time.monotonic() + rng.uniform(0.02, 0.5)
        while time.monotonic() < pause:
            for f in feeds:
                f.step()
            time.sleep(0.005)
        if sum(d.kills for d in daemons) >= KILLS:
            continue
        victim = rng.choice(daemons)
        under_way += victim is site.aggregator or \
            not next(f for f in feeds if f.agent is victim).report
        victim.kill()
        victim.start()
    return under_way


def killed_again_and_again(site):
    file = harness.retail_file(site.args)
    rng = random.Random(site.args.seed)
    files = split(file, site.root)
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "online-retail.policy.yaml"),
                                  "retail.policy")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    bundle = site.bundle(policy)
    for name in AGENTS:
        site.make_agent(name, bundle, batch_events=120,
                        batch_bytes=16384, ring_size=262144).start()
    retail_map = conf(site.args, "online-retail.map.yaml")
    feeds = [Feeding(site.agents[n], files[n], retail_map) for n in AGENTS]

    begin = time.monotonic()
    under_way = feed_and_kill(site, feeds, rng)
    victim = site.agents[VICTIM]
    seconds = time.monotonic() - begin
    check(victim.kills + aggregator.kills >= 20, "too few kills")
    check(victim.kills >= 5 and aggregator.kills >= 5, "one was spared")
    check(under_way >= 10, "the kills came too late", under_way)

    site.assert_balance(600)
    check_equal(sum(f.report["rows"] for f in feeds), ROWS, "rows")
    assert_totals(aggregator.status())
    assert_customer(site, policy)
    rows = aggregator.agents().values()
    check_equal({r: sum(a["drops"].get(r, 0) for a in rows) for r in REFUSED},
                REFUSED, "refused by name")
    check_equal(sum(sum(a["drops"].values()) for a in rows),
                sum(REFUSED.values()), "refused in all")
    print("kills: agent %d, aggregator %d, with work under way %d, %.1f s, the "
          "agent's file begun %d times, lost 0, doubled 0"
          % (victim.kills, aggregator.kills, under_way, seconds,
             next(f for f in feeds if f.agent is victim).runs))


if __name__ == "__main__":
    harness.run(__doc__, killed_again_and_again)
