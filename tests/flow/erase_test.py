"""A person is erased: no trace of the pseudonym is left in a file of the
aggregator, in the decrypted export of all it holds, or at an agent that had
lists of it; a spool of before the erasure and a backup bring nothing back; the
others lose nothing; and the model fitted afterwards is the one of an
aggregator that never saw the person."""

import hashlib
import os
import random
import shutil
import sqlite3
import subprocess

import harness
from harness import Aggregator, check, check_equal, conf, free_port, wait_until
from privacy_test import files_under, forms_of_bytes, hits, read

PERSON = 12345
OTHERS = range(20000, 20060)
OF_PERSON = 40  # sales a file
EACH = 900
ITEMS = 30
SLICE, APART = 32, 128  # bytes of a sealed chunk that are looked for


# ---- made-up sales ----

class Sales:
    """Lines of the shop's CSV, with PERSON among many."""

    def __init__(self, seed, of_person=OF_PERSON):
        rng = random.Random(seed)
        people = [PERSON] * of_person + \
            [rng.choice(OTHERS) for _ in range(EACH - of_person)]
        rng.shuffle(people)
        # Whoever buys an item first gives it its number: never the person.
        people.sort(key=lambda p: p == PERSON)
        self.lines = []
        self.others_value = self.person_value = 0
        for i, who in enumerate(people):
            item = i % ITEMS if i < ITEMS else rng.randrange(ITEMS)
            cents, units = rng.randrange(1, 10000), rng.randrange(1, 9)
            value = cents * units * 10000
            if who == PERSON:
                self.person_value += value
            else:
                self.others_value += value
            self.lines.append((who, "%d,ITEM%d,MUG %d,%d,2026-05-%02d %02d:%02d"
                               ":00,%d.%02d,%d,France\n"
                               % (500000 + seed * 10000 + i // 3, item, item,
                                  units, 1 + i * 27 // EACH, rng.randrange(24),
                                  rng.randrange(60), cents // 100, cents % 100,
                                  who)))

    def write(self, site, name, without=None):
        lines = [line for who, line in self.lines if who != without]
        harness.write(site.path(name), harness.SALES_HEAD + "".join(lines))
        return site.path(name), len(lines)


def take(site, agent, sales, name, without=None):
    file, count = sales.write(site, name, without)
    report = agent.take(file, conf(site.args, "online-retail.map.yaml")).json
    check_equal(report["accepted"], count, "accepted by the import")


# ---- looking ----

def export(aggregator, *what):
    """All that the directory holds, decrypted; a daemon may be running."""
    done = subprocess.run([os.environ["SOTTO_EXPORT"], aggregator.folder,
                           aggregator.folder + ".key"] + list(what),
                          capture_output=True, timeout=120)
    check(done.returncode == 0, "export", done.stderr.decode())
    return done.stdout


def files_of(aggregator):
    return list(files_under(aggregator.folder, aggregator.folder + ".key",
                            aggregator.folder + ".erased", aggregator.log))


def traces(site, forms, agents):
    """Where the pseudonym is: files, export, agents' folders."""
    a = site.aggregator
    blobs = [(f, read(f)) for f in files_of(a)]
    blobs.append(("the export", export(a)))
    for agent in agents:
        blobs += [(f, read(f)) for f in files_under(agent.folder, agent.log)]
    blobs += [(f, read(f)) for f in files_under(site.rings)]
    check(len(blobs) > 6, "too little to look at", [b[0] for b in blobs])
    return sorted({where for where, _, _ in hits(blobs, {"it": forms})})


def sealed_chunks(aggregator):
    """number -> pieces of each sealed chunk, as they lie on the disk."""
    file = "file:%s/aggregator.db?mode=ro" % aggregator.folder
    with sqlite3.connect(file, uri=True) as db:
        rows = db.execute("SELECT number, payload FROM chunk").fetchall()
    db.close()
    return {n: [p[i:i + SLICE] for i in range(0, len(p) - SLICE, APART)]
            for n, p in rows}


def agent_of(site, name):
    return site.aggregator.agents()[name]


