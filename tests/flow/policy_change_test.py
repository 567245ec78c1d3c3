"""The policy changes while events made under the one before lie in ring and
spool: each is decoded under the policy that it was made with."""

import os

import harness
from harness import check, check_equal, wait_until

HEAD = """\
policy: shop
version: %(version)d
effective: 2026-01-01
expires: 2027-12-01
%(previous)s
signers: {need: 1, keys: [dpo]}
keys:
  customer: {kind: blake2b, epoch: none}
purposes:
  orders: {basis: contract, consent: none, retention: P30Y}
retention: {spool: P30D}
events:
"""

SUBJECT = "{role: subject, from: userId, action: pseudonym, key: customer}"
ITEM = ("{role: item, from: properties.product_id, action: keep, "
        "pattern: \"[A-Z0-9-]{1,32}\", required: true}")
PRICE = ("{role: value, from: properties.price, action: keep, type: money}")
COUNT = ("{role: quantity, from: properties.quantity, action: keep, "
         "type: int}")
AT = "{role: time, action: time, round: PT1M}"

V1 = HEAD + """\
  Order Completed:
    role: purchase
    purpose: orders
    at: {at}
    price: {price}
    quantity: {count}
    customer: {subject}
    item: {item}
  Order Refunded:
    role: return
    purpose: orders
    at: {at}
    customer: {subject}
    quantity: {count}
    price: {price}
    item: {item}
"""

# An event in front, so that every index moves; fields in another order, under
# other names, and one more.
V2 = HEAD + """\
  Product Viewed:
    role: view
    purpose: orders
    article: {item}
    at: {at}
    person: {subject}
  Order Refunded:
    role: return
    purpose: orders
    article: {item}
    paid: {price}
    pieces: {count}
    at: {at}
    person: {subject}
  Order Completed:
    role: purchase
    purpose: orders
    article: {item}
    kind: {category}
    person: {subject}
    pieces: {count}
    paid: {price}
    at: {at}
"""
CATEGORY = ("{role: category, from: properties.category, action: keep, "
            "pattern: \"[a-z]{1,16}\"}")

READ_AHEAD = 256 * 1024  # an import reads so much before it takes a line

BOUGHT, BACK, SEEN = "Order Completed", "Order Refunded", "Product Viewed"


def policy_text(text, version, previous=None):
    head = {"version": version,
            "previous": "previous: " + previous if previous else ""}
    for name, value in (("at", AT), ("price", PRICE), ("count", COUNT),
                        ("subject", SUBJECT), ("item", ITEM),
                        ("category", CATEGORY)):
        text = text.replace("{%s}" % name, value)
    return text % head


