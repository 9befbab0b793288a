#!/usr/bin/env python3
"""What a restore leaves behind when it is stopped, and what surrounds every command: signals, limits, owners.

usage: restore_test.py PELAGO [TEST...]
"""
import os
import resource
import signal
import stat
import subprocess
import sys
import time

from embedded_test import PATIENCE_S, PELAGO, ROOT, Skipped, check, main, random_tree, same

LARGE_BYTES = 240 << 20


def large_source(m):
    source = m.path("source")
    random_tree(source, 1, 60, 1 << 20)
    with open(os.path.join(source, "large"), "wb") as out:
        for _ in range(LARGE_BYTES >> 20):
            out.write(os.urandom(1 << 20))
    m.backup(source)
    return source


def files_below(top):
    found = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                found[path] = os.lstat(path)
            except FileNotFoundError:
                pass  # a restore that is under way gave it its name
    return found


def stop_restore(m, source, with_signal):
    """Stops a restore when the large file is half there. What is whole by then."""
    out = m.path("out")
    process = m.start("archive", "restore", "latest", "--target", out)
    deadline = time.time() + PATIENCE_S
    while process.poll() is None and time.time() < deadline:
        if any(status.st_size > LARGE_BYTES // 2 for status in files_below(out).values()):
            process.send_signal(with_signal)
            break
        time.sleep(0.002)
    _, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode == 0:
        raise Skipped("the restore was faster than the signal")
    whole = {}
    for path, status in files_below(out).items():
        if os.path.basename(path).startswith(".pelago-"):
            continue
        original = path[len(out):]
        with open(path, "rb") as one, open(original, "rb") as other:
            check(one.read() == other.read(), f"{path} is half-written")
        check(status.st_mtime_ns == os.lstat(original).st_mtime_ns, f"{path} has another time")
        whole[path] = status.st_ino
    check(out + source + "/large" not in whole, "the large file was not stopped halfway")
    return process.returncode, err.decode(), whole


def goes_on(m, source, whole):
    out = m.path("out")
    begun = sum(status.st_size for status in files_below(out).values())
    again = m.json("archive", "restore", "latest", "--target", out)
    check(again["files_skipped"] == len(whole), f"{again} with {len(whole)} whole files")
    check(not again["warnings"], str(again))
    check(again["bytes_restored"] <= LARGE_BYTES + (60 << 20) - begun + (8 << 20), f"{again}, {begun} were there")
    for path, inode in whole.items():
        check(os.lstat(path).st_ino == inode, f"{path} was written again")
    same(source, out + source)
    left = [path for path in files_below(out) if ".pelago-" in path]
    check(not left, str(left))


def test_a_restore_stopped_by_ctrl_c_keeps_what_is_finished_and_goes_on(m):
    source = large_source(m)
    code, err, whole = stop_restore(m, source, signal.SIGINT)
    check(code == 130 and "the same command goes on where this one was" in err, f"{code}: {err}")
    goes_on(m, source, whole)


def test_a_restore_that_was_killed_goes_on(m):
    source = large_source(m)
    _, _, whole = stop_restore(m, source, signal.SIGKILL)
    goes_on(m, source, whole)


def test_what_is_restored_inherits_nothing_from_the_target(m):
    source = m.path("source")
    random_tree(source, 3, 10, 100)
    private = source + "/3/3"
    os.chmod(private, 0o640)
    os.mkfifo(source + "/fifo", 0o640)
    m.backup(source)
    out = m.path("out")
    os.mkdir(out)
    # Version 2; owner rwx, user 12345 rwx, group r-x, mask rwx, others r-x.
    acl = bytes.fromhex("02000000" "01000700ffffffff" "0200070039300000" "04000500ffffffff" "10000700ffffffff" "20000500ffffffff")
    try:
        os.setxattr(out, "system.posix_acl_default", acl)
    except OSError as error:
        raise Skipped(f"no ACLs here: {error}")
    os.chmod(out, 0o2775)
    m.restore(out)
    same(source, out + source)
    for folder, directories, names in os.walk(out + source):
        for name in [".", *directories, *names]:
            path = os.path.join(folder, name)
            inherited = [x for x in os.listxattr(path, follow_symlinks=False) if x.startswith("system.posix_acl")]
            check(not inherited, f"{path} has {inherited}")
    check(stat.S_IMODE(os.lstat(out + private).st_mode) == 0o640, "another mode")
    # Neither does what was there before keep an ACL or attribute that the snapshot does not have.
    os.setxattr(out + source + "/3", "system.posix_acl_default", acl)
    os.setxattr(out + private, "system.posix_acl_access", acl)
    os.setxattr(out + private, "user.added", b"1")
    m.restore(out)
    same(source, out + source)
    check(not os.listxattr(out + private) and not os.listxattr(out + source + "/3"), "attributes stayed")


def test_a_restore_of_nothing_says_so(m):
    random_tree(m.path("source"), 4, 40, 100)
    m.backup(m.path("source"))
    out = m.path("out")
    os.makedirs(out + os.path.dirname(m.path("source")))
    with open(out + m.path("source"), "w") as other:
        other.write("in the way")
    done = m.run("archive", "restore", "latest", "--target", out, "--overwrite", "never", expect=1)
    check(b"restored nothing of snapshot" in done.stdout and b"0 of 40 files" in done.stdout, done.stdout.decode())


def ignoring(*signals):
    def before():
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
    return before


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(m):
    source = large_source(m)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        for verb in (["backup", source, "--force"], ["restore", "latest", "--target", m.path("out")]):
            process = m.start("archive", *verb, preexec_fn=ignoring(number))
            for _ in range(5):
                time.sleep(0.05)
                process.send_signal(number)
            _, err = process.communicate(timeout=PATIENCE_S)
            check(process.returncode == 0, f"{verb[0]} ended with {process.returncode} at {number!r}: {err.decode()}")
    same(source, m.path("out") + source)
    # A reader that went away is an error then, not our end.
    for ignored, wanted in ((True, 1), (False, -signal.SIGPIPE)):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([PELAGO, "archive", "ls", "latest"], env=m.environment, stdout=write, stderr=subprocess.PIPE,
                              preexec_fn=ignoring(signal.SIGPIPE) if ignored else None, timeout=PATIENCE_S)
        os.close(write)
        check(done.returncode == wanted, f"exit {done.returncode}: {done.stderr.decode()}")


def limited(kind, most):
    return lambda: resource.setrlimit(kind, (most, most))


def test_a_limit_on_file_sizes_is_named_and_keeps_nothing_from_being_read(m):
    source = m.path("source")
    random_tree(source, 5, 30, 50_000)
    m.backup(source)
    few = {"preexec_fn": limited(resource.RLIMIT_FSIZE, 200_000)}
    m.run("archive", "snapshots", **few)
    done = m.run("archive", "restore", "latest", "--target", m.path("out"), **few)
    check(b"can only be read" in done.stderr and b"ulimit -f" in done.stderr, done.stderr.decode())
    same(source, m.path("out") + source)
    random_tree(m.path("more"), 6, 3, 100_000)
    done = m.run("archive", "backup", m.path("more"), expect=6, **few)
    check(b"ulimit -f" in done.stderr and m.data.encode() in done.stderr, done.stderr.decode())
    m.backup(m.path("more"))  # nothing was lost
    with open(m.path("wide"), "wb") as out:
        out.write(os.urandom(1 << 20))
    m.backup(m.path("wide"))
    done = m.run("archive", "restore", "latest", "--target", m.path("narrow"), expect=6, **few)
    check(b"ulimit -f" in done.stderr, done.stderr.decode())
    check(not files_below(m.path("narrow")), str(files_below(m.path("narrow"))))


def test_want_of_memory_is_one_line_and_loses_nothing(m):
    source = m.path("source")
    random_tree(source, 7, 40, 1 << 20)
    m.backup(source)
    lines = set()
    for kilobytes in range(60_000, 100_000, 10_000):
        done = subprocess.run([PELAGO, "archive", "restore", "latest", "--target", m.path("out")], env=m.environment,
                              capture_output=True, timeout=PATIENCE_S,
                              preexec_fn=limited(resource.RLIMIT_AS, kilobytes << 10))
        # Where it is the kernel that has none left, that is named with the file that it cost.
        named = done.returncode == 3 and b"(Cannot allocate memory)" in done.stderr
        check(done.returncode in (0, 1) or named, f"{kilobytes} kB: exit {done.returncode}: {done.stderr.decode()}")
        if done.returncode == 1:
            lines.add(done.stderr)
            check(done.stderr.startswith(b"pelago: ") and done.stderr.count(b"\n") == 1, done.stderr.decode())
    check(lines, "no limit was low enough")
    m.restore(m.path("out"))
    same(source, m.path("out") + source)


def test_a_command_that_root_runs_locks_nobody_out(m):
    if not ROOT:
        raise Skipped("only root can run it")
    nobody = 65534
    source = m.path("source")
    random_tree(source, 8, 10, 1000)
    os.chmod(source, 0o755)
    os.chown(m.scratch, nobody, nobody)
    m.backup(source)  # makes the directory, the key, the store, marks, locks and the cache
    for folder, directories, names in os.walk(m.data):
        for name in [".", *directories, *names]:
            path = os.path.join(folder, name)
            check(os.lstat(path).st_uid == nobody, f"{path} belongs to {os.lstat(path).st_uid}")
    m.run("archive", "backup", source, preexec_fn=lambda: os.setuid(nobody))
    os.chown(os.path.join(m.data, "client", "marks.lock"), 0, 0)
    os.chmod(os.path.join(m.data, "client", "marks.lock"), 0o600)
    done = m.run("archive", "backup", source, preexec_fn=lambda: os.setuid(nobody))
    check(b"it belongs to user 0; give it back: chown -R 65534 " in done.stderr, done.stderr.decode())


def test_a_home_that_cannot_be_written_is_named(m):
    random_tree(m.path("source"), 9, 2, 10)
    os.chmod(m.scratch, 0o755)
    os.mkdir(m.path("home"), 0o555)
    m.environment = {"PATH": os.environ["PATH"], "HOME": m.path("home")}
    ordinary = {"preexec_fn": lambda: os.setuid(65534)} if ROOT else {}
    done = m.run("archive", "backup", m.path("source"), expect=1, **ordinary)
    check(m.path("home").encode() in done.stderr and b"--dir" in done.stderr, done.stderr.decode())


def test_the_line_to_export_is_read_back_by_a_shell(m):
    m.environment["PELAGO_DIR"] = m.path("it's a place")
    try:
        done = m.run("dev", "up", "--nodes", "1")
        line = [line for line in done.stderr.decode().splitlines() if "export PELAGO_DIR=" in line][0]
        shown = subprocess.run(["sh", "-c", line[line.index("export"):] + "; printf %s \"$PELAGO_DIR\""],
                               capture_output=True, check=True).stdout.decode()
        check(shown.startswith(m.path("it's a place")) and os.path.isdir(shown), shown)
    finally:
        m.run("dev", "down")


if __name__ == "__main__":
    sys.exit(main(globals()))
