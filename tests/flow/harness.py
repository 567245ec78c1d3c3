"""A site of real processes for the flow tests: a privacy officer's desk, an
aggregator and its agents in folders of their own.

Nothing here sleeps to hope that something has happened: a daemon says READY
on its notify socket, everything else is polled until a deadline. A Site kills
what it started and removes what it made, the rings in shared memory too; when
a test fails it prints the logs first.

The balance (what was produced is somewhere, and once) is asserted at the end
of every test by Site.assert_balance."""

import argparse
import ctypes
import json
import mmap
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

SKIPPED = 77
LOG_TAIL = 60  # lines shown of each log when a test fails


PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None)


def die_with_test():
    """In a child before its exec: a test that is killed leaves nothing."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Failed(Exception):
    """A check that did not hold."""


class Skipped(Exception):
    """What this test needs is not here."""


def check(holds, what, *facts):
    if not holds:
        raise Failed("; ".join([what] + [str(f) for f in facts]))


def check_equal(got, wanted, what):
    check(got == wanted, "%s: got %r, wanted %r" % (what, got, wanted))


def wait_until(condition, seconds, what, every=0.02):
    """Polls until condition() is true, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed("%s: not within %g s" % (what, seconds))
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(path, text, mode=0o600):
    with open(path, "wb") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text if isinstance(text, bytes) else text.encode())
    return path


class Clock:
    """The clocks of the programs that are started with its `env`
    (tests/support/fakeclock.c): at first those of this machine. `rate`: how
    many of their seconds pass in one of ours."""

    SECOND = 1000000000

    def __init__(self, site, name="clock"):
        path = site.path(name)
        write(path, bytes(48))
        with open(path, "r+b") as f:
            self._sheet = mmap.mmap(f.fileno(), 48)
        self.env = {"FAKECLOCK": path,
                    "LD_PRELOAD": os.environ["SOTTO_FAKECLOCK"],
                    "ASAN_OPTIONS": "verify_asan_link_order=0:" +
                                    os.environ.get("ASAN_OPTIONS", "")}
        self._version = 0
        self._since = time.monotonic_ns()
        self._mono, self._wall = self._since, time.time_ns()
        self._rate = self._wall_rate = 1
        self._write()
        self._prove()

    def _prove(self):
        """That a program sees it."""
        self.set_wall(1234567890)
        seen = subprocess.run(["date", "+%Y"], env=dict(os.environ, **self.env),
                              capture_output=True, check=True).stdout
        check_equal(seen, b"2009\n", "the year with a made-up clock")
        self.set_wall(time.time())

    def _write(self):
        self._version += 1
        struct.pack_into("=q", self._sheet, 0, self._version)
        struct.pack_into("=5q", self._sheet, 8, self._since, self._mono,
                         self._rate, self._wall, self._wall_rate)
        self._version += 1
        struct.pack_into("=q", self._sheet, 0, self._version)

    def _now(self):
        """Makes now the time from which they count."""
        now = time.monotonic_ns()
        self._mono += self._rate * (now - self._since)
        self._wall += self._wall_rate * (now - self._since)
        self._since = now

    def run(self, rate):
        """Both clocks go on at this rate."""
        self._now()
        self._rate = self._wall_rate = rate
        self._write()

    def set_wall(self, seconds):
        """The time of day is this; the monotonic clock does not notice."""
        self._now()
        self._wall = int(seconds * self.SECOND)
        self._write()

    def freeze(self):
        """The time of day stands."""
        self._now()
        self._wall_rate = 0
        self._write()

    def pass_time(self, seconds):
        """So much time passes at once, by both clocks."""
        self._now()
        self._mono += int(seconds * self.SECOND)
        self._wall += int(seconds * self.SECOND) if self._wall_rate else 0
        self._write()

    def boot(self, wall=None):
        """As after a start of the machine, with none of its programs
        running: the monotonic clock begins anew, the other where it is told
        to."""
        self._now()
        self._mono = 20 * self.SECOND
        if wall is not None:
            self._wall = int(wall * self.SECOND)
        self._write()

    def wall(self):
        self._now()
        return self._wall / self.SECOND


