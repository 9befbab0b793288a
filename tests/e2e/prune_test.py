#!/usr/bin/env python3
"""forget, prune and check with real processes on one machine: what is kept comes back whole, what is not gives its room back.

usage: prune_test.py PELAGO [TEST...]
"""
import fcntl
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from embedded_test import check, main, random_tree, same  # noqa: E402


def change(root, seed, files, of):
    """Other contents for some of the files of random_tree(), each large enough to have blocks of its own."""
    rng = random.Random(seed)
    for n in rng.sample(range(of), files):
        with open(os.path.join(root, str(n % 7), str(n)), "wb") as out:
            out.write(rng.randbytes(600_000))


AHEAD = 1 << 20  # zeros that a store writes ahead, and cuts when it is opened again: they come and go


def snapshot_ids(m):
    return [one["id"] for one in json.loads(m.run("archive", "snapshots", "--json").stdout)]


def test_room_comes_back_and_what_is_kept_stays_whole(m):
    source = m.path("source")
    random_tree(source, 1, 40, 600_000)
    for day in range(6):
        m.backup(source)
        change(source, day, 12, 40)
    m.backup(source)
    before = m.stored_bytes()
    m.run("archive", "forget", "--keep-last", "1")
    check(len(snapshot_ids(m)) == 1, "one is left")
    check(m.stored_bytes() >= before - AHEAD, "forgetting alone gives nothing back")
    said = m.json("archive", "prune", "--dry-run")
    check(m.stored_bytes() >= before - AHEAD and said["bytes_released"] > 20_000_000, str(said))
    done = m.json("archive", "prune")
    check(done["packs_replaced"] == said["packs_replaced"] and done["blocks_refused"] == 0, f"{said}\n{done}")
    # Beside what it said, the packs that were repacked, and a list and a tree of old.
    more = done["bytes_released"] - said["bytes_released"]
    check(0 <= more <= done["bytes_moved"] + done["bytes_unused_in_packs"] + 100_000, f"{said}\n{done}")
    after = m.stored_bytes()
    check(before - after >= 0.9 * done["bytes_released"], f"{before} -> {after}, {done}")
    check(m.json("archive", "prune")["blocks_released"] <= 2, "nothing but a list of old")
    m.run("archive", "check", "--read-data")
    m.restore(m.path("out"))
    same(source, m.path("out") + source)
    again = m.backup(source)
    check(again["files_new"] == again["files_changed"] == 0, str(again))


def test_the_room_of_deleted_small_files_comes_back(m):
    source = m.path("source")
    random_tree(source, 3, 1500, 8_000)
    m.backup(source)
    for n in random.Random(4).sample(range(1500), 900):
        os.remove(os.path.join(source, str(n % 7), str(n)))
    m.backup(source)
    m.run("archive", "forget", "--keep-last", "1")
    kept = snapshot_ids(m)
    as_it_is = m.json("archive", "prune", "--max-unused", "unlimited")
    check(as_it_is["packs_replaced"] == 0, str(as_it_is))
    before = m.stored_bytes()
    done = m.json("archive", "prune")
    check(done["packs_replaced"] > 0, str(done))
    check(m.stored_bytes() < 0.6 * before + AHEAD, f"{before} -> {m.stored_bytes()}: {done}")
    check(snapshot_ids(m) == kept, "a snapshot keeps its id")
    m.run("archive", "check", "--read-data")
    m.restore(m.path("out"))
    same(source, m.path("out") + source)
    again = m.backup(source)
    check(again["files_new"] == again["files_changed"] == again["data_added"] == 0, str(again))
    check(m.json("archive", "prune")["packs_replaced"] == 0, "once is enough")
    m.run("archive", "prune", "--max-unused", "half", expect=2)


def test_while_others_use_the_store_what_goes_waits(m):
    source = m.path("source")
    random_tree(source, 1, 20, 600_000)
    m.backup(source)
    change(source, 1, 20, 20)
    m.backup(source)
    m.run("archive", "forget", "--keep-last", "1")
    other = os.open(os.path.join(m.data, "users"), os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_SH)  # as any command does for as long as it runs
    before = m.stored_bytes()
    waits = m.json("archive", "prune")
    check(not waits["at_once"] and waits["bytes_released"] > 10_000_000, str(waits))
    check(m.stored_bytes() >= before - AHEAD, "somebody may be reading what was forgotten")
    check(m.json("archive", "prune")["blocks_released"] <= 2, "it waits already")
    os.close(other)
    now = m.json("archive", "prune")
    check(now["at_once"] and now["bytes_released"] >= waits["bytes_released"], f"{waits}\n{now}")
    check(before - m.stored_bytes() >= 0.9 * now["bytes_released"], str(now))
    m.run("archive", "check", "--read-data")


