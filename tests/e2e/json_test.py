#!/usr/bin/env python3
"""With --json every verb prints JSON and nothing else: a walk over all verbs that `pelago --help` leads to.

usage: json_test.py PELAGO [TEST...]
"""
import json
import os
import signal
import sys

from embedded_test import check, main
from mount_test import can_mount
from status_test import wait_until


def verbs_below(m, *group):
    """The full names of all verbs, as the help lists them."""
    lines = iter(m.run(*group, "--help").stdout.decode().splitlines())
    if not any(line == "Verbs:" for line in lines):
        return {" ".join(group)}
    found = set()
    for line in lines:
        if not line.strip():
            break
        if line.startswith("  ") and line[2] != " ":
            found |= verbs_below(m, *group, line.split()[0])
    return found


class Walk:
    """Says verbs with --json and remembers which."""

    def __init__(self, m):
        self.m = m
        self.left = verbs_below(m)
        self.running = []

    def met(self, words):
        verb = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in self.left), None)
        self.left.discard(verb)

    def say(self, *words, **more):
        self.met(words)
        done = self.m.run(*words, "--json", **more)
        check(done.stdout, f"{words} prints nothing")
        try:
            return [json.loads(line) for line in done.stdout.splitlines()][-1]
        except ValueError:
            check(False, f"{words} prints something else than JSON, an object a line: {done.stdout[:2000]}")

    def begin(self, *words):
        """One that goes on: what it prints first."""
        self.met(words)
        self.running.append(self.m.start(*words, "--json"))
        return json.loads(self.running[-1].stdout.readline())

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=120)[0]
        for line in rest.splitlines():
            json.loads(line)


def alone(w):
    m = w.m
    for words in (("version",), ("config", "show"), ("completion", "bash"), ("man-pages", m.path("."))):
        w.say(*words)
    w.say("archive", "backup", m.path("source"))
    w.say("archive", "snapshots")
    w.say("archive", "ls", "latest")
    w.say("archive", "restore", "latest", "--target", m.path("restored"))
    w.say("archive", "backup", m.path("source"))
    w.say("archive", "diff", "latest", "latest")
    w.say("archive", "find", "letter")
    w.say("archive", "dump", "latest", m.path("source"), "--target", m.path("source.tar"))
    w.say("archive", "stats", "--mode", "raw-data")
    w.say("archive", "tag", "--add", "kept", "latest")
    w.say("archive", "rewrite", "--exclude", "letter", "--dry-run")
    w.say("archive", "repair")
    w.say("archive", "check", "--read-data")
    w.say("archive", "forget", "--keep-last", "1")
    w.say("archive", "prune")
    w.say("key", "show")
    w.say("key", "export", m.path("recovery.key"))
    w.say("key", "import", m.path("recovery.key"))
    w.say("archive", "copy", "--to-dir", m.path("elsewhere"))
    for name in ("one", "two", "three"):
        with open(m.path(name), "w") as out:
            out.write(name)
    given, other = (("--password-file", m.path(name)) for name in ("one", "three"))
    w.say("archive", "key", "passwd", "--new-password-file", m.path("one"))
    w.say("key", "add", "--label", "bob", "--new-password-file", m.path("two"), *given)
    w.say("archive", "key", "add", "--label", "eve", "--new-password-file", m.path("three"), *given)
    w.say("key", "list")
    w.say("archive", "key", "list")
    w.say("key", "remove", "bob", *given)
    w.say("archive", "key", "remove", "1", *other)
    w.say("key", "passwd", "--no-password", *other)
    w.say("volume", "create", "photos")
    w.say("volume", "list")
    w.say("volume", "info", "photos")
    w.say("volume", "conflicts", "photos")
    w.say("volume", "policy", "photos", "--keep-last", "5")
    w.say("volume", "log", "photos")
    block = w.say("put", m.path("source", "letter"))["id"]
    w.say("get", block, "--output", m.path("block"))
    w.say("remove", block)


