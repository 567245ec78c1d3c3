"""What is done with a running aggregator is in its audit log, durable before
the answer; a log that was changed, cut or forked ends `audit verify` with 3
and a sentence that says where; and a restored directory is noticed."""

import json
import os
import shutil
import subprocess

import harness
from harness import Skipped, check, check_equal, conf, write

SUBJECT = "00112233445566778899aabbccddeeff"


def make_site(site):
    site.keygen()
    policy, _ = site.build_policy(conf(site.args, "shop.policy.yaml"),
                                  "shop.policy")
    aggregator = site.make_aggregator(policy)
    aggregator.start()
    return policy, aggregator, aggregator.folder + ".audit"


def kinds(aggregator):
    return [e["kind"] for e in aggregator.ask("audit", "list").json]


def read(file):
    with open(file, "rb") as f:
        return f.read()


def keep_head(site, aggregator, name):
    return write(site.path(name), aggregator.ask("audit", "head").out)


def refused(aggregator, words, *texts):
    answer = aggregator.ask("audit", *words, codes=(3,))
    why = answer.json["why"]
    check(not answer.json["verified"], "verified", answer.out)
    for text in texts:
        check(text in why, "no \"%s\" in" % text, why)
    return answer.json


def every_act_is_recorded_while_the_daemon_runs(site):
    policy, aggregator, log = make_site(site)
    agent = site.make_agent("till", site.bundle(policy))
    aggregator.ask("profile", SUBJECT, codes=(1,))
    aggregator.ask("policy", "add", policy)  # here already: nothing is done
    aggregator.ask("enroll", "no good name", codes=(2,))
    wanted = ["log begun", "policy added", "started", "token made",
              "agent enrolled", "profile read"]
    check_equal(kinds(aggregator), wanted, "what was done")
    entries = aggregator.ask("audit", "list").json
    check_equal(entries[3]["details"]["name"], "till", "the token's agent")
    check_equal(entries[4]["details"]["agent"], agent.name, "who enrolled")
    check_equal(entries[5]["actor"], "uid %d" % os.geteuid(), "who read")
    check(SUBJECT.encode() not in read(log), "a subject stands in the log")
    secret = read(site.path("till.token")).strip()
    check(secret not in read(log), "a token stands in the log")
    aggregator.kill()
    check_equal(kinds(aggregator), wanted, "after kill -9")
    aggregator.start()
    aggregator.stop()
    check_equal(kinds(aggregator), wanted + ["started", "stopped"],
                "after a stop")
    answer = aggregator.ask("audit", "verify").json
    check_equal(answer["entries"], len(wanted) + 2, "entries that hold")


def what_cannot_be_recorded_is_not_done(site):
    _, aggregator, log = make_site(site)
    aggregator.ask("enroll", "before")
    size = os.path.getsize(log)
    # The store has its room: only the log's file may not grow.
    aggregator.stop()
    held = site.path("held")
    os.rename(log, held)
    os.mkdir(log)
    answer = aggregator.ask("profile", SUBJECT, codes=None)
    check(answer.code in (2, 4) and log in answer.err, "no refusal",
          answer.code, answer.err)
    os.rmdir(log)
    # A log that is gone is not begun anew.
    answer = aggregator.ask("profile", SUBJECT, codes=(3,))
    check("was cut" in answer.err, "no sentence", answer.err)
    os.rename(held, log)
    aggregator.ask("profile", SUBJECT, codes=(1,))
    check(os.path.getsize(log) > size, "the log did not go on")


def a_full_disk_refuses_what_it_cannot_record(site):
    if os.geteuid() != 0:
        raise Skipped("a small file system needs root")
    small = site.path("small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs",
                       small], capture_output=True).returncode != 0:
        raise Skipped("no tmpfs can be mounted here")
    site.mounts.append(small)
    aggregator = site.make_aggregator()
    aggregator.settle(listen="tcp://127.0.0.1:%d" % aggregator.port,
                      audit_log=os.path.join(small, "log"))
    aggregator.start()
    filler = write(os.path.join(small, "filler"), b"x" * 8192)
    answer = harness.Answer(0, "", "")
    tries = 0
    while answer.code == 0 and tries < 100:
        tries += 1
        answer = aggregator.ask("enroll", "till-%d" % tries, codes=(0, 4))
    check_equal(answer.code, 4, "exit code on a full disk")
    check("cannot be recorded" in answer.err, "no sentence", answer.err)
    check(answer.out.strip() == "", "a token was printed", answer.out)
    aggregator.ask("profile", SUBJECT, codes=(4,))
    check(aggregator.status()["folded"], "the daemon lives on")
    refused(aggregator, ["verify"], "a full disk kept it out")
    os.unlink(filler)
    aggregator.ask("enroll", "till-%d" % tries)
    aggregator.ask("profile", SUBJECT, codes=(1,))
    aggregator.stop()
    after = aggregator.ask("audit", "verify").json
    check(tries > 1 and after["entries"] > tries, "too few entries", after)


