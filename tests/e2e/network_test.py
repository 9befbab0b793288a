#!/usr/bin/env python3
"""A few people's machines: one is lost for good, one leaves, all move, one is bought to recover on.

usage: network_test.py PELAGO
Each test_ function is one story with machines of its own, named after what their owner does.
"""
import json
import pathlib
import shutil
import signal
import subprocess
import sys

from cluster_test import PATIENCE_S, PELAGO, check, environment, main, make_tree, pelago, picture, wait_until


class Machine:
    """A data directory, and the node that runs on it."""
    running = []

    def __init__(self, scratch, name):
        self.scratch, self.home, self.process = scratch, scratch / name, None

    def __call__(self, *args, **options):
        return pelago(*args, directory=self.home, **options)

    def up(self):
        self.home.mkdir(exist_ok=True)
        with open(self.home / "node.log", "ab") as log:
            self.process = subprocess.Popen([PELAGO, "--dir", str(self.home), "node", "run", "--listen", "127.0.0.1:0",
                                             "--heartbeat", "1s"], stderr=log, env=environment(self.home))
        Machine.running.append(self.process)
        wait_until(lambda: self.process.poll() is not None or self.status() is not None, "the node answers")
        return self

    def status(self):
        done = subprocess.run([PELAGO, "--dir", str(self.home), "node", "status", "--json"], capture_output=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def id(self):
        return self.status()["id"]

    def neighbours(self):
        return len(self.status()["overlay"]["neighbours"])

    def log(self):
        return (self.home / "node.log").read_text(errors="replace")

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)

    def kill(self):
        self.stop(signal.SIGKILL)

    def invite(self, other, *options):
        other("network", "join", *options, stdin=self("network", "invite").stdout)
        return other.up()

    def restores(self, source, name, expect=0):
        target = self.scratch / name
        done = self("archive", "restore", "latest", "--target", target, expect=expect)
        check(picture(str(target) + str(source)) == picture(source), f"{name}: not whole")
        return done


def together(*machines):
    wait_until(lambda: all(m.status()["state"] == "active" and m.neighbours() == len(machines) - 1 for m in machines),
               f"{len(machines)} machines are together")


def whole(*machines):
    def all_are():
        reports = [m.status()["past"] for m in machines]
        return all(r["blocks_short"] == r["backlog_blocks"] == r["blocks_unchecked"] == 0 for r in reports)
    wait_until(all_are, "every block has all its copies")


def home(scratch, *names):
    """A network with an archive on it: fewer machines than copies are no failure of theirs."""
    machines = [Machine(scratch, name) for name in names]
    machines[0]("network", "create", "home")
    machines[0].up()
    for other in machines[1:]:
        machines[0].invite(other)
    together(*machines)
    source = scratch / "source"
    source.mkdir()
    make_tree(source, files=40)
    machines[0]("archive", "backup", source, expect=(0, 3))
    return [source, *machines]


def test_a_network_of_two_outlives_one_of_them(scratch):
    source, ada, bert = home(scratch, "ada", "bert")
    lost = bert.id()[:8]
    wait_until(lambda: all(member["state"] != "unknown" for member in ada.status()["members"]), "they have met")
    bert.kill()
    wait_until(lambda: ada.neighbours() == 0, "the other is known to be gone")
    (source / "new").write_text("written when bert was gone\n")
    done = ada("archive", "backup", source, expect=5)
    check(lost.encode() in done.stderr and b"network remove" in done.stderr, done.stderr.decode())
    wait_until(lambda: lost.encode() in ada("node", "status", "--check", expect=(0, 3, 5)).stderr, "the status names it")
    gone = [member for member in ada.status()["members"] if member["id"].startswith(lost)]
    check(gone[0]["state"] == "away" and gone[0].get("name") and "used_bytes" in gone[0], f"what it told is lost: {gone}")
    check(b"network remove" in ada("node", "status", "--check", expect=5).stderr, "and the way on")

    ada("network", "remove", lost)
    ada("archive", "backup", source, expect=(0, 3))
    ada.restores(source, "alone")
    ada("volume", "create", "letters")
    carl = ada.invite(Machine(scratch, "carl"))
    together(ada, carl)
    whole(ada, carl)
    carl.restores(source, "from-carl")
    carl("volume", "create", "photos")
    check(carl.status()["store"]["blocks"] == ada.status()["store"]["blocks"], "not two copies of everything")

    # It comes back, and is told; its own backups wait for ever, and nobody else notices.
    bert.up()
    wait_until(lambda: "removed from the network" in bert.log(), "the one that came back is told")
    bert("archive", "backup", source, expect=5)
    wait_until(lambda: b"was removed" in bert("node", "status", "--check", expect=5).stderr, "its status says so")
    for verb in (("node", "status", "--check"), ("network", "leave")):
        done = bert(*verb, expect=5)
        check(b"leave --force" in done.stderr, f"{verb} does not say the way on: {done.stderr.decode()}")
    check(ada.neighbours() == 1 and lost not in str(ada.status()["overlay"]), "it is a neighbour again")
    (source / "newer").write_text("written when bert was back\n")
    carl("archive", "backup", source, expect=(0, 3))
    ada.restores(source, "afterwards")

    # As another node it may come again.
    bert.stop()
    bert("network", "leave", "--force")
    ada.invite(bert)
    together(ada, bert, carl)
    check(bert.id()[:8] != lost, "the same node again")
    bert.restores(source, "at-last")


