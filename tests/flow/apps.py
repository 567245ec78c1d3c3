"""An application with the library inside (tests/support/host_main.c) and the
ledger of what became of each of its events."""

import os
import subprocess

from harness import check, check_equal, die_with_test, write

HOST = os.environ["SOTTO_HOST"]
LEDGER_SIZE = 1 << 20
BEGUN, TAKEN, NOT_TAKEN = 1, 2, 3
UNIT = 1000000  # millionths; event n costs n of them


class App:
    """Its home is an agent of the site that is never run: the audit asks it
    with the tool, when the application is gone."""

    def __init__(self, site, name, bundle, **settings):
        self.site = site
        self.agent = site.agent_at(name, **settings)
        site.agents[name] = self.agent
        with open(bundle[1]) as f:
            code = f.read().strip()
        self.ledger = write(site.path(name + ".ledger"), bytes(LEDGER_SIZE))
        self.words = [HOST, self.agent.folder, site.token(name), bundle[0],
                      code, self.ledger]
        self.process, self.kills = None, 0

    def start(self, count, pause_us=200, flush_ms=0):
        with open(self.agent.log, "ab") as log:
            self.process = subprocess.Popen(
                self.words + [str(count), str(pause_us), str(flush_ms)],
                env=self.agent.env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, preexec_fn=die_with_test)
        self.site.tools.append(self.process)

    def end(self, seconds=120):
        check_equal(self.process.wait(seconds), 0, "exit of the application")

    def run(self, count, pause_us=200, flush_ms=0):
        self.start(count, pause_us, flush_ms)
        self.end()

    def kill(self):
        check(self.process.poll() is None, "the application has ended")
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def events(self, state):
        """The numbers of its events in this state."""
        with open(self.ledger, "rb") as f:
            ledger = f.read()
        return [n for n, s in enumerate(ledger) if s == state]

    def assert_stored(self, purchases):
        """`purchases` (totals of the aggregator) are what the ledger has as
        taken, and of those that a kill interrupted some."""
        taken, doubtful = self.events(TAKEN), self.events(BEGUN)
        check(len(doubtful) <= self.kills, "more in doubt than killed",
              doubtful)
        wanted = purchases["value"] - UNIT * sum(taken)
        sums = {(0, 0)}
        for n in doubtful:
            sums |= {(count + 1, value + n * UNIT) for count, value in sums}
        check((purchases["events"] - len(taken), wanted) in sums,
              "stored is not what was taken", purchases, len(taken), doubtful)
