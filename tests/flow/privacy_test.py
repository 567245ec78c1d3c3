"""A raw identifier planted in every place where a caller can put one is in no
file that agent and aggregator wrote, and not on the wire, in no common form;
and the aggregator's folder has no key that could make or test a pseudonym."""

import base64
import hashlib
import os
import random
import time

import harness
from harness import check, check_equal, conf, free_port, wait_until
from policy_change_test import READ_AHEAD
from proxy import KIND_BATCH, Proxy

KEPT = "KEPT-ITEM-7391"  # the policy lets this one travel
# When it happened, 20 days ago; only the minute may travel.
MOMENT_MS = int(time.time() // 60 * 60 - 20 * 86400) * 1000 + 7391
MOMENT = time.strftime("%Y-%m-%dT%H:%M:07.391Z",
                       time.gmtime(MOMENT_MS // 1000))
CSV_MOMENT = MOMENT[:19].replace("T", " ")
MIB = 1024 * 1024
HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b")


# ---- forms and where they are looked for ----

def base64_cores(raw):
    """What is in base64 of anything that contains raw, at each alignment."""
    cores = []
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw)
        first = (0, 2, 3)[shift]
        whole = (shift + len(raw)) // 3 * 4
        cores.append(text[first:whole])
        cores.append(text[first:whole].translate(
            bytes.maketrans(b"+/", b"-_")))
    return cores


def forms_of_bytes(raw):
    return ([raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()] +
            base64_cores(raw))


def forms_of(text):
    """Every form of a planted text that a search would recognise."""
    raw = text.encode()
    forms = forms_of_bytes(raw) + [raw.upper(), raw.lower(),
                                   text.encode("utf-16-le"),
                                   text.encode("utf-16-be")]
    for name in HASHES:
        digest = hashlib.new(name, raw).digest()
        forms += forms_of_bytes(digest)
    forms += forms_of_bytes(hashlib.blake2b(raw, digest_size=32).digest())
    forms += forms_of_bytes(hashlib.blake2b(raw, digest_size=16).digest())
    return sorted(set(forms))


def files_under(*places):
    for place in places:
        if os.path.isfile(place):
            yield place
        for folder, _, names in os.walk(place):
            for name in names:
                file = os.path.join(folder, name)
                if os.path.isfile(file):
                    yield file


def read(file):
    with open(file, "rb") as f:
        return f.read()


def hits(blobs, needles):
    """(where, which) of every needle found; needles: name -> forms."""
    found = []
    for where, blob in blobs:
        for name, forms in needles.items():
            found += [(where, name, form) for form in forms if form in blob]
    return found


class Canaries:
    """Planted texts by place; each is different."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.texts = {}

    def at(self, place, suffix=""):
        if place not in self.texts:
            self.texts[place] = "canary%024x%s" % (self.rng.getrandbits(96),
                                                   suffix)
        return self.texts[place]

    def needles(self):
        needles = {p: forms_of(t) for p, t in self.texts.items()}
        needles["moment"] = [str(MOMENT_MS).encode(), MOMENT.encode(),
                             MOMENT_MS.to_bytes(8, "little"),
                             MOMENT_MS.to_bytes(8, "big")]
        return needles


def assert_search_works(site, needles):
    """Each form of each canary is found where it is put on purpose."""
    folder = site.path("control")
    os.makedirs(folder)
    for i, (name, forms) in enumerate(sorted(needles.items())):
        file = harness.write(os.path.join(folder, str(i)),
                             b"before" + b"between".join(forms) + b"after")
        found = hits([(file, read(file))], {name: forms})
        check_equal([f for _, _, f in found], forms, "planted and found")


# ---- planting ----

def call_text(c, i):
    """One line of NDJSON with something planted in every place."""
    at = c.at
    consent = ('"consent": {"%s": "%s", "categoryPreferences": {"personalise":'
               ' true, "measure": true, "%s": true, "%s": "%s"}}' % (
                   at("consent key"), at("consent value"), at("category"),
                   at("category with text"), at("category text")))
    return (
        '{"type": "track", "event": "%s", "userId": "%s", "anonymousId": "%s",'
        ' "messageId": "%s", "timestamp": "%s", "originalTimestamp": "%s", '
        '"sentAt": "%s", "%s": "%s", "integrations": {"%s": true}, "context": '
        '{"ip": "%s", "userAgent": "%s", "traits": {"email": "%s"}, %s}, '
        '"properties": {"product_id": "%s", "name": "%s", "category": "%s", '
        '"order_id": "%s", "email": "%s", "%s": 1, "price": 3.5, "quantity": '
        '"%s", "list": {"deep": {"deeper": "%s"}}, "array": ["%s"]}}\n' % (
            ("Product Viewed", "Order Completed")[i % 2], at("userId"),
            at("anonymousId"), at("messageId"), MOMENT,
            at("originalTimestamp"), at("sentAt"), at("member name"),
            at("member"), at("integration"), at("ip"), at("user agent"),
            at("trait"), consent, KEPT, at("name", "@"), at("category name",
                                                            "@"),
            at("order_id"), at("email"), at("property name"),
            at("quantity"), at("deep"), at("array")))


def refused_calls(c):
    """Lines that make no event, each for another reason."""
    at = c.at
    ok = '"properties": {"product_id": "%s"}' % KEPT
    return [
        '{"type": "track", "event": "%s", "userId": "%s", %s}\n' % (
            at("event name"), at("userId of unknown event"), ok),
        '{"type": "%s", "userId": "%s"}\n' % (at("type"), at("userId of type")),
        '{"type": "track", "event": "Product Viewed", "timestamp": "%s", %s}\n'
        % (at("timestamp"), ok),
        '{"type": "identify", "userId": "%s", "traits": {"email": "%s"}}\n' % (
            at("identify"), at("identify trait")),
        '{"type": "page", "name": "%s", "properties": {"url": "%s"}}\n' % (
            at("page"), at("url")),
        '{"type": "track", "event": "Product Viewed", "properties": '
        '{"product_id": "%s"}, "timestamp": "%s"}\n' % (at("item", "@"),
                                                        MOMENT),
        '{"broken %s\n' % at("broken JSON"),
        '%s\n' % at("no JSON"),
        '{"type": "track", "event": "Product Viewed", "userId": "%s", '
        '"timestamp": "%s", %s}\n' % (at("no consent"), MOMENT, ok),
    ]


def sales_with_canaries(c):
    at = c.at
    return ("user,item,quantity,price,time,email,%s\n" % at("column") +
            "%s,%s,2,7.95,%s,%s,%s\n" % (
                at("csv user"), KEPT, CSV_MOMENT, at("csv column"),
                at("csv cell")) +
            "%s,%s,%s,7.95,%s,,\n" % (
                at("csv user 2"), KEPT, at("csv number"), CSV_MOMENT) +
            "%s,%s,1,7.95,%s,,\n" % (at("csv user 3"), KEPT, at("csv time")) +
            "%s,\"%s,1\n" % (at("csv broken"), at("csv quote")))


# ---- the tests ----

class Watch:
    """Everything a site's programs wrote, and what went over the wire."""

    def __init__(self, site, agent, line):
        self.site, self.agent, self.line = site, agent, line

    def blobs(self):
        site = self.site
        places = [self.agent.folder, site.aggregator.folder, site.rings,
                  site.aggregator.folder + ".key", self.agent.log,
                  site.aggregator.log]
        return [(f, read(f)) for f in files_under(*places)] + \
            [("the wire", bytes(self.line.captured))]

    def assert_clean(self, needles, when):
        blobs = self.blobs()
        check(len(blobs) > 8, "too little to look at", [b[0] for b in blobs])
        found = hits(blobs, needles)
        check(not found, "found " + when,
              "\n".join("%s: %s as %r" % f for f in found[:20]))
        return blobs


def make_site(site):
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"),
                                  "shop.policy")
    port = free_port()
    aggregator = site.make_aggregator(policy, announce=port)
    aggregator.start()
    line = Proxy(port, aggregator.port)
    site.proxies.append(line)
    agent = site.make_agent("shop", site.bundle(policy), batch_age="PT1H",
                            ring_size=MIB)
    agent.start()
    return policy, agent, line


def scan_while_in_ring(site, watch, c):
    """Feeds a pipe and looks while the events are in the ring; then ends the
    import. The ring holds what the policy keeps, so the look sees it."""
    pipe = site.path(c.at("file name") + ".fifo")
    os.mkfifo(pipe)
    feed = watch.agent.take_begin(pipe, source=c.at("source name"))
    out = open(pipe, "w")
    out.write("".join(call_text(c, i) for i in range(50)))
    out.write("".join(refused_calls(c)))
    out.write("\n" * READ_AHEAD)
    out.flush()
    wait_until(lambda: watch.agent.status()["events"]["accepted"] >= 50, 60,
               "the events are taken")
    check(watch.agent.status()["events"]["ring_bytes"] > 0, "empty ring")
    blobs = watch.assert_clean(c.needles(), "while events are in the ring")
    ring = [b for w, b in blobs if w.startswith(site.rings)]
    check(any(KEPT.encode() in b for b in ring),
          "what the policy keeps is not seen in the ring")
    out.close()
    watch.agent.take_end(feed)


def no_raw_identifier_is_written_or_sent(site):
    c = Canaries(site.args.seed)
    policy, agent, line = make_site(site)
    watch = Watch(site, agent, line)
    scan_while_in_ring(site, watch, c)
    csv = harness.write(site.path(c.at("csv file") + ".csv"),
                        sales_with_canaries(c))
    agent.take(csv, conf(site.args, "generic.map.yaml"))
    agent.ask("recommend", "--user", c.at("recommend"), codes=None)
    site.assert_balance()
    site.aggregator.ask("train", codes=None)
    needles = c.needles()
    check(len(needles) > 40, "too few places", len(needles))
    watch.assert_clean(needles, "with both running")

    # What the policy keeps arrived, so this look is one at the real thing.
    profile = site.aggregator.profile(site.subject(policy, c.at("userId")))
    check_equal(profile["last_items"], [KEPT], "last items of the canary")
    check(line.count(KIND_BATCH) > 0, "no batch was seen on the wire")
    answers = [(w, site.aggregator.ask(w, codes=None).out.encode())
               for w in ("status", "agents", "segments", "models")]
    answers.append(("agent's status", agent.ask("status").out.encode()))
    check_equal(hits(answers, needles), [], "found in what verbs print")
    agent.kill()
    site.aggregator.kill()
    watch.assert_clean(needles, "after kill -9")
    agent.start()
    site.aggregator.start()
    site.assert_balance()
    agent.stop()
    site.aggregator.stop()
    watch.assert_clean(needles, "after both have stopped")
    assert_search_works(site, needles)


def derived_key(master, tenant, name):
    """officer.h: keyed BLAKE2b-256 over what it is for, tenant and name."""
    return hashlib.blake2b(b"sotto pseudonym key\0" + tenant + b"\0" + name,
                           key=master, digest_size=32).digest()


def the_aggregator_holds_no_pseudonym_key(site):
    policy, agent, line = make_site(site)
    agent.take(harness.write(site.path("calls"), "".join(
        call_text(Canaries(1), i) for i in range(20))))
    site.assert_balance()
    site.aggregator.stop()
    agent.stop()
    master = base64.b64decode(
        read(os.path.join(site.officer, "pseudonym.secret")).split()[-1])
    check_equal(len(master), 32, "bytes of the officer's secret")
    keys = {n: derived_key(master, b"shop", n.encode())
            for n in ("visitor", "order")}
    needles = {n: forms_of_bytes(k) for n, k in keys.items()}
    # The agent must hold the keys, so these are the right bytes ...
    held = hits([("officer", read(os.path.join(agent.folder, "officer")))],
                needles)
    check_equal({n for _, n, _ in held}, set(keys), "keys at the agent")
    # ... and nobody but the officer the secret that they are made from.
    needles["master"] = forms_of_bytes(master)
    places = [site.aggregator.folder, site.aggregator.folder + ".key",
              site.aggregator.log, agent.log]
    blobs = [(f, read(f)) for f in files_under(*places)]
    blobs.append(("the wire", bytes(line.captured)))
    check_equal(hits(blobs, needles), [], "keys at the aggregator")
    blobs = [(f, read(f)) for f in files_under(agent.folder, site.rings)]
    check_equal(hits(blobs, {"master": needles["master"]}), [],
                "the officer's secret at the agent")


if __name__ == "__main__":
    harness.run(__doc__, no_raw_identifier_is_written_or_sent,
                the_aggregator_holds_no_pseudonym_key)
