"""The benchmark: one table of what Sotto costs, each figure beside a limit
measured in the same run and beside what others need for the same workload.

Real processes on the harness of the flow tests. Nothing here passes or fails
by a time: --small only shows that everything runs. Rings lie in /dev/shm, the
rest in TMPDIR; run it on an idle machine."""

import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "flow"))

import harness  # noqa: E402
from crowd import Crowd  # noqa: E402
from harness import Site, check, wait_until, write  # noqa: E402
import shop_events  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024
SHARED_SHA = "0e20f30f6c7a4332c8d44a96f5f46a9fc49a02a7e7f16aa78ea147d20c2caa9a"


class Size:
    """How much of everything."""

    def __init__(self, small):
        self.small = small
        self.repeats = 1 if small else 3
        self.events = 5000 if small else 100000   # shop-100k
        self.copies = 1 if small else 10          # shop-1m
        self.calls = 2000 if small else 200000    # of track()
        self.flushes = 50 if small else 1000
        self.starts = 2 if small else 20
        self.feeders = 2
        self.dead_seconds = 2 if small else 15
        self.fresh = 3 if small else 60
        self.subjects = 2000 if small else 100000
        self.people = 5000 if small else 1000000  # whose risk is measured
        self.backlog = 4 if small else 1000       # MB
        self.crowds = (20,) if small else (1000, 10000)
        self.crowd_rate = 60 if small else 1      # batches a minute each
        self.crowd_seconds = 2 if small else 120


# ---- the table ----

class Row:
    def __init__(self, name, unit, values, target="", limit="", anchor=""):
        self.name, self.unit, self.values = name, unit, list(values)
        self.target, self.limit, self.anchor = target, limit, anchor

    @staticmethod
    def number(x):
        if x >= 1000:
            return "{:,.0f}".format(x)
        return "%.3g" % x if x >= 0.01 or x == 0 else "%.4f" % x

    def cells(self):
        v = [self.number(f(self.values))
             for f in (min, statistics.median, max)]
        return [self.name, self.unit] + v + [self.target, self.limit,
                                             self.anchor]


