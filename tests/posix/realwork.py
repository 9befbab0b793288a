#!/usr/bin/env python3
"""Programs that people use, at work in DIR; each is checked by what it makes, and by its own check where it has one.

    realwork.py DIR [--only NAME,...] [--json] [--list]

Each works in DIR/pelago-realwork/NAME, which is removed afterwards. A program that is not installed leaves its test out, by name
(packages.txt names them). Exit code: 0 all passed or left out, 1 not, 2 usage. Only Python's standard library.
"""
import argparse
import fnmatch
import hashlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import become, remove  # noqa: E402

TESTS = {}
BENCH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench"


class Failed(Exception):
    pass


class LeftOut(Exception):
    pass


def test(name):
    def register(function):
        TESTS[name] = function
        return function
    return register


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise LeftOut(f"no {program}")


def run(*command, cwd=None, timeout=600, environment=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=timeout, env={**os.environ, **(environment or {})}, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout[-1500:]}")
    return done.stdout


def check(condition, text):
    if not condition:
        raise Failed(text)


def sources(directory, modules=30):
    """A small program in C with a Makefile."""
    draw = random.Random(1)
    os.mkdir(directory)
    for number in range(modules):
        lines = [f"unsigned part_{number}(unsigned value)\n{{"]
        lines += [f"    value = value * {2 * draw.randrange(5000) + 1}u + {draw.randrange(9999)}u;" for _ in range(100)]
        (directory / f"part_{number}.c").write_text("\n".join([*lines, "    return value;\n}\n"]))
    calls = "\n".join(f"    sum = part_{number}(sum);" for number in range(modules))
    heads = "\n".join(f"unsigned part_{number}(unsigned value);" for number in range(modules))
    (directory / "main.c").write_text(f"#include <stdio.h>\n{heads}\nint main(void)\n{{\n    unsigned sum = 1;\n{calls}\n"
                                      "    printf(\"%u\\n\", sum);\n    return 0;\n}\n")
    (directory / "Makefile").write_text("OBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))\nprogram: $(OBJECTS)\n\tcc -o $@ $^\n"
                                        "%.o: %.c\n\tcc -O1 -c -o $@ $<\n")


def oddities(directory):
    """A tree with every oddity; the one that the archive is tried with."""
    run(sys.executable, BENCH / "maketree", directory, "--files", 200, "--big-hole", 0)


def same(one, other):
    run(sys.executable, BENCH / "sametree", one, other)


@test("make")
def make(here):
    need("make", "cc")
    sources(here / "source")
    run("make", "-s", "-j2", cwd=here / "source")
    first = run("./program", cwd=here / "source")
    check("up to date" in run("make", "-j2", cwd=here / "source"), "a second make compiles again: times are wrong")
    (here / "source" / "part_3.c").write_text("unsigned part_3(unsigned value)\n{\n    return value + 1;\n}\n")
    output = run("make", "-j2", cwd=here / "source")
    check(output.count("cc ") == 2, f"after one change: {output}")
    check(run("./program", cwd=here / "source") != first, "the program did not change")


@test("git")
def git(here):
    need("git")
    as_ann = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann",
              "GIT_COMMITTER_EMAIL": "ann@example.org", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def call(*words, cwd):
        return run("git", *words, cwd=cwd, environment=as_ann)
    origin = here / "origin"
    sources(origin)
    call("init", "-q", "-b", "main", cwd=origin)
    for number in range(15):
        (origin / f"part_{number}.c").write_text(f"/* version {number} */\n" * (number + 1))
        call("add", "-A", cwd=origin)
        call("commit", "-q", "-m", f"Change {number}", cwd=origin)
    call("clone", "-q", "--no-local", origin, here / "clone", cwd=here)
    clone = here / "clone"
    check(call("status", "--porcelain", cwd=clone) == "", "a clone is not clean")
    call("checkout", "-q", "-b", "other", "HEAD~5", cwd=clone)
    (clone / "new.c").write_text("int new;\n")
    call("add", "-A", cwd=clone)
    call("commit", "-q", "-m", "Beside", cwd=clone)
    call("merge", "-q", "-m", "Together", "main", cwd=clone)
    call("gc", "-q", "--aggressive", "--prune=now", cwd=clone)
    call("fsck", "--full", "--strict", cwd=clone)
    call("push", "-q", "origin", "other", cwd=clone)
    call("fsck", "--full", "--strict", cwd=origin)
    check(call("rev-parse", "other", cwd=origin) == call("rev-parse", "other", cwd=clone), "the branch went across")
    check(call("log", "--oneline", "other", cwd=origin).count("\n") == 17, "history")


