"""What may go wrong between an agent and its aggregator: each has a clear
error or a counter, nothing crashes, nothing that was accepted is lost."""

import json
import os
import subprocess
import threading

import harness
import proxy
from harness import (Skipped, check, check_equal, conf, free_port, sales_file,
                     wait_until)
from proxy import CUT, KIND_BATCH, NONCE, Proxy

EVENTS = 5000
MIB = 1024 * 1024


# ---- a shop with a proxy on its line ----

def make_shop(site, policy_known=True, make_line=Proxy):
    """The officer's policy and an aggregator behind a proxy; returns proxy,
    policy file and its hash."""
    site.keygen()
    policy, digest = site.build_policy(
        conf(site.args, "online-retail.policy.yaml"), "retail.policy")
    port = free_port()
    aggregator = site.make_aggregator(policy if policy_known else None,
                                      announce=port)
    aggregator.start()
    line = make_line(port, aggregator.port)
    site.proxies.append(line)
    return line, policy, digest


def take_sales(site, agent, count=EVENTS, name="sales.csv", seed=1):
    """Imports made-up sales; returns their value."""
    value = sales_file(site.path(name), count, seed)
    report = agent.take(site.path(name), map_of(site)).json
    check_equal(report["accepted"], count, "accepted by the import")
    return value


def map_of(site):
    return conf(site.args, "online-retail.map.yaml")


def assert_sales(site, count, value):
    """The balance, and that exactly these sales have arrived."""
    site.assert_balance()
    for line in site.proxies:
        check_equal(line.errors, [], "mistakes in the proxy")
    purchase = site.aggregator.status()["totals"]["purchase"]
    check_equal(purchase["events"], count, "purchases")
    check_equal(purchase["value"], value, "their value")


def forge(site, words, envelope):
    done = subprocess.run([site.args.forge] + words, input=envelope,
                          capture_output=True, timeout=60)
    check_equal(done.returncode, 0, "sotto-forge " + done.stderr.decode())
    return done.stdout


# ---- the policy ----

def unknown_policy_waits(site):
    line, policy, digest = make_shop(site, policy_known=False)
    agent = site.make_agent("shop", site.bundle(policy))
    agent.start()
    value = take_sales(site, agent)
    wait_until(lambda: agent.status()["link"]["waiting_for"] ==
               "unknown_policy", 30, "the agent says what it waits for")
    check("policy" in agent.status()["link"]["hint"], "no hint what to do")
    check_equal(agent.status()["events"]["spooled"], EVENTS, "spooled")
    link = site.aggregator.status()["link"]
    check_equal([(w["agent"], "blake2b:" + w["policy"])
                 for w in link["waiting_for_policy"]], [("shop", digest)],
                "waiting at the aggregator")
    check_equal(site.aggregator.status()["totals"], {}, "taken without policy")
    check(site.aggregator.policy_add(policy)["added"], "not added")
    assert_sales(site, EVENTS, value)
    check_equal(site.aggregator.status()["link"]["waiting_for_policy"], [],
                "still waiting")
    check_equal(agent.status()["link"]["waiting_for"], "nothing", "waits")


# ---- the wire ----