def damage_is_found(site):
    _, aggregator, log = make_site(site)
    for name in ("one", "two", "three"):
        aggregator.ask("enroll", name)
    head = keep_head(site, aggregator, "head")
    key = json.loads(read(head))["key"]
    aggregator.ask("enroll", "four")
    whole = read(log)
    copy = site.path("copy")

    # Untouched: in the directory, and as a copy anywhere.
    aggregator.ask("audit", "verify")
    aggregator.ask("audit", "verify", "--head", head)
    write(copy, whole)
    aggregator.ask("audit", "verify", "--file", copy, "--key", key)
    aggregator.ask("audit", "verify", "--file", copy, "--head", head)
    aggregator.ask("audit", "verify", "--file", copy, codes=(2,))
    aggregator.ask("audit", "verify", "--file", site.path("absent"), "--key",
                   key, codes=(2,))
    aggregator.ask("audit", "verify", "--file", copy, "--key", "ab" * 16,
                   codes=(2,))

    # A byte of the fifth entry's text, of its root, of its signature.
    lines = whole.splitlines(keepends=True)
    start = len(b"".join(lines[:4]))
    for within in (len(lines[4]) - 10, 5, 100):
        at = start + within
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
        write(copy, flipped)
        said = refused(aggregator, ["verify", "--file", copy, "--key", key],
                       "entry 5, at offset %d" % start)
        check_equal((said["entry"], said["offset"]), (5, start), "where")

    # Cut in a line, and after one, where only a head can tell.
    write(copy, whole[:-7])
    refused(aggregator, ["verify", "--file", copy, "--key", key],
            "ends in the middle")
    write(copy, b"".join(lines[:3]))
    aggregator.ask("audit", "verify", "--file", copy, "--key", key)
    refused(aggregator, ["verify", "--file", copy, "--head", head],
            "ends after entry 3", "it was cut")
    # In the directory the store knows.
    aggregator.stop()
    whole = read(log)
    write(log, b"".join(lines[:3]))
    refused(aggregator, ["verify"], "ends after entry 3", "it was cut")
    answer = aggregator.ask("enroll", "five", codes=(3,))
    check("was cut" in answer.err, "no sentence", answer.err)
    os.unlink(log)
    refused(aggregator, ["verify"], "is missing")
    write(log, whole)
    aggregator.ask("audit", "verify")


def a_fork_is_found_and_a_restore_noticed(site):
    _, aggregator, log = make_site(site)
    folder, store_key = aggregator.folder, aggregator.folder + ".key"
    aggregator.ask("enroll", "one")
    early = keep_head(site, aggregator, "early")
    aggregator.stop()
    backup, old_log = site.path("backup"), site.path("old-log")
    shutil.copytree(folder, backup)
    shutil.copy(log, old_log)

    aggregator.start()
    aggregator.ask("enroll", "two")
    late = keep_head(site, aggregator, "late")
    aggregator.stop()

    # The directory alone is put back, as it should be: noticed, and the log
    # goes on from every head.
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    aggregator.start()
    check("restore noticed" in kinds(aggregator), "not noticed",
          kinds(aggregator))
    for head in (early, late):
        aggregator.ask("audit", "verify", "--head", head)
        proof = aggregator.ask("audit", "consistency", "--from", head).json
        check(proof["from"]["size"] < proof["head"]["size"], "no growth",
              proof)
    aggregator.stop()

    # Directory and log are put back together: two histories, both rightly
    # signed; the head that was kept tells.
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    shutil.copy(old_log, log)
    refused(aggregator, ["verify", "--head", late], "it was cut")
    aggregator.start()
    for name in ("other", "history"):
        aggregator.ask("enroll", name)
    aggregator.ask("audit", "verify")
    aggregator.ask("audit", "verify", "--head", early)
    refused(aggregator, ["verify", "--head", late], "forked")
    refused(aggregator, ["consistency", "--from", late], "forked")

    # A head that was changed, and one of another aggregator.
    text = json.loads(read(late))
    text["size"] += 1
    changed = write(site.path("changed"), json.dumps(text))
    refused(aggregator, ["verify", "--head", changed], "was changed")
    text["key"] = "ab" * 32
    changed = write(site.path("changed"), json.dumps(text))
    refused(aggregator, ["verify", "--head", changed], "another aggregator")
    check(os.path.exists(store_key), "the store key is gone")


