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
    hurt = {one["snapshot_id"]: one for one in report["hurt"]} if report else {}
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


def main(stories):
    return run_stories(stories, lambda name, scratch: Corpus(scratch))


if __name__ == "__main__":
    sys.exit(main(globals()))