def flipped_bits_are_refused_and_sent_again(site):
    """One bit each in the body, in the signature, in the chain, in the head;
    the wire is clean again afterwards. The fourth on one connection is not
    heard, so it is counted if it came on another."""
    line, policy, _ = make_shop(site)
    agent = site.make_agent("shop", site.bundle(policy), batch_events=500)
    sites = [lambda b: 8 * (len(b) // 2), lambda b: 8 * (len(b) - 5),
             lambda b: 8 * (NONCE + 60), lambda b: 8 * (NONCE + 2) + 5]
    turned = []
    lock = threading.Lock()

    def turn_over(exchange):
        with lock:
            if exchange.kind != KIND_BATCH or len(turned) == len(sites):
                return exchange.request
            turned.append(exchange)
            at = sites[len(turned) - 1](exchange.request)
        return proxy.flip_bit(exchange.request, at)

    line.on_request = turn_over
    agent.start()
    value = take_sales(site, agent)
    wait_until(lambda: len(turned) == len(sites), 120, "bits are flipped")
    assert_sales(site, EVENTS, value)
    link = site.aggregator.status()["link"]
    counted = link["bad_signatures"] + link["malformed"]
    check(len(sites) - 1 <= counted <= len(sites), "counted as flipped",
          counted)
    check(link["bad_signatures"] >= 2, "signatures that do not hold",
          link["bad_signatures"])


def lost_and_late_replies_count_once(site):
    """Connections cut, replies swallowed, everything late: duplicates are
    seen as such."""
    line, policy, _ = make_shop(site)
    agent = site.make_agent("shop", site.bundle(policy), batch_events=100)
    lost = []

    def lose(exchange):
        if exchange.kind == KIND_BATCH and len(lost) < 6:
            lost.append(exchange)
            return CUT
        return exchange.reply

    line.on_reply = lose
    line.delay = 0.01
    agent.start()
    value = take_sales(site, agent)
    wait_until(lambda: len(lost) == 6, 240, "replies are lost")
    assert_sales(site, EVENTS, value)
    check(site.aggregator.status()["link"]["duplicates"] > 0,
          "no duplicate was seen")


def forged_acknowledgements_empty_no_spool(site):
    """Every reply to a batch is replaced: by one that another key signed, by
    one that claims the aggregator's id, by an old one of the aggregator."""
    line, policy, _ = make_shop(site)
    agent = site.make_agent("shop", site.bundle(policy), batch_events=500)
    agent.start()
    value = take_sales(site, agent, 500, "first.csv", seed=2)
    agent.wait_drained()
    old = line.replied(KIND_BATCH)[0].reply
    forged = []

    def replace(exchange):
        if exchange.kind != KIND_BATCH:
            return exchange.reply
        words = ["reply", ("other", "claimed")[len(forged) % 2],
                 exchange.request[:NONCE].hex()]
        forged.append(exchange)
        if len(forged) % 3 == 0:
            return old
        return forge(site, words, exchange.reply)

    line.on_reply = replace
    value += take_sales(site, agent)
    wait_until(lambda: agent.status()["link"]["forged"] >= 6, 240,
               "forged replies are counted")
    status = agent.status()
    check_equal(status["events"]["spooled"], EVENTS, "kept in the spool")
    check_equal(status["events"]["acknowledged"], 500, "acknowledged")
    line.on_reply = None
    assert_sales(site, EVENTS + 500, value)


def ciphertext_of_another_is_refused(site):
    """An agent signs another's batch as its own: refused for good, and its
    stream goes on."""
    line, policy, _ = make_shop(site)
    bundle = site.bundle(policy)
    honest, thief = (site.make_agent(n, bundle) for n in ("shop", "thief"))
    honest.start()
    value = take_sales(site, honest)
    honest.wait_drained()
    envelope = line.replied(KIND_BATCH)[0].request[NONCE:]
    stolen = forge(site, ["resign", os.path.join(thief.folder, "agent.keys"),
                          "77", "1"], envelope)
    check(stolen != envelope, "nothing was forged")

    def ask():
        reply = proxy.request(site.aggregator.port, os.urandom(NONCE) + stolen)
        check(reply is not None, "no reply")
        return json.loads(forge(site, ["show"], reply))

    first, again = ask(), ask()
    check_equal((first["verdict"], first["reason"]),
                ("refused", "wrong_sender"), "verdict")
    check_equal(first["watermark"], 1, "watermark after the refusal")
    check_equal((again["verdict"], again["watermark"]), ("ack", 1),
                "verdict on the same again")
    refused = site.aggregator.status()["link"]["refused"]
    check_equal(refused, {"wrong_sender": 1}, "counted")
    thief.start()
    value += take_sales(site, thief, 300, "thief.csv", seed=3)
    assert_sales(site, EVENTS + 300, value)


# ---- the token ----

def token_is_of_the_first_key(site):
    line, policy, _ = make_shop(site)
    bundle = site.bundle(policy)
    agent = site.make_agent("shop", bundle)
    second = site.agent_at("second")
    answer = site.enroll(second, site.path("shop.token"), bundle, codes=(4,))
    check("token" in answer.err and "another" in answer.err,
          "the refusal does not say why", answer.err)
    check(not os.path.exists(os.path.join(second.folder, "agent.cert")),
          "it has a certificate")
    check_equal(list(site.aggregator.agents()), ["shop"], "agents")
    check_equal(site.aggregator.status()["link"]["refused"],
                {"token_spent": 1}, "counted")
    # The first key may have lost the reply.
    os.unlink(os.path.join(agent.folder, "agent.cert"))
    site.enroll(agent, site.path("shop.token"), bundle)
    agent.start()
    assert_sales(site, EVENTS, take_sales(site, agent))


# ---- no room, no aggregator ----

def full_ring_makes_an_import_wait(site):
    line, policy, _ = make_shop(site)
    agent = site.make_agent("shop", site.bundle(policy), ring_size=65536,
                            batch_bytes=16384, spool_size=MIB)
    site.aggregator.stop()
    agent.start()
    count = 100000
    value = sales_file(site.path("sales.csv"), count)
    feed = agent.take_begin(site.path("sales.csv"), map_of(site))
    full = wait_until(lambda: agent.status()["spool"]["error"] and
                      agent.status(), 120, "the spool is full")
    wait_until(lambda: agent.status()["events"]["ring_bytes"] > 40000, 60,
               "the ring is full")
    check("full" in full["spool"]["error"], "the error does not say so",
          full["spool"]["error"])
    check(full["spool"]["bytes"] <= MIB, "the spool is over its size",
          full["spool"]["bytes"])
    before = agent.status()["events"]
    check(feed.poll() is None, "the import has ended")
    check(before["accepted"] < count, "all was accepted")
    check_equal(before["dropped"], 0, "dropped")
    site.aggregator.start()
    check_equal(agent.take_end(feed).json["accepted"], count, "accepted")
    assert_sales(site, count, value)
    check_equal(agent.status()["spool"]["error"], "", "error afterwards")


def mount_small(site, name, size):
    """A file system of its own, in memory."""
    folder = site.path(name)
    os.mkdir(folder)
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=%s,mode=700" % size, "tmpfs",
         folder], capture_output=True).returncode == 0
    if not mounted:
        raise Skipped("mounting a small file system needs root")
    site.mounts.append(folder)
    return folder


