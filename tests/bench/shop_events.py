"""A seeded stream of shop events in Segment form, one JSON object a line.

Of the shape of other benchmarks' streams, so that figures compare: a mean of
about 380 bytes; 43 % Product Viewed, 43 % page, 10 % Product Added and 5 % Order
Completed; products by a Zipf law with exponent 1.05 out of 20,000; visitors by
one with 0.8; 200 sessions at a time.

usage: shop_events.py COUNT [SEED [VISITORS]]"""

import bisect
import itertools
import json
import random
import sys
import uuid

CATEGORIES = ("lamps", "tents", "tea", "books", "boots", "radios", "soap",
              "games", "seeds", "bread", "coats", "pens")
FIRST = ("Plain", "Oak", "Blue", "Field", "Small", "Grand", "Night", "River")
PAGES = ("/", "/sale", "/search", "/about", "/account", "/cart")
REFERRERS = ("", "https://www.google.com/", "https://m.facebook.com/",
             "https://mail.example.org/c/17")
PRODUCTS, LIVE, START_MS = 20000, 200, 1760000000000


class Law:
    """Draws 0 … count-1, number i as often as (i + 1) ** -exponent."""

    def __init__(self, rng, count, exponent):
        self.rng = rng
        self.sums = list(itertools.accumulate(
            (i + 1) ** -exponent for i in range(count)))

    def draw(self):
        return bisect.bisect_left(self.sums, self.rng.random() * self.sums[-1])


def product(number):
    rng = random.Random(number)
    category = rng.choice(CATEGORIES)
    return {"product_id": "P%05d" % number, "category": category,
            "name": "%s %s %d" % (rng.choice(FIRST), category, number % 97),
            "price": round(3 + 400 * rng.random() ** 3, 2)}


class Session:
    def __init__(self, rng, visitor):
        self.visitor = visitor
        self.name = "%010x" % rng.getrandbits(40)
        self.referrer = rng.choice(REFERRERS)
        self.left = 2 + int(rng.expovariate(1 / 9))
        self.cart, self.viewed = [], None


def visitor_id(number):
    return str(uuid.UUID(int=random.Random(-1 - number).getrandbits(128),
                         version=4))


def call(rng, session, products):
    """The next call of a session: type, name and properties."""
    if session.left <= 0 and session.cart:
        cart, session.cart = session.cart, []
        total = sum(p["price"] * q for p, q in cart)
        return {"type": "track", "event": "Order Completed", "properties": {
            "order_id": "O%08d" % rng.randrange(10 ** 8),
            "total": round(total, 2), "currency": "EUR", "products": [
                {"product_id": p["product_id"], "price": p["price"],
                 "quantity": q} for p, q in cart]}}
    r = rng.random()
    if session.viewed and r < 0.12:
        quantity = 1 + (rng.random() < 0.15)
        session.cart.append((session.viewed, quantity))
        return {"type": "track", "event": "Product Added", "properties": dict(
            session.viewed, quantity=quantity, cart_id="C" + session.name)}
    if r < 0.55:
        session.viewed = product(products.draw())
        return {"type": "track", "event": "Product Viewed", "properties": dict(
            session.viewed, position=1 + rng.randrange(24), currency="EUR")}
    page = rng.choice(PAGES)
    name = page.strip("/") or "home"
    return {"type": "page", "name": name, "properties": {
        "path": page, "url": "https://shop.example.com" + page,
        "referrer": session.referrer, "title": "Shop - " + name}}


def lines(count, seed=42, visitors=40000):
    rng = random.Random(seed)
    products, people = Law(rng, PRODUCTS, 1.05), Law(rng, visitors, 0.8)
    live = [Session(rng, people.draw()) for _ in range(LIVE)]
    now = START_MS
    for number in range(count):
        now += int(rng.expovariate(1 / 12))
        at = rng.randrange(LIVE)
        session = live[at]
        event = {"messageId": str(uuid.UUID(int=rng.getrandbits(128),
                                            version=4)),
                 "anonymousId": visitor_id(session.visitor), "timestamp": now}
        event.update(call(rng, session, products))
        event["context"] = {"session": session.name, "seq": number & 0xffff,
                            "locale": "de-DE", "app": "shop-web/3.2.1"}
        session.left -= 1
        if session.left < 0 and not session.cart:
            live[at] = Session(rng, people.draw())
        yield json.dumps(event, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    sys.stdout.writelines(lines(*map(int, sys.argv[1:])))
