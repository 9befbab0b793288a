#!/usr/bin/env python3
"""archive copy with real processes: to another volume, to another data directory under another key, cut off and begun again.

usage: copy_test.py PELAGO [TEST...]
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from embedded_test import BENCH, PATIENCE_S, check, main, random_tree, same  # noqa: E402


def snapshots(m, *options):
    return json.loads(m.run("archive", "snapshots", "--json", *options).stdout)


def write(path, text):
    with open(path, "w") as out:
        out.write(text)


def test_a_tree_with_every_oddity_is_the_same_in_another_volume(m):
    source = m.path("source")
    subprocess.run([sys.executable, os.path.join(BENCH, "maketree"), source, "--files", "300"], check=True,
                   capture_output=True, timeout=PATIENCE_S)
    m.backup(source, "--tag", "first")
    os.utime(os.path.join(source), (1, 1))
    write(os.path.join(source, "new"), "new")
    m.backup(source)
    m.run("archive", "copy", "--to-volume", "mirror", expect=10)
    m.run("volume", "create", "mirror")
    said = m.json("archive", "copy", "--to-volume", "mirror", "--dry-run")
    check(said["snapshots_copied"] == 2 and not snapshots(m, "--volume", "mirror"), str(said))
    done = m.json("archive", "copy", "--to-volume", "mirror")
    check(done["snapshots_copied"] == 2 and not done["warnings"], str(done))
    here, there = snapshots(m), snapshots(m, "--volume", "mirror")
    for a, b in zip(here, there):
        check(b["original"] == a["id"], f"{a}\n{b}")
        check(all(a[key] == b[key] for key in ("time", "hostname", "username", "paths", "tags", "files", "bytes")), f"{a}\n{b}")
    again = m.json("archive", "copy", "--to-volume", "mirror")
    check(again["snapshots_copied"] == 0 and again["snapshots_passed_over"] == 2 and again["data_stored"] == 0, str(again))
    m.restore(m.path("out"), "latest", "--volume", "mirror", "--verify")
    same(source, m.path("out") + source)
    m.run("archive", "check", "--read-data", "--volume", "mirror")
    next_one = m.backup(source, "--volume", "mirror")
    check(next_one["files_new"] == next_one["files_changed"] == 0 and next_one["parent"] == there[1]["id"], str(next_one))
    m.run("archive", "copy", "--to-volume", "archive", expect=2)
    m.run("archive", "copy", expect=2)


def test_another_data_directory_has_a_key_and_a_store_of_its_own(m):
    source = m.path("source")
    random_tree(source, 1, 60, 20_000)
    write(m.path("here"), "one\n")
    write(m.path("there"), "two\n")
    m.environment["PELAGO_PASSWORD_FILE"] = m.path("here")
    m.backup(source)
    with_key = ("--to-dir", m.path("usb"), "--to-password-file", m.path("there"))
    m.run("archive", "copy", *with_key, "--dry-run", expect=10)
    check(not os.path.exists(m.path("usb/owner.key")), "a dry run makes no key")
    at_usb = ("--dir", m.path("usb"), "--password-file", m.path("there"))
    m.json("volume", "create", "other", *at_usb)
    m.run("archive", "copy", *with_key, "--dry-run", expect=10)
    listed = m.run("volume", "list", *at_usb, "--json").stdout.decode()
    check("other" in listed and "archive" not in listed, f"nor a volume: {listed}")
    done = m.json("archive", "copy", *with_key)
    check(done["snapshots_copied"] == 1, str(done))
    m.run("archive", "copy", "--to-dir", m.path("usb"), expect=12)
    write(os.path.join(source, "1", "1"), "changed")
    m.backup(source)
    done = m.json("archive", "copy", *with_key)
    check(done["snapshots_copied"] == 1 and done["snapshots_passed_over"] == 1 and done["data_stored"] < 100_000, str(done))
    keys = [m.json("key", "show", "--dir", m.path(name))["public_key"] for name in ("data", "usb")]
    check(keys[0] != keys[1], "the key was not carried along")
    subprocess.run(["rm", "-r", m.data], check=True)
    m.environment["PELAGO_PASSWORD_FILE"] = m.path("there")
    m.run("archive", "restore", "latest", "--target", m.path("out"), "--dir", m.path("usb"))
    same(source, m.path("out") + source)


def test_a_copy_that_is_killed_goes_on_where_it_was(m):
    source = m.path("source")
    random_tree(source, 2, 60, 1_000_000)
    m.backup(source)
    m.run("volume", "create", "mirror")
    before = m.stored_bytes()
    copy = m.start("archive", "copy", "--to-volume", "mirror")
    while copy.poll() is None and m.stored_bytes() < before + 15_000_000:
        time.sleep(0.01)
    copy.send_signal(signal.SIGKILL)
    copy.communicate()
    check(copy.returncode == -signal.SIGKILL and not snapshots(m, "--volume", "mirror"), "it was killed in the middle")
    done = m.json("archive", "copy", "--to-volume", "mirror")
    check(done["snapshots_copied"] == 1 and done["data_stored"] < 55_000_000, f"what had arrived is not stored again: {done}")
    m.restore(m.path("out"), "latest", "--volume", "mirror")
    same(source, m.path("out") + source)


def test_what_is_damaged_is_named_and_the_rest_is_copied(m):
    source = m.path("source")
    random_tree(source, 3, 14, 700_000)
    m.backup(source)
    m.run("volume", "create", "mirror")
    segment = next(path for path in m.segments() if path.endswith(".seg"))
    with open(segment, "r+b") as file:
        file.seek(os.path.getsize(segment) // 2)
        file.write(b"damage")
    copied = m.run("archive", "copy", "--to-volume", "mirror", "--json", expect=4)
    done = json.loads(copied.stdout.splitlines()[-1])
    hurt = [path for one in done["warnings"] for path in one["paths"]]
    check(len(hurt) == 1 and hurt[0].startswith(source), str(done))
    m.restore(m.path("out"), "latest", "--volume", "mirror", "--verify")
    folder = os.stat(os.path.dirname(hurt[0]))
    os.remove(hurt[0])
    os.utime(os.path.dirname(hurt[0]), ns=(folder.st_atime_ns, folder.st_mtime_ns))
    same(source, m.path("out") + source)
    m.run("archive", "check", "--read-data", "--volume", "mirror")


if __name__ == "__main__":
    sys.exit(main(globals()))
