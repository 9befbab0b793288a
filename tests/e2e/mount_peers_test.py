#!/usr/bin/env python3
"""A mount while peers die, stop, and come back, while its disk fills, and when it is killed itself: nothing acknowledged is lost, no call
outlasts its time-out, no byte is wrong.

usage: mount_peers_test.py PELAGO [TEST...]
"""
import contextlib
import errno
import glob
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

import mount_test
from mount_test import PATIENCE_S, Machine, read, timed, write
from stories import PELAGO, ROOT, Failed, Skipped, check, run_stories

FLUSH_S = 5  # LiveConfig::flush_after: what is older is written by the mount itself


class Ring(Machine):
    """Five peers on this machine; volume v, which the first two can mount."""

    def __init__(self, scratch):
        super().__init__(scratch)
        self.servers = []
        self.run("dev", "up", "--nodes", "5", cwd=scratch)
        self.look()
        first, second = self.nodes[0]["directory"], self.nodes[1]["directory"]
        self.run("--dir", first, "volume", "create", "v")
        self.run("--dir", first, "key", "export", self.path("key"))
        self.run("--dir", second, "key", "import", self.path("key"))
        self.other = self.path("other")
        os.mkdir(self.other)

    def look(self):
        self.nodes = json.loads(self.run("dev", "status", "--json").stdout)["nodes"]

    def up(self):
        self.run("dev", "up", "--nodes", "5", cwd=self.scratch)
        self.look()

    def signal(self, number, *which):
        for index in which:
            os.kill(self.nodes[index]["pid"], number)

    def mount_one(self, *options):
        self.mount(*options, data=self.nodes[0]["directory"])
        self.servers.append(self.server())

    def mount_both(self, *options):
        self.mount_one(*options)
        self.mount(*options, data=self.nodes[1]["directory"], directory=self.other)
        self.servers.append(self.server(self.other))

    def clean(self):
        for node in self.nodes:
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(node["pid"], signal.SIGCONT)
        super().clean()
        deadline = time.monotonic() + 5
        for pid in self.servers:  # what a failed test leaves unstored waits for peers that never come
            while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
                time.sleep(0.02)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.run("dev", "down")


def bytes_of(name):
    return random.Random(name).randbytes(20_000)


class Writer(threading.Thread):
    """Writes one file after the other in `directory`; `kept` are those whose fsync said yes."""

    def __init__(self, directory, prefix="w"):
        super().__init__(daemon=True)
        self.directory, self.prefix, self.kept, self.slowest, self.ended = directory, prefix, [], 0, False

    def run(self):
        for number in range(1_000_000):
            if self.ended:
                return
            name = f"{self.prefix}{number}"
            began = time.monotonic()
            with contextlib.suppress(OSError):
                fd = os.open(os.path.join(self.directory, name), os.O_RDWR | os.O_CREAT)
                try:
                    os.write(fd, bytes_of(name))
                    os.fsync(fd)
                    self.kept.append(name)
                finally:
                    os.close(fd)
            self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(0.01)

    def end(self):
        self.ended = True
        self.join(PATIENCE_S)
        check(not self.is_alive(), "a call hangs")

    def check(self, directory):
        check(self.kept, "nothing was acknowledged")
        for name in self.kept:
            check(read(os.path.join(directory, name)) == bytes_of(name), f"{name} was acknowledged")


def seen(path, content):
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError):
            if read(path) == content:
                return
        check(time.monotonic() < deadline, f"{path} does not come across")
        time.sleep(0.05)


def test_ring_three_of_five_peers_die_and_a_sync_waits_until_they_are_back(m):
    m.mount_both()
    for number in range(20):
        write(m.here(f"before{number}"), bytes_of(f"before{number}"))
    m.run("sync", m.here())
    os.listdir(m.here())  # from here on in memory
    m.signal(signal.SIGKILL, 2, 3, 4)
    for number in range(20):
        write(m.here(f"after{number}"), bytes_of(f"after{number}"))
    sync = subprocess.Popen([PELAGO, "sync", m.here()], env=m.environment, stderr=subprocess.PIPE)
    began = time.monotonic()
    while time.monotonic() - began < FLUSH_S + 3:
        error, seconds = timed(write, m.here("busy"), b"busy")
        check(error == 0 and seconds < 1, f"a write took {seconds:.1f} s, errno {error}")
        error, seconds = timed(os.listdir, m.here())
        check(error == 0 and seconds < 1, f"a listing took {seconds:.1f} s, errno {error}")
        check(sync.poll() is None, "the sync did not wait")
        time.sleep(0.1)
    m.up()
    began = time.monotonic()
    said = sync.communicate(timeout=PATIENCE_S)[1]
    check(sync.returncode == 0, said.decode())
    check(time.monotonic() - began < 10, f"it went on {time.monotonic() - began:.1f} s after they were back")
    for number in range(20):
        seen(os.path.join(m.other, f"after{number}"), bytes_of(f"after{number}"))