def purchases(site):
    total = site.aggregator.status()["totals"]["purchase"]
    return total["events"], total["value"]


# ---- the site ----

def make_shop(site):
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "online-retail.policy.yaml"),
                                  "retail.policy")
    site.make_aggregator(policy).start()
    return policy, site.bundle(policy)


def spooled_before(site, bundle, name, sales):
    """An agent, stopped, with sales in its spool that nobody has yet."""
    agent = site.make_agent(name, bundle, batch_events=100)
    site.aggregator.stop()
    agent.start()
    take(site, agent, sales, name + ".csv")
    wait_until(lambda: agent.status()["spool"]["batches"] > 0 and
               agent.status()["events"]["ring_bytes"] == 0, 60, "it is spooled")
    agent.stop()
    site.aggregator.start()
    return agent


def wait_for_list(agent, raw):
    wait_until(lambda: any(raw in read(f) for f in files_under(agent.folder)),
               60, agent.name + " has the person's list")


def receipt_of(site, signed):
    """The receipt now; says the same of the same erasure."""
    again = site.aggregator.ask("erase", "--receipt",
                                signed["receipt"]["id"]).json
    check_equal(again["receipt"]["proof"], signed["receipt"]["proof"], "proof")
    return again["receipt"]


def states(receipt):
    return {a["name"]: a["state"] for a in receipt["agents"]}


def assert_proof(receipt, raw):
    proof = hashlib.blake2b(bytes.fromhex(receipt["id"]) + raw, digest_size=16)
    check_equal(receipt["proof"], proof.hexdigest(), "proof of the receipt")


# ---- the tests ----

def access_shows_everything_that_is_held(site):
    policy, bundle = make_shop(site)
    shop = site.make_agent("shop", bundle, batch_events=100)
    shop.start()
    sales = Sales(1)
    take(site, shop, sales, "sales.csv")
    site.assert_balance()
    subject = site.subject(policy, str(PERSON))
    site.aggregator.ask("train")
    wait_for_list(shop, bytes.fromhex(subject))
    held = site.aggregator.ask("access", subject).json
    check_equal(held["state"], "held", "state")
    check_equal(len(held["events"]), OF_PERSON, "events of the person")
    value = 0
    for event in held["events"]:
        check_equal(event["event"], "Order Completed", "event")
        check_equal(event["policy_version"], 1, "policy version")
        fields = {f["role"]: f for f in event["fields"] if f["role"]}
        check_equal(fields["subject"]["value"], subject, "its subject")
        check_equal(fields["subject"]["action"], "pseudonym", "its action")
        check(all(f["purpose"] for f in event["fields"]), "purposes")
        value += fields["value"]["value"] * fields["quantity"]["value"]
    check_equal(value, sales.person_value, "amount of its events")
    check_equal(held["profile"]["spent"], value, "amount of its profile")
    check_equal(sorted(i["item"] for i in held["interactions"]),
                sorted({line.split(",")[1] for who, line in sales.lines
                        if who == PERSON}), "items")
    check_equal([x["agent"] for x in held["lists"]], [1], "agents with a list")
    check(held["lists"][0]["items"], "an empty list")
    # The same without a daemon; and of somebody who is not there.
    site.aggregator.stop()
    alone = site.aggregator.ask("access", subject).json
    check_equal(alone["events"], held["events"], "events without a daemon")
    nobody = site.aggregator.ask("access", "ab" * 16, codes=(1,)).json
    check_equal((nobody["state"], nobody["events"]), ("unknown", []), "nobody")
    site.aggregator.ask("access", "no subject", codes=(2,))


