#!/usr/bin/env python3
"""pelago on one machine with nothing else started: stories with real processes, and everything that can be given wrong.

usage: embedded_test.py PELAGO [TEST...]
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from stories import PELAGO, ROOT, Failed, Skipped, check, run_stories

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "bench")
PATIENCE_S = 300  # before a busy machine is given up on; nothing is timed


def hear_signals():
    """Whoever runs the tests in the background of a shell has SIGINT ignored, which a command would respect."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Machine:
    """A scratch directory with a data directory of its own, and commands run on it."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.data = os.path.join(scratch, "data")
        self.environment = {"PATH": os.environ["PATH"], "HOME": scratch, "PELAGO_DIR": self.data}

    def clean(self):
        """What a story closed to everybody can be removed."""
        subprocess.run(["chmod", "-R", "u+rwX", self.scratch], capture_output=True)

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def start(self, *args, preexec_fn=hear_signals, **more):
        return subprocess.Popen([PELAGO, *args], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, preexec_fn=preexec_fn, **more)

    def run(self, *args, expect=0, stdin=b"", **more):
        done = subprocess.run([PELAGO, *args], env=self.environment, input=stdin, capture_output=True,
                              timeout=PATIENCE_S, **more)
        shown = f"pelago {' '.join(args)}: exit {done.returncode}\n{done.stdout[-2000:].decode(errors='replace')}" \
                f"{done.stderr[-2000:].decode(errors='replace')}"
        wanted = expect if isinstance(expect, tuple) else (expect,)
        check(done.returncode in wanted, f"{shown}\nexpected {expect}")
        if done.returncode not in (0, 3) and not done.stdout:
            lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("pelago: ")]
            errors = [line for line in lines if not line.startswith("pelago: warning: ")]
            check(len(errors) == 1 and done.stderr.endswith(errors[0].encode() + b"\n"), f"an error is one line:\n{shown}")
        return done

    def json(self, *args, **more):
        return json.loads(self.run(*args, "--json", **more).stdout.splitlines()[-1])

    def backup(self, *paths, **more):
        return self.json("archive", "backup", *paths, **more)

    def restore(self, target, snapshot="latest", *args):
        self.run("archive", "restore", snapshot, "--target", target, *args)

    def stored_bytes(self):
        total = 0
        for folder, _, names in os.walk(os.path.join(self.data, "node")):
            total += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in names)
        return total

    def segments(self):
        blocks = os.path.join(self.data, "node", "blocks")
        found = [os.path.join(folder, name) for folder, _, names in os.walk(blocks) for name in names]
        return sorted(found, key=os.path.getsize, reverse=True)


def same(source, restored, *options):
    owner = [] if ROOT else ["--no-owner"]
    done = subprocess.run([sys.executable, os.path.join(BENCH, "sametree"), source, restored, *owner, *options],
                          capture_output=True, timeout=PATIENCE_S)
    check(done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[:3000])


def random_tree(root, seed, files, size):
    rng = random.Random(seed)
    for n in range(files):
        folder = os.path.join(root, str(n % 7))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, str(n)), "wb") as out:
            out.write(rng.randbytes(size))


def test_a_tree_with_every_oddity_comes_back_the_same(m):
    source = m.path("source")
    subprocess.run([sys.executable, os.path.join(BENCH, "maketree"), source, "--files", "300"], check=True,
                   capture_output=True, timeout=PATIENCE_S)
    report = m.backup(source)
    check(report["message_type"] == "summary" and report["snapshot_id"] and not report["warnings"], str(report))
    m.restore(m.path("out"), "latest", "--verify")
    same(source, m.path("out") + source)
    again = m.backup(source)
    check(again["files_new"] == again["files_changed"] == 0, str(again))


def test_a_second_backup_of_the_same_tree_stores_next_to_nothing(m):
    random_tree(m.path("source"), 2, 200, 50_000)
    first = m.backup(m.path("source"))
    second = m.backup(m.path("source"))
    check(second["files_new"] == 0 and second["files_unmodified"] == 200, str(second))
    check(second["data_stored"] < first["data_stored"] / 1000, f"{second['data_stored']} of {first['data_stored']}")
    check(second["parent"] == first["snapshot_id"], str(second))
    snapshots = json.loads(m.run("archive", "snapshots", "--json").stdout)
    check([s["id"] for s in snapshots] == [first["snapshot_id"], second["snapshot_id"]], str(snapshots))


def test_a_part_of_a_snapshot_can_be_listed_and_restored(m):
    source = m.path("source")
    random_tree(source, 3, 20, 100)
    m.backup(source)
    listed = [json.loads(line) for line in m.run("archive", "ls", "-r", f"latest:{source}", "--json").stdout.splitlines()]
    files = [node for node in listed if node["message_type"] == "node" and node["type"] == "file"]
    check(len(files) == 20, str(listed))
    m.restore(m.path("out"), f"latest:{source}/3")
    same(source + "/3", m.path("out"), "--ignore-top")  # the target itself stays the user's own
    m.run("archive", "restore", f"latest:{source}/none", "--target", m.path("no"), expect=1)
    m.run("archive", "restore", "ffffffff", "--target", m.path("no"), expect=1)
    m.restore(m.path("some"), "latest", "--include", source + "/4")
    check(os.listdir(m.path("some") + source) == ["4"], str(os.listdir(m.path("some") + source)))


def test_excluded_files_are_left_out(m):
    source = m.path("source")
    random_tree(source, 4, 14, 10)
    with open(m.path("patterns"), "w") as out:
        out.write("# comment\n/**/source/1\n")
    m.run("archive", "backup", source, "--exclude", "13", "--exclude-file", m.path("patterns"))
    m.restore(m.path("out"))
    check(not os.path.exists(m.path("out") + source + "/1"), "an excluded directory is there")
    check(os.listdir(m.path("out") + source + "/6") == ["6"], "an excluded file is there")
    m.run("archive", "backup", source, "--exclude", "[unclosed", expect=2)


def test_standard_input_becomes_a_file(m):
    content = random.Random(1).randbytes(3_000_000)
    report = json.loads(m.run("archive", "backup", "--stdin", "--stdin-filename", "/db.sql", "--json", stdin=content).stdout)
    check(report["total_bytes_processed"] == len(content) and not report["warnings"], str(report))
    check(m.run("archive", "dump", "latest", "/db.sql").stdout == content, "another content")


def test_paths_can_come_from_a_list(m):
    random_tree(m.path("source"), 5, 14, 10)
    paths = f"{m.path('source/0')}\n{m.path('source/1')}\n".encode()
    report = json.loads(m.run("archive", "backup", "--files-from", "-", "--json", stdin=paths).stdout.splitlines()[-1])
    check(report["files_new"] == 4, str(report))
    m.run("archive", "backup", expect=2)
    m.run("archive", "backup", "--files-from", m.path("none"), expect=2)


def test_what_cannot_be_read_is_named_and_a_snapshot_of_nothing_is_not_taken(m):
    os.makedirs(m.path("src"))
    done = m.run("archive", "backup", m.path("src"), m.path("gone"), m.path("away"), expect=3)
    for name in ("gone", "away"):
        check(m.path(name).encode() in done.stderr, done.stderr.decode())
    m.run("archive", "backup", m.path("gone"), m.path("away"), expect=1)
    check(len(m.json("archive", "snapshots")) == 1, "a snapshot of nothing")


def test_directories_as_deep_as_can_be_restored_are_archived_and_deeper_ones_are_named(m):
    os.makedirs(m.path("src"))
    here = os.open(m.path("src"), os.O_RDONLY)
    above = m.path("src").count("/")
    for depth in range(above + 1, 2052):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        if depth in (2048, 2049):
            os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(here)
        here = below
    os.close(here)
    try:
        done = m.run("archive", "backup", m.path("src"), expect=3)
        check(b"deeper than 2048" in done.stderr, done.stderr.decode())
        os.makedirs(m.path("out"))
        m.restore(m.path("out"), "latest:" + m.path("src"))
        found = subprocess.run(["find", m.path("out"), "-name", "leaf"], capture_output=True).stdout.split()
        check(len(found) == 1, f"{len(found)} leaves")
    finally:  # Python's own would recurse too deep
        subprocess.run(["rm", "-rf", m.path("src"), m.path("out")])


def test_a_file_that_says_it_is_empty_and_is_not_is_archived(m):
    if not os.path.exists("/proc/version"):
        raise Skipped("no /proc")
    m.backup("/proc/version")
    m.restore(m.path("out"))
    with open("/proc/version", "rb") as there, open(m.path("out", "proc", "version"), "rb") as here:
        check(there.read() == here.read() != b"", "not what is there")


def test_a_dry_run_stores_nothing(m):
    random_tree(m.path("source"), 6, 10, 10_000)
    m.run("volume", "create", "archive")
    before = m.stored_bytes()
    report = m.backup(m.path("source"), "--dry-run")
    check(report["dry_run"] and report["files_new"] == 10, str(report))
    check(m.stored_bytes() <= before + 8192, f"{before} -> {m.stored_bytes()}")
    check(json.loads(m.run("archive", "snapshots", "--json").stdout) == [], "there is a snapshot")


def test_first_use_names_the_key_and_the_volume_once(m):
    random_tree(m.path("source"), 7, 2, 10)
    first = m.run("archive", "backup", m.path("source")).stderr.decode()
    check("pelago key export" in first and "created volume 'archive'" in first, first)
    second = m.run("archive", "backup", m.path("source")).stderr.decode()
    check(second == "", second)
    check(os.stat(os.path.join(m.data, "owner.key")).st_mode & 0o777 == 0o600, "the key is not private")
    m.run("archive", "backup", m.path("source"), "--volume", "typo", expect=10)


def test_a_key_alone_brings_everything_back(m):
    random_tree(m.path("source"), 8, 10, 10_000)
    m.backup(m.path("source"))
    m.run("key", "export", m.path("recovery.key"))
    os.remove(os.path.join(m.data, "owner.key"))
    shutil.rmtree(os.path.join(m.data, "client"))
    m.run("archive", "snapshots", expect=12)
    m.run("archive", "backup", m.path("source"), expect=12)
    m.run("key", "import", m.path("recovery.key"))
    m.restore(m.path("out"))
    same(m.path("source"), m.path("out") + m.path("source"))


def test_another_key_sees_no_volume_and_a_wrong_passphrase_is_told(m):
    random_tree(m.path("source"), 9, 3, 10)
    m.backup(m.path("source"))
    other = Machine(m.path("other"))
    os.mkdir(other.scratch)
    random_tree(other.path("source"), 9, 3, 10)
    other.backup(other.path("source"))
    other.run("key", "export", other.path("other.key"))
    m.run("key", "import", "--replace", other.path("other.key"))
    m.run("archive", "snapshots", expect=10)
    with open(m.path("pass"), "w") as out:
        out.write("correct horse\n")
    m.run("key", "passwd", "--new-password-file", m.path("pass"))
    m.run("archive", "snapshots", expect=12)
    m.environment["PELAGO_PASSWORD"] = "wrong horse"
    m.run("archive", "snapshots", expect=12)


def wait_for_stored(m, process, at_least):
    """True once so many bytes are stored; False if the process ended before."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            return False
        if os.path.isdir(os.path.join(m.data, "node")) and m.stored_bytes() >= at_least:
            return True
        time.sleep(0.01)
    raise Failed("nothing is stored")


