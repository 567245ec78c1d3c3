"""Power cuts under real daemons: agent and aggregator each have their folder on
an ext4 image of their own, which EXT4_IOC_SHUTDOWN stops at a random moment
under load, as the power would: what was not flushed is gone. The daemons of
that file system are killed, it is mounted again (ext4 replays its journal), and
they go on. Half of the agent's cuts take the ring with them, as a cut of a real
machine does. In the end every row of the imports is stored exactly once.

--cuts N on the command line for more than ctest's few."""

import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import time

import harness
from harness import Skipped, check, check_equal, conf, sales_file

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs/ext4/ext4.h
LOGFLUSH, NOLOGFLUSH = 1, 2
IMAGE_BYTES = 2 << 30  # sparse
CUTS = 16
ROWS = 20000  # an import; another one begins while there are cuts to come


class Disk:
    """An ext4 image, mounted at folder."""

    def __init__(self, site, folder):
        self.folder, self.image = folder, folder + ".img"
        os.mkdir(folder, 0o700)
        with open(self.image, "wb") as f:
            f.truncate(IMAGE_BYTES)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", self.image],
                              capture_output=True)
        if made.returncode:
            raise Skipped("mkfs.ext4: " + made.stderr.decode().strip())
        site.mounts.append(folder)
        self.mount()
        os.chmod(folder, 0o700)

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", self.image, self.folder],
                              capture_output=True)
        if done.returncode:
            raise Skipped("mounting an image: " + done.stderr.decode().strip())

    def settled(self):
        """What people wrote here, settings for one, has long been flushed."""
        fd = os.open(self.folder, os.O_RDONLY)
        harness.LIBC.syncfs(fd)
        os.close(fd)

    def cut(self, flags):
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", flags))
        except OSError as why:
            raise Skipped("EXT4_IOC_SHUTDOWN: %s" % why)
        finally:
            os.close(fd)

    def again(self):
        subprocess.run(["umount", self.folder], check=True)
        self.mount()


class Load:
    """Imports, one after the other, each until it is through. What is through
    may still be in the ring; if that is lost with the power, the last imports
    are begun again, and go on where the spool says."""

    def __init__(self, site, agent):
        self.site, self.agent = site, agent
        self.map = conf(site.args, "online-retail.map.yaml")
        self.value = 0
        self.files, self.waiting = [], []
        self.process, self.counts = None, False

    def next_file(self):
        name = self.site.path("sales-%d.csv" % len(self.files))
        self.value += sales_file(name, ROWS, seed=len(self.files))
        self.files.append(name)
        self.waiting.append(name)

    def step(self, more):
        """Goes on; true when all is through and no more is wanted."""
        if self.process is None:
            if not self.waiting:
                if not more:
                    return True
                self.next_file()
            self.process = self.agent.take_begin(self.waiting[0], self.map)
            self.counts = True
        elif self.process.poll() is not None:
            answer = self.agent.take_end(self.process, codes=None)
            self.process = None
            if answer.code == 0 and self.counts:
                check_equal(answer.json["rows"], ROWS, "rows of an import")
                self.waiting.pop(0)
        return False

    def ring_lost(self):
        """It holds less than one import has rows."""
        self.waiting = self.files[-2:]
        self.counts = False


def cut_one(site, daemon, disk, load, rng):
    """The power of one of the two machines goes, and comes back."""
    disk.cut(LOGFLUSH if rng.randrange(4) == 0 else NOLOGFLUSH)
    time.sleep(rng.choice((0, 0, 0.05)))  # it may meet the errors first
    if daemon.running():
        daemon.kill()
    disk.again()
    if daemon is not site.aggregator and rng.randrange(2):
        for ring in os.listdir(site.rings):
            shutil.rmtree(os.path.join(site.rings, ring))
        load.ring_lost()
    daemon.start()


def cut_again_and_again(site):
    if os.geteuid() != 0:
        raise Skipped("mounting an image needs root")
    rng = random.Random(site.args.seed)
    disks = {n: Disk(site, site.path(n)) for n in ("aggregator", "shop")}
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "online-retail.policy.yaml"),
                                  "retail.policy")
    site.make_aggregator(policy).start()
    agent = site.make_agent("shop", site.bundle(policy), batch_events=200,
                            batch_bytes=16384, ring_size=262144)
    for disk in disks.values():
        disk.settled()
    agent.start()
    load = Load(site, agent)
    cuts, deadline = 0, time.monotonic() + 60 + 20 * CUT_COUNT
    while not load.step(cuts < CUT_COUNT):
        check(time.monotonic() < deadline, "the imports do not get through")
        pause = time.monotonic() + rng.uniform(0.01, 0.4)
        while time.monotonic() < pause:
            load.step(cuts < CUT_COUNT)
            time.sleep(0.005)
        if cuts < CUT_COUNT:
            daemon = rng.choice((agent, site.aggregator))
            cut_one(site, daemon, disks[os.path.basename(daemon.folder)], load,
                    rng)
            cuts += 1
    site.assert_balance(300)
    wanted = len(load.files) * ROWS
    totals = site.aggregator.status()["totals"]
    stored = sum(t["events"] for t in totals.values())
    spent = sum(t["value"] for t in totals.values())
    print("powerfail: cuts %d, lost %d, doubled %d"
          % (cuts, max(0, wanted - stored), max(0, stored - wanted)))
    check_equal(stored, wanted, "events stored")
    check_equal(spent, load.value, "their value")


CUT_COUNT = CUTS
if "--cuts" in sys.argv:
    at = sys.argv.index("--cuts")
    CUT_COUNT = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]

if __name__ == "__main__":
    harness.run(__doc__, cut_again_and_again)
