"""sotto-crowd (tests/bench/crowd.c): many agents in one process, for the flow
test and the benchmark."""

import json
import subprocess

from harness import check, check_equal, die_with_test, wait_until


class Crowd:
    """Begins to enrol at once; every answer is that of the `status` command."""

    def __init__(self, site, program, agents, policy, events):
        self.site, self.agents, self.events = site, agents, events
        token = site.token("crowd", "--uses", str(agents))
        self.process = subprocess.Popen(
            [program, str(agents), token, policy, str(events)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_test)
        site.tools.append(self.process)

    def ask(self, *words):
        check(self.process.poll() is None, "the crowd ended with %s"
              % self.process.poll())
        self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def status(self):
        return self.ask("status")

    def wait_enrolled(self, seconds=300):
        wait_until(lambda: self.status()["enrolled"] == self.agents, seconds,
                   "all are enrolled", 0.1)

    def wait_connected(self, seconds=300):
        wait_until(lambda: self.status()["connected"] == self.agents, seconds,
                   "all are connected", 0.1)

    def drain(self, seconds=600):
        """No more batches; waits until the last one is acknowledged."""
        self.ask("rate", 0)

        def drained():
            s = self.status()
            return s["acknowledged"] == s["batches"] and s
        return wait_until(drained, seconds, "everything is acknowledged", 0.1)

    def assert_stored_once(self):
        """Each batch is in the log, and once; views and counters agree.
        Returns what is missing there and what is there too often."""
        s = self.drain()
        aggregator = self.site.aggregator
        aggregator.wait_folded()
        status = aggregator.status()
        rows = status["agents"]
        wrong = [a["name"] for a in rows
                 if a.get("events", 0) != a.get("claimed", 0)]
        stored = sum(a.get("batches", 0) for a in rows)
        events = sum(a.get("events", 0) for a in rows)
        lost = max(0, s["batches"] - stored)
        doubled = max(0, stored - s["batches"])
        check_equal((lost, doubled), (0, 0), "batches lost and doubled")
        check_equal(len(rows), self.agents, "agents that the log knows")
        check_equal(wrong, [], "agents whose events are not what they say")
        check_equal(events, s["batches"] * self.events, "events")
        check_equal(sum(t["events"] for t in status["totals"].values()),
                    events, "events in the profiles view")
        check_equal(status["unreadable"], 0, "batches no view could read")
        for what in ("forged", "lost_history", "refused", "turned_away"):
            check_equal(s[what], 0, what)
        aggregator.ask("verify", seconds=600)
        return lost, doubled
