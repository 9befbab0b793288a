#!/usr/bin/env python3
"""A ring of five looks after itself while it is used: damage is found and mended, one node is drained, one is revoked.

usage: upkeep_test.py PELAGO
"""
import json
import random
import sys
import threading
import time

from cluster_test import check, main, picture, wait_until
from network_test import Machine, together, whole, with_an_end


class Load:
    """Backups of ever more files, one after another, until it is told to stop; every one has to be acknowledged."""

    def __init__(self, machine, source):
        self.machine, self.source, self.done, self.failure = machine, source, threading.Event(), None
        self.backups = 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        rng = random.Random(1)
        try:
            while not self.done.is_set():
                for _ in range(3):
                    (self.source / f"file-{rng.getrandbits(48):x}").write_bytes(rng.randbytes(rng.randrange(60_000)))
                self.machine("archive", "backup", self.source, expect=(0, 3))
                self.backups += 1
                # Repair has what clients leave: without a pause the test would move a whole benchmark's bytes.
                self.done.wait(0.3)
        except Exception as failure:  # told where the story can see it
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        if self.failure:
            raise self.failure

    def more(self):
        """Some were acknowledged since the call began."""
        before = self.backups
        wait_until(lambda: self.failure or self.backups >= before + 2, "backups go on")


def ring(scratch, names, *options):
    machines = [Machine(scratch, name) for name in names]
    machines[0]("network", "create", "home")
    machines[0].up(*options)
    machines[0]("network", "policy", "--copies", "3", "--min-copies", "2", "--repair-after", "4s")
    for other in machines[1:]:
        other("network", "join", stdin=machines[0]("network", "invite").stdout)
        other.up(*options)
    together(*machines)
    source = scratch / "source"
    source.mkdir()
    return [source, *machines]


def plant_damage(machine):
    """A byte is flipped in every 64 KiB of the largest file of its store, while the node runs."""
    segments = (machine.home / "node" / "blocks").rglob("*.seg")
    largest = max(segments, key=lambda path: path.stat().st_size)
    with open(largest, "r+b") as file:
        for at in range(32 << 10, largest.stat().st_size, 64 << 10):
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 0x55]))


def test_damage_a_drain_and_a_removal_under_load_lose_nothing(scratch):
    source, ada, bert, carl, dora, emil = ring(scratch, ("ada", "bert", "carl", "dora", "emil"), "--scrub", "2s")
    with Load(ada, source) as load:
        load.more()

        wait_until(lambda: bert.status()["store"]["block_bytes"] > 500_000, "there is something to damage")
        plant_damage(bert)
        found = wait_until(lambda: bert.status()["past"]["corrupt_blocks"], "the scrub finds it")
        check(found >= 1, "no damaged block was counted")
        wait_until(lambda: bert.status()["past"]["blocks_lost"] == 0, "good copies take the place of the damaged ones")
        load.more()

        done = dora("node", "drain", "--json")
        check(json.loads(done.stdout.splitlines()[-1])["blocks_left"] == 0, done.stdout.decode())
        check("done: leave now" in dora("node", "status").stdout.decode(), "it does not say that it is done")
        check("draining" in ada("node", "status").stdout.decode(), "the others do not show it")
        load.more()
        check(dora.status()["past"]["blocks_to_drain"] == 0, "it was given something meanwhile")
        dora("network", "leave")

        lost = emil.id()[:8]
        ada("network", "revoke", lost, "--force")
        wait_until(lambda: emil.process.poll() is not None, "a revoked node ends")
        for other in (ada, bert, carl):
            wait_until(lambda: other.neighbours() == 2, "its connections are closed")
        check(b"removed" in emil("node", "run", "--listen", "127.0.0.1:0", expect=(1, 5)).stderr, "it may come back")
        load.more()
    whole(ada, bert, carl)
    ada("archive", "check", "--read-data")
    target = scratch / "restored"
    ada("archive", "restore", "latest", "--target", target)
    check(picture(str(target) + str(source)) == picture(source), "not whole")


def test_a_drain_goes_on_over_restarts_and_is_taken_back(scratch):
    source, ada, bert, carl, dora = ring(scratch, ("ada", "bert", "carl", "dora"))
    for number in range(20):
        (source / str(number)).write_bytes(random.Random(number).randbytes(50_000))
    ada("archive", "backup", source)
    carl("node", "drain", "--no-wait")
    carl.kill()
    carl.up()
    check(carl.status()["past"]["draining"], "it was forgotten")
    carl("node", "drain", "--cancel")
    check(not carl.status()["past"]["draining"], "it was not taken back")
    wait_until(lambda: not any(m.get("draining") for m in bert.status()["members"]), "the others hear of it")
    whole(ada, bert, carl, dora)
    carl("network", "leave", "--drain")
    together(ada, bert, dora)
    dora("node", "drain")
    said = bert("node", "drain", expect=1).stderr
    check(b"1 of the members would be left" in said and b"min-copies" in said, said.decode())


def test_a_client_that_was_revoked_is_shut_out(scratch):
    source, ada, bert = ring(scratch, ("ada", "bert"))
    (source / "letter").write_text("dear all\n")
    client = Machine(scratch, "laptop")
    client("network", "join", "--client", stdin=ada("network", "invite").stdout)
    client.up()
    wait_until(lambda: client("archive", "backup", source, expect=(0, 3, 5)).returncode != 5, "it is in touch")
    ada("network", "revoke", client.id()[:8], "--force")
    # Its connections end within seconds, and so does its node once it is told.
    wait_until(lambda: client("archive", "snapshots", expect=(0, 1, 5)).returncode != 0, "it reads nothing any more")
    said = client("archive", "backup", source, expect=(1, 5)).stderr.decode()
    check(said.startswith("pelago: "), said)
    ada.restores(source, "restored")


def test_a_machine_that_dies_before_anybody_asked_has_a_name(scratch):
    ada, bert = Machine(scratch, "ada"), Machine(scratch, "bert")
    ada("network", "create", "home")
    ada.up()
    ada.invite(bert)
    wait_until(lambda: bert.neighbours() == 1, "they are together")
    time.sleep(5)  # ada is not asked anything: it has to ask of its own accord
    bert.kill()
    other = next(member for member in ada.status()["members"] if member["state"] != "here")
    check(other.get("name") and other.get("capacity_bytes"), f"nothing is known of it: {other}")


if __name__ == "__main__":
    sys.exit(main({name: with_an_end(story) for name, story in globals().items() if name.startswith("test_")}))
