#!/usr/bin/env python3
"""The past of a mounted volume: .snapshots, undelete, volume log, diff and policy.

usage: history_test.py PELAGO [TEST...]
"""
import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time

from mount_test import Machine, can_mount, read, refused, volume, write
from stories import ROOT, check, run_stories


def past(m, *names):
    """What .snapshots shows in a directory of the mount, by name."""
    return sorted(os.listdir(m.here(*names, ".snapshots")))


def store(m, path, data):
    write(m.here(path), data)
    m.run("sync", m.directory)


def everything(path):
    found = subprocess.run(["find", path], capture_output=True, text=True, check=True)
    return found.stdout.splitlines()


def test_the_past_is_in_every_directory_and_on_no_list(m):
    volume(m)
    os.makedirs(m.here("a/b"))
    store(m, "a/b/f", b"one")
    os.chmod(m.here("a/b/f"), 0o640)
    os.setxattr(m.here("a/b/f"), "user.colour", b"blue")
    store(m, "a/b/f", b"two, longer")
    os.rename(m.here("a"), m.here("renamed"))
    store(m, "other", b"x")
    check(os.listdir(m.directory).count(".snapshots") == 0, "it is listed")
    check(not any(".snapshots" in line for line in everything(m.directory)), "find sees it")
    names = past(m, "renamed/b")
    check(len(names) >= 2 and all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z", n) for n in names), str(names))
    texts = [read(m.here("renamed/b/.snapshots", n, "f")) for n in names]
    check(texts[0] == b"one" and texts[-1] == b"two, longer", f"by inode number, whatever it is called: {texts}")
    check(past(m, "renamed")[0] == past(m, "renamed/b")[0], "the same versions")
    top = past(m)[0]
    check(os.listdir(m.here(".snapshots", top)) == ["a"], "as it was called then")
    new = os.stat(m.here("renamed/b/f"))
    for n in names:
        old = os.stat(m.here("renamed/b/.snapshots", n, "f"))
        check(old.st_dev == new.st_dev and old.st_ino != new.st_ino and old.st_ino >= 1 << 63, f"inode {old.st_ino}")
    check(stat.S_IMODE(os.stat(m.here("renamed/b/.snapshots", names[-1], "f")).st_mode) == 0o640, "the mode of then")
    check(os.getxattr(m.here("renamed/b/.snapshots", names[-1], "f"), "user.colour") == b"blue", "the attribute of then")
    os.mkdir(m.here("fresh"))
    check(past(m, "fresh") == [], "what was not there has no past")
    refused(errno.ENOENT, os.stat, m.here("fresh/.snapshots", top))


def test_the_past_cannot_be_changed(m):
    volume(m)
    store(m, "f", b"one")
    store(m, "f", b"two")
    old = m.here(".snapshots", past(m)[0])
    refused(errno.EROFS, write, os.path.join(old, "f"), b"x")
    refused(errno.EROFS, os.unlink, os.path.join(old, "f"))
    refused(errno.EROFS, os.mkdir, os.path.join(old, "d"))
    refused(errno.EROFS, os.chmod, os.path.join(old, "f"), 0o600)
    refused(errno.EROFS, os.rename, os.path.join(old, "f"), m.here("g"))
    refused(errno.EROFS, os.rename, m.here("f"), os.path.join(old, "g"))
    refused(errno.EXDEV, os.link, os.path.join(old, "f"), m.here("g"))
    refused(errno.EROFS, write, m.here(".snapshots/file"), b"x")
    refused(errno.EEXIST, os.mkdir, m.here(".snapshots"))
    refused(errno.EPERM, os.rmdir, m.here(".snapshots"))
    refused(errno.EPERM, os.rename, m.here(".snapshots"), m.here("mine"))
    refused(errno.EISDIR, write, m.here(".snapshots"), b"x")
    check(read(m.here("f")) == b"two" and os.listdir(m.directory) == ["f"], "nothing happened")
    os.rmdir(old)  # but forgotten, the policy's too
    check(os.path.basename(old) not in past(m), "it is forgotten")
    os.mkdir(m.here("d"))
    store(m, "d/g", b"g")
    past(m, "d")
    shutil.rmtree(m.here("d"))
    check(os.listdir(m.directory) == ["f"], "rm -r takes a directory with a past")


def test_a_snapshot_is_made_with_mkdir_and_goes_with_rmdir(m):
    volume(m)
    os.mkdir(m.here("d"))
    write(m.here("d/f"), b"before")  # not synced: making the snapshot stores it
    os.mkdir(m.here("d/.snapshots/before-upgrade"))
    refused(errno.EEXIST, os.mkdir, m.here(".snapshots/before-upgrade"))
    refused(errno.EINVAL, os.mkdir, m.here(".snapshots/2026-11-30T20.15.03.123Z"))
    store(m, "d/f", b"after")
    m.run("volume", "policy", "v", "--keep-last", "1")
    check(past(m) == ["before-upgrade"], str(past(m)))
    check(read(m.here("d/.snapshots/before-upgrade/f")) == b"before", "the whole volume, seen from d")
    check(read(m.here(".snapshots/before-upgrade/d/f")) == b"before", "and from the top")

    def archive(*words, **more):
        return m.run("archive", *words, "--volume", "v", **more).stdout.decode()

    listed = json.loads(archive("snapshots", "--json"))
    check([one["tags"] for one in listed] == [["before-upgrade"]] and listed[0]["name"] == "before-upgrade", str(listed))
    check("/d/f" in archive("ls", "before-upgrade"), "ls")
    check(archive("dump", "before-upgrade", "/d/f") == "before", "dump")
    check("/d/f" in archive("find", "f"), "find")
    archive("restore", "before-upgrade", "--target", m.path("out"))
    check(read(m.path("out/d/f")) == b"before", "restore")
    archive("prune")
    archive("check", "--read-data")
    check(read(m.here(".snapshots/before-upgrade/d/f")) == b"before", "prune leaves it alone")
    os.rmdir(m.here("d/.snapshots/before-upgrade"))
    check(past(m) == [] and json.loads(archive("snapshots", "--json")) == [], "it is forgotten")
    os.mkdir(m.here(".snapshots/two"))
    archive("forget", "two")
    deadline = time.monotonic() + 20
    while past(m) and time.monotonic() < deadline:
        time.sleep(0.2)
    check(past(m) == [], "what is forgotten elsewhere goes here, too")


def test_two_mounts_show_the_same_past(m):
    volume(m)
    store(m, "f", b"one")
    store(m, "f", b"two")
    other = m.path("other")
    os.mkdir(other)
    m.mount(directory=other)
    name = past(m)[0]
    here, there = (os.path.join(d, ".snapshots", name, "f") for d in (m.directory, other))
    check(read(here) == read(there) == b"one" and os.stat(here).st_ino == os.stat(there).st_ino, "the same file")
    os.mkdir(os.path.join(other, ".snapshots/named"))
    deadline = time.monotonic() + 20
    while "named" not in past(m) and time.monotonic() < deadline:
        time.sleep(0.2)
    check("named" in past(m), "a snapshot that the other made")


def test_undelete_brings_back_a_file_and_a_tree(m):
    volume(m)
    os.makedirs(m.here("d/e"))
    store(m, "d/e/f", b"precious")
    os.link(m.here("d/e/f"), m.here("d/e/also"))
    os.symlink("f", m.here("d/e/link"))
    os.chmod(m.here("d/e/f"), 0o600)
    if ROOT:
        os.chown(m.here("d/e/f"), 1234, 5678)
    os.setxattr(m.here("d/e/f"), "user.colour", b"blue")
    os.utime(m.here("d/e/f"), ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
    big = os.urandom(300_000)
    write(m.here("d/big"), big)
    os.truncate(m.here("d/big"), 5_000_000)
    m.run("sync", m.directory)
    before = os.stat(m.here("d/e/f"))
    os.unlink(m.here("d/e/f"))
    m.run("sync", m.directory)
    said = json.loads(m.run("undelete", m.here("d/e/f"), "--json").stdout)
    check(said["files"] == 1 and said["version"] == past(m)[-1], str(said))
    after = os.stat(m.here("d/e/f"))
    check(read(m.here("d/e/f")) == b"precious", "its content")
    for what in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
        check(getattr(before, what) == getattr(after, what), f"{what}: {getattr(after, what)}")
    check(os.getxattr(m.here("d/e/f"), "user.colour") == b"blue", "its attribute")
    m.run("sync", m.directory)
    shutil.rmtree(m.here("d"))
    m.run("sync", m.directory)
    m.run("undelete", m.here("d/e"))  # the directory above it comes back alone
    check(sorted(os.listdir(m.here("d/e"))) == ["also", "f", "link"], str(os.listdir(m.here("d/e"))))
    check(os.listdir(m.here("d")) == ["e"] and os.readlink(m.here("d/e/link")) == "f", "the way to it, and a link")
    m.run("undelete", m.here("d"), expect=1)
    m.run("undelete", m.here("d"), "--to", m.here("was"))
    check(read(m.here("was/big"))[:300_000] == big and os.stat(m.here("was/big")).st_size == 5_000_000, "big")
    check(os.stat(m.here("was/big")).st_blocks * 512 < 1_000_000, "the hole is one")
    m.run("undelete", m.here("never"), expect=1)
    m.run("undelete", m.path("data"), expect=1)
    check(not [name for name in os.listdir(m.directory) if name.startswith(".pelago")], "nothing is left over")


def test_undelete_makes_nothing_behind_a_symbolic_link(m):
    volume(m)
    os.mkdir(m.here("d"))
    store(m, "d/f", b"precious")
    shutil.rmtree(m.here("d"))
    os.symlink(m.path("nowhere"), m.here("d"))
    m.run("sync", m.directory)
    said = m.run("undelete", m.here("d/f"), expect=2).stderr.decode()
    check("symbolic link" in said and m.here("d") in said, said)
    check(not os.path.lexists(m.path("nowhere")) and os.listdir(m.directory) == ["d"], "nothing was made")


def test_undelete_takes_what_the_volume_had_and_not_what_a_link_led_to(m):
    volume(m)
    outside = m.path("outside")
    os.mkdir(outside)
    write(os.path.join(outside, "f"), b"of another")
    os.mkdir(m.here("d"))
    store(m, "d/f", b"precious")
    shutil.rmtree(m.here("d"))
    os.symlink(outside, m.here("d"))  # a version shows a link to a directory that has an f
    m.run("sync", m.directory)
    os.unlink(m.here("d"))
    m.run("sync", m.directory)
    m.run("undelete", m.here("d/f"))
    check(read(m.here("d/f")) == b"precious", "what the volume had, not what a link leads to")
    check(not os.path.islink(m.here("d")) and os.listdir(m.directory) == ["d"], str(os.listdir(m.directory)))
    os.unlink(m.here("d/f"))
    m.run("sync", m.directory)
    m.run("undelete", m.here("d/f"), "--to", os.path.join(outside, "back"))
    check(read(os.path.join(outside, "back")) == b"precious", "to another file system")
    check(sorted(os.listdir(outside)) == ["back", "f"], str(os.listdir(outside)))


def test_undelete_finds_what_was_in_a_directory_that_was_made_anew(m):
    volume(m)
    os.mkdir(m.here("d"))
    store(m, "d/f", b"precious")
    shutil.rmtree(m.here("d"))
    m.run("sync", m.directory)
    os.mkdir(m.here("d"))
    m.run("sync", m.directory)
    check(not any(os.path.exists(m.here("d/.snapshots", name, "f")) for name in past(m, "d")), "it is another")
    m.run("undelete", m.here("d/f"))
    check(read(m.here("d/f")) == b"precious", "found from the directory above")


def test_log_diff_and_policy(m):
    volume(m)
    store(m, "f", b"one")
    store(m, "g", b"x")
    store(m, "f", b"two")
    os.unlink(m.here("g"))
    m.run("sync", m.directory)

    def run(*words, **more):
        return json.loads(m.run(*words, "--json", **more).stdout)

    log = run("volume", "log", "v")
    check(log[0]["version"] == "now" and log[0]["files"] == 1 and len(log) >= 4, str(log))
    check([one["version"] for one in log[1:]] == past(m)[::-1], "as .snapshots names them")
    check([one["change"] for one in run("volume", "log", "v", "/g")] == ["-", "+"], "g came and went")
    check([one["change"] for one in run("volume", "log", "v", "f")] == ["M", "+"], "f came and was changed")
    m.run("volume", "log", "v", "/never", expect=1)
    oldest = log[-1]["version"]
    lines = [json.loads(line) for line in m.run("volume", "diff", "v", oldest, "--json").stdout.splitlines()]
    check([(one["path"], one["modifier"]) for one in lines[:-1]] == [("/f", "M")], str(lines))
    policy = run("volume", "policy", "v")
    check(policy["keep"]["last"] == "5" and policy["keep"]["monthly"] == "12", str(policy))
    check(run("volume", "policy", "v", "--keep-last", "2")["versions"] == 1, "at once")
    m.run("volume", "policy", "v", "--keep-hourly", "1001", expect=2)
    m.run("volume", "policy", "v", "--keep-daily", "unlimited", expect=2)
    m.umount("--wait")
    m.mount("ro,at=" + past_name(m))
    check(sorted(os.listdir(m.directory)) == ["f", "g"] and read(m.here("f")) == b"two", "at= takes a version")


def past_name(m):
    return json.loads(m.run("volume", "log", "v", "--json").stdout)[1]["version"]


if __name__ == "__main__":
    sys.exit(run_stories(globals(), lambda name, scratch: Machine(scratch), can_mount()))