def fill(folder):
    """Leaves no room there; returns the file that takes it."""
    file = os.path.join(folder, "ballast")
    with open(file, "wb", 0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass  # it is full
    return file


def full_disk_is_told_and_survived(site):
    """The agent's folder on a file system that something else has filled."""
    folder = mount_small(site, "disk", "24m")
    line, policy, _ = make_shop(site)
    agent = site.agent_at("shop", os.path.join(folder, "shop"))
    site.enroll(agent, site.token("shop"), site.bundle(policy))
    site.agents["shop"] = agent
    site.aggregator.stop()
    agent.start()
    value = take_sales(site, agent, 2000, "first.csv", seed=4)
    ballast = fill(folder)
    value += sales_file(site.path("sales.csv"), EVENTS)
    feed = agent.take_begin(site.path("sales.csv"), map_of(site))
    status = wait_until(lambda: agent.status()["spool"]["error"] and
                        agent.status(), 120, "the status tells of the disk")
    check("full" in status["spool"]["error"], "the error does not say so",
          status["spool"]["error"])
    check_equal(status["events"]["dropped"], 0, "dropped")
    os.unlink(ballast)
    agent.take_end(feed)
    wait_until(lambda: not agent.status()["spool"]["error"], 60,
               "the error is over")
    site.aggregator.start()
    assert_sales(site, EVENTS + 2000, value)


def own_backlog_that_fills_the_disk_drains(site):
    """The spool may be larger than the disk: acknowledgements get through
    although there is no room left."""
    folder = mount_small(site, "disk", "16m")
    line, policy, _ = make_shop(site)
    agent = site.agent_at("shop", os.path.join(folder, "shop"))
    site.enroll(agent, site.token("shop"), site.bundle(policy))
    site.agents["shop"] = agent
    site.aggregator.stop()
    agent.start()
    count = 300000
    value = sales_file(site.path("sales.csv"), count)
    feed = agent.take_begin(site.path("sales.csv"), map_of(site))
    wait_until(lambda: "full" in agent.status()["spool"]["error"], 120,
               "the status tells of the disk")
    check(feed.poll() is None, "the import has ended")
    site.aggregator.start()
    check_equal(agent.take_end(feed).json["accepted"], count, "accepted")
    assert_sales(site, count, value)


def failures(site, before):
    """How many commits have failed, if it is more than before."""
    count = site.aggregator.status()["link"]["commit_failures"]
    return count if count > before else 0


def full_disk_of_the_aggregator_loses_nothing(site):
    """It acknowledges nothing that it could not commit; agents wait and go on
    when there is room, whether it ran meanwhile or was killed."""
    folder = mount_small(site, "aggregator", "16m")
    line, policy, _ = make_shop(site)
    agent = site.make_agent("shop", site.bundle(policy), batch_events=500)
    agent.start()
    value = take_sales(site, agent, 2000, "first.csv", seed=6)
    agent.wait_drained()
    count, failed = 2000, 0
    for killed in (False, True):
        ballast = fill(folder)
        value += take_sales(site, agent, 20000, "full-%d.csv" % killed,
                            seed=7 + killed)
        count += 20000
        failed = wait_until(lambda: failures(site, failed), 120,
                            "a commit finds no room")
        events = agent.status()["events"]
        check(events["spooled"] > 0 and events["dropped"] == 0,
              "the agent does not wait", events)
        if killed:
            site.aggregator.kill()
        os.unlink(ballast)
        if killed:
            site.aggregator.start()
        agent.wait_drained()
    assert_sales(site, count, value)
    print("diskfull: failed commits %d, events %d, lost 0, doubled 0"
          % (failed, count))


def aggregator_away_is_told(site):
    line, policy, _ = make_shop(site)
    agent = site.make_agent("shop", site.bundle(policy))
    site.aggregator.stop()
    line.refusing = True
    agent.start()
    value = take_sales(site, agent)
    status = agent.status()
    check(not status["link"]["connected"], "it says that it is connected")
    check_equal(status["events"]["spooled"], EVENTS, "spooled")
    agent.stop()
    agent.start()
    check_equal(agent.status()["events"]["spooled"], EVENTS,
                "spooled after a restart")
    site.aggregator.start()
    line.refusing = False
    wait_until(lambda: agent.status()["link"]["connected"], 120,
               "it says that it is connected")
    assert_sales(site, EVENTS, value)


if __name__ == "__main__":
    harness.run(__doc__, unknown_policy_waits,
                flipped_bits_are_refused_and_sent_again,
                lost_and_late_replies_count_once,
                forged_acknowledgements_empty_no_spool,
                ciphertext_of_another_is_refused,
                token_is_of_the_first_key,
                full_ring_makes_an_import_wait,
                full_disk_is_told_and_survived,
                own_backlog_that_fills_the_disk_drains,
                full_disk_of_the_aggregator_loses_nothing,
                aggregator_away_is_told)
