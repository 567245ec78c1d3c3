"""Strangers at the aggregator's port: bytes that are no requests, in pieces,
too large, cut off, by many connections. Those who belong there are served all
the time, and nothing of a stranger stays when it has gone."""

import os
import random
import socket
import struct

import harness
from harness import wait_until
from refusals_test import EVENTS, assert_sales, make_shop, take_sales

CONNECTIONS = 500
HELLO = b"\x00SP\x00\x00\x30\x00\x00"  # NNG's REQ over TCP


def stranger(port, rng):
    """One connection, and what is written on it until it has enough."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            s.sendall(HELLO)
            if rng.random() < 0.8:
                s.recv(8)
            for request in range(rng.randint(3, 12)):
                body = struct.pack(">I", 0x80000000 | request) + rng.randbytes(
                    rng.randint(0, 300))
                size = struct.pack(">Q", len(body))
                kind = rng.random()
                if kind < 0.5:
                    s.sendall(size + body)
                elif kind < 0.9:  # the body comes after its size was read
                    s.sendall(size)
                    s.sendall(body)
                elif kind < 0.95:
                    s.sendall(struct.pack(">Q", 1 << rng.randint(20, 60)) + body)
                else:
                    s.sendall(size[:rng.randint(0, 7)])
                    break
        except OSError:
            pass  # cut off
        if rng.random() < 0.5:  # goes without a word
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))


def nothing_of_a_stranger_stays(site):
    rng = random.Random(site.args.seed)
    _, policy, _ = make_shop(site)
    agent = site.make_agent("site", site.bundle(policy))
    agent.start()
    files = "/proc/%d/fd" % site.aggregator.process.pid
    before = len(os.listdir(files))
    for _ in range(CONNECTIONS):
        stranger(site.aggregator.port, rng)
    value = take_sales(site, agent)
    agent.wait_drained()
    assert_sales(site, EVENTS, value)
    wait_until(lambda: len(os.listdir(files)) <= before + 8, 60,
               "the strangers' connections are let go")
    site.aggregator.stop(seconds=10)
    print("strangers: %d connections, all let go" % CONNECTIONS)


if __name__ == "__main__":
    harness.run(__doc__, nothing_of_a_stranger_stays)