def test_a_killed_backup_is_repeated_without_storing_again_what_is_there(m):
    source = m.path("source")
    random_tree(source, 10, 60, 1 << 20)
    m.run("volume", "create", "archive")
    kills = 0
    for at_least in (8 << 20, 24 << 20, 40 << 20):
        process = m.start("archive", "backup", source)
        if wait_for_stored(m, process, at_least):
            process.kill()
            kills += 1
        process.communicate()
    check(kills > 0, "every backup was faster than the kill")
    m.backup(source)
    m.restore(m.path("out"))
    same(source, m.path("out") + source)
    # Some of what was on its way when the process died may be there twice; most must not be.
    check(m.stored_bytes() < 150 << 20, f"{m.stored_bytes()} bytes for 60 MiB")


def test_ctrl_c_ends_with_130_and_the_next_backup_goes_on(m):
    source = m.path("source")
    random_tree(source, 11, 60, 1 << 20)
    process = m.start("archive", "backup", source)
    if not wait_for_stored(m, process, 4 << 20):
        raise Skipped("the backup was faster than the signal")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    check(process.returncode == 130, f"exit {process.returncode}: {err.decode()}")
    check("interrupted" in err.decode(), err.decode())
    m.backup(source)
    m.restore(m.path("out"))
    same(source, m.path("out") + source)


