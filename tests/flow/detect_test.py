#!/usr/bin/env python3
"""How much the detectors leave in texts whose identifiers are known, and how
much of what they take is none.

    detect_test.py SOTTO_DETECT SUPPORT_DIR [--show] [--seeds N] [--count N]

A span is leaked if any letter or digit of it survives the redaction. A
detection is right if it overlaps a span. Per kind and language, and in all:
at most 0.5 % leaked, precision at least 0.95; a second scan finds nothing.
"""
import argparse
import collections
import json
import subprocess
import sys

LEAK_MAX, PRECISION_MIN = 0.005, 0.95


def survives(text, span, found):
    """Whether a letter or digit of the span is outside of all detections."""
    covered = bytearray(span[1])
    for start, size, _ in found:
        for i in range(max(start, span[0]), min(start + size, span[0] + span[1])):
            covered[i - span[0]] = 1
    at = 0
    for c in text[span[0]:span[0] + span[1]].decode():
        if c.isalnum() and not covered[at]:
            return True
        at += len(c.encode())
    return False


def judge(made, answers, show):
    total, leaked = collections.Counter(), collections.Counter()
    right = wrong = again = 0
    for m, a in zip(made, answers):
        text = m["text"].encode()
        again += a["again"] > 0
        if a["again"] and show:
            print("AGAIN", m["text"], a["redacted"])
        for span in m["spans"]:
            keys = (span[2], m["language"], "all")
            total.update(keys)
            if survives(text, span, a["spans"]):
                leaked.update(keys)
                if show:
                    print("LEAK", span[2], repr(text[span[0]:span[0] + span[1]].decode()),
                          "IN", repr(m["text"]), "->", repr(a["redacted"]))
        for found in a["spans"]:
            hit = any(found[0] < s[0] + s[1] and s[0] < found[0] + found[1]
                      for s in m["spans"])
            right, wrong = right + hit, wrong + (not hit)
            if not hit and show:
                print("WRONG", found[2], repr(text[found[0]:found[0] + found[1]].decode()),
                      "IN", repr(m["text"]))
    return total, leaked, right, wrong, again


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("detect")
    parser.add_argument("support")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=3000)
    options = parser.parse_args()
    sys.path.insert(0, options.support)
    import pii_text
    failed = False
    for seed in range(options.first, options.first + options.seeds):
        made = pii_text.texts(seed, options.count)
        lines = "".join(json.dumps(m["text"]) + "\n" for m in made)
        done = subprocess.run([options.detect], input=lines.encode(),
                              capture_output=True, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) != len(made):
            sys.exit("an answer is missing")
        total, leaked, right, wrong, again = judge(made, answers, options.show)
        precision = right / max(right + wrong, 1)
        print(f"seed {seed}: {total['all']} spans, {leaked['all']} leaked "
              f"({100 * leaked['all'] / total['all']:.2f} %), precision "
              f"{precision:.4f}, {again} found again")
        for key in sorted(leaked):
            print(f"    {key}: {leaked[key]} of {total[key]}")
        failed |= (leaked["all"] > LEAK_MAX * total["all"] or
                   precision < PRECISION_MIN or again > 0 or
                   len(total) < 8 + 4 + 1)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