class Answer:
    """What a verb gave: exit code, the JSON it printed, its error text."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        try:
            self.json = json.loads(out)
        except ValueError:
            self.json = None


class Daemon:
    """A program with `run`, owner of one folder."""

    def __init__(self, site, program, folder, env=None):
        self.site, self.program, self.folder = site, program, folder
        self.env = dict(os.environ, **dict(site.env, **(env or {})))
        self.name = os.path.basename(folder)
        self.log = os.path.join(site.root, self.name + ".log")
        self.process = None
        self.kills = 0

    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, seconds=60):
        check(not self.running(), self.name + " runs already")
        notify = os.path.join(self.site.root, self.name + ".notify")
        if os.path.exists(notify):
            os.unlink(notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(notify)
            s.settimeout(0.05)
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    [self.program, "run", "--dir", self.folder],
                    env=dict(self.env, NOTIFY_SOCKET=notify),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    preexec_fn=die_with_test)
            wait_until(lambda: self._ready(s), seconds, self.name + " starts")

    def _ready(self, notify):
        check(self.running(), "%s ended at its start with %s"
              % (self.name, self.process.poll()))
        try:
            return b"READY=1" in notify.recv(256)
        except socket.timeout:
            return False

    def stop(self, seconds=60):
        """Ends it as an operator does; it must end well."""
        if not self.running():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed("%s did not stop on SIGTERM" % self.name)
        check_equal(code, 0, self.name + " after SIGTERM")

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def ask(self, *words, codes=(0,), seconds=300):
        """Runs a verb with --json. codes None: any exit code will do."""
        done = subprocess.run(
            [self.program] + list(words) + ["--dir", self.folder, "--json"],
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=seconds)
        answer = Answer(done.returncode, done.stdout.decode(),
                        done.stderr.decode())
        if codes is not None:
            check(answer.code in codes, "%s %s: exit %d"
                  % (self.name, " ".join(words), answer.code), answer.err,
                  answer.out)
        return answer

    def settle(self, **settings):
        """Writes its settings file."""
        lines = ["%s: %s\n" % (k, v) for k, v in settings.items()]
        write(os.path.join(self.folder, self.settings_file), "".join(lines))


class Aggregator(Daemon):
    settings_file = "aggregator.yaml"

    def __init__(self, site, program, folder, port):
        super().__init__(site, program, folder)
        self.port = port

    def status(self):
        return self.ask("status").json

    def agents(self):
        return {a["name"]: a for a in self.ask("agents").json}

    def policy_add(self, file):
        return self.ask("policy", "add", file).json

    def profile(self, subject):
        return self.ask("profile", subject).json

    def wait_folded(self, seconds=300):
        wait_until(lambda: self.status()["folded"], seconds,
                   "all batches are folded")


class Agent(Daemon):
    settings_file = "agent.yaml"

    def status(self):
        return self.ask("status").json

    def import_words(self, file, map_file=None, source=None):
        words = ["import", file]
        if map_file:
            words += ["--map", map_file]
        if source:
            words += ["--source", source]
        return words

    def take(self, file, map_file=None, source=None, codes=(0,), seconds=600):
        """Imports a file and waits for its end."""
        return self.ask(*self.import_words(file, map_file, source),
                        codes=codes, seconds=seconds)

    def take_begin(self, file, map_file=None, source=None):
        """Begins an import; the caller waits for the process."""
        p = subprocess.Popen(
            [self.program] + self.import_words(file, map_file, source) +
            ["--dir", self.folder, "--json"], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=die_with_test)
        self.site.tools.append(p)
        return p

    def take_end(self, process, codes=(0,), seconds=600):
        out, err = process.communicate(timeout=seconds)
        check(codes is None or process.returncode in codes,
              "import: exit %d" % process.returncode, err.decode())
        return Answer(process.returncode, out.decode(), err.decode())

    def drained(self):
        s = self.status()
        return (s["events"]["ring_bytes"] == 0 and
                s["spool"]["batches"] == 0 and s)

    def wait_drained(self, seconds=300):
        return wait_until(self.drained, seconds,
                          self.name + " has delivered everything")


class Site:
    def __init__(self, args):
        self.args = args
        self.root = tempfile.mkdtemp(prefix="sotto-flow-")
        self.rings = tempfile.mkdtemp(prefix="sotto-flow-", dir="/dev/shm")
        self.officer = self.path("officer")
        self.env = {}  # of every daemon made from here on
        self.aggregator = None
        self.agents = {}
        self.tools, self.proxies, self.mounts = [], [], []

    def path(self, *names):
        return os.path.join(self.root, *names)

    # ---- the officer's desk ----

    def desk(self, *words, codes=(0,)):
        done = subprocess.run([self.args.policy] + list(words),
                              capture_output=True, timeout=60)
        check(codes is None or done.returncode in codes,
              "sotto-policy %s: exit %d" % (words[0], done.returncode),
              done.stderr.decode())
        return Answer(done.returncode, done.stdout.decode(),
                      done.stderr.decode())

    def keygen(self):
        self.desk("keygen", "--out", self.officer, "--name", "dpo")

    def build_policy(self, yaml, name):
        """Compiles and signs, in force for a year from today whatever the file
        says, so that this test does not expire; returns the file and its
        hash."""
        file = self.path(name)
        ends = time.strftime("%Y-%m-%d",
                             time.gmtime(time.time() + 365 * 86400))
        with open(yaml) as text:
            in_force = re.sub(r"(?m)^expires: \S+", "expires: " + ends,
                              text.read())
        with open(file + ".yaml", "w") as text:
            text.write(in_force)
        built = self.desk("build", file + ".yaml", "--signer", "dpo=%s/dpo.pub"
                          % self.officer, "--out", file, "--json")
        self.desk("sign", file, "--key", self.officer + "/dpo.sec")
        return file, re.search(r"blake2b:[0-9a-f]{64}", built.out).group(0)

    def bundle(self, policy, name="bundle"):
        """The bundle's file and that of its code."""
        file, code = self.path(name), self.path(name + ".code")
        self.desk("bundle", "--policy", policy, "--keys", self.officer,
                  "--out", file, "--code-file", code)
        return file, code

    def subject(self, policy, raw):
        answer = self.desk("subject", "--id", raw, "--policy", policy,
                           "--keys", self.officer, "--json")
        return re.search(r"\b[0-9a-f]{32}\b", answer.out).group(0)

    # ---- the aggregator and its agents ----

    def make_aggregator(self, policy=None, announce=None):
        port = free_port()
        a = Aggregator(self, self.args.aggregator, self.path("aggregator"),
                       port)
        subprocess.run([a.program, "init", "--dir", a.folder], check=True,
                       stdout=subprocess.DEVNULL)
        settings = {"listen": "tcp://127.0.0.1:%d" % port}
        if announce:
            settings["announce"] = "tcp://127.0.0.1:%d" % announce
        a.settle(**settings)
        self.aggregator = a
        if policy:
            a.policy_add(policy)
        return a

    def token(self, name, *options):
        text = self.aggregator.ask("enroll", name, *options).json["token"]
        return write(self.path(name + ".token"), text + "\n")

    def agent_at(self, name, folder=None, **settings):
        """An agent's folder with its settings, not enrolled yet."""
        agent = Agent(self, self.args.agent, folder or self.path(name))
        agent.name = name
        agent.log = self.path(name + ".log")
        os.makedirs(agent.folder, 0o700, exist_ok=True)
        agent.settle(ring_dir=self.rings, **settings)
        return agent

    def enroll(self, agent, token, bundle, codes=(0,)):
        done = subprocess.run(
            [agent.program, "enroll", "--dir", agent.folder, "--token-file",
             token, "--bundle", bundle[0], "--code-file", bundle[1]],
            capture_output=True, timeout=120)
        check(codes is None or done.returncode in codes,
              "enroll: exit %d" % done.returncode, done.stderr.decode())
        return Answer(done.returncode, done.stdout.decode(),
                      done.stderr.decode())

    def make_agent(self, name, bundle, **settings):
        """An enrolled agent, not running."""
        agent = self.agent_at(name, **settings)
        self.enroll(agent, self.token(name), bundle)
        self.agents[name] = agent
        return agent

    # ---- the balance ----

    def assert_balance(self, seconds=300):
        """Everything was delivered; every event is somewhere, and once."""
        for agent in self.agents.values():
            self._assert_agent(agent.wait_drained(seconds))
        self.aggregator.wait_folded(seconds)
        status = self.aggregator.status()
        rows = {a["name"]: a for a in status["agents"]}
        for name, a in rows.items():
            claimed = a.get("claimed", 0)
            known = a.get("events", 0) + a.get("voided", 0) + a.get(
                "refused", 0)
            check_equal(known, claimed, "events that the log has of " + name)
        erased = sum(a.get("erased", 0) for a in rows.values())
        check_equal(sum(t["events"] for t in status["totals"].values()) + erased,
                    sum(a.get("events", 0) for a in rows.values()),
                    "events in the profiles view")
        for name, agent in self.agents.items():
            events = agent.status()["events"]
            check_equal(rows[name].get("events", 0) +
                        rows[name].get("voided", 0) + events["refused"],
                        events["accepted"], "delivered of " + name)
        check_equal(status["unreadable"], 0, "batches no view could read")
        self.aggregator.ask("verify", seconds=600)

    @staticmethod
    def _assert_agent(s):
        e = s["events"]
        check_equal(e["accepted"] + e["dropped"], e["produced"],
                    s["name"] + ": accepted + dropped")
        check_equal(e["dropped"], sum(e["drops"].values()),
                    s["name"] + ": drops by reason")
        check_equal(e["acknowledged"] + e["spooled"] + e["voided"] +
                    e["refused"], e["accepted"],
                    s["name"] + ": acknowledged + spooled + voided + refused")
        check_equal(e["corrupt"], 0, s["name"] + ": corrupt ring records")

    # ---- the end ----

    def print_logs(self):
        for name in sorted(os.listdir(self.root)):
            if not name.endswith(".log"):
                continue
            with open(self.path(name), errors="replace") as f:
                lines = f.readlines()
            print("---- %s, last %d of %d lines"
                  % (name, min(LOG_TAIL, len(lines)), len(lines)))
            sys.stdout.writelines(lines[-LOG_TAIL:])

    def close(self):
        daemons = list(self.agents.values()) + [self.aggregator]
        for d in daemons:
            if d is not None and d.running():
                d.process.kill()
                d.process.wait()
        for p in self.tools:
            if p.poll() is None:
                p.kill()
            p.wait()
            for stream in (p.stdout, p.stderr):
                if stream:
                    stream.close()
        for proxy in self.proxies:
            proxy.close()
        for mount in self.mounts:
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.rings, ignore_errors=True)
        if self.args.keep:
            print("kept: " + self.root)
        else:
            shutil.rmtree(self.root, ignore_errors=True)