def test_forget_keeps_what_its_policy_says_in_each_group(m):
    ann, ben = m.path("ann"), m.path("ben")
    random_tree(ann, 1, 5, 1000)
    random_tree(ben, 2, 5, 1000)
    for day in range(1, 6):
        for source in (ann, ben):
            m.run("archive", "backup", source, "--time", f"2026-01-0{day} 10:00:00", "--tag", f"day{day}")
    groups = json.loads(m.run("archive", "forget", "--keep-last", "2", "--keep-tag", "day1", "--dry-run",
                              "--json").stdout)
    check(len(groups) == 2 and all(len(g["keep"]) == 3 and len(g["remove"]) == 2 for g in groups), str(groups)[:2000])
    check(groups[0]["paths"] == [ann] and groups[0]["host"] and groups[0]["tags"] is None, str(groups)[:2000])
    reasons = [reason["matches"] for reason in groups[0]["reasons"]]
    check(reasons == [["last snapshot"], ["last snapshot"], ["has tags [day1]"]], str(reasons))
    check(len(snapshot_ids(m)) == 10, "a dry run forgets nothing")
    m.run("archive", "forget", "--keep-last", "2", "--keep-tag", "day1", "--path", ann)
    check(len(snapshot_ids(m)) == 8, "the filter chooses who is judged")
    listed = json.loads(m.run("archive", "snapshots", "--json").stdout)
    gone = next(one["id"] for one in listed if one["paths"] == [ann])
    m.run("archive", "forget", gone[:12])
    check(gone not in snapshot_ids(m) and len(snapshot_ids(m)) == 7, "named ones go")
    # What would take more than was meant is refused.
    m.run("archive", "forget", expect=2)
    m.run("archive", "forget", "--keep-last", "-3", expect=2)
    m.run("archive", "forget", "--keep-within", "3w", expect=2)
    m.run("archive", "forget", gone[:12], "--keep-last", "1", expect=2)
    m.run("archive", "forget", gone[:12], expect=1)
    m.run("archive", "forget", "--keep-tag", "nobody-has-it", expect=2)
    m.run("archive", "forget", "--keep-tag", "nobody-has-it", "--unsafe-allow-remove-all", expect=2)
    check(len(snapshot_ids(m)) == 7, "none of these forgot anything")
    m.run("archive", "forget", "--unsafe-allow-remove-all", "--path", ben, "--prune")
    check(len(snapshot_ids(m)) == 2, "all of a path, because it was asked for so")


def test_a_killed_prune_leaves_what_is_needed(m):
    source = m.path("source")
    random_tree(source, 1, 20, 600_000)
    for day in range(4):
        m.backup(source)
        change(source, day, 10, 20)
    m.backup(source)
    m.run("archive", "forget", "--keep-last", "1")
    rng = random.Random(7)
    for _ in range(8):
        prune = m.start("archive", "prune", "--json")
        time.sleep(rng.random() * 0.4)
        prune.send_signal(signal.SIGKILL)
        prune.communicate()
        m.run("archive", "check", "--read-data")
    m.run("archive", "prune")
    m.run("archive", "check", "--read-data")
    m.restore(m.path("out"))
    same(source, m.path("out") + source)


def test_check_finds_and_names_every_damage(m):
    source = m.path("source")
    random_tree(source, 1, 40, 600_000)
    m.backup(source)
    m.run("archive", "check", "--read-data")
    pristine = m.path("pristine")
    os.rename(m.data, pristine)
    rng = random.Random(3)
    for kind in ("flip", "flip", "flip", "flip", "zeros", "cut", "gone"):
        os.system(f"rm -rf {m.data} && cp -a {pristine} {m.data}")
        segment = m.segments()[0]
        size = os.path.getsize(segment)
        if kind == "flip":
            at = rng.randrange(size // 10, size)
            with open(segment, "r+b") as out:
                out.seek(at)
                byte = out.read(1)
                out.seek(at)
                out.write(bytes([byte[0] ^ 1 << rng.randrange(8)]))
        elif kind == "zeros":
            with open(segment, "r+b") as out:
                out.seek(rng.randrange(size // 10, size // 2))
                out.write(bytes(2_000_000))
        elif kind == "cut":
            os.truncate(segment, size // 2)
        else:
            os.remove(segment)
        done = m.run("archive", "check", "--read-data", "--json", expect=4)
        report = [json.loads(line) for line in done.stdout.splitlines() if b'"summary"' in line]
        if kind in ("flip", "zeros"):  # else the list of snapshots is lost, too, and that is what is said
            check(report and report[0]["num_errors"] >= 1, f"{kind}: {done.stdout[-1000:]}")
            hurt = report[0]["hurt"]
            check(len(hurt) == 1 and (hurt[0]["files"] >= 1 or hurt[0]["tree_damaged"]), f"{kind}: {hurt}")
            check(all(path.startswith(source) or path == "/" or source.startswith(path) for path in hurt[0]["paths"]),
                  str(hurt))


def test_a_part_of_the_data_can_be_read(m):
    source = m.path("source")
    random_tree(source, 1, 60, 600_000)
    m.backup(source)
    every = m.json("archive", "check", "--read-data")
    parts = [m.json("archive", "check", "--read-data-subset", f"{n}/3") for n in (1, 2, 3)]
    check(sum(part["blocks_read"] for part in parts) == every["blocks_read"] > 50, str(parts))
    half = m.json("archive", "check", "--read-data-subset", "50%")
    check(0.4 < half["blocks_read"] / every["blocks_read"] < 0.6, str(half))
    some = m.json("archive", "check", "--read-data-subset", "5M")
    check(5 << 20 <= some["bytes_read"] <= 8 << 20, str(some))
    for wrong in ("0/3", "4/3", "x", "150%", "0", "-1"):
        m.run("archive", "check", f"--read-data-subset={wrong}", expect=2)


if __name__ == "__main__":
    sys.exit(main(globals()))
