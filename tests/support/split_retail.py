#!/usr/bin/env python3
"""Splits Online Retail for strong generalization.

Reads online_retail.csv.xz and writes train.csv, history.csv, truth.csv,
validate-history.csv and validate-truth.csv (user,item) into a directory.

Purchases are lines with a customer, a positive quantity and price, on an
invoice that is neither cancelled (C) nor an adjustment (A). Users with fewer
than five items are left out: 266,203 unique pairs remain. 800 users are drawn
for the test and 800 for validation; of each, four fifths of the items are
history and the rest is truth. Everybody else trains.
"""

import argparse
import csv
import lzma
import os
import random

LEAST_ITEMS = 5
HELD_OUT = 800


def purchases(path):
    items = {}
    with lzma.open(path, "rt", encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            if (row["CustomerID"] and row["InvoiceNo"][0] not in "CA"
                    and int(row["Quantity"]) > 0
                    and float(row["UnitPrice"]) > 0):
                items.setdefault(row["CustomerID"], set()).add(
                    row["StockCode"])
    return {user: sorted(held) for user, held in items.items()
            if len(held) >= LEAST_ITEMS}


def write(directory, name, rows):
    path = os.path.join(directory, name + ".csv")
    with open(path, "w", encoding="utf-8", newline="") as target:
        out = csv.writer(target, lineterminator="\n")
        out.writerow(["user", "item"])
        out.writerows(rows)


def hold_out(users, items, chance):
    history, truth = [], []
    for user in users:
        held = items[user][:]
        chance.shuffle(held)
        cut = int(len(held) * 0.8)
        history += [(user, item) for item in held[:cut]]
        truth += [(user, item) for item in held[cut:]]
    return history, truth


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("source", help="online_retail.csv.xz")
    arguments.add_argument("directory", help="where the files go")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()

    items = purchases(given.source)
    users = sorted(items)
    chance = random.Random(given.seed)
    chance.shuffle(users)
    os.makedirs(given.directory, exist_ok=True)
    test, validation = users[:HELD_OUT], users[HELD_OUT:2 * HELD_OUT]
    for prefix, group in (("", test), ("validate-", validation)):
        history, truth = hold_out(group, items, chance)
        write(given.directory, prefix + "history", history)
        write(given.directory, prefix + "truth", truth)
    write(given.directory, "train",
          [(user, item) for user in users[2 * HELD_OUT:]
           for item in items[user]])
    print(sum(map(len, items.values())), "pairs of", len(users), "users")


if __name__ == "__main__":
    main()