@test("tar")
def tar(here):
    need("tar")
    oddities(here / "tree")
    flags = ["--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--numeric-owner"]
    run("tar", *flags, "--warning=no-file-ignored", "-cpf", here / "tree.tar", "-C", here / "tree", ".")
    os.mkdir(here / "again")
    run("tar", *flags, "-xpf", here / "tree.tar", "-C", here / "again")
    for path in sorted(here.joinpath("tree").rglob("*")):  # tar leaves sockets out
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    shutil.copystat(here / "again", here / "tree")
    changed = tree_change(here / "tree", here / "again")
    check(not changed, changed)


def tree_picture(root):
    """What tar keeps: all but change times, inode numbers and the times of directories that lost a socket."""
    seen, groups = {}, {}
    for parent, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(parent, name)
            found = os.lstat(path)
            kind = stat.S_IFMT(found.st_mode)
            content = os.readlink(path) if stat.S_ISLNK(found.st_mode) else digest(path) if stat.S_ISREG(found.st_mode) else found.st_rdev
            xattrs = {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)}
            relative = os.path.relpath(path, os.fsencode(root))
            links = groups.setdefault(found.st_ino, relative) if found.st_nlink > 1 and not stat.S_ISDIR(kind) else None
            when = None if stat.S_ISDIR(kind) else found.st_mtime_ns
            seen[relative] = (found.st_mode, found.st_uid, found.st_gid, content, xattrs, when, links is not None)
    return seen


def tree_change(one, other):
    a, b = tree_picture(one), tree_picture(other)
    different = [path for path in a.keys() | b.keys() if a.get(path) != b.get(path)][:3]
    return "; ".join(f"{path!r}: {a.get(path)} became {b.get(path)}" for path in different)[:1500]


def digest(path):
    """Of the content; holes are gone past."""
    piece = 1 << 16
    content = hashlib.sha256(b"%d" % os.lstat(path).st_size)
    with open(path, "rb", buffering=0) as file:
        at = 0
        while True:
            try:
                at = max(at, os.lseek(file.fileno(), at, os.SEEK_DATA) // piece * piece)
            except OSError:  # ENXIO: nothing but a hole from here on
                return content.hexdigest()
            data = os.pread(file.fileno(), piece, at)
            if data.count(0) != len(data):
                content.update(b"%d:" % at + data)
            at += piece


@test("rsync")
def rsync(here):
    need("rsync")
    oddities(here / "tree")
    run("rsync", "-aHAXSx", "--numeric-ids", f"{here}/tree/", here / "again")
    same(here / "tree", here / "again")
    changed = run("rsync", "-aHAXSx", "--numeric-ids", "--itemize-changes", "--dry-run", f"{here}/tree/", here / "again")
    check(changed == "", f"a second rsync would change: {changed[:500]}")


def transfer(path, mode, worker, rounds):
    """Money moves between accounts; the sum stays, whoever dies."""
    draw = random.Random(worker)
    base = sqlite3.connect(path, timeout=60, isolation_level=None)
    base.execute(f"pragma journal_mode = {mode}")
    for _ in range(rounds):
        base.execute("begin immediate")
        one, two = draw.sample(range(100), 2)
        base.execute("update account set money = money - 1 where id = ?", (one,))
        base.execute("update account set money = money + 1 where id = ?", (two,))
        base.execute("insert into moved (worker, text) values (?, ?)", (worker, "x" * draw.randrange(500)))
        base.execute("commit")
    base.close()


def sqlite(here, mode):
    path = here / "base"
    base = sqlite3.connect(path, isolation_level=None)
    check(base.execute(f"pragma journal_mode = {mode}").fetchone()[0] == mode, f"no journal of mode {mode}")
    base.execute("create table account (id integer primary key, money integer)")
    base.execute("create table moved (worker integer, text text)")
    base.executemany("insert into account values (?, 1000)", [(number,) for number in range(100)])
    base.close()

    def begin(worker, rounds):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                transfer(path, mode, worker, rounds)
                code = 0
            finally:
                os._exit(code)
        return child
    workers = [begin(worker, 30) for worker in range(3)]
    victim = begin(3, 1_000_000)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in workers]
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    check(codes == [0, 0, 0], f"writers ended with {codes}")
    base = sqlite3.connect(path, timeout=60)
    check(base.execute("pragma integrity_check").fetchone()[0] == "ok", "integrity_check")
    check(base.execute("select sum(money) from account").fetchone()[0] == 100_000, "the sum")
    count = dict(base.execute("select worker, count(*) from moved group by worker"))
    check([count.get(worker) for worker in range(3)] == [30, 30, 30], f"transfers {count}")
    base.close()