def test_a_killed_restore_is_repeated(m):
    source = m.path("source")
    random_tree(source, 12, 60, 1 << 20)
    m.backup(source)
    process = m.start("archive", "restore", "latest", "--target", m.path("out"))
    time.sleep(0.2)
    process.kill()
    process.communicate()
    m.restore(m.path("out"))
    same(source, m.path("out") + source)


def damage(segment):
    """Spots all over the file but its first quarter."""
    size = os.path.getsize(segment)
    with open(segment, "r+b") as out:
        for at in range(size // 4, size - 64, size // 8):
            out.seek(at)
            out.write(b"\xa5" * 64)


def test_damaged_blocks_are_found_named_and_never_restored(m):
    source = m.path("source")
    random_tree(source, 13, 20, 300_000)
    m.backup(source)
    damage(m.segments()[0])
    done = m.run("archive", "restore", "latest", "--target", m.path("out"), expect=4)
    check(b"damaged" in done.stderr, done.stderr.decode())
    for folder, _, names in os.walk(m.path("out")):
        for name in names:
            path = os.path.join(folder, name)
            original = path[len(m.path("out")):]
            with open(path, "rb") as one, open(original, "rb") as other:
                check(one.read() == other.read(), f"{path} was restored wrong")


def test_a_backup_stores_again_what_was_found_damaged(m):
    source = m.path("source")
    random_tree(source, 26, 40, 300_000)
    m.backup(source)
    damage(m.segments()[0])
    m.run("archive", "restore", "latest", "--target", m.path("found"), expect=4)
    report = m.backup(source)
    # Where a node of the parent's tree is hit, everything is read again instead.
    check(report["blocks_lost"] > 0 or report["parent_damaged"], str(report))
    # Then what lay below that node was never read, and its damage not found yet: the next restore finds it.
    for round in range(4):
        target = m.path(f"out-{round}")
        done = m.run("archive", "restore", "latest", "--target", target, "--verify", expect=(0, 4))
        if done.returncode == 0:
            break
        m.backup(source)
    check(done.returncode == 0, done.stderr.decode())
    same(source, target + source)


def test_segments_that_are_gone_do_not_end_the_archive(m):
    source = m.path("source")
    random_tree(source, 27, 40, 300_000)
    m.backup(source)
    for segment in m.segments():
        if segment.endswith((".seg", ".idx")):
            os.remove(segment)
    done = m.run("archive", "snapshots", expect=4)
    check(b"damaged" in done.stderr, done.stderr.decode())
    m.run("archive", "backup", source, expect=(0, 4))
    m.restore(m.path("out"), "latest", "--verify")
    same(source, m.path("out") + source)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def newest_log(m):
    state = os.path.join(m.data, "node", "blocks", "state")
    return os.path.join(state, max(name for name in os.listdir(state) if name.endswith(".log")))


def flip_the_last_byte(log):
    """Of what was written last; zeros follow that are only written ahead."""
    with open(log, "r+b") as out:
        data = out.read()
        at = len(data.rstrip(b"\0")) - 1
        out.seek(at)
        out.write(bytes([data[at] ^ 0xFF]))


def lose_state_and_go_on(m, seed, lose, had):
    """Two backups, then `lose(m)`: the next commands do all they did before, and one of them says what was lost."""
    source = m.path("source")
    random_tree(source, seed, 20, 100_000)
    first = m.backup(source)
    random_tree(source, seed + 100, 10, 50_000)
    second = m.backup(source)
    lose(m)
    told = m.run("archive", "snapshots", "--json")
    ids = [snapshot["id"] for snapshot in json.loads(told.stdout)]
    check(ids == [first["snapshot_id"], second["snapshot_id"]], f"{ids}\n{told.stderr.decode()}")
    lost = f"the store had lost the newest state of volume 'archive' (it had {had}, this machine has seen 3)"
    check(told.stderr.decode().count(lost) == 1, told.stderr.decode())
    check(m.run("archive", "snapshots").stderr.decode() == "2 snapshots\n", "it is told again")
    third = m.backup(source)
    check(third["files_unmodified"] == 20 and third["blocks_lost"] == 0 and not third["warnings"], str(third))
    check(third["parent"] == second["snapshot_id"], str(third))
    m.restore(m.path("out"), second["snapshot_id"], "--verify")
    same(source, m.path("out") + source)


def test_a_byte_that_flips_in_the_newest_record_is_told_and_nothing_is_lost(m):
    lose_state_and_go_on(m, 30, lambda m: flip_the_last_byte(newest_log(m)), "2")


def test_a_lost_state_directory_is_told_and_nothing_is_lost(m):
    lose_state_and_go_on(m, 31, lambda m: shutil.rmtree(os.path.join(m.data, "node", "blocks", "state")), "none")


def test_a_lost_log_is_told_and_nothing_is_lost(m):
    lose_state_and_go_on(m, 32, lambda m: os.remove(newest_log(m)), "none")


def test_an_empty_log_is_told_and_nothing_is_lost(m):
    lose_state_and_go_on(m, 33, lambda m: os.truncate(newest_log(m), 0), "none")


def test_without_state_and_identity_nothing_is_lost_either(m):
    def lose(m):
        shutil.rmtree(os.path.join(m.data, "node", "blocks", "state"))
        os.remove(os.path.join(m.data, "node", "lone.id"))
    lose_state_and_go_on(m, 34, lose, "none")


def test_a_network_of_one_node_is_given_back_what_it_lost(m):
    def running():
        node = m.start("node", "run", "--listen", "127.0.0.1:0")
        give_up = time.monotonic() + PATIENCE_S
        while subprocess.run([PELAGO, "node", "status"], env=m.environment, capture_output=True).returncode != 0:
            check(node.poll() is None and time.monotonic() < give_up, "the node does not start")
            time.sleep(0.1)
        return node

    def lose(m):
        nonlocal node
        node.kill()
        node.communicate()
        flip_the_last_byte(newest_log(m))
        node = running()

    m.run("network", "create", "one", "--copies", "1")
    node = running()
    try:
        lose_state_and_go_on(m, 35, lose, "2")
    finally:
        node.kill()
        node.communicate()


def test_a_mark_that_cannot_help_is_named(m):
    random_tree(m.path("source"), 36, 4, 100)
    m.backup(m.path("source"))
    # A store as it was before the last backup, and a mark that has seen it, but not its record.
    earlier = m.path("earlier")
    shutil.copytree(os.path.join(m.data, "node"), earlier)
    marks = os.path.join(m.data, "client", "marks")
    m.backup(m.path("source"))
    mark = os.path.join(marks, os.listdir(marks)[0])
    with open(mark, "rb") as old:
        head = bytearray(old.read(77))
    head[4] = 1  # format 1: without a record
    with open(mark, "wb") as out:
        out.write(head + crc32c(head).to_bytes(4, "little"))
    shutil.rmtree(os.path.join(m.data, "node"))
    shutil.copytree(earlier, os.path.join(m.data, "node"))
    done = m.run("archive", "snapshots", expect=4)
    check(os.path.basename(mark).encode() in done.stderr and b"client/" in done.stderr, done.stderr.decode())
    os.remove(mark)
    check(len(json.loads(m.run("archive", "snapshots", "--json").stdout)) == 1, "not what is left")


def test_a_store_that_is_gone_altogether_is_not_taken_for_the_one_that_was_seen(m):
    source = m.path("source")
    random_tree(source, 37, 4, 100)
    m.backup(source)
    shutil.rmtree(os.path.join(m.data, "node"))
    marks = os.path.join(m.data, "client", "marks")
    for verb in (["snapshots"], ["backup", source]):
        done = m.run("archive", *verb, expect=4)
        check(os.listdir(marks)[0].encode() in done.stderr, done.stderr.decode())
    shutil.rmtree(marks)
    m.backup(source)
    m.restore(m.path("out"))
    same(source, m.path("out") + source)


def test_an_identity_that_is_gone_is_taken_from_the_store(m):
    random_tree(m.path("source"), 28, 4, 100)
    m.backup(m.path("source"))
    os.remove(os.path.join(m.data, "node", "lone.id"))
    done = m.run("archive", "snapshots")
    check(b"lone.id" in done.stderr, done.stderr.decode())
    m.restore(m.path("out"))


def test_a_restore_onto_a_full_file_system_is_exit_code_6(m):
    random_tree(m.path("source"), 29, 30, 1 << 20)
    m.backup(m.path("source"))
    target = m.path("full")
    os.mkdir(target)
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", target], capture_output=True).returncode != 0:
        raise Skipped("needs the right to mount")
    try:
        done = m.run("archive", "restore", "latest", "--target", target, expect=6)
        check(b"make room there" in done.stderr and m.path("source").encode() in done.stderr, done.stderr.decode())
    finally:
        subprocess.run(["umount", "-l", target])


def test_a_truncated_store_is_no_crash(m):
    source = m.path("source")
    random_tree(source, 14, 20, 300_000)
    m.backup(source)
    for segment in m.segments():
        with open(segment, "r+b") as out:
            out.truncate(os.path.getsize(segment) // 3)
    for verb in (["snapshots"], ["restore", "latest", "--target", m.path("out")], ["backup", source]):
        done = m.run("archive", *verb, expect=(0, 1, 3, 4, 5, 10))
        check(done.returncode >= 0, f"{verb}: killed by signal {-done.returncode}")


def test_garbage_in_the_data_directory_is_no_crash(m):
    random_tree(m.path("source"), 15, 3, 10)
    m.backup(m.path("source"))
    rng = random.Random(15)
    for folder, _, names in os.walk(m.data):
        for name in names:
            with open(os.path.join(folder, name), "wb") as out:
                out.write(rng.randbytes(200))
    for verb in (["archive", "snapshots"], ["archive", "backup", m.path("source")], ["volume", "list"], ["key", "show"]):
        m.run(*verb, expect=(1, 4, 10, 12))


def test_a_store_at_its_capacity_says_so_and_keeps_what_it_has(m):
    random_tree(m.path("small"), 16, 4, 100_000)
    random_tree(m.path("large"), 17, 400, 1 << 20)
    m.environment["PELAGO_CAPACITY"] = "200M"
    first = m.backup(m.path("small"))
    done = m.run("archive", "backup", m.path("large"), expect=6)
    check(b"space" in done.stderr, done.stderr.decode())
    m.restore(m.path("out"), first["snapshot_id"])
    same(m.path("small"), m.path("out") + m.path("small"))


def mounted(m, size):
    """A file system of its own, or Skipped."""
    os.makedirs(m.data)
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", m.data], capture_output=True).returncode != 0:
        raise Skipped("needs the right to mount")


def test_a_full_disk_is_told_and_nothing_is_lost(m):
    random_tree(m.path("small"), 18, 4, 100_000)
    random_tree(m.path("large"), 19, 200, 1 << 20)
    mounted(m, "100m")
    try:
        first = m.backup(m.path("small"))
        m.run("archive", "backup", m.path("large"), expect=6)
        m.restore(m.path("out"), first["snapshot_id"])
        same(m.path("small"), m.path("out") + m.path("small"))
    finally:
        subprocess.run(["umount", "-l", m.data])


def test_on_a_full_disk_forget_and_prune_make_room(m):
    mounted(m, "150m")
    try:
        kept = 0
        for day in range(12):
            random_tree(m.path("source"), 30 + day, 12, 1 << 20)
            done = m.run("archive", "backup", m.path("source"), expect=(0, 6))
            kept += done.returncode == 0
            if done.returncode == 6:
                break
        check(done.returncode == 6 and kept >= 3, f"{kept} backups found room, and it is not full")
        m.run("archive", "forget", "--keep-last", "1")
        m.run("archive", "prune")
        m.backup(m.path("source"))
        m.run("archive", "check", "--read-data")
    finally:
        subprocess.run(["umount", "-l", m.data])


def test_a_read_only_data_directory_is_told(m):
    random_tree(m.path("source"), 20, 4, 100)
    mounted(m, "100m")
    try:
        m.backup(m.path("source"))
        subprocess.run(["mount", "-o", "remount,ro", m.data], check=True)
        done = m.run("archive", "backup", m.path("source"), expect=1)
        check(b"read-only" in done.stderr, done.stderr.decode())
        m.restore(m.path("out"))
        same(m.path("source"), m.path("out") + m.path("source"))
        check(len(json.loads(m.run("archive", "snapshots", "--json").stdout)) == 1, "the snapshots can be listed")
    finally:
        subprocess.run(["umount", "-l", m.data])


def test_a_missing_path_is_told_and_the_others_are_kept(m):
    random_tree(m.path("source"), 21, 4, 100)
    m.run("archive", "backup", m.path("none"), expect=1)
    check(not os.path.exists(m.data), "a mistyped path made a key")
    done = m.run("archive", "backup", m.path("source"), m.path("none"), expect=3)
    check(m.path("none").encode() in done.stderr, done.stderr.decode())
    m.restore(m.path("out"))
    same(m.path("source"), m.path("out") + m.path("source"))


def test_two_backups_at_once_both_end_well_or_one_is_told_to_wait(m):
    random_tree(m.path("a"), 22, 30, 500_000)
    random_tree(m.path("b"), 23, 30, 500_000)
    m.run("volume", "create", "archive")
    both = [m.start("archive", "backup", m.path(name)) for name in "ab"]
    errors = [process.communicate(timeout=PATIENCE_S)[1].decode() for process in both]
    codes = sorted(process.returncode for process in both)
    check(codes in ([0, 0], [0, 11]), f"{codes}\n{errors}")
    for name in "ab":
        m.backup(m.path(name))
    m.restore(m.path("out"), "latest", "--path", m.path("a"))
    same(m.path("a"), m.path("out") + m.path("a"))


def test_a_reader_that_leaves_early_is_no_error(m):
    random_tree(m.path("source"), 24, 2000, 10)
    m.backup(m.path("source"))
    done = subprocess.run(f"'{PELAGO}' archive ls -r latest | head -1", shell=True, env=m.environment, capture_output=True)
    check(done.stderr == b"", done.stderr.decode())


def test_output_that_cannot_be_written_is_an_error(m):
    with open("/dev/full", "w") as full:
        done = subprocess.run([PELAGO, "version"], env=m.environment, stdout=full, stderr=subprocess.PIPE)
    check(done.returncode == 6 and b"cannot write" in done.stderr, f"{done.returncode} {done.stderr.decode()}")


def test_a_raw_block_is_put_got_and_removed(m):
    data = random.Random(25).randbytes(1 << 20)
    put = m.run("put", "-", stdin=data)
    check(b"not encrypted" in put.stderr, put.stderr.decode())
    name = put.stdout.decode().strip()
    check(m.run("get", name).stdout == data, "other bytes")
    m.run("put", "-", stdin=data + b"x", expect=2)
    m.run("get", "0" * 64, expect=1)
    m.run("get", "abc", expect=2)
    check(m.json("remove", name, "--dry-run")["bytes"] == 1 << 20, "wrong size")
    m.run("remove", name)
    m.run("get", name, expect=1)
    check(m.run("put", "-", stdin=data).stdout.decode().strip() == name, "another id")
    check(m.run("get", name).stdout == data, "put again, and not there")


def flip_in_store(m, content):
    """One bit of the bytes of a raw block."""
    for segment in m.segments():
        with open(segment, "r+b") as file:
            at = file.read().find(content[:64])
            if at < 0:
                continue
            file.seek(at + 40)
            file.write(bytes([content[40] ^ 1]))
            return
    raise Failed("the block is not in the store")


def test_a_damaged_block_is_said_to_be_damaged_until_it_is_put_again_or_removed(m):
    rng = random.Random(30)
    first, last = rng.randbytes(5000), rng.randbytes(5000)
    names = {}
    for data in (first, last):  # opening a store checks the last one, reading checks each
        names[data] = m.run("put", "-", stdin=data).stdout.decode().strip()
    for data in (first, last):
        flip_in_store(m, data)
    for data in (first, last, first, last):
        done = m.run("get", names[data], expect=4)
        check(b"damaged" in done.stderr, done.stderr.decode())
    m.run("put", "-", stdin=first)
    check(m.run("get", names[first]).stdout == first, "other bytes")
    check(m.json("remove", names[last])["bytes"] is None, "the size of what nobody can read")
    m.run("get", names[last], expect=1)


def test_volumes_are_created_listed_and_shown(m):
    m.run("volume", "create", "photos")
    m.run("volume", "create", "photos", expect=1)
    m.run("volume", "create", "a\nb", expect=2)
    names = [volume["name"] for volume in json.loads(m.run("volume", "list", "--json").stdout)]
    check(names == ["photos"], str(names))
    check(m.json("volume", "info", "photos")["snapshots"] == 0, "snapshots")
    m.run("volume", "info", "none", expect=10)


def main(stories):
    return run_stories(stories, lambda name, scratch: Machine(scratch))


if __name__ == "__main__":
    sys.exit(main(globals()))