class Sums:
    """What the profiles must show, counted on the way in."""

    def __init__(self):
        self.roles, self.people = {}, {}

    def add(self, role, person, price, count):
        t = self.roles.setdefault(role, [0, 0])
        t[0] += 1
        t[1] += price * count
        p = self.people.setdefault(person, {})
        p[role] = p.get(role, 0) + price * count

    def line(self, i, event, category=None):
        """Event i as a line of NDJSON; an unknown event counts for nothing
        and must be dropped by the caller's own reckoning."""
        person, price, count = i % 7, 1000000 + i * 30000, 1 + i % 3
        role = {BOUGHT: "purchase", BACK: "return", SEEN: "view"}[event]
        if role == "view":
            price = 0
        self.add(role, person, price, count)
        return self.text(i, event, person, price, count, category)

    @staticmethod
    def text(i, event, person, price, count, category):
        extra = ', "category": "%s"' % category if category else ""
        return ('{"type": "track", "event": "%s", "userId": "person-%d", '
                '"timestamp": "2026-06-%02dT10:%02d:00Z", "properties": '
                '{"product_id": "ITEM-%d", "price": %d.%06d, "quantity": %d%s'
                '}}\n' % (event, person, 1 + i % 28, i % 60, i % 50,
                          price // 1000000, price % 1000000, count, extra))


def assert_sums(site, sums, policy):
    totals = site.aggregator.status()["totals"]
    check_equal({r: t["events"] for r, t in totals.items()},
                {r: t[0] for r, t in sums.roles.items()}, "events by role")
    for role in ("purchase", "return"):
        check_equal(totals[role]["value"], sums.roles[role][1],
                    "value of all " + role)
    for person, values in sums.people.items():
        p = site.aggregator.profile(
            site.subject(policy, "person-%d" % person))
        check_equal((p["spent"], p["returned"]),
                    (values.get("purchase", 0), values.get("return", 0)),
                    "spent and returned of person %d" % person)
    return totals


def lines_of(sums, start, count, events, category=None):
    return [sums.line(i, events[i % len(events)], category)
            for i in range(start, start + count)]


def begin(site):
    """An agent under version 1 with events in its spool, 2000, and the
    aggregator away; returns the sums, the agent and both policies."""
    sums = Sums()
    site.keygen()
    v1, digest = site.build_policy(
        harness.write(site.path("v1.yaml"), policy_text(V1, 1)), "v1.policy")
    v2, _ = site.build_policy(
        harness.write(site.path("v2.yaml"), policy_text(V2, 2, digest)),
        "v2.policy")
    site.desk("verify", v2, "--previous", v1)
    site.make_aggregator(v1).start()
    # Nothing closes a batch but its size: what is over stays in the ring.
    agent = site.make_agent("shop", site.bundle(v1), batch_events=1000,
                            batch_age="PT1H")
    agent.start()
    site.aggregator.stop()
    lines = lines_of(sums, 0, 2000, (BOUGHT, BACK, BOUGHT))
    agent.take(harness.write(site.path("first.ndjson"), "".join(lines)))
    check_equal(agent.status()["events"]["spooled"], 2000, "spooled")
    return sums, agent, v1, v2


def feed_ring(site, agent, lines):
    """Begins an import from a pipe that stays open; returns the process and
    the pipe. The lines are in the ring then, in no batch."""
    pipe = site.path("pipe")
    os.mkfifo(pipe)
    accepted = agent.status()["events"]["accepted"]
    feed = agent.take_begin(pipe, source="till")
    out = open(pipe, "w")
    out.write("".join(lines))
    out.write("\n" * READ_AHEAD)  # blank lines are nothing
    out.flush()
    wait_until(lambda: agent.status()["events"]["accepted"] ==
               accepted + len(lines), 60, "the lines are taken")
    events = agent.status()["events"]
    check_equal(events["spooled"], accepted, "only older ones are spooled")
    check(events["ring_bytes"] > 0, "the ring is empty")
    return feed, out


def change_policy(site, agent, v2):
    check_equal(agent.status()["policy"]["version"], 1, "version before")
    site.aggregator.policy_add(v2)
    site.aggregator.start()
    wait_until(lambda: agent.status()["policy"]["version"] == 2, 20,
               "version 2 is in force")


def each_event_keeps_its_policy(site):
    """Spool and ring hold version 1 when version 2 comes; the import goes on
    under it in the same file."""
    sums, agent, v1, v2 = begin(site)
    feed, out = feed_ring(site, agent,
                          lines_of(sums, 2000, 500, (BOUGHT, BACK)))
    change_policy(site, agent, v2)
    check(agent.status()["events"]["ring_bytes"] > 0,
          "nothing was in the ring when the policy changed")
    out.write("".join(lines_of(sums, 2500, 300, (SEEN, BACK, BOUGHT),
                               "tea")))
    out.close()
    check_equal(agent.take_end(feed).json["accepted"], 800, "accepted")
    site.assert_balance()
    assert_sums(site, sums, v2)
    check_equal(agent.status()["events"]["dropped"], 0, "dropped")
    p = site.aggregator.profile(site.subject(v1, "person-0"))
    check_equal([c["category"] for c in p["categories"]], ["tea"],
                "categories, of version 2 only")


def ring_of_the_old_policy_survives_a_kill(site):
    """Killed with events of version 1 in its ring after version 2 came."""
    sums, agent, v1, v2 = begin(site)
    lines = lines_of(sums, 2000, 500, (BOUGHT, BACK))
    feed, out = feed_ring(site, agent, lines)
    change_policy(site, agent, v2)
    agent.kill()
    agent.take_end(feed, codes=None)
    out.close()
    agent.start()
    # The same source, from its beginning: what was taken is not taken twice.
    lines += lines_of(sums, 2500, 300, (SEEN, BACK, BOUGHT), "tea")
    report = agent.take(harness.write(site.path("all.ndjson"),
                                      "".join(lines)), source="till").json
    check_equal((report["skipped"], report["accepted"]), (500, 300),
                "skipped and accepted")
    site.assert_balance()
    assert_sums(site, sums, v2)


if __name__ == "__main__":
    harness.run(__doc__, each_event_keeps_its_policy,
                ring_of_the_old_policy_survives_a_kill)
