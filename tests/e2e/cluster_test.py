#!/usr/bin/env python3
"""Five real peers on loopback: an archive outlives two of them, and copies are made again.

usage: cluster_test.py PELAGO
Each test_ function is one story on a cluster of its own; the steps that it shares are in Cluster.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PELAGO = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "pelago"
PATIENCE_S = 120  # how long anything may take on a busy machine before the test gives up; nothing is timed


class Failed(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


def wait_until(condition, text):
    give_up = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < give_up, f"waited {PATIENCE_S} s until {text}")
        time.sleep(0.2)


def pelago(*args, directory, expect=0, stdin=None):
    # One owner, whichever node is asked: the key is the person's, not the machine's.
    key = next((p / "owner.key" for p in pathlib.Path(directory).parents if p.name.startswith("pelago-")), None)
    environment = {**os.environ, "PELAGO_CONFIG": os.devnull, **({"PELAGO_KEY_FILE": str(key)} if key else {})}
    done = subprocess.run([PELAGO, "--dir", str(directory), *map(str, args)], capture_output=True, input=stdin,
                          timeout=PATIENCE_S, env=environment)
    check(done.returncode in (expect if isinstance(expect, tuple) else (expect,)),
          f"pelago {' '.join(map(str, args))}: exit {done.returncode}, expected {expect}\n"
          f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done


def picture(root):
    """What a tree looks like: for each path its kind, mode, time and content."""
    seen = {}
    for path in sorted(pathlib.Path(root).rglob("*")):
        stat = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        when = None if path.is_symlink() else stat.st_mtime_ns
        seen[str(path.relative_to(root))] = (stat.st_mode, when, content)
    return seen


def make_tree(root, seed=1, files=300):
    draw = random.Random(seed)
    words = [bytes(draw.choices(b"abcdefghij \n", k=draw.randint(3, 12))) for _ in range(400)]
    for number in range(files):
        folder = root / f"d{number % 7}" / f"e{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        size = draw.choice([0, 10, 3000, 20000, 200000])
        text = b"".join(draw.choices(words, k=size // 6))
        (folder / f"file {number}").write_bytes(text)
    (root / "big").write_bytes(draw.randbytes(6 << 20))
    (root / "link").symlink_to("d1/e1")
    (root / "empty").mkdir()
    os.chmod(root / "big", 0o640)


class Cluster:
    def __init__(self, scratch, nodes=5, *options):
        self.home = scratch / "cluster"
        pelago("dev", "up", "--nodes", nodes, *options, directory=self.home)

    def node(self, number):
        return self.home / "dev" / f"node-{number}"

    def status(self):
        return json.loads(pelago("dev", "status", "--json", directory=self.home).stdout)["nodes"]

    def kill(self, *numbers):
        for node in self.status():
            if int(node["name"].split("-")[1]) in numbers:
                os.kill(node["pid"], signal.SIGKILL)

    def live(self):
        return [node for node in self.status() if node["state"] == "active"]

    def whole(self, copies):
        """Every block is at all its copies, as far as each live node can tell."""
        live = self.live()
        reports = [node["status"]["past"] for node in live]
        return all(r["blocks_short"] == 0 and r["backlog_blocks"] == 0 and r["blocks_unchecked"] == 0 for r in reports) \
            and all(r["copies"] == copies for r in reports)

    def stored(self):
        return sum(node["status"]["store"]["blocks"] for node in self.live())

    def down(self):
        pelago("dev", "down", directory=self.home)


def restored(cluster, node, scratch, source, name):
    target = scratch / name
    pelago("archive", "restore", "latest", "--target", target, directory=cluster.node(node))
    return picture(str(target) + str(source))


def test_an_archive_outlives_two_of_five_peers_and_copies_are_made_again(scratch):
    source = scratch / "source"
    source.mkdir()
    make_tree(source)
    cluster = Cluster(scratch, 5, "--repair-after", "3s")
    try:
        check(len(cluster.live()) == 5, "not all five peers are active")
        pelago("archive", "backup", source, directory=cluster.node(1))
        check(all(node["status"]["store"]["blocks"] > 0 for node in cluster.live()), "a peer holds no copy at all")
        blocks = cluster.stored()

        cluster.kill(4, 5)
        check(restored(cluster, 1, scratch, source, "right-after") == picture(source), "two peers gone: not whole")

        wait_until(lambda: len(cluster.live()) == 3 and cluster.whole(3), "every block is at three copies again")
        check(cluster.stored() == blocks, f"{cluster.stored()} copies after repair, {blocks} before")
        check(restored(cluster, 2, scratch, source, "from-another") == picture(source), "after repair: not whole")

        # What comes back counts again, and a backup goes on as if nothing had happened.
        pelago("dev", "up", directory=cluster.home)
        (source / "new file").write_text("written later\n")
        pelago("archive", "backup", source, directory=cluster.node(5))
        check(restored(cluster, 4, scratch, source, "later") == picture(source), "after the peers came back: not whole")
        snapshots = json.loads(pelago("archive", "snapshots", "--json", directory=cluster.node(3)).stdout)
        check(len(snapshots["snapshots"] if isinstance(snapshots, dict) else snapshots) == 2, "not two snapshots")
    finally:
        cluster.down()


def test_a_bare_put_survives_the_death_of_the_peer_that_took_it(scratch):
    cluster = Cluster(scratch, 5, "--repair-after", "3s")
    try:
        for number in range(3):
            file = scratch / f"raw-{number}"
            file.write_bytes(random.Random(number).randbytes(50_000))
            answer = json.loads(pelago("put", file, "--json", directory=cluster.node(5)).stdout)
            if number == 0:
                cluster.kill(5)
                wait_until(lambda: len(cluster.live()) == 4, "the peer is dead")
                pelago("dev", "up", directory=cluster.home)
            back = scratch / "back"
            back.unlink(missing_ok=True)
            pelago("get", answer["id"], "--output", back, directory=cluster.node(1))
            check(back.read_bytes() == file.read_bytes(), "other bytes came back")
    finally:
        cluster.down()


def test_a_peer_that_hangs_is_told_from_one_that_is_down(scratch):
    cluster = Cluster(scratch, 3, "--copies", "3")
    try:
        (scratch / "letter").write_text("dear ada\n")
        pelago("archive", "backup", scratch / "letter", directory=cluster.node(1))
        hung = cluster.status()[2]
        os.kill(hung["pid"], signal.SIGSTOP)
        cluster.kill(2)
        wait_until(lambda: cluster.status()[1]["state"] == "down", "the killed peer is down")
        seen = cluster.status()[2]
        check((seen["state"], seen["pid"]) == ("not answering", hung["pid"]), str(seen))
        check(b"not answering" in pelago("dev", "status", directory=cluster.home).stdout, "the table does not say so")
        check(b"not answering" in pelago("dev", "status", directory=cluster.node(1)).stdout, "a node's directory leads nowhere")
        relative = os.path.relpath(cluster.home)
        done = subprocess.run([PELAGO, "dev", "up"], env={**os.environ, "PELAGO_DIR": relative}, capture_output=True)
        check(done.returncode == 5 and b"does not answer" in done.stderr, f"{done.returncode} {done.stderr.decode()}")
        os.kill(hung["pid"], signal.SIGCONT)
        done = subprocess.run([PELAGO, "dev", "up"], env={**os.environ, "PELAGO_DIR": relative}, capture_output=True)
        check(f"PELAGO_DIR={cluster.node(1)}".encode() in done.stderr, done.stderr.decode())
        os.kill(hung["pid"], signal.SIGSTOP)
        cluster.down()
        check({node["state"] for node in cluster.status()} == {"down"}, str(cluster.status()))
    finally:
        cluster.down()


def test_strangers_get_no_further_than_the_handshake(scratch):
    cluster = Cluster(scratch, 2, "--copies", "2", "--min-copies", "1")
    try:
        token = pelago("network", "invite", directory=cluster.node(1)).stdout
        pelago("network", "join", directory=scratch / "guest", stdin=token)
        done = pelago("network", "join", directory=scratch / "thief", stdin=token, expect=1)
        check(b"used already" in done.stderr, f"a spent token: {done.stderr.decode()}")
        damaged = token[:40] + (b"A" if token[40:41] != b"A" else b"B") + token[41:]
        pelago("network", "join", directory=scratch / "thief", stdin=damaged, expect=1)
        pelago("network", "create", "elsewhere", directory=scratch / "other")
        # Nobody but the authority's node invites.
        pelago("network", "invite", directory=cluster.node(2), expect=1)
        # The policy reaches the other node by itself.
        pelago("network", "policy", "--copies", "1", directory=cluster.node(1))
        wait_until(lambda: json.loads(pelago("network", "policy", "--json", directory=cluster.node(2)).stdout)["copies"] == 1,
                   "the policy arrives at node 2")
    finally:
        cluster.down()


def test_the_ring_can_be_looked_at(scratch):
    cluster = Cluster(scratch, 4)
    try:
        nodes = cluster.live()
        for node in nodes:
            key = node["id"]
            arrived = json.loads(pelago("route", key, "--json", directory=cluster.node(1)).stdout)
            check(arrived["root"]["id"] == key, "a node's own id is not delivered at that node")
            hops = json.loads(pelago("trace", key, "--json", directory=cluster.node(2)).stdout)["hops"]
            check(hops[-1]["id"] == key, "the trace does not end at the root")
            pelago("ping", key[:12], directory=cluster.node(3))
        pelago("ping", "zz", directory=cluster.node(3), expect=1)
        pelago("route", "not hexadecimal", directory=cluster.node(3), expect=2)
        pelago("node", "status", "--check", directory=cluster.node(1))
        # A second daemon on one directory, and a port in use.
        done = pelago("node", "run", "--listen", "127.0.0.1:0", directory=cluster.node(1), expect=11)
        check(b"\n" not in done.stderr.strip(), "more than one line")
        # Joined, but the node does not run: never a local copy.
        (scratch / "letter").write_text("dear ada\n")
        pelago("archive", "backup", scratch / "letter", directory=cluster.node(1))
        cluster.kill(2)
        wait_until(lambda: len(cluster.live()) == 3, "the peer is dead")
        done = pelago("archive", "snapshots", directory=cluster.node(2), expect=5)
        check(b"node run" in done.stderr, f"no word of how to start it: {done.stderr.decode()}")
    finally:
        cluster.down()


def test_after_everybody_was_down_the_ring_comes_back_with_its_archive(scratch):
    cluster = Cluster(scratch, 3)
    try:
        source = scratch / "letters"
        source.mkdir()
        (source / "one").write_text("dear ada\n")
        pelago("archive", "backup", source, directory=cluster.node(1))
        cluster.down()
        pelago("dev", "up", directory=cluster.home)  # as many as there were
        check(len(cluster.live()) == 3, "not the three that were there")
        pelago("archive", "restore", "latest", "--target", scratch / "back", directory=cluster.node(3))
        check((scratch / "back" / str(source)[1:] / "one").read_text() == "dear ada\n", "another letter")
    finally:
        cluster.down()


def test_a_holder_that_restarts_is_heard_again(scratch):
    cluster = Cluster(scratch, 5)
    try:
        objects = ["4178", "4278", "4378", "4478", "4578", "4678"]
        for number in objects:
            pelago("publish", number, directory=cluster.node(2))
        for number in objects:  # publish has returned: everybody finds it
            pelago("locate", number, directory=cluster.node(4))
        cluster.kill(2)
        pelago("dev", "up", directory=cluster.home)
        for number in objects:  # it does not hold them any more, and is no liar for that
            pelago("send", number, "x", directory=cluster.node(1), expect=(0, 1, 5))
        for number in objects:
            pelago("publish", number, directory=cluster.node(2))
        for number in objects:
            wait_until(lambda: pelago("send", number, "y", directory=cluster.node(3),
                                      expect=(0, 1, 5)).returncode == 0, f"{number} is found again")
    finally:
        cluster.down()


def test_objects_are_published_and_found_nearest_copy_first(scratch):
    cluster = Cluster(scratch, 5)
    try:
        nodes = {int(node["name"].split("-")[1]): node["id"] for node in cluster.live()}

        def holders(asker):
            done = pelago("locate", "4378", "--json", directory=cluster.node(asker), expect=(0, 1, 5))
            return [found["id"] for found in json.loads(done.stdout)["holders"]] if done.returncode == 0 else []

        pelago("publish", "4378", directory=cluster.node(2))
        for asker in (1, 2, 3, 4, 5):  # publish has returned: everybody finds it
            check(holders(asker) == [nodes[2]], f"node {asker} does not find it")
        pelago("unpublish", "4378", directory=cluster.node(2))
        for holder in (2, 4):
            pelago("publish", "4378", directory=cluster.node(holder))
        wait_until(lambda: set(holders(1)) == {nodes[2], nodes[4]}, "both holders are found")
        traced = pelago("locate", "4378", "--trace", directory=cluster.node(5)).stdout.decode()
        check("a pointer was met" in traced, traced)
        for replicas, expect in ((1, 0), (2, 0), (3, 3)):
            done = pelago("send", "4378", "are you there?", "--replicas", str(replicas), "--json",
                          directory=cluster.node(3), expect=expect)
            check(json.loads(done.stdout)["reached"] == min(replicas, 2), done.stdout.decode())
        cluster.kill(2)
        wait_until(lambda: json.loads(pelago("send", "4378", "and now?", "--json", directory=cluster.node(3),
                                             expect=(0, 5)).stdout or b'{"reached": 0}')["reached"] == 1,
                   "the other holder takes the message")
        pelago("unpublish", "4378", directory=cluster.node(4))
        # The dead holder's pointer lives on for its lease: unreachable, never "nobody".
        wait_until(lambda: pelago("send", "4378", "gone?", directory=cluster.node(3),
                                  expect=(0, 1, 5)).returncode == 5, "the withdrawn holder is forgotten")
        pelago("locate", "9999", directory=cluster.node(1), expect=1)
    finally:
        cluster.down()


def main():
    chosen = sys.argv[2:]
    failures = 0
    for name, story in sorted(globals().items()):
        if not name.startswith("test_") or (chosen and name not in chosen):
            continue
        scratch = pathlib.Path(tempfile.mkdtemp(prefix="pelago-"))
        started = time.monotonic()
        try:
            story(scratch)
            print(f"ok   {name} ({time.monotonic() - started:.1f} s)", flush=True)
            shutil.rmtree(scratch, ignore_errors=True)
        except (Failed, subprocess.TimeoutExpired, OSError, KeyError, ValueError) as error:
            failures += 1
            print(f"FAIL {name}: {error}\n     what it left: {scratch}", flush=True)
            for log in sorted(scratch.rglob("node.log")):
                print(f"--- {log}\n" + "".join(log.read_text(errors='replace').splitlines(True)[-8:]), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