@test("sqlite-rollback")
def sqlite_rollback(here):
    sqlite(here, "delete")


@test("sqlite-wal")
def sqlite_wal(here):
    sqlite(here, "wal")


@test("python")
def python(here):
    try:
        import test.test_os  # noqa: F401
    except ImportError:
        raise LeftOut("Python's own tests are not installed") from None
    # What they ask of the machine, not of the file system, is theirs to skip.
    run(sys.executable, "-m", "test", "-u", "none", "--tempdir", here, "test_shutil", "test_mmap", "test_mailbox", "test_os", "test_posix",
        "test_tempfile", "test_fcntl", cwd=here, environment={"TMPDIR": str(here)}, timeout=1200)


@test("stress-ng")
def stress_ng(here):
    need("stress-ng")
    stressors = ["access", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dup", "fallocate", "fcntl", "fiemap", "filename",
                 "flock", "fpunch", "getdent", "hdd", "link", "lockf", "mknod", "msync", "open", "readahead", "rename", "seek", "sendfile",
                 "symlink", "sync-file", "touch", "unlink", "utime", "xattr"]
    failed = []
    for stressor in stressors:
        done = subprocess.run(["stress-ng", "--temp-path", str(here), f"--{stressor}", "1", "--timeout", "2", "--verify", "--metrics-brief",
                               "--hdd-bytes", "16M", "--fallocate-bytes", "16M", "--seek-size", "1M", "--sync-file-bytes", "4M",
                               "--copy-file-bytes", "16M", "--sendfile-size", "1M", "--readahead-bytes", "16M", "--dirdeep-inodes", "500"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        if done.returncode not in (0, 3, 4):  # 3, 4: not enough resources, not possible here
            failed.append(f"{stressor} (exit {done.returncode}): {fault(done.stdout)}")
    check(not failed, "; ".join(failed))


def fault(output):
    return next((line for line in output.splitlines() if "fail" in line.lower()), output[-300:])


@test("fio")
def fio(here):  # which leaves files of its state where it is run
    need("fio")
    run("fio", "--directory", here, "--name=verified", "--size=32M", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--rw=randrw",
        "--bsrange=512-64k", "--ioengine=psync", "--fsync=64", "--numjobs=2", "--thread", "--group_reporting", cwd=here)
    run("fio", "--directory", here, "--name=mapped", "--size=16M", "--verify=crc32c", "--verify_fatal=1", "--rw=randwrite", "--bs=4k",
        "--ioengine=mmap", cwd=here)
    run("fio", "--directory", here, "--name=direct", "--size=32M", "--verify=crc32c", "--verify_fatal=1", "--rw=randwrite", "--bs=16k",
        "--ioengine=libaio", "--iodepth=8", "--direct=1", cwd=here)


@test("dbench")
def dbench(here):
    need("dbench")
    script = next((path for path in ("/usr/share/dbench/client.txt", "/usr/share/doc/dbench/loadfiles/client.txt") if os.path.exists(path)), None)
    load = ["-c", script] if script else []
    run("dbench", "-D", here, "-t", "10", *load, "4")


@test("postgresql")
def postgresql(here):
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise LeftOut("no postgresql")
    home, data, port = found[-1].parent, here / "data", str(20_000 + os.getpid() % 20_000)
    owner = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    if owner:
        os.chown(here, owner.pw_uid, owner.pw_gid)

    def call(program, *words, timeout=300):
        command = [str(home / program), *map(str, words)]
        done = subprocess.run(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
                              preexec_fn=(lambda: become(owner.pw_uid, owner.pw_gid)) if owner else None)
        if done.returncode != 0:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}: {done.stdout[-1500:]}")
        return done.stdout
    at = ["-h", "/tmp", "-p", port]

    def start():
        call("pg_ctl", "-D", data, "-l", here / "log", "-w", "-t", "120", "-o", f"-k /tmp -h '' -p {port}", "start")

    def query(text):
        return call("psql", *at, "-At", "-d", "postgres", "-c", text).strip()
    call("initdb", "-D", data, "-A", "trust", "--data-checksums")
    start()
    try:
        call("pgbench", *at, "-i", "-s", "1", "-q", "postgres")
        call("pgbench", *at, "-n", "-c", "3", "-T", "5", "postgres")
        first = int(query("select count(*) from pgbench_history"))
        call("pgbench", *at, "-n", "-c", "2", "-t", "20", "postgres")
        committed = int(query("select count(*) from pgbench_history"))
        check(committed == first + 40, f"{committed} transactions after {first} and 40")
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:  # its children end when they miss it
            try:
                start()
                break
            except Failed:
                time.sleep(1)
        check(int(query("select count(*) from pgbench_history")) == committed, "transactions after the crash")
        check(query("select sum(abalance) from pgbench_accounts") == query("select sum(bbalance) from pgbench_branches"), "the sums")
    finally:
        subprocess.run([str(home / "pg_ctl"), "-D", str(data), "-m", "fast", "stop"], check=False, capture_output=True,
                       preexec_fn=(lambda: become(owner.pw_uid, owner.pw_gid)) if owner else None)
    call("pg_checksums", "-D", data, "--check")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir", nargs="?", metavar="DIR")
    parser.add_argument("--only", metavar="NAME,...", help="with * and ?")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(TESTS))
        return 0
    if not options.dir or not os.path.isdir(options.dir):
        parser.error("which DIR?")
    wanted = options.only.split(",") if options.only else ["*"]
    chosen = [name for name in TESTS if any(fnmatch.fnmatch(name, pattern) for pattern in wanted)]
    if not chosen:
        parser.error("no test has such a name")
    top = pathlib.Path(options.dir).resolve() / "pelago-realwork"
    try:
        top.mkdir()
    except FileExistsError:
        parser.error(f"{top} is there already; remove it")
    results = []
    try:
        for name in chosen:
            results.append(run_test(name, top))
            if not options.json:
                r = results[-1]
                print(f"{r['state']:<9} {name:<16} {r['seconds']:7.1f} s  {r['text']}", flush=True)
    finally:
        remove(str(top))
    if options.json:
        print(json.dumps({"directory": options.dir, "tests": results}, indent=1))
    return 1 if any(r["state"] == "FAILED" for r in results) else 0


def run_test(name, top):
    here = top / name
    here.mkdir()
    began = time.monotonic()
    try:
        TESTS[name](here)
        state, text = "passed", ""
    except LeftOut as why:
        state, text = "left out", str(why)
    except (Failed, OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        state, text = "FAILED", str(error)
    remove(str(here))
    return {"name": name, "state": state, "text": text, "seconds": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    sys.exit(main())
