"""The daemons and the tools that hold keys leave no core and let no process of
their own user look at their memory. Beside each look a program that is not
ours is looked at in the same way: there the look finds something."""

import os
import resource
import shutil
import signal
import subprocess
import time

import harness
from harness import Skipped, check, check_equal, conf, wait_until

USER = 65534  # whom the daemons run as when the test is root
CANARY = "canary-of-a-core-4711"


def prepare():
    """In a child before its exec: cores as large as they may get."""
    harness.die_with_test()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    if os.geteuid() == 0:
        os.setgid(USER)
        os.setuid(USER)


def start(site, words, name):
    """Runs words in a folder of its own, where its core would go."""
    place = site.path("place-" + name)
    os.makedirs(place, exist_ok=True)
    give(place)
    with open(site.path(name + ".out"), "ab") as log:
        p = subprocess.Popen(words, cwd=place, stdin=subprocess.PIPE,
                             stdout=log, stderr=log, preexec_fn=prepare,
                             env=dict(os.environ, SOTTO_CANARY=CANARY))
    site.tools.append(p)
    return p, place


def give(*places):
    """To the user that the daemons run as."""
    if os.geteuid() != 0:
        return
    for place in places:
        os.chown(place, USER, USER)
        for folder, dirs, names in os.walk(place):
            for name in dirs + names:
                os.lchown(os.path.join(folder, name), USER, USER)


def private(pid):
    """/proc/PID belongs to root when the process may not be dumped."""
    mine = USER if os.geteuid() == 0 else os.geteuid()
    owner = os.stat("/proc/%d/environ" % pid).st_uid
    check(owner in (0, mine), "owner of /proc/PID", owner)
    return owner == 0


def core_limits(pid):
    with open("/proc/%d/limits" % pid) as f:
        for line in f:
            if line.startswith("Max core file size"):
                return line.split()[4:6]
    raise harness.Failed("no core limit in /proc/PID/limits")


def abort(p, place):
    """Whether the kernel says that a core was made; and its files."""
    os.kill(p.pid, signal.SIGABRT)
    _, status = os.waitpid(p.pid, 0)
    p.returncode = -signal.SIGABRT
    p.stdin.close()
    check(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT,
          "ended by the abort", status)
    return os.WCOREDUMP(status), os.listdir(place)


def assert_look_works(site):
    """A program without these guards shows all that the tests look for."""
    p, place = start(site, ["sleep", "1000"], "sleep")
    time.sleep(0.2)
    check(not private(p.pid), "sleep is private: the look sees nothing")
    hard = core_limits(p.pid)[1]
    dumped, files = abort(p, place)
    if hard == "0":
        raise Skipped("no core may be made here at all")
    check(dumped, "sleep left no core: the look sees nothing")
    for name in files:  # none where the kernel gives cores to a program
        with open(os.path.join(place, name), "rb") as f:
            check(CANARY.encode() in f.read(), "no canary in sleep's core")


def assert_private(p, place, name):
    check_equal(core_limits(p.pid), ["0", "0"], "core limits of " + name)
    check(private(p.pid), name + " may be dumped and looked at")
    dumped, files = abort(p, place)
    check(not dumped, name + " left a core")
    check_equal(files, [], "files that %s left" % name)


def site_of_nobody(site):
    os.chmod(site.root, 0o711)
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"),
                                  "shop.policy")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    agent = site.make_agent("shop", site.bundle(policy))
    aggregator.stop()
    os.chmod(site.rings, 0o711)
    root = os.path.dirname(aggregator.folder)
    give(aggregator.folder, agent.folder, site.rings,
         *[os.path.join(root, n) for n in os.listdir(root)
           if n.startswith("aggregator.")])
    return aggregator, agent


def reachable(program):
    return subprocess.run([program, "--version"], preexec_fn=prepare,
                          capture_output=True).returncode == 0


def no_core_of_the_daemons(site):
    for program in (site.args.aggregator, site.args.agent):
        try:
            check(reachable(program), "cannot run " + program)
        except PermissionError:
            raise Skipped("another user cannot reach " + program)
    assert_look_works(site)
    for daemon in site_of_nobody(site):
        p, place = start(site, [daemon.program, "run", "--dir",
                                daemon.folder], daemon.name)
        control = os.path.join(daemon.folder, "control.sock")
        wait_until(lambda: os.path.exists(control) or p.poll() is not None, 60,
                   daemon.name + " starts")
        check(p.poll() is None, daemon.name + " ended at its start",
              open(site.path(daemon.name + ".out")).read())
        assert_private(p, place, daemon.name)


def no_core_of_the_tools(site):
    """A tool is looked at while it waits for a line of its input."""
    assert_look_works(site)
    os.chmod(site.root, 0o711)
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"),
                                  "shop.policy")
    keys = site.path("keys-of-nobody")
    shutil.copytree(site.officer, keys)
    shutil.copy(policy, keys)
    give(keys)
    p, place = start(site, [site.args.policy, "subject", "--id", "-",
                            "--policy",
                            os.path.join(keys, os.path.basename(policy)),
                            "--keys", keys], "subject")
    wait_until(lambda: p.poll() is not None or core_limits(p.pid)[0] == "0",
               60, "the tool is private")
    check(p.poll() is None, "the tool ended",
          open(site.path("subject.out")).read())
    assert_private(p, place, "sotto-policy subject")


if __name__ == "__main__":
    harness.run(__doc__, no_core_of_the_daemons, no_core_of_the_tools)
