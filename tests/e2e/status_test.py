#!/usr/bin/env python3
"""What a network says of itself: who is there, who is not, and where copies are.

usage: status_test.py PELAGO [TEST...]
"""
import json
import os
import pathlib
import shutil
import signal
import sys
import time

from embedded_test import Machine, check, main, random_tree


def wait_until(condition, text, patience_s=120):
    give_up = time.monotonic() + patience_s
    while not condition():
        check(time.monotonic() < give_up, f"waited until {text}")
        time.sleep(0.2)


class Cluster(Machine):
    """Real peers of `dev up`; commands are run on the first."""

    def __init__(self, machine, nodes, *options):
        super().__init__(machine.scratch)
        self.run("dev", "up", "--nodes", str(nodes), *options)
        self.environment["PELAGO_DIR"] = os.path.join(self.data, "dev", "node-1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.environment["PELAGO_DIR"] = self.data  # whatever a story made of it
        self.run("dev", "down")

    def nodes(self):
        return self.json("dev", "status")["nodes"]

    def status(self):
        return self.json("node", "status")

    def states(self):
        return sorted(member["state"] for member in self.status()["members"])

    def log(self):
        return pathlib.Path(self.environment["PELAGO_DIR"], "node.log").read_text(errors="replace")


def test_members_are_listed_and_one_that_dies_is_seen_at_once(m):
    with Cluster(m, 4, "--copies", "2", "--repair-after", "5s") as c:
        random_tree(m.path("source"), 1, 20, 100_000)
        c.backup(m.path("source"))
        members = c.status()["members"]
        check([member["state"] for member in members] == ["here", "up", "up", "up"], str(members))
        for member in members:
            check(member["name"] and member["endpoint"] and member["capacity_bytes"] > 0 and "up_s" in member, str(member))
        table = c.run("node", "status").stdout.decode()
        check("CAPACITY" in table and "4 storage peers: 4 up" in table, table)
        wait_until(lambda: c.run("node", "status", "--check", expect=(0, 3)).returncode == 0, "all is well")
        victim = next(node for node in c.nodes() if node["name"] == "node-3")
        os.kill(victim["pid"], signal.SIGKILL)
        dead = next(member for member in c.status()["members"] if member["id"] == victim["id"])
        check(dead["state"] in ("silent", "away"), str(dead))
        check(c.run("node", "status", "--check", expect=(3, 5)).returncode != 0, "a check that sees nothing")
        wait_until(lambda: c.run("node", "status", "--check", expect=(0, 3, 5)).returncode == 0, "copies are made again")
        wait_until(lambda: f"lost neighbour {victim['id'][:8]}" in c.log(), "the log names it")
        c.run("dev", "up")
        wait_until(lambda: c.states() == ["here", "up", "up", "up"], "it is back")
        wait_until(lambda: f"neighbour {victim['id'][:8]}" in c.log().split("lost neighbour")[-1] and "is back" in c.log(),
                   "the log says that it is back")


def test_two_machines_with_a_policy_of_three_are_well(m):
    with Cluster(m, 2) as c:
        c.run("network", "policy", "--copies", "3", "--min-copies", "2")
        random_tree(m.path("source"), 1, 5, 1000)
        done = c.run("archive", "backup", m.path("source"))
        check(b"Copies: 2 of 2" in done.stdout and b"1 more machine would make the 3" in done.stdout, done.stdout.decode())
        wait_until(lambda: c.run("node", "status", "--check", expect=(0, 3)).returncode == 0, "all is well")
        check("1 more machine would make the 3" in c.run("node", "status").stdout.decode(), "no word of a third machine")
        os.kill(next(node["pid"] for node in c.nodes() if node["name"] == "node-2"), signal.SIGKILL)
        seen = c.status()
        check(seen["past"]["live_holders"] == 1 and not seen["healthy"], str(seen["past"]))


def test_a_backup_of_one_machine_says_where_it_is(m):
    random_tree(m.path("source"), 1, 5, 1000)
    check(b"Copies: one, on this disk\n" in m.run("archive", "backup", m.path("source")).stdout, "where is it?")


def test_a_cluster_that_is_there_takes_changes_or_refuses_them(m):
    with Cluster(m, 3) as c:
        top = {**os.environ, "PELAGO_DIR": c.data}
        c.environment, kept = top, c.environment
        c.run("dev", "up", "--nodes", "2", expect=2)
        c.run("dev", "up", "--capacity", "1G", expect=2)
        c.run("dev", "up", "--copies", "2", "--repair-after", "30s")
        c.environment = kept
        policy = c.json("network", "policy")
        check(policy["copies"] == 2 and policy["repair_after_s"] == 30, str(policy))


def test_a_member_that_lost_its_identity_is_told_so(m):
    with Cluster(m, 2) as c:
        c.run("dev", "down")
        c.environment["PELAGO_DIR"] = os.path.join(c.data, "dev", "node-2")
        identity = os.path.join(c.environment["PELAGO_DIR"], "node", "network", "identity")
        os.rename(identity, identity + ".away")
        for args in (("node", "run"), ("node", "status"), ("volume", "create", "v")):
            check(b"network/identity is missing" in c.run(*args, expect=4).stderr, str(args))
        c.environment["PELAGO_DIR"] = c.data
        check(b"network/identity is missing" in c.run("dev", "up", expect=4).stderr, "it was replaced")
        os.rename(identity + ".away", identity)


def test_a_copied_data_directory_is_named_as_such(m):
    with Cluster(m, 3) as c:
        copy = m.path("copy")
        shutil.copytree(os.path.join(c.data, "dev", "node-3"), copy, ignore=shutil.ignore_patterns("*.sock"))
        c.environment["PELAGO_DIR"] = copy
        said = c.run("node", "run", "--listen", "127.0.0.1:0", expect=2).stderr.decode()
        check("with this very identity runs at" in said and "is a copy" in said, said)


def test_a_node_lets_members_of_its_group_in_if_it_is_to(m):
    with Cluster(m, 1) as c:
        c.run("dev", "down")
        socket = m.path("shared.sock")
        node = c.start("--socket", socket, "node", "run", "--listen", "127.0.0.1:0", "--share-with-group")
        try:
            wait_until(lambda: os.path.exists(socket), "it listens")
            check(os.stat(socket).st_mode & 0o777 == 0o660, oct(os.stat(socket).st_mode))
            other = Machine(m.path("other"))
            os.mkdir(other.scratch)
            random_tree(other.path("source"), 1, 5, 1000)
            other.environment["PELAGO_SOCKET"] = socket
            wait_until(lambda: other.run("node", "status", expect=(0, 5)).returncode == 0, "it answers")
            done = other.run("archive", "backup", other.path("source"))
            check(b"in network 'dev'" in done.stdout, done.stdout.decode())
            check(not os.path.exists(os.path.join(other.data, "node")), "it has a store of its own")
        finally:
            node.terminate()
            node.communicate()
        said = other.run("archive", "snapshots", expect=5).stderr.decode()
        check(socket in said, said)


def test_a_data_directory_whose_socket_could_not_be_made_is_refused_before_it_is_made(m):
    m.environment["PELAGO_DIR"] = m.path("d" * 100)
    random_tree(m.path("source"), 1, 1, 10)
    for args in (("archive", "backup", m.path("source")), ("network", "create", "home"), ("volume", "create", "v")):
        check(b"choose a shorter one with --dir" in m.run(*args, expect=2).stderr, str(args))
    check(not os.path.exists(m.environment["PELAGO_DIR"]), "it was made")


if __name__ == "__main__":
    sys.exit(main(globals()))
