#!/usr/bin/env python3
"""One volume mounted on two peers of a ring of five: what one does the other sees, and nothing acknowledged is lost when both do it at once.

usage: two_mounts_test.py PELAGO [TEST...]          PELAGO_LONG=1: a thousand rounds, and two minutes at full speed
"""
import collections
import contextlib
import json
import os
import random
import sys
import threading
import time

import mount_test
from mount_peers_test import Ring
from mount_test import PATIENCE_S, read, write
from stories import check, run_stories

LONG = bool(os.environ.get("PELAGO_LONG"))
ROUNDS = 1000 if LONG else 25
SECONDS = 120 if LONG else 6


def sync_directory(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def until(what, condition):
    """How long it took until `condition` held."""
    began = time.monotonic()
    while not condition():
        check(time.monotonic() - began < 30, f"{what} does not come across")
        time.sleep(0.01)
    return time.monotonic() - began


def content(path):
    with contextlib.suppress(FileNotFoundError):
        return read(path)
    return None


def test_each_sees_what_the_other_did_a_thousand_times(m):
    m.mount_both("durability=close")
    expected, slowest = None, 0
    for number in range(ROUNDS):
        here, there = (m.directory, m.other) if number % 2 else (m.other, m.directory)
        ball = os.path.join(here, "ball")
        text = b"%d\n" % number
        kind = ("create", "rename over", "append", "delete", "recreate")[number % 5]
        if kind in ("create", "recreate"):
            with open(ball, "xb" if expected is None else "wb") as file:
                file.write(text)
            expected = text
        elif kind == "rename over":
            write(ball + ".new", text)
            os.rename(ball + ".new", ball)
            sync_directory(here)
            expected = text
        elif kind == "append":
            with open(ball, "ab") as file:
                file.write(text)
            expected += text
        else:
            os.unlink(ball)
            sync_directory(here)
            expected = None
        slowest = max(slowest, until(f"round {number}, {kind},", lambda: content(os.path.join(there, "ball")) == expected))
        check(sorted(os.listdir(there)) == ([] if expected is None else ["ball"]), str(os.listdir(there)))
    print(f"         {ROUNDS} rounds, the slowest was seen after {slowest:.2f} s", flush=True)
    check(json.loads(m.run("--dir", m.nodes[0]["directory"], "volume", "conflicts", "v", "--json").stdout) == [], "conflicts")


class Player(threading.Thread):
    """Makes, renames, appends, removes in one directory as fast as it goes. `made` are files with names of its own or O_EXCL names that it was
    given; both stay, whoever wins a name."""

    def __init__(self, directory, letter):
        super().__init__(daemon=True)
        self.directory, self.letter, self.draw = directory, letter, random.Random(letter)
        self.made, self.pending, self.calls, self.slowest, self.failed = [], [], collections.Counter(), (0, ""), None
        self.end_at = time.monotonic() + SECONDS

    def run(self):
        try:
            number = 0
            while time.monotonic() < self.end_at:
                number += 1
                self.step(number)
        except Exception as error:  # noqa: BLE001: told by the test
            self.failed = error

    def timed(self, name, call, *args, missing=True):
        began = time.monotonic()
        try:
            return call(*args)
        except (FileNotFoundError, FileExistsError):
            if not missing:
                raise
            return None
        finally:
            self.calls[name] += 1
            self.slowest = max(self.slowest, (time.monotonic() - began, name))

    def step(self, number):
        churn = os.path.join(self.directory, f"churn{self.draw.randrange(8)}")
        other = os.path.join(self.directory, f"churn{self.draw.randrange(8)}")
        text = f"{self.letter}{number}:".encode() + self.letter.encode() * self.draw.randrange(5000)
        kind = self.draw.randrange(10)
        if kind < 3:
            self.timed("write", self.write, churn, os.O_TRUNC, text)
        elif kind == 3:
            self.timed("rename", os.rename, churn, other)
        elif kind == 4:
            self.timed("unlink", os.unlink, churn)
        elif kind == 5:
            self.timed("list", os.listdir, self.directory)
        elif kind == 6:
            self.timed("read", read, churn)
        else:
            shared = self.draw.randrange(3) == 0
            name = f"shared{number}" if shared else f"own-{self.letter}{number}"
            if self.timed("make", self.write, os.path.join(self.directory, name), os.O_EXCL, text):
                self.pending.append(text)
        if number % 40 == 0:
            self.timed("sync", sync_directory, self.directory)
            self.made += self.pending
            self.pending = []

    @staticmethod
    def write(path, flags, text):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)
        return True


def whole(text):
    """What one player wrote at once, and nothing else."""
    head, _, body = text.partition(b":")
    return text == b"" or (head[:1] in (b"a", b"b") and body == head[:1] * len(body))


def test_both_at_full_speed_in_one_directory(m):
    m.mount_both()
    players = [Player(m.directory, "a"), Player(m.other, "b")]
    for player in players:
        player.start()
    for player in players:
        player.join(SECONDS + PATIENCE_S)
        check(not player.is_alive(), "a call hangs")
        check(player.failed is None, f"{player.letter}: {player.failed!r}")
    for _ in range(2):
        for directory in (m.directory, m.other):
            sync_directory(directory)
    until("the last commit", lambda: sorted(os.listdir(m.directory)) == sorted(os.listdir(m.other)))
    first = m.nodes[0]["directory"]
    listed = json.loads(m.run("--dir", first, "volume", "conflicts", "v", "--json").stdout)
    found = set()
    for name in os.listdir(m.directory):
        text = read(os.path.join(m.directory, name))
        check(whole(text), f"{name} is a mixture")
        until(name, lambda name=name, text=text: content(os.path.join(m.other, name)) == text)
        found.add(text)
    os.mkdir(os.path.join(m.directory, "kept"))
    sync_directory(m.directory)
    for number in [each["number"] for each in reversed(listed) if each["kept"]]:
        m.run("--dir", first, "volume", "conflicts", "v", "--restore", str(number), "--as", f"/kept/{number}")
    kept = os.path.join(m.directory, "kept")
    until("what was kept", lambda: len(os.listdir(kept)) == sum(each["kept"] for each in listed))
    for name in os.listdir(kept):
        text = read(os.path.join(kept, name))
        check(whole(text), f"kept/{name} is a mixture")
        found.add(text)
    for player in players:
        lost = [text[:20] for text in player.made if text not in found]
        check(not lost, f"{len(lost)} of {len(player.made)} that {player.letter} was told of are lost: {lost[:3]}")
        seconds, call = player.slowest
        print(f"         {player.letter}: {sum(player.calls.values())} calls, {len(player.made)} files kept, the slowest, {call}, took "
              f"{seconds:.2f} s; {len(listed)} conflicts", flush=True)


if __name__ == "__main__":
    sys.exit(run_stories(globals(), lambda name, scratch: Ring(scratch), mount_test.can_mount()))
