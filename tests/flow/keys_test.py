"""Keys of days that are over: a running agent destroys them, on disk too, when
it is sure of the time, and not because a clock says so."""

import os
import time

import harness
from harness import Clock, check, conf, wait_until, write

DAY = 86400
EXPIRE = 11 * 60  # an agent looks for what is over every ten minutes
VIEW = (b'{"type": "track", "event": "Product Viewed", "userId": "ann-17", '
        b'"properties": {"product_id": "red-cup", "price": 7.95}}\n')


def epoch_hours():
    """About a day, and such that the oldest key that is kept now does not end
    of itself within two hours, whenever this test runs."""
    oldest = time.time() - 2 * DAY
    return next(h for h in range(24, 48)
                if h * 3600 - oldest % (h * 3600) > 2 * 3600)


def key_of_days(site):
    """The secret in the officer's file, of the oldest day that is kept."""
    with open(os.path.join(site.officer, "visitor.epoch")) as f:
        return bytes.fromhex(f.read().split()[3])


def stored(agent, secret):
    """The files of the agent's directory that hold the secret."""
    found = []
    for name in os.listdir(agent.folder):
        path = os.path.join(agent.folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as f:
                if secret in f.read():
                    found.append(name)
    return found


def keys_go_when_it_is_sure(site):
    site.keygen()
    with open(conf(site.args, "shop.policy.yaml")) as f:
        text = f.read()
    check("visitor: {kind: blake2b, epoch: none}" in text, "the policy's key")
    write(site.path("days.yaml"), text.replace(
        "visitor: {kind: blake2b, epoch: none}",
        "visitor: {kind: blake2b, epoch: PT%dH, destroy_after: P2D}"
        % epoch_hours()).encode())
    policy, _ = site.build_policy(site.path("days.yaml"), "days")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    clock = Clock(site)
    site.env = clock.env
    agent = site.make_agent("shop", site.bundle(policy))
    secret = key_of_days(site)
    agent.start()
    agent.take(write(site.path("one.ndjson"), VIEW))
    agent.wait_drained()  # so the aggregator told the time
    check(stored(agent, secret) == ["officer"], "the key is in its file",
          stored(agent, secret))

    aggregator.stop()
    agent.stop()
    clock.set_wall(time.time() + 10 * 365 * DAY)
    agent.start()
    clock.pass_time(EXPIRE)
    time.sleep(1)
    check(stored(agent, secret) == ["officer"],
          "a clock that jumped destroyed a key", stored(agent, secret))

    clock.pass_time(4 * DAY)  # while it runs: it is sure of that
    wait_until(lambda: stored(agent, secret) == [], 60,
               "the key is destroyed")
    agent.stop()
    check(stored(agent, secret) == [], "the key came back")
    print("keys: kept when a clock jumped, destroyed when it was sure")


if __name__ == "__main__":
    harness.run(__doc__, keys_go_when_it_is_sure)