def mounted(w):
    m = w.m
    why_not = can_mount()
    if why_not:
        for verb in (("mount",), ("sync",), ("umount",), ("undelete",), ("volume", "diff"), ("volume", "forget"),
                     ("archive", "mount")):
            w.met(verb)
        return
    directory = m.path("mounted")
    os.mkdir(directory)
    w.say("mount", "-d", "photos", directory)
    try:
        with open(os.path.join(directory, "letter"), "w") as letter:
            letter.write("to whom it may concern\n")
        w.say("sync", directory)
        os.unlink(os.path.join(directory, "letter"))
        w.say("sync", directory)
        w.say("undelete", os.path.join(directory, "letter"))
        w.say("volume", "diff", "photos", "now")
    finally:
        w.say("umount", directory, "--wait")
    version = next(one["version"] for one in w.say("volume", "log", "photos") if one["version"] != "now")
    check(w.say("volume", "forget", "photos", version)["versions_forgotten"] == 1, "it was not forgotten")
    check(version not in [one["version"] for one in w.say("volume", "log", "photos")], "it is still listed")
    w.say("archive", "mount", "-d", directory)
    w.say("umount", directory, "--wait")


def measured(w):
    m = w.m
    w.say("bench", "blocks", m.scratch, "--batches", "4", "--rounds", "1", "--gets", "10")
    w.say("bench", "put", m.scratch, "--puts", "2", "--nodes", "1", "--copies", "1")
    w.say("bench", "nfs", "--dir", m.scratch, "--rounds", "1", "--warm", "--compile", "true")
    w.say("bench", "mount", "--dir", m.scratch, "--rounds", "1", "--warm", "--operations", "2", "--bytes", "1M",
          "--entries", "10")


def in_a_network(w):
    m = w.m
    bert = ("--dir", m.path("bert"))
    w.say("network", "create", "home")
    node = w.begin("node", "run", "--listen", "127.0.0.1:0")
    token = w.say("network", "invite")["token"]
    joined = w.say("network", "join", *bert, stdin=token.encode())["node"]
    other = w.begin("node", "run", "--listen", "127.0.0.1:0", *bert)
    check(other["node"] == joined and other["endpoint"] and other["pid"] == w.running[-1].pid, str(other))
    wait_until(lambda: len(m.json("node", "status")["overlay"]["neighbours"]) == 1, "they have met")
    w.say("node", "status")
    w.say("node", "drain", "--cancel")
    w.say("network", "policy", "--copies", "2")
    w.say("network", "authority", "export", m.path("authority"))
    w.say("network", "authority", "import", m.path("authority"))
    w.say("network", "address", joined, other["endpoint"])
    w.say("trace", "abc")
    w.say("route", "abc")
    w.say("ping", node["node"])
    w.say("publish", "my-photos")
    w.say("locate", "my-photos")
    w.say("send", "my-photos", "hello")
    w.say("unpublish", "my-photos")
    w.end(w.running.pop())
    w.say("network", "leave", "--force", *bert)
    w.say("network", "remove", joined, "--force")


def played_with(w):
    playground = ("--dir", w.m.path("playground"))
    try:
        w.say("dev", "up", "--nodes", "1", *playground)
        w.say("dev", "status", *playground)
    finally:
        w.say("dev", "down", *playground)


def test_every_verb_prints_a_document(m):
    os.mkdir(m.path("source"))
    with open(m.path("source", "letter"), "w", encoding="utf-8") as out:
        out.write("Dear Ada\n")
    w = Walk(m)
    try:
        for part in (alone, mounted, measured, in_a_network, played_with):
            part(w)
    finally:
        for process in w.running:
            w.end(process)
    check(not w.left, f"verbs that nobody tried here: {sorted(w.left)}")


def test_what_fails_is_told_as_an_object(m):
    for words in (("no-such-verb",), ("archive", "ls", "latest"), ("node", "status"), ("get", "zz"), ("mount", "x", "y")):
        process = m.start(*words, "--json")
        out, err = process.communicate(timeout=120)
        check(not out, f"{words}: {out}")
        told = [json.loads(line) for line in err.splitlines()][-1]
        check(told["message_type"] == "exit_error" and told["code"] == process.returncode != 0, f"{words}: {told}")


if __name__ == "__main__":
    sys.exit(main(globals()))