def a_policy_that_goes_back_is_refused(site):
    site.keygen()
    yaml = conf(site.args, "shop.policy.yaml")
    v1, digest = site.build_policy(yaml, "v1.policy")
    with open(yaml) as f:
        text = f.read()
    text = text.replace("version: 1\n", "version: 2\nprevious: \"%s\"\n"
                        % digest)
    v2, _ = site.build_policy(write(site.path("v2.yaml"), text), "v2.policy")
    aggregator = site.make_aggregator(v1)
    aggregator.start()
    # Signatures of version 1 beside version 2.
    stale = site.path("stale.policy")
    shutil.copy(v2, stale)
    shutil.copy(v1 + ".dpo.minisig", stale + ".dpo.minisig")
    answer = aggregator.ask("policy", "add", stale, codes=(3,))
    check("`dpo` wrong" in answer.err, "no sentence", answer.err)
    check(aggregator.policy_add(v2)["added"], "not added")
    check(not aggregator.policy_add(v2)["added"], "added twice")
    answer = aggregator.ask("policy", "add", v1, codes=(3,))
    check("rolled back" in answer.err, "no sentence", answer.err)
    check_equal(aggregator.status()["policy_version"], 2, "version in force")
    versions = [e["details"]["version"]
                for e in aggregator.ask("audit", "list").json
                if e["kind"] == "policy added"]
    check_equal(versions, [1, 2], "versions recorded")


def another_aggregator_does_not_go_on_with_the_log(site):
    _, aggregator, log = make_site(site)
    aggregator.stop()
    shutil.rmtree(aggregator.folder)
    words = [site.args.aggregator, "init", "--dir", aggregator.folder]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    check_equal(done.returncode, 4, "exit code of init")
    check(log in done.stderr and "move it" in done.stderr, "the sentence",
          done.stderr)
    os.rename(log, log + ".old")
    subprocess.run(words, check=True, capture_output=True, timeout=60)


def proofs_can_be_checked_by_anybody(site):
    """RFC 6962's inclusion, computed here from what `prove` prints."""
    import hashlib
    _, aggregator, log = make_site(site)
    for name in ("one", "two", "three"):
        aggregator.ask("enroll", name)
    entries = read(log).splitlines()
    for number in range(1, len(entries) + 1):
        proof = aggregator.ask("audit", "prove", str(number)).json
        text = entries[number - 1].split(b" ", 3)[3]
        node = hashlib.sha256(b"\0" + text).digest()
        check_equal(node.hex(), proof["leaf"], "the leaf's hash")
        at, last = number - 1, len(entries) - 1
        for step in (bytes.fromhex(h) for h in proof["path"]):
            if at % 2 or at == last:
                node = hashlib.sha256(b"\1" + step + node).digest()
                while at % 2 == 0 and at:
                    at, last = at // 2, last // 2
            else:
                node = hashlib.sha256(b"\1" + node + step).digest()
            at, last = at // 2, last // 2
        check_equal(node.hex(), proof["head"]["root"], "the root")
    aggregator.ask("audit", "prove", "0", codes=(2,))
    aggregator.ask("audit", "prove", str(len(entries) + 1), codes=(2,))


if __name__ == "__main__":
    harness.run(__doc__, every_act_is_recorded_while_the_daemon_runs,
                what_cannot_be_recorded_is_not_done,
                a_full_disk_refuses_what_it_cannot_record, damage_is_found,
                a_fork_is_found_and_a_restore_noticed,
                a_policy_that_goes_back_is_refused,
                another_aggregator_does_not_go_on_with_the_log,
                proofs_can_be_checked_by_anybody)