def nothing_is_left_and_nothing_returns(site):
    policy, bundle = make_shop(site)
    raw = bytes.fromhex(site.subject(policy, str(PERSON)))
    forms = forms_of_bytes(raw)
    a = site.aggregator
    late = spooled_before(site, bundle, "late", Sales(3))
    later = spooled_before(site, bundle, "later", Sales(4))
    shop = site.make_agent("shop", bundle, batch_events=100)
    away = site.make_agent("away", bundle, batch_events=100)
    sales = {shop: Sales(1), away: Sales(2)}
    for agent, of_it in sales.items():
        agent.start()
        take(site, agent, of_it, agent.name + ".csv")
        agent.wait_drained()
    a.wait_folded()
    a.ask("train")
    for agent in sales:
        wait_for_list(agent, raw)
    away.stop()
    a.stop()
    shutil.copytree(a.folder, site.path("backup"))
    a.start()
    more = Sales(5)  # these lie in the log in front of the database
    take(site, shop, more, "more.csv")
    shop.wait_drained()
    a.wait_folded()
    value = more.others_value + sum(s.others_value for s in sales.values())
    spent = more.person_value + sum(s.person_value for s in sales.values())
    check_equal(purchases(site), (3 * EACH, value + spent), "before")
    found = traces(site, forms, sales)
    check("the export" in found, "the export does not show the person", found)
    for agent in sales:
        check(any(f.startswith(agent.folder) for f in found),
              agent.name + " has no trace", found)
    sealed = sealed_chunks(a)

    receipt = a.ask("erase", raw.hex()).json[0]["receipt"]
    assert_proof(receipt, raw)
    check_equal(receipt["events"], 3 * OF_PERSON, "events erased")
    check_equal(states(receipt)["away"], "pending", "an agent that is away")
    check_equal(purchases(site), (3 * (EACH - OF_PERSON), value),
                "the others' totals")
    a.ask("profile", raw.hex(), codes=(1,))
    a.ask("recommend", raw.hex(), codes=(1,))
    check_equal(a.ask("access", raw.hex()).json["state"], "erased", "access")
    a.ask("verify")
    signed = {"receipt": receipt}
    wait_until(lambda: states(receipt_of(site, signed))["shop"] == "confirmed",
               60, "the shop has removed the list")
    check_equal(states(receipt_of(site, signed)),
                {"shop": "confirmed", "away": "pending"}, "agents")
    # What the away one is to be told is all that is kept of it.
    check_equal(traces(site, forms, [shop]), ["the export"], "traces")
    away.start()
    wait_until(lambda: states(receipt_of(site, signed))["away"] == "confirmed",
               60, "the other one has, too")
    check_equal(traces(site, forms, sales), [], "traces")
    now = sealed_chunks(a)
    rewritten = [piece for n, p in sealed.items() if now[n] != p for piece in p]
    check(rewritten, "no chunk was written anew")
    old = hits([(f, read(f)) for f in files_of(a)], {"chunk": rewritten})
    check_equal([w for w, _, _ in old], [], "files with old bytes of chunks")
    check_equal(agent_of(site, "shop")["erased"], 2 * OF_PERSON, "counted")

    # A spool of before the erasure.
    late.start()
    late.wait_drained()
    a.wait_folded()
    value += Sales(3).others_value
    check_equal(agent_of(site, "late")["erased"], OF_PERSON, "dropped late")
    check_equal(purchases(site), (4 * (EACH - OF_PERSON), value), "with it")
    check_equal(traces(site, forms, list(sales) + [late]), [], "after a spool")

    # A backup of before the erasure; the agents replay what it lacks.
    for agent in (shop, away, late):
        agent.stop()
    a.stop()
    shutil.rmtree(a.folder)
    shutil.copytree(site.path("backup"), a.folder)
    check(any(f in export(a) for f in forms), "the backup has no trace")
    a.start()
    check_equal(purchases(site), (2 * (EACH - OF_PERSON), value - sum(
        s.others_value for s in (more, Sales(3)))), "restored")
    for agent in (shop, away, late):
        agent.start()
    wait_until(lambda: set(states(receipt_of(site, signed)).values()) ==
               {"confirmed"}, 60, "all have been told once more")
    late.wait_drained()
    wait_until(lambda: purchases(site)[0] == 4 * (EACH - OF_PERSON), 60,
               "what came after the backup is replayed")
    check_equal(purchases(site), (4 * (EACH - OF_PERSON), value), "replayed")
    check_equal(traces(site, forms, list(sales) + [late]), [], "after a backup")
    site.agents.pop("later")
    site.assert_balance()

    # The control: without the table the last spool brings it back.
    a.stop()
    os.unlink(a.folder + ".erased")
    with sqlite3.connect(a.folder + "/aggregator.db") as db:
        check_equal(db.execute("DELETE FROM meta WHERE name = 'suppressed'")
                    .rowcount, 1, "copies of the table")
    db.close()
    a.start()
    later.start()
    later.wait_drained()
    a.wait_folded()
    check("the export" in traces(site, forms, []), "the control found nothing")
    check_equal(a.ask("access", raw.hex()).json["state"], "held", "control")