def read_args(about):
    parser = argparse.ArgumentParser(description=about)
    for name in ("agent", "aggregator", "policy", "source"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--shared", default="",
                        help="where real data may be")
    parser.add_argument("--forge", help="the forging helper")
    parser.add_argument("--crowd", help="many agents in one process")
    parser.add_argument("--keep", action="store_true",
                        help="keep the folder of the site")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true",
                        help="the long size, minutes instead of seconds")
    parser.add_argument("--only", help="run one of the tests in this file")
    return parser.parse_args()


def on_terminate(number, frame):
    """So that a test that is told to end still cleans up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # not again, while it does
    raise SystemExit("ended by signal %d" % number)


def run(about, *tests):
    """Runs each test on a Site of its own; exits 77 when all were skipped."""
    args = read_args(about)
    chosen = [t for t in tests if args.only in (None, t.__name__)]
    check(chosen, "no test has the name " + str(args.only))
    signal.signal(signal.SIGTERM, on_terminate)
    skipped = failed = 0
    for test in chosen:
        started = time.monotonic()
        site = Site(args)
        try:
            test(site)
            print("passed: %s (%.1f s)" % (test.__name__,
                                           time.monotonic() - started))
        except Skipped as why:
            skipped += 1
            print("skipped: %s: %s" % (test.__name__, why))
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            site.print_logs()
            print("failed: " + test.__name__)
        finally:
            site.close()
        sys.stdout.flush()
    if failed:
        sys.exit(1)
    sys.exit(SKIPPED if skipped == len(chosen) else 0)


# ---- the real data ----

def retail_file(args):
    """The Online Retail file, where it is."""
    file = os.path.join(args.shared, "online-retail", "online_retail.csv.xz")
    alone = os.path.join(args.shared, "data", "online-retail",
                         "online_retail.csv.xz")
    for candidate in (file, alone):
        if args.shared and os.path.exists(candidate):
            return candidate
    raise Skipped("there is no %s" % alone)


def conf(args, name):
    return os.path.join(args.source, "packaging", "conf", name)


# ---- made-up data, in the columns of the real ----

SALES_HEAD = ("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,"
              "CustomerID,Country\n")


def sales_lines(count, seed):
    """Lines of CSV, every one a purchase, and their value in millionths."""
    rng = random.Random(seed)
    lines, value = [], 0
    for i in range(count):
        cents, units = rng.randrange(1, 10000), rng.randrange(1, 9)
        value += cents * units * 10000
        lines.append("%d,%08X%08X,MUG %X,%d,2026-05-%02d %02d:%02d:00,"
                     "%d.%02d,%d,France\n"
                     % (500000 + i // 3, rng.getrandbits(32),
                        rng.getrandbits(32), rng.getrandbits(40), units,
                        1 + i * 27 // count, rng.randrange(24),
                        rng.randrange(60), cents // 100, cents % 100,
                        10000 + rng.randrange(300)))
    return lines, value


def sales_file(path, count, seed=1):
    """Writes them to a file; returns their value."""
    lines, value = sales_lines(count, seed)
    write(path, SALES_HEAD + "".join(lines))
    return value
