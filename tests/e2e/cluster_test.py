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


def environment(directory, variables=None):
    # One owner, whichever node is asked: the key is the person's, not the machine's.
    key = next((p / "owner.key" for p in pathlib.Path(directory).parents if p.name.startswith("pelago-")), None)
    return {**os.environ, "PELAGO_CONFIG": os.devnull, **({"PELAGO_KEY_FILE": str(key)} if key else {}), **(variables or {})}


def begin(*args, directory):
    return subprocess.Popen([PELAGO, "--dir", str(directory), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(directory))


def pelago(*args, directory, expect=0, stdin=None, variables=None):
    done = subprocess.run([PELAGO, "--dir", str(directory), *map(str, args)], capture_output=True, input=stdin,
                          timeout=PATIENCE_S, env=environment(directory, variables))
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


def test_a_full_peer_has_its_neighbours_keep_its_copies(scratch):
    source = scratch / "source"
    source.mkdir()
    (source / "noise").write_bytes(random.Random(7).randbytes(24 << 20))
    cluster = Cluster(scratch, 5, "--repair-after", "5s")
    try:
        cluster.kill(2)
        wait_until(lambda: len(cluster.live()) == 4, "the peer is dead")
        pelago("dev", "up", directory=cluster.home, variables={"PELAGO_CAPACITY": "8MiB"})
        pelago("archive", "backup", source, directory=cluster.node(1))
        of_node_2 = next(node for node in cluster.live() if node["name"] == "node-2")["status"]
        check(of_node_2["past"]["blocks_diverted"] > 0, f"nothing was diverted: {of_node_2['past']}")
        check(of_node_2["store"]["disk_bytes"] <= 8 << 20, "the cap is not kept")
        diverted = sum(node["status"]["past"]["blocks_for_others"] for node in cluster.live())
        check(diverted == of_node_2["past"]["blocks_diverted"], f"{diverted} diverted replicas")
        wait_until(lambda: cluster.whole(3), "every block is at three copies")
        cluster.kill(4, 5)
        check(restored(cluster, 1, scratch, source, "back") == picture(source), "two peers gone: not whole")
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


def flip_in_store(directory, content):
    """One bit of the bytes of a raw block in a node's store; False if it holds none."""
    for segment in (directory / "node" / "blocks" / "segments").glob("*.seg"):
        data = bytearray(segment.read_bytes())
        at = data.find(content[:64])
        if at < 0:
            continue
        with open(segment, "r+b") as file:
            file.seek(at + 40)
            file.write(bytes([content[40] ^ 1]))
        return True
    return False


def test_a_damaged_copy_is_told_and_repaired_and_then_all_is_well(scratch):
    cluster = Cluster(scratch, 3)
    try:
        file = scratch / "raw"
        file.write_bytes(random.Random(1).randbytes(50_000))
        name = json.loads(pelago("put", file, "--json", directory=cluster.node(1)).stdout)["id"]
        check(flip_in_store(cluster.node(2), file.read_bytes()), "node 2 has no copy")
        check(pelago("get", name, directory=cluster.node(2)).stdout == file.read_bytes(), "other bytes")
        done = pelago("node", "status", "--check", directory=cluster.node(2), expect=(0, 3, 4))  # 0, 3: repaired already
        check(done.returncode != 4 or b"damaged" in done.stdout + done.stderr, str(done))
        wait_until(lambda: cluster.status()[1]["status"]["past"]["blocks_lost"] == 0, "a good copy has come")
        wait_until(lambda: pelago("node", "status", "--check", directory=cluster.node(2),
                                  expect=(0, 3)).returncode == 0, "all is well")
        # Every copy: damage, however often one asks; a new put mends it.
        for number in (1, 2, 3):
            check(flip_in_store(cluster.node(number), file.read_bytes()), f"node {number} has no copy")
        for number in (1, 2, 3, 1):
            pelago("get", name, directory=cluster.node(number), expect=4)
        done = pelago("node", "status", "--check", directory=cluster.node(1), expect=4)
        check(b"1 block was damaged" in done.stderr, done.stderr.decode())
        pelago("put", file, directory=cluster.node(1))
        check(pelago("get", name, directory=cluster.node(3)).stdout == file.read_bytes(), "other bytes")
        wait_until(lambda: all(node["status"]["past"]["blocks_lost"] == 0 for node in cluster.status()), "nothing is lost")
    finally:
        cluster.down()


def test_with_two_of_five_peers_hung_the_others_go_on(scratch):
    cluster = Cluster(scratch, 5)
    try:
        source = scratch / "source"
        source.mkdir()
        make_tree(source, seed=3, files=60)
        pelago("archive", "backup", source, directory=cluster.node(1))
        for node in cluster.status()[3:]:
            os.kill(node["pid"], signal.SIGSTOP)
        (source / "soon").write_text("written before anybody knows that they hang\n")
        pelago("archive", "backup", source, directory=cluster.node(1), expect=(0, 3))
        for _ in range(2):
            pelago("archive", "snapshots", directory=cluster.node(1))
            pelago("archive", "ls", "latest", directory=cluster.node(1))
        for number in range(4):  # whoever hangs is found out by what it owes
            (scratch / "raw").write_bytes(random.Random(number).randbytes(30_000))
            pelago("put", scratch / "raw", directory=cluster.node(1))
        (source / "late").write_text("written while they hang\n")
        pelago("archive", "backup", source, directory=cluster.node(1))
        check(restored(cluster, 2, scratch, source, "back") == picture(source), "not whole")
        for node in cluster.status()[3:]:
            os.kill(node["pid"], signal.SIGCONT)
        wait_until(lambda: len(cluster.live()) == 5 and cluster.whole(3), "all is as it should be again")
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


def test_clients_of_one_directory_do_not_trip_over_each_other(scratch):
    cluster = Cluster(scratch, 3)
    try:
        for name in "abcd":
            (scratch / name).mkdir()
            (scratch / name / "file").write_text(name)
        pelago("archive", "backup", scratch / "a", directory=cluster.node(1))  # makes the key
        for round_number in range(3):
            started = [begin("archive", "backup", scratch / name, "--force", directory=cluster.node(1)) for name in "abcd"]
            for process in started:
                text = process.communicate(timeout=PATIENCE_S)[1].decode()
                check(process.returncode in (0, 11), f"exit {process.returncode}: {text}")
    finally:
        cluster.down()


def test_a_network_with_fewer_members_than_copies_says_so(scratch):
    home = scratch / "alone"
    pelago("network", "create", "home", directory=home)
    node = subprocess.Popen([PELAGO, "--dir", str(home), "node", "run", "--listen", "127.0.0.1:0"], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: subprocess.run([PELAGO, "--dir", str(home), "node", "status"], capture_output=True).returncode == 0,
                   "the node is up")
        (scratch / "letter").write_text("dear ada\n")
        done = pelago("archive", "backup", scratch / "letter", directory=home)
        more = b"2 more machines would make the 3"
        check(b"Copies: 1 of 1" in done.stdout and more in done.stdout, done.stdout.decode())
        check(more in pelago("node", "status", directory=home).stdout, "the status does not say so")
    finally:
        node.terminate()
        node.wait(PATIENCE_S)


def test_with_one_of_two_nodes_gone_an_archive_is_read_and_not_written(scratch):
    source = scratch / "source"
    source.mkdir()
    make_tree(source, files=40)
    cluster = Cluster(scratch, 2, "--copies", "2")
    try:
        pelago("archive", "backup", source, directory=cluster.node(1))
        cluster.kill(2)
        wait_until(lambda: len(cluster.live()) == 1, "the other is known to be gone")
        target = scratch / "right-after"
        done = pelago("archive", "restore", "latest", "--target", target, directory=cluster.node(1), expect=3)
        check(picture(str(target) + str(source)) == picture(source), "not whole")
        check(done.stderr.count(b"warning") == 1 and b"only 1 of the 2 nodes" in done.stderr, done.stderr.decode())
        for verb in (("archive", "ls", "latest"), ("archive", "snapshots"), ("volume", "list"), ("volume", "info", "archive")):
            done = pelago(*verb, "--json", directory=cluster.node(1), expect=3)
            warnings = [json.loads(line) for line in done.stderr.splitlines()]
            check([w["message_type"] for w in warnings] == ["warning"], f"{verb}: {done.stderr.decode()}")
            check("newer snapshots may be missing" in warnings[0]["message"], warnings[0]["message"])
        (source / "new").write_text("written while the other was gone\n")
        pelago("archive", "backup", source, directory=cluster.node(1), expect=5)
        pelago("dev", "up", directory=cluster.home)
        wait_until(lambda: len(cluster.live()) == 2, "both are back")
        check(len(json.loads(pelago("archive", "snapshots", "--json", directory=cluster.node(2)).stdout)) == 1, "not one snapshot")
        pelago("archive", "backup", source, directory=cluster.node(1))
        check(restored(cluster, 2, scratch, source, "afterwards") == picture(source), "not whole afterwards")
    finally:
        cluster.down()


def test_two_commands_that_make_one_cluster_do_not_collide(scratch):
    home = scratch / "cluster"
    both = [subprocess.Popen([PELAGO, "--dir", str(home), "dev", "up", "--nodes", "3"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) for _ in range(2)]
    try:
        errors = [process.communicate(timeout=PATIENCE_S)[1].decode() for process in both]
        codes = sorted(process.returncode for process in both)
        check(codes in ([0, 11], [0, 0]), f"{codes}\n{errors}")
        check(codes == [0, 0] or any("at work on" in error for error in errors), str(errors))
        nodes = json.loads(pelago("dev", "status", "--json", directory=home).stdout)["nodes"]
        check([node["state"] for node in nodes] == ["active"] * 3, str(nodes))
        check(all(node["status"]["storage_peers"] == 3 for node in nodes), "somebody was admitted twice")
        # Names of volumes, used by many commands at one node at once.
        pelago("volume", "create", "first", directory=home / "dev" / "node-1")
        environment = {**os.environ, "PELAGO_CONFIG": os.devnull, "PELAGO_KEY_FILE": str(scratch / "owner.key")}
        many = [subprocess.Popen([PELAGO, "--dir", str(home / "dev" / "node-1"), "volume", "create", f"volume-{number}"],
                                 env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for number in range(8)]
        told = [process.communicate(timeout=PATIENCE_S)[1] for process in many]
        made = {f"volume-{number}" for number, process in enumerate(many) if process.returncode == 0}
        check(len(made) >= 4, str(told))
        listed = json.loads(pelago("volume", "list", "--json", directory=home / "dev" / "node-1").stdout)
        check(made <= {volume["name"] for volume in listed}, f"{made} and {listed}")
    finally:
        pelago("dev", "down", directory=home)


def test_a_backup_whose_node_is_stopped_says_so_and_goes_on_later(scratch):
    cluster = Cluster(scratch, 2)
    try:
        (scratch / "big").write_bytes(random.Random(7).randbytes(200 << 20))
        environment = {**os.environ, "PELAGO_CONFIG": os.devnull, "PELAGO_KEY_FILE": str(scratch / "owner.key")}
        backup = subprocess.Popen([PELAGO, "--dir", str(cluster.node(1)), "archive", "backup", str(scratch / "big")],
                                  env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: cluster.stored() > 4 or backup.poll() is not None, "something is stored")
        node = cluster.status()[0]
        os.kill(node["pid"], signal.SIGTERM)
        _, told = backup.communicate(timeout=PATIENCE_S)
        if backup.returncode != 0:  # else it was faster than the signal
            check(backup.returncode == 5 and b"this machine's node ended meanwhile" in told, f"{backup.returncode} {told}")
        log = wait_until(lambda: (text := (cluster.node(1) / "node.log").read_text()).endswith("stopped\n") and text,
                         "the node says that it has stopped")
        check("stopping: what is under way ends first" in log, log)
        pelago("dev", "up", directory=cluster.home)
        pelago("archive", "backup", scratch / "big", directory=cluster.node(1))
        check(restored(cluster, 2, scratch, scratch, "back")["big"][2] == (scratch / "big").read_bytes(), "another file")
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
        pelago("ping", "zz", directory=cluster.node(3), expect=2)
        pelago("ping", "f" * 64, directory=cluster.node(3), expect=1)
        pelago("route", "not hexadecimal", directory=cluster.node(3), expect=2)
        done = pelago("node", "status", "--check", directory=cluster.node(1))
        check(b"have all their copies, as the holders say" in done.stdout, done.stdout.decode())
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


def main(stories):
    chosen = sys.argv[2:]
    failures = 0
    for name, story in sorted(stories.items()):
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
    sys.exit(main(globals()))