def test_the_machine_with_the_authority_is_lost(scratch):
    source, ada, bert = home(scratch, "ada", "bert")
    copy = scratch / "home.authority"
    done = bert("network", "remove", ada.id()[:8], expect=1)
    check(b"authority's key is not here" in done.stderr, done.stderr.decode())
    ada("network", "authority", "export", copy)
    check(copy.stat().st_mode & 0o777 == 0o600, "others can read the authority")
    lost = ada.id()[:8]
    ada.kill()
    wait_until(lambda: bert.neighbours() == 0, "the other is known to be gone")
    done = bert("network", "authority", "import", copy)
    check(lost.encode() in done.stderr and b"network remove" in done.stderr, done.stderr.decode())
    done = bert("network", "invite", expect=5)
    check(lost.encode() in done.stderr, "whom it waits for is not named")
    bert("network", "remove", lost)
    bert("archive", "backup", source, expect=(0, 3))
    together(bert, bert.invite(Machine(scratch, "carl")))
    bert.restores(source, "back")


def test_two_machines_invite_in_turn(scratch):
    _, ada, bert = home(scratch, "ada", "bert")
    copy = scratch / "home.authority"
    ada("network", "authority", "export", copy)
    bert("network", "authority", "import", copy)
    machines = [ada, bert]
    for number, host in enumerate((bert, ada, bert)):
        machines.append(host.invite(Machine(scratch, f"guest-{number}")))
        together(*machines)
    versions = {machine.status()["roster_version"] for machine in machines}
    check(len(versions) == 1 and ada.status()["storage_peers"] == 5, f"not one line of rosters: {versions}")
    ada("network", "policy", "--copies", "2")
    wait_until(lambda: json.loads(bert("network", "policy", "--json").stdout)["copies"] == 2, "the policy arrives")


def test_a_healthy_machine_leaves(scratch):
    source, ada, bert, carl = home(scratch, "ada", "bert", "carl")
    whole(ada, bert, carl)
    left = carl.id()
    done = ada("network", "leave", expect=1)
    check(b"authority" in done.stderr, done.stderr.decode())
    done = ada("network", "remove", left[:8], expect=1)
    check(b"is up" in done.stderr and b"network leave" in done.stderr, done.stderr.decode())
    carl("network", "leave")
    check(carl.process.wait(PATIENCE_S) != 0, "its node does not say that it is no member any more")
    check((carl.home / f"node-left-{left[:8]}").is_dir() and not (carl.home / "node").exists(), "what it kept is not aside")
    wait_until(lambda: ada.status()["storage_peers"] == 2 and ada.neighbours() == 1, "the others know")
    (source / "new").write_text("written when carl had left\n")
    bert("archive", "backup", source, expect=(0, 3))
    whole(ada, bert)
    ada.restores(source, "without-carl")
    ada.invite(carl)
    together(ada, bert, carl)
    check(carl.id() != left, "the same node again")


def test_a_member_does_not_become_another_node_by_joining_again(scratch):
    source, ada, bert = home(scratch, "ada", "bert")
    was = bert.id()
    token = ada("network", "invite").stdout
    for runs in (b"its node runs", b"its node does not run"):
        done = bert("network", "join", stdin=token, expect=1)
        for word in (was[:8].encode(), b"'home'", runs, b"network leave"):
            check(word in done.stderr, f"{word} is not in {done.stderr.decode()}")
        bert.stop()
    bert.up()
    together(ada, bert)
    check(bert.id() == was, "another node")
    ada("archive", "backup", source, expect=(0, 3))
    ada.invite(Machine(scratch, "carl"))  # the token was not spent for nothing


