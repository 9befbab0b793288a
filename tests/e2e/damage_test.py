#!/usr/bin/env python3
"""A corpus of damaged stores: what check, ls and restore say of each, and that repair keeps all that could be read.

usage: damage_test.py PELAGO [TEST...]

Each case is a copy of one small store with one thing broken. What is hurt is found out by restoring every snapshot and comparing it with what was
backed up, byte for byte; then `check` has to name exactly that. PELAGO_LONG=1: a thousand random damages instead of some; PELAGO_SEED=n: others.
"""
import json
import os
import random
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from embedded_test import Machine, check, random_tree  # noqa: E402
from stories import PELAGO, Failed, run_stories  # noqa: E402

LONG = os.environ.get("PELAGO_LONG") == "1"
SEED = int(os.environ.get("PELAGO_SEED", "1"))
PATIENCE_S = 120
EXITS = (0, 1, 2, 3, 4, 5, 6, 10, 11, 12)


def contents(root):
    """Every path below root, with the bytes of the files; None for a directory, which ends in '/'."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in folders:
            found[os.path.relpath(os.path.join(folder, name), root) + "/"] = None
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


class Corpus(Machine):
    """A store of two snapshots, and copies of it to break."""

    def __init__(self, scratch):
        super().__init__(scratch)
        self.source = self.path("source")
        random_tree(self.source, SEED, 60, 3_000)
        rng = random.Random(SEED)
        for n in range(3):
            with open(os.path.join(self.source, f"large{n}"), "wb") as out:
                out.write(rng.randbytes(900_000))
        self.truth = {}  # snapshot -> contents
        self.back_up()
        with open(os.path.join(self.source, "2", "9"), "wb") as out:
            out.write(b"changed")
        os.remove(os.path.join(self.source, "large2"))
        self.back_up()
        self.whole = self.data
        self.data = self.path("broken")
        self.environment["PELAGO_DIR"] = self.data

    def foreign_segment(self):
        other = Machine(self.path("other"))
        os.makedirs(self.path("other"), exist_ok=True)
        with open(self.path("other", "file"), "wb") as out:
            out.write(b"of another store")
        other.backup(self.path("other", "file"))
        return next(path for path in other.segments() if path.endswith(".seg"))

    def back_up(self):
        self.truth[self.backup(self.source)["snapshot_id"]] = contents(self.source)

    def fresh(self):
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.whole, self.data, symlinks=True)

    def try_run(self, *args):
        """As run(), of a command that may fail, but must not crash, hang, or say nothing."""
        done = subprocess.run([PELAGO, *args], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        shown = f"pelago {' '.join(args)}: exit {done.returncode}\n{done.stdout[-1500:].decode(errors='replace')}" \
                f"{done.stderr[-1500:].decode(errors='replace')}"
        check(done.returncode in EXITS, shown)
        if done.returncode != 0:
            check(done.stderr.strip() or done.stdout.strip(), shown)
        done.shown = shown
        return done

    def files_of_store(self):
        found = []
        for folder, _, names in os.walk(self.data):
            found += [os.path.relpath(os.path.join(folder, name), self.data) for name in names]
        return sorted(found)

    def hurt(self, snapshot):
        """(exit code of restore, paths of the snapshot that do not come back). What comes back is as it was."""
        out = self.path("out")
        shutil.rmtree(out, ignore_errors=True)
        done = self.try_run("archive", "restore", snapshot, "--target", out)
        got = contents(out + self.source) if os.path.isdir(out + self.source) else {}
        wanted = self.truth[snapshot]
        for path, content in got.items():
            check(path in wanted and wanted[path] == content, f"{path} came back as something else\n{done.shown}")
        lost = {path for path in wanted if path not in got}
        check(done.returncode != 0 or not lost, f"restore says that all is well, without {sorted(lost)[:5]}\n{done.shown}")
        return done, lost


def summary(done):
    lines = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
    return next((one for one in reversed(lines) if one.get("message_type") == "summary"), None)


def judge(m, shown):
    """Compares what `check --read-data` says with what can be restored: 'hurt', 'told' (damage that costs no file), 'harmless'."""
    looked = m.try_run("archive", "check", "--read-data", "--json")
    report = summary(looked)
    listed = m.try_run("archive", "snapshots", "--json")
    ids = [one["id"] for one in json.loads(listed.stdout)] if listed.stdout.startswith(b"[") else []
    hurt = {one["snapshot_id"]: one for one in report["hurt"] if "snapshot_id" in one} if report else {}
    verdict = "harmless" if looked.returncode == 0 else "told"
    for snapshot, wanted in m.truth.items():
        if snapshot not in ids:
            check(looked.returncode != 0 and listed.returncode != 0, f"{shown}: nobody says that {snapshot} is gone\n{looked.shown}")
            verdict = "hurt"
            continue
        restored, lost = m.hurt(snapshot)
        named = {os.path.relpath(path, m.source) for path in hurt.get(snapshot, {}).get("paths", [])}
        if lost:
            verdict = "hurt"
            check(restored.returncode in (1, 3, 4) and looked.returncode == 4, f"{shown}\n{restored.shown}\n{looked.shown}")
        else:
            check(restored.returncode == 0, f"{shown}: all came back\n{restored.shown}")
        if hurt.get(snapshot, {}).get("tree_damaged"):
            check(lost, f"{shown}: a tree is damaged, and all came back\n{looked.shown}")
        else:
            files = {path for path in lost if not path.endswith("/")}
            check(files == named, f"{shown}: lost {sorted(files)}, named {sorted(named)}\n{looked.shown}")
    return verdict


# --- random damage -----------------------------------------------------------------------------------------------------------------------


def damage_at_random(m, rng):
    """Breaks one thing in the store; returns what, for a message."""
    names = [name for name in m.files_of_store() if name.startswith("node/")]
    sizes = [os.path.getsize(os.path.join(m.data, name)) for name in names]
    kind = rng.choice(["flip"] * 8 + ["cut", "gone"])
    if kind == "flip":
        name = rng.choices(names, weights=sizes)[0] if rng.random() < 0.5 else rng.choice([n for n, s in zip(names, sizes) if s])
    else:
        name = rng.choice(names)
    path = os.path.join(m.data, name)
    size = os.path.getsize(path)
    at = rng.randrange(size) if size else 0
    if kind == "flip":
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << rng.randrange(8))]))
    elif kind == "cut":
        os.truncate(path, at)
    else:
        os.remove(path)
    return f"{kind} of {name} ({size} bytes) at {at}"


def test_whatever_breaks_in_a_store_is_found_and_what_it_costs_is_named(m):
    trials = 1000 if LONG else 40
    verdicts, failures = {}, []
    for trial in range(trials):
        rng = random.Random(f"{SEED} {trial}")
        m.fresh()
        shown = f"PELAGO_SEED={SEED}, trial {trial}: {damage_at_random(m, rng)}"
        try:
            verdict = judge(m, shown)
        except (Failed, subprocess.TimeoutExpired) as failure:
            failures.append(str(failure))
            print(f"    {shown}\n{failure}", flush=True)
            continue
        kind = shown.split(": ")[1].split()
        verdicts.setdefault(verdict, []).append(f"{kind[0]} {re.sub('[0-9a-f]{8}', 'N', kind[2])}")
    for verdict, cases in sorted(verdicts.items()):
        counted = {case: cases.count(case) for case in sorted(set(cases))}
        print(f"    {verdict}: {len(cases)}: " + ", ".join(f"{case} {n}" for case, n in counted.items()), flush=True)
    check(not failures, f"{len(failures)} of {trials}, the first: {failures[:1]}")
    check(len(verdicts.get("hurt", [])) >= trials // 10, f"too few damages that hurt anything: {verdicts}")


# --- the corpus --------------------------------------------------------------------------------------------------------------------------


def segments(m):
    folder = os.path.join(m.data, "node/blocks/segments")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".seg"))


def flip(path, *offsets):
    with open(path, "r+b") as file:
        for at in offsets:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 0x40]))


def largest_record(m):
    """Where the put record with most payload begins (docs/formats/store.md)."""
    with open(segments(m)[0], "rb") as file:
        segment = file.read()
    found = [at for at in range(64, len(segment), 8) if segment[at:at + 4] == b"PUT1"]
    return max(found, key=lambda at: int.from_bytes(segment[at + 28:at + 32], "little"))


def every(path, step):
    return range(step // 2, os.path.getsize(path), step)


def state_files(m, suffix=""):
    folder = os.path.join(m.data, "node/blocks/state")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(suffix))


def client_files(m, beginning):
    found = []
    for folder, _, names in os.walk(os.path.join(m.data, "client")):
        found += [os.path.join(folder, name) for name in names
                  if os.path.relpath(os.path.join(folder, name), os.path.join(m.data, "client")).startswith(beginning) and not name.endswith(".lock")]
    return found


def empty(folder):
    shutil.rmtree(folder)
    os.makedirs(folder)


def swap(a, b):
    os.rename(a, a + ".x")
    os.rename(b, a)
    os.rename(a + ".x", b)


def in_store(m, *names):
    return os.path.join(m.data, "node", *names)


def lose_record(m):
    """The newest state of the volume, here and in the memory of the client."""
    empty(in_store(m, "blocks/state"))
    for path in client_files(m, "marks"):
        os.remove(path)


# Each: what is broken, then the exit codes of check, check --read-data, ls latest, restore latest (None: 0, 1, 3 or 4: it depends on what lay there).
CORPUS = {
    "nothing": (lambda m: None, 0, 0, 0, 0),
    "segment cut to nothing": (lambda m: os.truncate(segments(m)[0], 0), 4, 4, None, None),
    "segment cut behind its header": (lambda m: os.truncate(segments(m)[0], 64), 4, 4, None, None),
    "segment cut in the middle": (lambda m: os.truncate(segments(m)[0], os.path.getsize(segments(m)[0]) // 2), 4, 4, None, None),
    "segment lost its last byte": (lambda m: os.truncate(segments(m)[-1], os.path.getsize(segments(m)[-1]) - 1), None, None, None, None),
    "bit of a segment's header": (lambda m: flip(segments(m)[0], 20), 0, 0, 0, 0),
    "bit of the head of a record that nothing needs": (lambda m: flip(segments(m)[0], 64 + 9), 0, 0, 0, 0),
    "bit of a record's head": (lambda m: flip(segments(m)[0], largest_record(m) + 9), 4, 4, None, None),
    "bit of a record's directory": (lambda m: flip(segments(m)[0], largest_record(m) + 40 + 33), 4, 4, None, None),
    "bit of a payload": (lambda m: flip(segments(m)[0], 400_000), 0, 4, 0, None),
    "a bit in each 100 kB of the segments": (lambda m: [flip(path, *every(path, 100_000)) for path in segments(m)], 0, 4, 0, 4),
    "a bit in each kB of the segments": (lambda m: [flip(path, *every(path, 1000)) for path in segments(m)], 4, 4, None, None),
    "segment gone": (lambda m: os.remove(segments(m)[0]), 4, 4, None, None),
    "all segments gone": (lambda m: [os.remove(path) for path in segments(m)], 4, 4, None, None),
    "segment there twice": (lambda m: shutil.copy(segments(m)[0], in_store(m, "blocks/segments/000000f0.seg")), 0, 0, 0, 0),
    "segment under another number": (lambda m: os.rename(segments(m)[0], in_store(m, "blocks/segments/000000f0.seg")), None, None, None, None),
    "segment of another store": (lambda m: shutil.copy(m.foreign_segment(), segments(m)[0]), 4, 4, None, None),
    "segment of another store beside": (lambda m: shutil.copy(m.foreign_segment(), in_store(m, "blocks/segments/00000002.seg")), 0, 0, 0, 0),
    "segment and its log swapped": (lambda m: swap(segments(m)[0], state_files(m)[0]), None, None, None, None),
    "directory of the blocks emptied": (lambda m: empty(in_store(m, "blocks")), None, None, None, None),
    "FORMAT gone": (lambda m: os.remove(in_store(m, "blocks/FORMAT")), 0, 0, 0, 0),
    "bit of FORMAT": (lambda m: flip(in_store(m, "blocks/FORMAT"), 20), 0, 0, 0, 0),
    "bits of the logs": (lambda m: [flip(path, 64 + 12) for path in state_files(m, ".log")], 0, 0, 0, 0),
    "logs cut": (lambda m: [os.truncate(path, 100) for path in state_files(m, ".log")], 0, 0, 0, 0),
    "bits of the checkpoints": (lambda m: [flip(path, 70) for path in state_files(m, ".ckp")], 0, 0, 0, 0),
    "checkpoints cut": (lambda m: [os.truncate(path, 64) for path in state_files(m, ".ckp")], 0, 0, 0, 0),
    "state gone": (lambda m: empty(in_store(m, "blocks/state")), 0, 0, 0, 0),
    "record gone, and the memory of it": (lose_record, 10, 10, 10, 10),
    "identity gone": (lambda m: os.remove(in_store(m, "lone.id")), 0, 0, 0, 0),
    "bit of the identity": (lambda m: flip(in_store(m, "lone.id"), 40), 0, 0, 0, 0),
    "bits of the high-water marks": (lambda m: [flip(path, 60) for path in client_files(m, "marks")], 4, 4, 4, 4),
    "high-water marks cut": (lambda m: [os.truncate(path, 30) for path in client_files(m, "marks")], 4, 4, 4, 4),
    "bits of the caches": (lambda m: [flip(path, 10, 200) for path in client_files(m, "dedup")], 0, 0, 0, 0),
    "all that the client remembers": (lambda m: empty(os.path.join(m.data, "client")), 0, 0, 0, 0),
    "bit of the key file": (lambda m: flip(os.path.join(m.data, "owner.key"), 60), 4, 4, 4, 4),
    "key file cut": (lambda m: os.truncate(os.path.join(m.data, "owner.key"), 100), 4, 4, 4, 4),
    "key file gone": (lambda m: os.remove(os.path.join(m.data, "owner.key")), 12, 12, 12, 12),
}
# What check --read-data says of it, beside its exit code.
SAYS = {
    "nothing": "no damage was found",
    "segment cut to nothing": "damaged",
    "segment gone": "damaged|lost",
    "bit of the head of a record that nothing needs": "00000001.seg: damaged, \\d+ B skipped",
    "bit of a record's head": "blocks of \\d+ lost or damaged",
    "bit of a payload": r"1 block of \d+ lost or damaged",
    "a bit in each 100 kB of the segments": "paths are hurt",
    "record gone, and the memory of it": "no such volume|there is no volume|cannot open volume",
    "bits of the high-water marks": "remove the file to go on with what the holders show",
    "bit of the key file": "'pelago key import FILE --replace'",
    "key file gone": "'pelago key import FILE'",
}
COMMANDS = (["check"], ["check", "--read-data"], ["ls", "latest"], ["restore", "latest", "--target"])


def readable(m):
    """What comes back of each snapshot that is listed, by the backup it is of."""
    listed = m.try_run("archive", "snapshots", "--json")
    found = {}
    for one in json.loads(listed.stdout) if listed.stdout.startswith(b"[") else []:
        backup = one.get("original", one["id"])
        out = m.path("out")
        shutil.rmtree(out, ignore_errors=True)
        m.try_run("archive", "restore", one["id"], "--target", out)
        got = contents(out + m.source) if os.path.isdir(out + m.source) else {}
        for path, content in got.items():
            check(m.truth[backup].get(path, b"") == content, f"{path} came back as something else")
        found.setdefault(backup, set()).update(got)
    return found


def test_the_corpus_is_told_of_as_it_should_be_and_repair_keeps_what_can_be_read(m):
    wrong = []
    for name, (damage, *expected) in CORPUS.items():
        m.fresh()
        damage(m)
        codes = []
        for command, code in zip(COMMANDS, expected):
            out = m.path("out")
            shutil.rmtree(out, ignore_errors=True)
            done = m.try_run("archive", *command, *([out] if command[0] == "restore" else []))
            codes.append(done.returncode)
            if done.returncode != code and not (code is None and done.returncode in (0, 1, 3, 4)):
                wrong.append(f"{name}: expected {expected}\n{done.shown}")
            if "--read-data" in command and not re.search(SAYS.get(name, ""), done.shown):
                wrong.append(f"{name}: nothing says {SAYS[name]}\n{done.shown}")
        if max(codes) in (0, 10, 12) or "key" in name:
            continue
        before = readable(m)
        m.try_run("archive", "repair", "--read-data")
        after = readable(m)
        for backup, paths in before.items():
            missing = paths - after.get(backup, set())
            if missing:
                wrong.append(f"{name}: repair lost {sorted(missing)[:5]} of {backup}")
        print(f"    {name}: {codes}", flush=True)
    check(not wrong, "\n".join(wrong))


def main(stories):
    return run_stories(stories, lambda name, scratch: Corpus(scratch))


if __name__ == "__main__":
    sys.exit(main(globals()))