def print_table(rows):
    head = ["figure", "unit", "min", "median", "max", "target",
            "limit here", "others, elsewhere"]
    table = [head] + [r.cells() for r in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    table.insert(1, ["-" * w for w in widths])
    for line in table:
        print("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) +
              " |")


def cpu_model():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def print_machine(args):
    print("machine: %s, %d cores, Linux %s, load %s; %s, %s"
          % (cpu_model(), os.cpu_count(), platform.release(),
             " ".join("%.2f" % x for x in os.getloadavg()),
             "small size (only shows that it runs)" if args.small
             else "full size", time.strftime("%Y-%m-%d")))


# ---- looking at processes ----

def cpu_seconds(daemon):
    """User and system time of a daemon so far."""
    with open("/proc/%d/stat" % daemon.process.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mb(daemon, apart=()):
    """Resident megabytes, mappings of the paths in apart left out."""
    total, counted = 0, True
    with open("/proc/%d/smaps" % daemon.process.pid) as f:
        for line in f:
            first = line.split(None, 1)[0]
            if not first.endswith(":"):
                counted = not any(a in line for a in apart)
            elif first == "Rss:" and counted:
                total += int(line.split()[1])
    return total * 1024 / 1e6


def child_cpu(words, **options):
    """CPU seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, timeout=600, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime -
            before.ru_stime)


# ---- the bench ----

class Bench:
    def __init__(self, args):
        self.args, self.size = args, Size(args.small)
        self.rows = []
        self.site = Site(args)
        yaml = harness.conf(args, "bench.policy.yaml")
        self.site.keygen()
        self.policy, _ = self.site.build_policy(yaml, "bench")
        self.bundle = self.site.bundle(self.policy)
        # An app knows its visitor by sotto_identify(). The workload's orders
        # name no product, so for the lists what is added counts as bought.
        with open(yaml) as f:
            text = f.read().replace("anonymousId", "userId").replace(
                "Product Added:", "Product Added:\n    role: purchase")
        self.app_policy, _ = self.site.build_policy(
            write(self.site.path("app.yaml"), text), "app.policy")
        self.app_bundle = self.site.bundle(self.app_policy, "app.bundle")

    def row(self, *words, **more):
        self.rows.append(Row(*words, **more))
        print("  %-58s %s" % (words[0],
                              self.rows[-1].cells()[3] + " " + words[1]))
        sys.stdout.flush()

    # -- workload --

    def workload(self):
        one = self.site.path("shop-100k.ndjson")
        generator = os.path.join(self.args.shared or "/nonexistent", "bench",
                                 "gen_events.py")
        with open(one, "w") as out:
            if os.path.exists(generator) and not self.args.own:
                subprocess.run([sys.executable, generator,
                                str(self.size.events), "42"], stdout=out,
                               check=True)
                print("workload: gen_events.py of the comparison")
            else:
                print("skipped: gen_events.py of the comparison is not here; "
                      "tests/bench/shop_events.py makes the same shape")
                out.writelines(shop_events.lines(self.size.events))
        with open(one, "rb") as f:
            text = f.read()
        self.file = self.site.path("shop-1m.ndjson")
        with open(self.file, "wb") as f:
            for _ in range(self.size.copies):
                f.write(text)
        self.events = self.size.events * self.size.copies
        self.file_once = one

    # -- pieces --

    def fresh_aggregator(self, policy=None):
        """Forgets the one before, and its agents."""
        for d in [*self.site.agents.values(), self.site.aggregator]:
            if d is not None and d.running():
                d.process.kill()
                d.process.wait()
        for d in [*self.site.agents.values(), self.site.aggregator]:
            if d is not None:
                shutil.rmtree(d.folder)
        audit = self.site.path("aggregator.audit")
        if os.path.exists(audit):
            os.remove(audit)
        for name in os.listdir(self.site.rings):
            shutil.rmtree(os.path.join(self.site.rings, name))
        self.site.agents.clear()
        self.homes = {}
        self.site.aggregator = None
        self.site.make_aggregator(policy or self.policy).start()
        return self.site.aggregator

    def app(self, name, verb, *numbers):
        """Runs app_bench in a home; what it printed."""
        home, token, bundle, code = self.homes[name]
        words = [self.args.app, verb, home, token, bundle, code]
        return self.values(words + [str(n) for n in numbers])

    @staticmethod
    def values(words):
        done = subprocess.run(words, capture_output=True, text=True,
                              timeout=600)
        check(done.returncode == 0, " ".join(words[:2]), done.stderr)
        return {k: float(v) for k, v in
                (line.split() for line in done.stdout.splitlines())}

    def make_home(self, name, **settings):
        """A home for app_bench under the app's policy."""
        agent = self.site.agents[name] = self.site.agent_at(name, **settings)
        with open(self.app_bundle[1]) as f:
            code = f.read().strip()
        self.homes[name] = (agent.folder, self.site.token(name),
                            self.app_bundle[0], code)

    # -- agent and aggregator on a file --

    RSYSLOG = """
global(workDirectory="%(folder)s")
module(load="imfile" mode="inotify")
module(load="mmjsonparse")
template(name="fields" type="string"
         string="%%$!event%% %%$!anonymousId%% %%$!properties!product_id%%\\n")
input(type="imfile" file="%(file)s" tag="shop:")
action(type="mmjsonparse" cookie="")
action(type="omfile" file="%(out)s" template="fields")
"""

    def rsyslog(self):
        """CPU seconds a million of a peer that reads the file, parses each
        line and writes three fields of it to a file; None without it."""
        program = shutil.which("rsyslogd", path="/usr/sbin:/sbin:/usr/bin")
        if not program:
            print("skipped: rsyslogd beside us; apt-get install rsyslog")
            return None
        folder = self.site.path("rsyslog")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        out = os.path.join(folder, "out")
        write(os.path.join(folder, "conf"),
              self.RSYSLOG % {"folder": folder, "file": self.file, "out": out})
        daemon = subprocess.Popen(
            [program, "-n", "-f", os.path.join(folder, "conf"), "-i",
             os.path.join(folder, "pid")], stderr=subprocess.DEVNULL)

        def whole():
            if not os.path.exists(out):
                return False
            with open(out, "rb") as f:
                return sum(b.count(b"\n") for b in iter(
                    lambda: f.read(1 << 20), b"")) >= self.events
        try:
            wait_until(whole, 120, "rsyslog has read the file", 0.5)
            with open("/proc/%d/stat" % daemon.pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / TICK
        finally:
            daemon.terminate()
            daemon.wait()

    def path_to_acknowledged(self):
        million = 1e6 / self.events
        agent_cpu, aggregator_cpu, rate, loaded = [], [], [], []
        gzip_cpu, rsyslog_cpu = [], []
        apart = (self.site.rings, "lists.db")
        for i in range(self.size.repeats):
            aggregator = self.fresh_aggregator()
            agent = self.site.make_agent("site", self.bundle)
            agent.start()
            if i == 0:
                time.sleep(0.2 if self.size.small else 3)
                self.idle = resident_mb(agent, apart)
                self.idle_aggregator = resident_mb(aggregator)
                before = cpu_seconds(agent)
                time.sleep(0.2 if self.size.small else 10)
                self.idle_cpu = ((cpu_seconds(agent) - before) /
                                 (0.2 if self.size.small else 10))
            cpu0, cpu1 = cpu_seconds(agent), cpu_seconds(aggregator)
            start = time.monotonic()
            answer = agent.take(self.file)
            wait_until(agent.drained, 600, "all is acknowledged", 0.1)
            agent_cpu.append((cpu_seconds(agent) - cpu0) * million)
            rate.append(self.events / (time.monotonic() - start))
            aggregator.wait_folded()
            aggregator_cpu.append((cpu_seconds(aggregator) - cpu1) * million)
            loaded.append(resident_mb(agent, apart))
            check(answer.json["accepted"] == self.events, "all rows are taken",
                  answer.out)
            gzip_cpu.append(child_cpu(["gzip", "-1", "-c", self.file],
                                      stdout=subprocess.DEVNULL) * million)
            peer = self.rsyslog()
            if peer is not None:
                rsyslog_cpu.append(peer * million)
        gzip = "%.2g gzip -1 of the file" % statistics.median(gzip_cpu)
        if rsyslog_cpu:
            gzip += ", %.2g rsyslog, parsed and written" % statistics.median(
                rsyslog_cpu)
        self.row("NDJSON file to acknowledged, agent", "CPU s/million",
                 agent_cpu, target="2.0", limit=gzip,
                 anchor="Fluent Bit 7.5, nothing anonymized")
        self.row("NDJSON file to acknowledged, aggregator", "CPU s/million",
                 aggregator_cpu, anchor="Fluent Bit receiver 3.0")
        self.row("NDJSON file to acknowledged, both", "events/s", rate,
                 anchor="Fluent Bit 80,000")
        self.row("agent resident, idle", "MB", [self.idle], target="9",
                 anchor="rsyslog 4.4, Fluent Bit 12.6")
        self.row("agent resident, loaded", "MB", loaded, target="14",
                 anchor="53 to 141")
        self.row("agent CPU, idle", "% of a core", [self.idle_cpu * 100],
                 target="0")
        self.row("aggregator resident, idle", "MB", [self.idle_aggregator])

    # -- the ring path: an app, all in --

    def ring_path(self):
        """CPU of the library's thread, and of the caller, per million."""
        self.fresh_aggregator(self.app_policy)
        self.make_home("busy")
        self.site.aggregator.stop()
        runs = [self.app("busy", "fill", self.size.calls * 2)
                for _ in range(self.size.repeats)]
        self.row("ring path, whole app process (made, tracked, sealed)",
                 "CPU s/million", [r["fill_each"] / 1000 for r in runs],
                 target="0.6")

    # -- sizes --

    def agent_offline(self, name, batch, file, **settings):
        """An agent that has sealed a file while the aggregator is away."""
        agent = self.site.make_agent(name, self.bundle, batch_events=batch,
                                     batch_age="PT1H", **settings)
        self.site.aggregator.stop()
        agent.start()
        agent.take(file)
        return agent

    def sizes(self):
        anchors = {100: "gzip JSON 81, zstd JSON 74",
                   1000: "zstd JSON 56.5, columns + zstd 14.3, entropy 4.3"}
        for batch, target in ((100, "25"), (1000, "14"), (2000, "")):
            self.fresh_aggregator()
            agent = self.agent_offline("b%d" % batch, batch, self.file_once)
            s = wait_until(lambda: (lambda s: s["events"]["spooled"] >=
                           self.size.events - batch and s)(agent.status()),
                           60, "all is sealed")
            bytes_each = s["spool"]["bytes"] / s["events"]["spooled"]
            if target:
                self.row("wire, batches of {:,}".format(batch), "B/event",
                         [bytes_each], target=target, anchor=anchors[batch])
            if batch == 1000:
                agent.stop()
                file = sum(os.path.getsize(os.path.join(agent.folder, f))
                           for f in os.listdir(agent.folder)
                           if f.startswith("spool.db"))
                self.row("offline events per MiB of spool file",
                         "events", [s["events"]["spooled"] * MIB / file],
                         target="40,000", limit="batches of 1,000",
                         anchor="Fluent Bit 2,690, snowplow-cpp 511")

    def backlog(self):
        self.fresh_aggregator()
        agent = self.agent_offline("backlog", 10, self.file_once,
                                   spool_size="2GiB")
        s = agent.status()
        for i in range(100):
            if s["spool"]["bytes"] >= self.size.backlog * 1e6:
                break
            more = self.site.path("more%d.ndjson" % i)
            shutil.copyfile(self.file, more)
            agent.take(more)
            s = agent.status()
        self.row("agent resident, backlog of %.0f MB"
                 % (s["spool"]["bytes"] / 1e6), "MB",
                 [resident_mb(agent, (self.site.rings, "lists.db"))],
                 target="14 (1 GB)")

    # -- ingest --

    def ingest(self, batch, target):
        """Agents with a backlog of their own events meet an aggregator."""
        rates, cpus = [], []
        for i in range(self.size.repeats):
            aggregator = self.fresh_aggregator()
            agents = [self.site.make_agent(
                "f%d" % n, self.bundle, batch_events=batch, batch_age="PT1H",
                replay="PT0S") for n in range(self.size.feeders)]
            aggregator.stop()
            for a in agents:
                a.start()
                a.take(self.file)
                a.stop()
            aggregator.start()
            for a in agents:
                a.start()
            before = cpu_seconds(aggregator)
            wanted = self.events * len(agents)
            wait_until(lambda: aggregator.status()["log"], 60,
                       "the first batch comes", 0.005)
            start = time.monotonic()
            wait_until(lambda: wanted == sum(
                t["events"] for t in aggregator.status()["totals"].values()),
                600, "all is folded", 0.02 if self.size.small else 0.1)
            rates.append(wanted / (time.monotonic() - start))
            cpus.append((cpu_seconds(aggregator) - before) * 1e6 / wanted)
        self.row("aggregator, verified to folded, batches of {:,}"
                 .format(batch), "events/s", rates, target=target,
                 limit="%d agents on the same cores" % self.size.feeders,
                 anchor="RudderStack 1,700")
        self.row("  the same", "CPU s/million", cpus,
                 anchor="Fluent Bit HTTP 7.0 to 27")

    def ingest_all(self):
        self.ingest(1000, "1,000,000")
        self.ingest(100, "300,000")

    def subjects(self):
        aggregator = self.fresh_aggregator()
        agent = self.site.make_agent("people", self.bundle)
        agent.start()
        known, resident = [], []
        for seed in (7, 8):  # twice, since what is the same for all is large
            file = self.site.path("people-%d.ndjson" % seed)
            with open(file, "w") as f:
                f.writelines(shop_events.lines(
                    self.size.subjects * 2, seed, self.size.subjects * 10))
            agent.take(file)
            agent.wait_drained()
            aggregator.wait_folded()
            known.append(aggregator.status()["subjects"])
            resident.append(resident_mb(aggregator))
        self.row("aggregator resident with {:,} subjects".format(known[1]),
                 "MB", resident[1:])
        self.row("  a subject more", "B",
                 [(resident[1] - resident[0]) * 1e6 / (known[1] - known[0])],
                 target="600")

    def risk(self):
        runs = [self.values([self.args.risk, str(self.size.people)])
                for _ in range(self.size.repeats)]
        self.row("risk of a store of {:,} people".format(self.size.people),
                 "s", [r["all"] for r in runs], target="10")
        self.row("  of which folding waits", "s", [r["locked"] for r in runs])

    # -- many agents --

    def crowds(self):
        """Each its own keys and connection, a batch a minute of 20 events of
        one visitor; they enrol and settle first."""
        targets = {1000: ("64", ""), 10000: ("200", "1,000")}
        for agents in self.size.crowds:
            aggregator = self.fresh_aggregator()
            crowd = Crowd(self.site, self.args.crowd, agents, self.policy, 20)
            crowd.wait_enrolled()
            crowd.wait_connected()
            crowd.ask("rate", self.size.crowd_rate)
            wait_until(lambda: crowd.status()["acknowledged"] >= agents / 4,
                       300, "the crowd is under way", 0.5)
            crowd.ask("reset")
            before = cpu_seconds(aggregator)
            start = time.monotonic()
            resident = []
            while time.monotonic() < start + self.size.crowd_seconds:
                time.sleep(self.size.crowd_seconds / 20)
                resident.append(resident_mb(aggregator))
            cpu = (cpu_seconds(aggregator) - before) / (time.monotonic() -
                                                        start)
            s = crowd.status()
            check(s["connected"] == agents, "all are connected", s)
            crowd.assert_stored_once()
            crowd.process.kill()
            crowd.process.wait()
            name = "{:,} agents, {:,} batch/min each".format(
                agents, self.size.crowd_rate)
            memory, late = targets.get(agents, ("", ""))
            self.row(name + ": aggregator resident", "MB", resident,
                     target=memory)
            self.row("  made to acknowledged, p50", "ms", [s["p50_ms"]],
                     limit="{:,} batches".format(s["timed"]))
            self.row("  made to acknowledged, p99", "ms", [s["p99_ms"]],
                     target=late, limit="{:,} retries".format(s["retries"]))
            self.row("  aggregator CPU", "% of a core", [100 * cpu])

    # -- the library --

    def limits(self):
        self.limit = self.values([self.args.app, "limits", self.site.rings,
                                  self.site.root, str(self.size.calls),
                                  str(self.size.flushes)])

    def track(self):
        runs = [self.app("app", "track", self.size.calls)
                for _ in range(self.size.repeats)]
        anchors = {"p50": "snowplow-cpp 255 µs, sentry log 11.5",
                   "p99": "470, 214", "p999": "3,100, 1,633"}
        for p, target in (("p50", "0.3"), ("p99", "1"), ("p999", "5")):
            self.row("track(), 6 properties, %s" % p, "µs",
                     [r["track_" + p] / 1000 for r in runs], target=target,
                     limit="clock %.2g, ring copy %.2g, SQLite %.3g"
                     % (runs[0]["clock_" + p] / 1000,
                        self.limit["ring_" + p] / 1000,
                        self.limit["sqlite_" + p] / 1000),
                     anchor=anchors[p])
        alone = self.app("app", "sync", self.size.flushes, 1)
        crowd = self.app("app", "sync", max(self.size.flushes // 8, 10), 16)
        limit = "fdatasync %.3g" % (self.limit["flush_p50"] / 1000)
        self.row("track_sync(), one caller, p50", "µs",
                 [alone["sync_p50"] / 1000], target="one flush", limit=limit)
        self.row("track_sync(), 16 callers, time per call", "µs",
                 [crowd["sync_each"] / 1000], target="shared", limit=limit)

    def policies(self):
        runs = [self.values([self.args.policy_bench]) for _ in range(3)]
        self.row("an event of 20 fields made anonymous", "µs",
                 [r["anonymize_p50"] / 1000 for r in runs], target="at most 5")
        self.row("a signed policy of 8 KiB loaded and verified", "ms",
                 [r["load_p50"] / 1e6 for r in runs], target="at most 1")

    def dead(self):
        """Connections that nobody answers: each is accepted and closed."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", self.site.aggregator.port))
            s.listen(128)
            s.settimeout(0.01)
            home, token, bundle, code = self.homes["app"]
            p = subprocess.Popen([self.args.app, "busy", home, token, bundle,
                                  code, str(self.size.dead_seconds)])
            count = 0
            while p.poll() is None:
                try:
                    s.accept()[0].close()
                    count += 1
                except socket.timeout:
                    pass
            check(p.returncode == 0, "a busy app")
        self.row("connection attempts at a dead aggregator, %d s"
                 % self.size.dead_seconds, "attempts", [count], target="8",
                 anchor="snowplow-cpp 7,418")

    def library(self):
        aggregator = self.fresh_aggregator(self.app_policy)
        self.make_home("app")
        self.app("app", "busy", 1)  # enrols
        aggregator.stop()
        self.track()
        self.dead()

    def lists(self):
        aggregator = self.fresh_aggregator(self.app_policy)
        agent = self.site.make_agent("site", self.app_bundle)
        agent.start()
        with open(self.file_once) as f:
            text = f.read().replace("anonymousId", "userId")
        agent.take(write(self.site.path("users.ndjson"), text))
        agent.wait_drained()
        aggregator.wait_folded()
        self.make_home("near", batch_age="PT0.05S")
        self.app("near", "busy", 1)
        aggregator.ask("train", seconds=600)
        fresh = self.app("near", "fresh", self.size.fresh)
        self.row("tracked to refreshed list readable, p50", "ms",
                 [fresh["fresh_p50"] / 1e6])
        self.row("tracked to refreshed list readable, p99", "ms",
                 [fresh["fresh_p99"] / 1e6], target="250")
        calls = self.app("near", "lists", self.size.calls // 20)
        self.row("sotto_lists(), 10 items, p50", "µs",
                 [calls["lists_p50"] / 1000])
        self.row("sotto_lists(), 10 items, p99", "µs",
                 [calls["lists_p99"] / 1000])
        whole = []
        for _ in range(self.size.starts):
            start = time.monotonic()
            agent.ask("recommend", "-n", "10")
            whole.append((time.monotonic() - start) * 1000)
        self.row("sotto-agent recommend, the whole process", "ms", whole)

    # -- the program --

    def program(self):
        stripped = self.site.path("stripped")
        subprocess.run(["strip", "-o", stripped, self.args.agent], check=True)
        self.row("sotto-agent, stripped", "MB",
                 [os.path.getsize(stripped) / 1e6], target="1.5",
                 anchor="Fluent Bit 6.1")
        self.fresh_aggregator()
        agent = self.site.make_agent("starter", self.bundle)
        times = []
        for _ in range(self.size.starts):
            times.append(self.start_ms(agent))
        self.row("sotto-agent, start to ready", "ms", times, target="20")

    def start_ms(self, agent):
        notify = self.site.path("ready.notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(notify)
            s.settimeout(30)
            start = time.monotonic()
            p = subprocess.Popen(
                [agent.program, "run", "--dir", agent.folder],
                env=dict(os.environ, NOTIFY_SOCKET=notify),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, preexec_fn=harness.die_with_test)
            check(b"READY=1" in s.recv(256), "ready")
            ms = (time.monotonic() - start) * 1000
        os.unlink(notify)
        p.terminate()
        check(p.wait() == 0, "the agent ends well")
        return ms

    def run(self):
        self.workload()
        self.limits()
        for name, part in (("program", self.program),
                           ("path", self.path_to_acknowledged),
                           ("sizes", self.sizes), ("backlog", self.backlog),
                           ("ingest", self.ingest_all),
                           ("subjects", self.subjects), ("risk", self.risk),
                           ("crowd", self.crowds),
                           ("ring", self.ring_path),
                           ("library", self.library), ("lists", self.lists),
                           ("policy", self.policies)):
            if not self.args.only or name in self.args.only.split(","):
                part()


def read_args():
    import argparse
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("agent", "aggregator", "policy", "source", "app", "crowd",
                 "risk", "policy-bench"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--shared", default="")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--own", action="store_true",
                        help="the workload of shop_events.py in any case")
    parser.add_argument("--only", help="parts to run, with commas")
    parser.set_defaults(keep=False, forge=None, seed=1)
    return parser.parse_args()


def main():
    args = read_args()
    print_machine(args)
    bench = Bench(args)
    try:
        bench.run()
    except Exception:
        bench.site.print_logs()
        raise
    finally:
        bench.site.close()
    print()
    print_machine(args)
    print_table(bench.rows)


if __name__ == "__main__":
    main()
