#!/usr/bin/env python3
"""A volume as a directory: real mounts, real programs in them.

usage: mount_test.py PELAGO [TEST...]
"""
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

from stories import PELAGO, ROOT, Failed, Skipped, check, run_stories

PATIENCE_S = 300  # before a busy machine is given up on; nothing is timed


def refused(number, call, *args):
    try:
        call(*args)
    except OSError as error:
        check(error.errno == number, f"{call.__name__}: {error}, not {errno.errorcode[number]}")
        return
    raise Failed(f"{call.__name__}{args}: no error, not {errno.errorcode[number]}")


def can_mount():
    """None, or why nothing can be mounted here."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"nothing can be mounted here: {error}"
    return None if ROOT or shutil.which("fusermount3") else "nothing can be mounted here: fusermount3 is not installed"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def mounted(path):
    with open("/proc/self/mountinfo") as table:
        return any(line.split()[4] == path for line in table)


class Machine:
    """A scratch directory, a data directory, and a volume in it that can be mounted."""

    def __init__(self, scratch):
        self.scratch = os.path.realpath(scratch)
        self.data = self.path("data")
        self.directory = self.path("mnt")
        os.mkdir(self.directory)
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.scratch, "PELAGO_DIR": self.data}
        self.mounts = []

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def here(self, *names):
        return os.path.join(self.directory, *names)

    def run(self, *args, expect=0, **more):
        done = subprocess.run([PELAGO, *args], env=self.environment, capture_output=True, timeout=PATIENCE_S, **more)
        check(done.returncode == expect,
              f"pelago {' '.join(args)}: exit {done.returncode}, expected {expect}\n{done.stdout.decode()}{done.stderr.decode()}")
        return done

    def mount(self, *options, volume="v", directory=None, data=None):
        directory = directory or self.directory
        more = [word for option in options for word in ("-o", option)]
        where = ["--dir", data] if data else []
        self.mounts.append(directory)
        return self.run(*where, "mount", "-d", volume, directory, *more)

    def umount(self, *args, directory=None):
        self.run("umount", directory or self.directory, *args)

    def remount(self, *options):
        self.umount("--wait")
        self.mount(*options)

    def server(self, directory=None):
        return int(os.getxattr(directory or self.directory, "user.pelago.pid"))

    def kill(self):
        os.kill(self.server(), signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:  # until its last thread is gone
            try:
                os.statvfs(self.directory)
            except OSError as error:
                if error.errno == errno.ENOTCONN:
                    return
            time.sleep(0.01)
        raise Failed("killed, and it answers")

    def clean(self):
        for directory in set(self.mounts):
            if mounted(directory):
                subprocess.run([PELAGO, "umount", directory], env=self.environment, capture_output=True)
            if mounted(directory):
                subprocess.run(["fusermount3", "-u", "-z", directory], capture_output=True)


def volume(m, *options):
    m.run("volume", "create", "v")
    m.mount(*options)


def test_what_was_written_is_there_after_a_remount(m):
    volume(m)
    rng = random.Random(1)
    big = rng.randbytes(9_000_000)
    write(m.here("small"), b"hello\n")
    write(m.here("big"), big)
    os.makedirs(m.here("a/b/c"))
    write(m.here("a/b/c/deep"), b"deep")
    os.link(m.here("small"), m.here("a/link"))
    os.symlink("../small", m.here("a/symlink"))
    os.mkfifo(m.here("fifo"))
    os.setxattr(m.here("small"), "user.colour", b"blue")
    os.chmod(m.here("small"), 0o640)
    os.utime(m.here("big"), ns=(1_500_000_000_123_456_789, -5_000_000_001))
    os.truncate(m.here("a/b/c/deep"), 1 << 40)
    for _ in range(2):
        check(read(m.here("small")) == b"hello\n" and read(m.here("big")) == big, "other bytes")
        check(sorted(os.listdir(m.here())) == ["a", "big", "fifo", "small"], str(os.listdir(m.here())))
        check(os.stat(m.here("a/link")).st_ino == os.stat(m.here("small")).st_ino, "the link is another file")
        check(os.stat(m.here("small")).st_nlink == 2 and os.stat(m.here("small")).st_mode & 0o7777 == 0o640, "attributes")
        check(read(m.here("a/symlink")) == b"hello\n", "symlink")
        check(os.getxattr(m.here("small"), "user.colour") == b"blue", "xattr")
        check(os.stat(m.here("big")).st_mtime_ns == -5_000_000_001, "mtime")
        check(os.stat(m.here("a/b/c/deep")).st_size == 1 << 40, "size")
        m.remount()


def test_names_move_and_go(m):
    volume(m)
    write(m.here("a"), b"a")
    write(m.here("b"), b"b")
    os.rename(m.here("a"), m.here("b"))
    check(os.listdir(m.here()) == ["b"] and read(m.here("b")) == b"a", "rename over a file")
    os.mkdir(m.here("d"))
    os.mkdir(m.here("e"))
    os.rename(m.here("b"), m.here("d/b"))
    os.rename(m.here("d"), m.here("e"))
    check(read(m.here("e/b")) == b"a", "rename over an empty directory")
    refused(errno.ENOTEMPTY, os.rmdir, m.here("e"))
    refused(errno.EINVAL, os.rename, m.here("e"), m.here("e/sub"))
    refused(errno.ENOENT, os.unlink, m.here("none"))
    refused(errno.EISDIR, os.unlink, m.here("e"))
    refused(errno.ENOTDIR, os.rmdir, m.here("e/b"))
    refused(errno.ENAMETOOLONG, write, m.here("x" * 256), b"")
    write(m.here("x" * 255), b"")
    os.unlink(m.here("x" * 255))
    os.unlink(m.here("e/b"))
    os.rmdir(m.here("e"))
    m.remount()
    check(os.listdir(m.here()) == [], "something is left")


def test_an_open_file_lives_on_without_a_name(m):
    volume(m)
    with open(m.here("f"), "w+b") as file:
        file.write(b"x" * 100_000)
        file.flush()
        os.unlink(m.here("f"))
        check(os.fstat(file.fileno()).st_nlink == 0, "it has a name")
        file.seek(50_000)
        check(file.read() == b"x" * 50_000, "its content is gone")
        os.fsync(file.fileno())
    check(os.listdir(m.here()) == [], "it is listed")


def test_a_name_is_made_once(m):
    volume(m)
    fd = os.open(m.here("f"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refused(errno.EEXIST, os.open, m.here("f"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.close(fd)


def test_a_name_that_comes_and_goes_beside_commits_leaves_nothing(m):
    """However often it does during one commit, which has it as it was at the beginning."""
    volume(m)
    os.mkdir(m.here("d"))
    child = os.fork()
    if child == 0:
        root, busy = os.open(m.directory, os.O_RDONLY), os.open(m.here("busy"), os.O_RDWR | os.O_CREAT)
        for _ in range(200):
            os.pwrite(busy, b"x", 0)
            os.fsync(root)
        os._exit(0)
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        os.close(os.open(m.here("d", "t"), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        os.unlink(m.here("d", "t"))
    m.remount()
    check(os.listdir(m.here("d")) == [], f"there is {os.listdir(m.here('d'))}")


def test_a_directory_that_changes_is_listed_whole(m):
    volume(m)
    kept = {f"kept{n}" for n in range(3000)}
    for name in kept:
        write(m.here(name), b"")
    seen = []
    with os.scandir(m.here()) as entries:
        for n, entry in enumerate(entries):
            seen.append(entry.name)
            if n < 500:
                write(m.here(f"new{n}"), b"")
                if n > 0:
                    os.unlink(m.here(f"new{n - 1}"))
    listed = [name for name in seen if name in kept]
    check(len(listed) == len(kept) and set(listed) == kept, f"{len(listed)} of {len(kept)}")


def test_mapped_files_are_files(m):
    volume(m)
    write(m.here("f"), bytes(100_000))
    with open(m.here("f"), "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[70_000:70_005] = b"hello"
        mapped.flush()
        file.seek(70_000)
        check(file.read(5) == b"hello", "not seen through the file")
    m.remount()
    check(read(m.here("f"))[69_999:70_006] == b"\0hello\0", "not there after a remount")


def test_holes_and_copies(m):
    volume(m)
    with open(m.here("f"), "w+b") as file:
        fd = file.fileno()
        os.pwrite(fd, b"x" * 300_000, 1_000_000)
        check(os.lseek(fd, 0, os.SEEK_DATA) <= 1_000_000 and os.lseek(fd, 0, os.SEEK_HOLE) == 0, "the hole")
        check(os.lseek(fd, 1_000_000, os.SEEK_HOLE) == 1_300_000, "its end")
        os.posix_fallocate(fd, 0, 2_000_000)
        check(os.fstat(fd).st_size == 2_000_000, "size")
        with open(m.here("g"), "w+b") as copy:
            done = 0
            while done < 1_300_000:
                done += os.copy_file_range(fd, copy.fileno(), 1_300_000 - done, done, done)
            check(read(m.here("g")) == bytes(1_000_000) + b"x" * 300_000, "other bytes")
    refused(errno.EOPNOTSUPP, os.open, m.here(), os.O_TMPFILE | os.O_RDWR)


def test_locks_are_between_processes(m):
    volume(m)
    fd = os.open(m.here("f"), os.O_RDWR | os.O_CREAT)
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
    child = os.fork()
    if child == 0:
        other = os.open(m.here("f"), os.O_RDWR)
        try:
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 5)
            os._exit(1)
        except OSError:
            pass
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 10)
        fcntl.lockf(other, fcntl.LOCK_EX, 1, 5)  # until it is given back
        os._exit(0)
    time.sleep(0.5)
    os.close(os.open(m.here("f"), os.O_RDWR))  # gives it back: so POSIX has it
    check(os.waitpid(child, 0)[1] == 0, "fcntl")
    other = os.open(m.here("f"), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    refused(errno.EWOULDBLOCK, fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(fd)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_who_waits_for_a_lock_keeps_nobody_else_from_anything(m):
    volume(m)
    fd = os.open(m.here("f"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    ends = []

    def wait():
        other = os.open(m.here("f"), os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_SH)
            ends.append(0)
        except OSError as error:
            ends.append(error.errno)
        os.close(other)

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(600)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while len(ends) < 600 - 512:
        check(time.monotonic() < deadline, f"{len(ends)} of those beyond the limit were refused")
        time.sleep(0.05)
    time.sleep(0.5)
    check(ends == [errno.ENOLCK] * (600 - 512), f"they ended with {ends}")
    write(m.here("g"), b"written")
    check(read(m.here("g")) == b"written", "a file is not what was written")
    os.close(fd)
    for thread in threads:
        thread.join(PATIENCE_S)
    check(ends.count(0) == 512, f"{ends.count(0)} got the lock")


def test_who_waits_can_be_killed(m):
    volume(m)
    fd = os.open(m.here("f"), os.O_RDWR | os.O_CREAT)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    child = os.fork()
    if child == 0:
        fcntl.lockf(os.open(m.here("f"), os.O_RDWR), fcntl.LOCK_EX)
        os._exit(0)
    time.sleep(0.5)
    os.kill(child, signal.SIGKILL)
    began = time.monotonic()
    check(os.waitpid(child, 0)[1] == signal.SIGKILL and time.monotonic() - began < 1, "it hung")
    os.close(fd)


def test_a_handled_signal_ends_no_sync(m):
    """As on any disk; databases count on it. Python itself would try again, so the call is made beside it."""
    volume(m)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(m.here("f"), os.O_RDWR | os.O_CREAT)
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for number in range(30):
            os.pwrite(fd, b"x" * 20_000, number * 20_000)
            check(libc.fsync(fd) == 0, f"fsync {number}: {os.strerror(ctypes.get_errno())}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.close(fd)
    check(seen, "no signal came")


def test_what_was_synced_survives_a_kill(m):
    volume(m)
    os.mkdir(m.here("d"))
    with open(m.here("d/kept"), "wb") as file:
        file.write(b"k" * 200_000)
        file.flush()
        os.fsync(file.fileno())
    for n in range(50):
        write(m.here(f"unsynced{n}"), b"u" * n)
    m.kill()
    refused(errno.ENOTCONN, os.listdir, m.here())
    done = m.mount()
    check(b"that died" in done.stderr, done.stderr.decode())
    check(read(m.here("d/kept")) == b"k" * 200_000, "it is not there")
    for n in range(50):
        with contextlib.suppress(FileNotFoundError):
            check(read(m.here(f"unsynced{n}")) in (b"u" * n, b""), "neither old nor new")


def test_umount_wait_and_sync_make_everything_durable(m):
    volume(m)
    write(m.here("a"), b"a")
    check(json.loads(m.run("sync", m.here(), "--json").stdout)["directory"] == m.directory, "sync --json")
    m.kill()
    m.mount()
    check(read(m.here("a")) == b"a", "sync")
    write(m.here("b"), b"b")
    pid = m.server()
    m.umount("--wait")
    check(not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read().split(")")[1][:3], "it still runs")
    check(not mounted(m.directory), "it is mounted")
    m.mount()
    check(read(m.here("b")) == b"b", "umount --wait")
    with open(m.here("b"), "rb"):
        m.run("umount", m.directory, expect=11)
    m.run("sync", m.scratch, expect=1)
    m.run("umount", m.scratch, expect=1)


def test_a_signal_stores_everything_and_unmounts(m):
    volume(m)
    write(m.here("a"), b"a")
    pid = m.server()
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while mounted(m.directory) and time.monotonic() < deadline:
        time.sleep(0.02)
    m.mount()
    check(read(m.here("a")) == b"a", "it is not there")


def test_in_the_foreground_it_ends_with_zero(m):
    m.run("volume", "create", "v")
    ends = {"signal": lambda process: process.send_signal(signal.SIGINT), "umount": lambda process: m.umount()}
    for name, end in ends.items():
        process = subprocess.Popen([PELAGO, "mount", "v", m.directory], env=m.environment, stderr=subprocess.PIPE)
        m.mounts.append(m.directory)
        while not mounted(m.directory):
            check(process.poll() is None, "it ended")
            time.sleep(0.02)
        write(m.here(name), b"a")
        end(process)
        said = process.communicate(timeout=PATIENCE_S)[1].decode()
        check(process.returncode == 0 and m.directory in said, f"{name}: {process.returncode} {said}")
        check(not mounted(m.directory), "it is mounted")


def test_what_is_wrong_is_said(m):
    m.run("mount", "-d", "v", m.directory, expect=10)
    m.run("volume", "create", "v")
    done = m.run("mount", "-d", "w", m.directory, expect=10)
    check(b"volume create" in done.stderr, done.stderr.decode())
    m.run("mount", "v", m.path("none"), expect=1)
    for option in ("nosuch", "offline", "cache=lease"):
        done = m.run("mount", "v", m.directory, "-o", option, expect=2)
        check(option.encode() in done.stderr, done.stderr.decode())
    m.mount()
    done = m.run("mount", "v", m.directory, expect=11)
    check(b"umount" in done.stderr, done.stderr.decode())


def test_a_read_only_mount_takes_no_change(m):
    volume(m)
    write(m.here("a"), b"a")
    m.remount("ro")
    check(read(m.here("a")) == b"a", "other bytes")
    refused(errno.EROFS, write, m.here("a"), b"b")
    refused(errno.EROFS, os.mkdir, m.here("d"))
    refused(errno.EROFS, os.unlink, m.here("a"))


def test_a_snapshot_can_be_mounted(m):
    os.mkdir(m.path("source"))
    write(m.path("source/f"), b"old")
    m.run("archive", "backup", "--volume", "v", m.path("source"), expect=10)
    m.run("volume", "create", "v")
    m.run("archive", "backup", "--volume", "v", m.path("source"))
    write(m.path("source/f"), b"new")
    m.run("archive", "backup", "--volume", "v", m.path("source"))
    first = json.loads(m.run("archive", "snapshots", "--volume", "v", "--json").stdout)[0]["id"]
    m.mount(f"at={first[:12]}")
    check(read(m.directory + m.path("source/f")) == b"old", "not the first")
    refused(errno.EROFS, write, m.here("x"), b"")
    m.umount()
    m.mount("at=latest", "subdir=" + m.path("source"))
    check(os.listdir(m.here()) == ["f"] and read(m.here("f")) == b"new", "not the last")


def attributes_of(top):
    """What every name below `top` is, with all that can be seen of it."""
    found = {}
    first = {}  # of hard links
    for directory, directories, files in os.walk(top):
        for name in [*directories, *files]:
            path = os.path.join(directory, name)
            is_now = os.lstat(path)
            kind = stat.S_IFMT(is_now.st_mode)
            told = [oct(is_now.st_mode), is_now.st_uid, is_now.st_gid, is_now.st_mtime_ns, is_now.st_rdev]
            told.append({key: os.getxattr(path, key, follow_symlinks=False)
                         for key in sorted(os.listxattr(path, follow_symlinks=False))})
            if kind != stat.S_IFDIR:
                told += [is_now.st_nlink, first.setdefault((is_now.st_dev, is_now.st_ino), os.path.relpath(path, top))]
            if kind == stat.S_IFREG:
                told.append(read(path))
            if kind == stat.S_IFLNK:
                told.append(os.readlink(path))
            found[os.path.relpath(path, top)] = told
    return found


def test_an_archive_is_a_directory_of_its_snapshots(m):
    source = m.path("source")
    os.makedirs(m.path("source/d/e"))
    write(m.path("source/small"), b"one")
    write(m.path("source/big"), random.Random(1).randbytes(3_000_000))
    os.link(m.path("source/big"), m.path("source/d/link"))
    os.symlink("../small", m.path("source/d/symlink"))
    os.mkfifo(m.path("source/fifo"))
    write(m.path("source/holes"), b"x")
    os.truncate(m.path("source/holes"), 3_000_000)
    write(m.path("source/d/e/" + "n" * 255), b"")
    os.setxattr(m.path("source/small"), "user.colour", b"blue")
    os.chmod(m.path("source/small"), 0o4751)
    if ROOT:
        os.chown(m.path("source/small"), 12, 34)
    for name, time_ns in (("small", -5_000_000_001), ("d/e", 1_500_000_000_123_456_789)):
        os.utime(m.path("source", name), ns=(0, time_ns))
    m.run("archive", "backup", "--host", "ada", "--tag", "t", source)
    write(m.path("source/new"), b"new")
    os.unlink(m.path("source/d/link"))
    m.run("archive", "backup", "--host", "bert", source)
    m.mounts.append(m.directory)
    told = json.loads(m.run("archive", "mount", "-d", m.directory, "--json").stdout)
    check(told["directory"] == m.directory and told["pid"] == m.server(), str(told))

    snapshots = json.loads(m.run("archive", "snapshots", "--json").stdout)
    ids = [each["short_id"] for each in snapshots]
    check(sorted(os.listdir(m.here())) == ["hosts", "ids", "snapshots", "tags"], str(os.listdir(m.here())))
    check(sorted(os.listdir(m.here("ids"))) == sorted(ids), "ids")
    check(sorted(os.listdir(m.here("hosts"))) == ["ada", "bert"] and os.listdir(m.here("tags")) == ["t"], "hosts, tags")
    times = sorted(set(os.listdir(m.here("snapshots"))) - {"latest"})
    check(len(times) == 2 and times[0].startswith(snapshots[0]["time"][:4]), str(times))
    check(os.readlink(m.here("snapshots/latest")) in times, "latest")
    check(sorted(os.listdir(m.here("hosts/ada"))) == [times[0], "latest"], "hosts/ada")
    check(read(m.here("hosts/bert/latest") + m.path("source/new")) == b"new", "the newest of bert")
    check(not os.path.exists(m.here("hosts/ada/latest") + m.path("source/new")), "the newest of ada")

    numbers = set()
    for place, each in (("ids/" + ids[0], ids[0]), ("ids/" + ids[1], ids[1]), ("tags/t/latest", ids[0])):
        target = m.path("out", each)
        m.run("archive", "restore", each, "--target", target)
        shown, restored = m.here(place) + source, target + source
        check(attributes_of(shown) == attributes_of(restored), f"{place} differs from what restore makes")
        check(subprocess.run(["diff", "-r", "--no-dereference", "-x", "fifo", shown, restored]).returncode == 0, "diff -r")
        mine = {os.lstat(os.path.join(at, name)).st_ino for at, ds, fs in os.walk(shown) for name in [*ds, *fs]}
        check(not numbers & mine, "two snapshots share an inode number")
        numbers |= mine
    check(os.stat(m.here("ids", ids[0]) + m.path("source/holes")).st_blocks * 512 < 2_000_000, "the hole")
    refused(errno.EROFS, write, m.here("x"), b"")
    refused(errno.EROFS, os.unlink, m.here("ids", ids[0]) + m.path("source/small"))
    refused(errno.ENOENT, os.stat, m.here("ids/nosuch"))

    write(m.path("source/newer"), b"newer")
    m.run("archive", "backup", "--host", "carl", source)
    deadline = time.monotonic() + 30
    while not os.path.exists(m.here("hosts/carl")):
        check(time.monotonic() < deadline, "the new snapshot does not appear")
        time.sleep(0.1)
    while not os.path.exists(m.here("snapshots/latest") + m.path("source/newer")):
        check(time.monotonic() < deadline, "latest is not the new one")
        time.sleep(0.1)

    number = os.stat(m.here("ids", ids[1]) + source).st_ino
    m.umount("--wait")
    m.run("archive", "mount", "-d", m.directory, "--host", "bert", "--path-template", "%h/%T", "--time-template", "2006")
    year = snapshots[1]["time"][:4]
    check(os.listdir(m.here()) == ["bert"] and sorted(os.listdir(m.here("bert"))) == [year, "latest"], "templates")
    m.umount("--wait")
    m.run("archive", "mount", "-d", m.directory)
    check(os.stat(m.here("ids", ids[1]) + source).st_ino == number, "another inode number after a remount")
    m.run("archive", "mount", m.directory, expect=11)
    m.umount("--wait")
    for option in ("rw", "at=latest", "subdir=a", "durability=close", "cache=strict", "nosuch"):
        m.run("archive", "mount", m.directory, "-o", option, expect=2)
    m.run("archive", "mount", m.directory, "--path-template", "%x", expect=2)
    m.run("archive", "mount", m.directory, "--volume", "none", expect=10)


def test_an_archive_that_cannot_be_reached_is_an_error(m):
    m.run("dev", "up", "--nodes", "1", cwd=m.scratch)
    node = json.loads(m.run("dev", "status", "--json").stdout)["nodes"][0]
    try:
        write(m.path("f"), random.Random(1).randbytes(300_000))
        m.run("--dir", node["directory"], "archive", "backup", m.path("f"))
        m.mounts.append(m.directory)
        m.run("--dir", node["directory"], "archive", "mount", "-d", m.directory, "-o", "timeout=3s")
        shown = m.here("snapshots/latest") + m.path("f")
        os.stat(shown)
        os.kill(node["pid"], signal.SIGSTOP)
        error, seconds = timed(read, shown)
        check(error == errno.EIO and seconds < 20, f"{error} after {seconds:.1f} s: EIO was wanted")
        time.sleep(4)
        error, seconds = timed(os.listdir, m.here("snapshots"))
        check(error == errno.EIO and seconds < 20, f"{error} after {seconds:.1f} s: EIO was wanted")
        os.kill(node["pid"], signal.SIGCONT)
        deadline = time.monotonic() + 60
        while timed(read, shown)[0] != 0:
            check(time.monotonic() < deadline, "it does not come back")
            time.sleep(0.1)
        check(read(shown) == read(m.path("f")), "other bytes")
    finally:
        os.kill(node["pid"], signal.SIGCONT)
        m.clean()
        m.run("dev", "down")


def test_a_directory_of_the_volume_can_be_mounted(m):
    volume(m)
    os.makedirs(m.here("a/b"))
    write(m.here("a/b/f"), b"f")
    m.remount("subdir=a/b")
    check(os.listdir(m.here()) == ["f"], str(os.listdir(m.here())))
    check(os.path.realpath(m.here("..")) == m.scratch, "..")
    write(m.here("g"), b"g")
    m.remount()
    check(read(m.here("a/b/g")) == b"g", "not where it belongs")
    m.umount("--wait")
    m.run("mount", "-d", "v", m.directory, "-o", "subdir=none", expect=1)


def test_other_commands_go_on_beside_a_mount(m):
    volume(m)
    write(m.here("f"), b"f")
    check(json.loads(m.run("volume", "list", "--json").stdout)[0]["name"] == "v", "volume list")
    m.run("archive", "backup", m.here())
    m.run("archive", "restore", "latest", "--target", m.path("out"))
    check(read(m.path("out") + m.here("f")) == b"f", "other bytes")


def test_git_works_in_it(m):
    if not shutil.which("git"):
        raise Skipped("no git")
    volume(m)
    git = ["git", "-C", m.here("r"), "-c", "user.name=a", "-c", "user.email=a@b"]
    os.mkdir(m.here("r"))
    subprocess.run([*git, "init", "-q"], check=True)
    for n in range(5):
        write(m.here(f"r/f{n}"), b"%d" % n)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", str(n)], check=True)
    subprocess.run([*git, "gc", "-q"], check=True)
    m.remount()
    check(subprocess.run([*git, "fsck", "--strict"], capture_output=True).returncode == 0, "fsck")
    check(subprocess.run([*git, "status", "--porcelain"], capture_output=True).stdout == b"", "status")


def test_an_ordinary_user_can_mount(m):
    if not ROOT:
        return volume(m)  # the other tests are that
    if not shutil.which("fusermount3") or not shutil.which("setpriv"):
        raise Skipped("needs fusermount3 and setpriv")
    os.chmod(m.scratch, 0o755)
    for path in (m.directory, m.path("home")):
        os.makedirs(path, exist_ok=True)
        os.chown(path, 65534, 65534)
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    m.environment.update(HOME=m.path("home"), PELAGO_DIR=m.path("home/data"))
    os.chmod("/dev/fuse", 0o666)  # as udev makes it

    def run(*args):
        return subprocess.run([*user, *args], env=m.environment, capture_output=True, timeout=PATIENCE_S)

    for args in (["volume", "create", "v"], ["mount", "-d", "v", m.directory]):
        done = run(PELAGO, *args)
        check(done.returncode == 0, done.stderr.decode())
    m.mounts.append(m.directory)
    done = run("sh", "-c", f"umask 027; echo hello > {m.here('f')} && cat {m.here('f')} && stat -c '%a %u' {m.here('f')}")
    check(done.stdout == b"hello\n640 65534\n", (done.stdout + done.stderr).decode())
    refused(errno.EACCES, os.listdir, m.here())  # nobody else, root included
    done = run(PELAGO, "umount", m.directory, "--wait")
    check(done.returncode == 0 and not mounted(m.directory), done.stderr.decode())
    write(m.path("home/f"), b"hello")
    os.chmod(m.path("home/f"), 0o644)
    for args in (["archive", "backup", m.path("home/f")], ["archive", "mount", "-d", m.directory]):
        done = run(PELAGO, *args)
        check(done.returncode == 0, done.stderr.decode())
    done = run("cat", m.here("snapshots/latest") + m.path("home/f"))
    check(done.stdout == b"hello", (done.stdout + done.stderr).decode())
    done = run(PELAGO, "umount", m.directory, "--wait")
    check(done.returncode == 0 and not mounted(m.directory), done.stderr.decode())


def test_mount_8_and_fstab_find_it(m):
    if not ROOT or not shutil.which("mount"):
        raise Skipped("needs root and mount(8)")
    if os.path.exists("/sbin/mount.pelago"):
        raise Skipped("/sbin/mount.pelago is there already")
    m.run("volume", "create", "v")
    os.symlink(PELAGO, "/sbin/mount.pelago")
    try:
        m.mounts.append(m.directory)
        done = subprocess.run(["mount", "-t", "pelago", "v", m.directory, "-o", "noexec,_netdev"], env=m.environment,
                              capture_output=True, timeout=PATIENCE_S)
        check(done.returncode == 0, done.stderr.decode())
        write(m.here("f"), b"f")
        with open("/proc/self/mountinfo") as table:
            line = next(line for line in table if line.split()[4] == m.directory)
        check("noexec" in line and "fuse.pelago v " in line, line)
        check(subprocess.run(["umount", m.directory]).returncode == 0, "umount(8)")
    finally:
        os.unlink("/sbin/mount.pelago")


def timed(call, *args):
    began = time.monotonic()
    try:
        call(*args)
        return 0, time.monotonic() - began
    except OSError as error:
        return error.errno, time.monotonic() - began


def test_when_the_peers_are_away_calls_end_and_the_mount_comes_back(m):
    m.run("dev", "up", "--nodes", "1", cwd=m.scratch)
    try:
        node = json.loads(m.run("dev", "status", "--json").stdout)["nodes"][0]
        m.run("--dir", node["directory"], "volume", "create", "v")
        m.mount(data=node["directory"])
        for name in "abc":
            write(m.here(name), random.Random(name).randbytes(300_000))
        m.umount("--wait")
        m.mount("timeout=3s", data=node["directory"])
        os.listdir(m.here())
        os.kill(node["pid"], signal.SIGSTOP)
        error, seconds = timed(read, m.here("a"))
        check(error == errno.EIO and seconds < 10, f"{error} after {seconds:.1f} s: EIO was wanted")
        os.kill(node["pid"], signal.SIGCONT)
        deadline = time.monotonic() + 60
        while timed(read, m.here("a"))[0] != 0:
            check(time.monotonic() < deadline, "it does not come back")
        m.umount("--wait")

        m.mount("timeout=0", data=node["directory"])
        os.listdir(m.here())
        os.kill(node["pid"], signal.SIGSTOP)
        child = subprocess.Popen(["cat", m.here("b")], stdout=subprocess.DEVNULL)
        time.sleep(1)
        check(child.poll() is None, "it does not wait")
        began = time.monotonic()
        child.kill()
        child.wait(timeout=PATIENCE_S)
        check(time.monotonic() - began < 1, "a killed process hung")
        os.kill(node["pid"], signal.SIGCONT)
        check(read(m.here("b")) == random.Random("b").randbytes(300_000), "other bytes")
    finally:
        os.kill(node["pid"], signal.SIGCONT)
        m.clean()
        m.run("dev", "down")


def test_a_file_goes_across_two_peers_both_ways(m):
    m.run("dev", "up", "--nodes", "3", cwd=m.scratch)
    try:
        nodes = json.loads(m.run("dev", "status", "--json").stdout)["nodes"]
        first, second = nodes[0]["directory"], nodes[1]["directory"]
        m.run("--dir", first, "volume", "create", "v")
        m.run("--dir", first, "key", "export", m.path("key"))
        m.run("--dir", second, "key", "import", m.path("key"))
        other = m.path("other")
        os.mkdir(other)
        m.mount("durability=close", data=first)
        m.mount("durability=close", data=second, directory=other)
        for n in range(20):
            here, there = (m.directory, other) if n % 2 else (other, m.directory)
            write(os.path.join(here, f"f{n}"), b"%d" % n)
            deadline = time.monotonic() + 10
            while not os.path.exists(os.path.join(there, f"f{n}")):
                check(time.monotonic() < deadline, f"f{n} does not come across")
                time.sleep(0.02)
            check(read(os.path.join(there, f"f{n}")) == b"%d" % n, "other bytes")
    finally:
        m.clean()
        m.run("dev", "down")


if __name__ == "__main__":
    sys.exit(run_stories(globals(), lambda name, scratch: Machine(scratch), can_mount()))