def test_all_machines_get_new_addresses_at_once(scratch):
    source, ada, bert, carl = machines = home(scratch, "ada", "bert", "carl")
    machines = machines[1:]
    names = {machine: machine.id() for machine in machines}
    for machine in machines:
        machine.stop()
    for machine in machines:
        machine.up()  # listens elsewhere
    check(all(machine.neighbours() == 0 for machine in machines), "somebody found somebody: the story tells nothing")
    done = bert("network", "address", names[carl][:8], "127.0.0.1:1", expect=5)
    check(b"does not answer at 127.0.0.1:1" in done.stderr, done.stderr.decode())
    bert("network", "address", "zzz", "127.0.0.1:1", expect=1)
    bert("network", "address", names[ada][:8], "somewhere", expect=2)
    bert("network", "address", names[ada][:8], ada.status()["endpoint"])
    carl("network", "address", names[bert][:8], bert.status()["endpoint"])
    together(*machines)
    for machine in machines:
        machine.restores(source, f"from-{machine.home.name}")
    # And it was written down.
    for machine in (ada, carl):
        machine.stop()
    ada.up(), carl.up()
    together(*machines)


def recovery(scratch, bert, source, name, expect):
    carl = Machine(scratch, name)
    variables = {"PELAGO_KEY_FILE": str(scratch / f"{name}.key")}
    carl("key", "import", scratch / "recovery.key", variables=variables)
    bert.invite(carl, "--client")
    target = scratch / f"{name}-back"
    carl("archive", "restore", "latest", "--target", target, expect=expect, variables=variables)  # at the first try
    check(picture(str(target) + str(source)) == picture(source), f"{name}: not whole")
    status = carl.status()
    check(status["state"] == "client" and status["store"]["blocks"] == 0, f"{name} keeps something: {status['store']}")
    return carl, variables


def test_recovery_on_a_new_machine_from_the_key_and_one_peer(scratch):
    source, ada, bert = home(scratch, "ada", "bert")
    ada("key", "export", scratch / "recovery.key")
    ada("network", "authority", "export", scratch / "home.authority")
    bert("network", "authority", "import", scratch / "home.authority")
    lost = ada.id()[:8]
    ada.kill()
    shutil.rmtree(ada.home)
    # While nobody said that it is gone for good there may be a newer state.
    recovery(scratch, bert, source, "carl", expect=3)
    bert("network", "remove", lost)
    dora, variables = recovery(scratch, bert, source, "dora", expect=0)
    check(bert.status()["storage_peers"] == 1, "a client counts as a storage member")
    (source / "new").write_text("written on the new machine\n")
    dora("archive", "backup", source, expect=(0, 3), variables=variables)
    bert.restores(source, "from-bert")
    check(dora.status()["store"]["blocks"] == 0, "its backup stayed there")
    dora("network", "leave")


def test_a_machine_that_archived_alone_joins_and_brings_its_archive_along(scratch):
    _, ada, bert = home(scratch, "ada", "bert")
    carl = Machine(scratch, "carl")
    carl.home.mkdir()
    variables = {"PELAGO_KEY_FILE": str(scratch / "carl.key")}
    photos = scratch / "photos"
    photos.mkdir()
    make_tree(photos, seed=5, files=30)
    for number in range(3):
        (photos / "count").write_text(str(number))
        carl("archive", "backup", photos, expect=(0, 3), variables=variables)
    done = carl("network", "join", "--client", stdin=ada("network", "invite").stdout, expect=1, variables=variables)
    check(b"without --client" in done.stderr, done.stderr.decode())
    ada.invite(carl)
    together(ada, bert, carl)
    wait_until(lambda: carl("archive", "snapshots", expect=(0, 4, 5, 10), variables=variables).returncode == 0,
               "its archive is there")
    carl("archive", "backup", photos, expect=(0, 3), variables=variables)
    whole(ada, bert, carl)
    carl.kill()
    wait_until(lambda: ada.neighbours() == 1, "it is known to be gone")
    snapshots = json.loads(bert("archive", "snapshots", "--json", variables=variables).stdout)
    check(len(snapshots) == 4, f"not all snapshots came along: {snapshots}")
    target = scratch / "back"
    bert("archive", "restore", "latest", "--target", target, variables=variables)
    check(picture(str(target) + str(photos)) == picture(photos), "not whole")


def with_an_end(story):
    def told(scratch):
        try:
            story(scratch)
        finally:
            for process in Machine.running:
                if process.poll() is None:
                    process.kill()
                    process.wait(PATIENCE_S)
            Machine.running.clear()
    return told


if __name__ == "__main__":
    sys.exit(main({name: with_an_end(story) for name, story in globals().items() if name.startswith("test_")}))