def test_ring_a_mount_that_is_stopped_while_the_peers_are_away_says_so_and_stores_the_rest_when_they_are_back(m):
    m.mount_one("timeout=60s")
    write(m.here("first"), b"first")
    m.run("sync", m.here())
    m.signal(signal.SIGSTOP, 2, 3, 4)
    write(m.here("last"), bytes_of("last"))
    server = m.servers[-1]
    os.kill(server, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    logs = os.path.join(m.nodes[0]["directory"], "**", "mount*.log")
    while not any(b"cannot store the last changes" in read(log) for log in glob.glob(logs, recursive=True)):
        check(time.monotonic() < deadline and os.path.exists(f"/proc/{server}"), "it does not say what it cannot store")
        time.sleep(0.1)
    time.sleep(5)
    check(os.path.exists(f"/proc/{server}"), "it gave up")
    m.signal(signal.SIGCONT, 2, 3, 4)
    deadline = time.monotonic() + PATIENCE_S
    while os.path.exists(f"/proc/{server}"):
        check(time.monotonic() < deadline, "it does not end when the peers are back")
        time.sleep(0.1)
    m.mount_one()
    check(read(m.here("last")) == bytes_of("last"), "the last change is lost")


def test_ring_a_mount_that_cannot_store_ends_at_its_time_out_or_at_a_second_signal_and_says_what_is_lost(m):
    for timeout in 5, 0:
        server = subprocess.Popen([PELAGO, "--dir", m.nodes[0]["directory"], "mount", "v", m.directory, "-o", f"timeout={timeout}"],
                                  env=m.environment, stderr=subprocess.PIPE)
        m.mounts.append(m.directory)
        m.servers.append(server.pid)
        while not mount_test.mounted(m.directory):
            check(server.poll() is None, "it ended")
            time.sleep(0.02)
        write(m.here(f"first{timeout}"), b"first")
        m.run("sync", m.here())
        m.signal(signal.SIGSTOP, 2, 3, 4)
        write(m.here("last"), bytes_of("last"))
        server.send_signal(signal.SIGTERM)
        said = b""
        while b"cannot store the last changes" not in said:
            line = server.stderr.readline()
            check(line, f"it ended: {said.decode()}")
            said += line
        began = time.monotonic()
        check(b"another signal ends it" in said, said.decode())
        if timeout == 0:
            time.sleep(3)
            check(server.poll() is None, "it gave up")
            server.send_signal(signal.SIGTERM)
            began = time.monotonic()
        said += server.communicate(timeout=PATIENCE_S)[1]
        seconds = time.monotonic() - began
        check(server.returncode != 0, said.decode())
        if timeout == 0:
            check(seconds < 3, f"a second signal ended it after {seconds:.1f} s")
        else:
            check(seconds >= timeout - 1 and b"lost the last changes" in said, f"{seconds:.1f} s: {said.decode()}")
        m.signal(signal.SIGCONT, 2, 3, 4)
        m.mount_one()
        check(read(m.here(f"first{timeout}")) == b"first", "what was synced is lost")
        m.umount("--wait")


def test_ring_a_mount_in_which_things_were_only_read_ends_while_the_peers_are_away(m):
    m.mount_one("timeout=0")
    write(m.here("a"), b"a")
    m.run("sync", m.here())
    time.sleep(1)
    check(read(m.here("a")) == b"a" and os.listdir(m.here()) == ["a"], "other bytes")
    m.signal(signal.SIGSTOP, 2, 3, 4)
    server = m.servers[-1]
    began = time.monotonic()
    os.kill(server, signal.SIGTERM)
    while os.path.exists(f"/proc/{server}"):
        check(time.monotonic() - began < 60, "it waits for peers, and has nothing to store")
        time.sleep(0.1)
    m.signal(signal.SIGCONT, 2, 3, 4)


def test_ring_who_is_killed_ends_at_once_where_so_many_wait_that_no_request_is_read(m):
    m.mount_one("timeout=0")
    write(m.here("a"), b"a")
    m.run("sync", m.here())
    m.signal(signal.SIGSTOP, 2, 3, 4)
    write(m.here("b"), b"b")
    calls = 1100  # MountConfig::max_requests is 1024
    waiting = subprocess.Popen([sys.executable, "-c", f"""
import os, threading
for _ in range({calls}):
    threading.Thread(target=lambda: os.getxattr({m.here()!r}, "user.pelago.sync"), daemon=True).start()
print("they wait", flush=True)
threading.Event().wait()
"""], stdout=subprocess.PIPE)
    waiting.stdout.readline()
    time.sleep(2)
    began = time.monotonic()
    waiting.kill()
    waiting.wait(PATIENCE_S)
    seconds = time.monotonic() - began
    check(seconds < 3, f"killed, it hung for {seconds:.1f} s")
    check(read(m.here("b")) == b"b", "other bytes")
    m.signal(signal.SIGCONT, 2, 3, 4)
    m.run("sync", m.here())


def test_ring_more_calls_than_are_taken_at_once_wait_and_none_is_refused_for_it(m):
    m.mount_one("timeout=5s")
    files = 1200  # MountConfig::max_requests is 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    fds = [os.open(m.here(f"f{number}"), os.O_RDWR | os.O_CREAT) for number in range(files)]
    m.run("sync", m.here())
    m.signal(signal.SIGSTOP, 2, 3, 4)
    for fd in fds:
        os.write(fd, b"x")
    errors = []
    threads = [threading.Thread(target=lambda fd=fd: errors.append(timed(os.fsync, fd)[0]), daemon=True) for fd in fds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    check(set(errors) == {errno.EIO} and len(errors) == files, f"fsync gave {sorted(set(errors))}, {len(errors)} times")
    m.signal(signal.SIGCONT, 2, 3, 4)
    for fd in fds:
        with contextlib.suppress(OSError):  # what its fsync could not store it says again
            os.close(fd)
    m.run("sync", m.here())


def test_ring_every_call_ends_at_its_time_out_and_a_kill_ends_it_at_once(m):
    m.mount_one("timeout=3s")
    write(m.here("big"), bytes_of("big"))
    m.umount("--wait")
    m.mount_one("timeout=3s")
    write(m.here("first"), b"first")
    os.listdir(m.here())
    m.signal(signal.SIGKILL, 1, 2, 3, 4)
    fd = os.open(m.here("new"), os.O_RDWR | os.O_CREAT)
    os.write(fd, b"new")
    calls = {"fsync": lambda: os.fsync(fd), "read": lambda: read(m.here("big"))}  # reading opens it: two calls
    for name, call in calls.items():
        error, seconds = timed(call)
        check((error == 0 and name == "read") or (error == errno.EIO and seconds < 9), f"{name}: errno {error} after {seconds:.1f} s")
    sync = subprocess.Popen([sys.executable, "-c", f"import os; os.fsync(os.open({m.here()!r}, os.O_RDONLY))"], stderr=subprocess.DEVNULL)
    time.sleep(1)
    check(sync.poll() is None, "it does not wait")
    began = time.monotonic()
    sync.kill()
    sync.wait(PATIENCE_S)
    check(time.monotonic() - began < 1, f"killed, it hung for {time.monotonic() - began:.1f} s")
    m.up()
    deadline = time.monotonic() + 15
    while timed(m.run, "sync", m.here())[0] != 0:
        check(time.monotonic() < deadline, "it does not go on")
    with contextlib.suppress(OSError):
        os.close(fd)
    check(read(m.here("new")) == b"new" and read(m.here("big")) == bytes_of("big"), "other bytes")


def test_ring_all_peers_are_away_for_a_while(m):
    """The node that the mount itself asks, too."""
    m.mount_both("timeout=30s")
    writers = [Writer(m.directory, "a"), Writer(m.other, "b")]
    for writer in writers:
        writer.start()
    time.sleep(2)
    m.signal(signal.SIGKILL, 0, 1, 2, 3, 4)
    time.sleep(FLUSH_S + 1)
    m.up()
    begun = [len(writer.kept) for writer in writers]
    deadline = time.monotonic() + 15
    while any(len(writer.kept) <= before for writer, before in zip(writers, begun)):
        check(time.monotonic() < deadline, "it does not go on")
        time.sleep(0.05)
    for writer in writers:
        writer.end()
        check(writer.slowest < 33, f"a call took {writer.slowest:.1f} s")
    m.run("sync", m.directory)
    m.run("sync", m.other)
    for directory in (m.directory, m.other):
        seen(os.path.join(directory, writers[0].kept[-1]), bytes_of(writers[0].kept[-1]))
        seen(os.path.join(directory, writers[1].kept[-1]), bytes_of(writers[1].kept[-1]))
        for writer in writers:
            writer.check(directory)
    check(m.run("--dir", m.nodes[0]["directory"], "volume", "conflicts", "v", "--json").stdout.strip() in (b"[]", b""), "conflicts")


def test_ring_a_network_is_cut_and_healed_under_load(m):
    m.mount_both("timeout=20s")
    writers = [Writer(m.directory, "a"), Writer(m.other, "b")]
    for writer in writers:
        writer.start()
    for cut in ((2, 3, 4), (1, 2), (3, 4)):
        time.sleep(0.5)
        m.signal(signal.SIGSTOP, *cut)
        time.sleep(2.5)
        m.signal(signal.SIGCONT, *cut)
    begun = [len(writer.kept) for writer in writers]
    deadline = time.monotonic() + 20
    while any(len(writer.kept) <= before for writer, before in zip(writers, begun)):
        check(time.monotonic() < deadline, "it does not go on")
        time.sleep(0.05)
    for writer in writers:
        writer.end()
        check(writer.slowest < 24, f"a call took {writer.slowest:.1f} s")
    for directory in (m.directory, m.other):
        for writer in writers:
            seen(os.path.join(directory, writer.kept[-1]), bytes_of(writer.kept[-1]))
            writer.check(directory)


def test_a_killed_mount_has_what_it_acknowledged_under_load(m):
    mount_test.volume(m)
    rounds = []
    for number in range(3):
        writer = Writer(m.directory, f"r{number}-")
        writer.start()
        time.sleep(0.7)
        m.kill()
        writer.end()
        rounds.append(writer)
        m.mount()
        for each in rounds:
            each.check(m.directory)


def test_a_full_disk_is_enospc_and_costs_nothing_that_was_there(m):
    """First of write or of fsync, then of every call that would need more; with room it goes on as if nothing had been."""
    os.mkdir(m.data)
    if not ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", m.data], capture_output=True).returncode != 0:
        raise Skipped("only root mounts a tmpfs")
    try:
        mount_test.volume(m)
        write(m.here("kept"), bytes_of("kept"))
        m.run("sync", m.here())
        filler = os.path.join(m.data, "filler")
        with open(filler, "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(100_000))
        fd = os.open(m.here("more"), os.O_RDWR | os.O_CREAT)
        draw = random.Random(1)
        content = draw.randbytes(6_000_000)
        try:
            os.write(fd, content)
            os.fsync(fd)
            raise Failed("there was room")
        except OSError as error:
            check(error.errno == errno.ENOSPC, f"{error}")
        check(read(m.here("kept")) == bytes_of("kept"), "other bytes")
        with contextlib.suppress(OSError):  # it says once more that not everything was stored
            os.close(fd)
        os.unlink(filler)
        deadline = time.monotonic() + 20
        while timed(m.run, "sync", m.here())[0] != 0 or subprocess.run([PELAGO, "sync", m.here()], env=m.environment,
                                                                        capture_output=True).returncode != 0:
            check(time.monotonic() < deadline, "it does not go on")
            time.sleep(0.1)
        m.kill()
        m.mount()
        check(read(m.here("kept")) == bytes_of("kept"), "other bytes")
        check(read(m.here("more")) == content, "what was synced once there was room")
        m.umount("--wait")
    finally:
        m.clean()
        subprocess.run(["umount", "-l", m.data], capture_output=True)


if __name__ == "__main__":
    sys.exit(run_stories(globals(), lambda name, scratch: Ring(scratch) if name.startswith("test_ring_") else Machine(scratch), mount_test.can_mount()))