def an_erasure_that_was_killed_goes_on(site):
    policy, bundle = make_shop(site)
    raw = bytes.fromhex(site.subject(policy, str(PERSON)))
    a = site.aggregator
    shop = site.make_agent("shop", bundle, batch_events=20)
    shop.start()
    take(site, shop, Sales(1), "sales.csv")
    site.assert_balance()
    a.ask("train")
    wait_for_list(shop, raw)
    shop.stop()
    rng = random.Random(site.args.seed)
    tool = subprocess.Popen([a.program, "erase", raw.hex(), "--dir", a.folder],
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    site.tools.append(tool)
    wait_until(lambda: os.path.exists(a.folder + ".erased"), 60, "it began",
               every=0.0005 * rng.random())
    a.kill()
    tool.wait(60)
    a.start()
    held = a.ask("access", raw.hex()).json
    check_equal((held["state"], held["events"]), ("erased", []), "after a kill")
    receipt = receipt_of(site, {"receipt": {
        "id": held["receipt"], "proof": hashlib.blake2b(
            bytes.fromhex(held["receipt"]) + raw,
            digest_size=16).hexdigest()}})
    check(receipt["done_ms"] > 0, "it did not go on", receipt)
    check_equal(receipt["events"], OF_PERSON, "events, each counted once")
    check_equal(purchases(site), (EACH - OF_PERSON, Sales(1).others_value),
                "the others")
    shop.start()
    wait_until(lambda: states(receipt_of(site, {"receipt": receipt})) ==
               {"shop": "confirmed"}, 60, "the shop has removed the list")
    check_equal(traces(site, forms_of_bytes(raw), [shop]), [], "traces")
    site.assert_balance()


def the_model_is_the_one_that_never_saw_it(site):
    policy, bundle = make_shop(site)
    subject = site.subject(policy, str(PERSON))
    shop = site.make_agent("shop", bundle, batch_events=100)
    shop.start()
    sales = Sales(1, of_person=300)
    take(site, shop, sales, "sales.csv")
    site.assert_balance()
    site.aggregator.ask("train")
    seen = export(site.aggregator, "model")
    site.aggregator.ask("erase", subject)
    check(not site.aggregator.ask("erase", subject).json[0]["receipt"]
          ["model_refitted"], "called refitted before a training")
    site.aggregator.ask("train")
    refitted = export(site.aggregator, "model")
    check(site.aggregator.ask("erase", subject).json[0]["receipt"]
          ["model_refitted"], "not called refitted")
    site.assert_balance()
    site.aggregator.stop()
    shop.stop()

    other = Aggregator(site, site.args.aggregator, site.path("other"),
                       free_port())
    subprocess.run([other.program, "init", "--dir", other.folder], check=True,
                   stdout=subprocess.DEVNULL)
    other.settle(listen="tcp://127.0.0.1:%d" % other.port)
    other.policy_add(policy)
    site.aggregator, site.agents = other, {}
    other.start()
    shop = site.make_agent("other-shop", bundle, batch_events=100)
    shop.start()
    take(site, shop, sales, "others.csv", without=PERSON)
    site.assert_balance()
    other.ask("train")
    never_saw = export(other, "model")
    check(seen != refitted, "the person made no difference to the model")
    check(refitted == never_saw, "the models differ")


if __name__ == "__main__":
    harness.run(__doc__, access_shows_everything_that_is_held,
                nothing_is_left_and_nothing_returns,
                an_erasure_that_was_killed_goes_on,
                the_model_is_the_one_that_never_saw_it)
