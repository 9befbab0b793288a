#!/usr/bin/env python3
"""A mounted volume asked for what POSIX promises (tests/posix): cases, random operations, real programs, the five phases.

usage: posix_test.py PELAGO [TEST...]
"""
import os
import shlex
import subprocess
import sys

import mount_test
from mount_test import PATIENCE_S, Machine
from stories import PELAGO, ROOT, check, run_stories

POSIX = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "posix")
OPTIONS = "allow_other,suid,dev,exec" if ROOT else "exec"


def run(m, program, *args):
    done = subprocess.run([sys.executable, os.path.join(POSIX, program), *args], env={**os.environ, **m.environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S, check=False)
    check(done.returncode == 0, f"{program} {' '.join(args)}: exit {done.returncode}\n{done.stdout[-8000:]}")
    print("         " + done.stdout.strip().splitlines()[-1])


def test_every_case_holds_for_root_and_an_ordinary_user(m):
    mount_test.volume(m, OPTIONS)
    os.chmod(m.scratch, 0o755)  # an ordinary user goes through it
    run(m, "run.py", m.directory)


def test_random_operations_outlive_remounts_and_kills(m):
    mount_test.volume(m, OPTIONS)
    mount = f"{shlex.quote(PELAGO)} mount -d v \"$DIR\" -o {OPTIONS}"
    kill = "kill -9 $(getfattr --only-values -n user.pelago.pid \"$DIR\"); fusermount3 -u -z \"$DIR\"; "
    run(m, "randomops", m.directory, "--ops", "4000", "--every", "600", "--remount", f"{shlex.quote(PELAGO)} umount \"$DIR\" --wait && {mount}",
        "--crash", kill + mount)


def test_programs_work_in_it(m):
    mount_test.volume(m, OPTIONS)
    run(m, "realwork.py", m.directory, "--only", "make,tar,sqlite-*")


def test_the_five_phases_can_be_measured_in_it(m):
    mount_test.volume(m, OPTIONS)
    plain = m.path("plain")
    os.mkdir(plain)
    done = m.run("bench", "nfs", "--dir", m.directory, "--vs", plain, "--rounds", "1", "--warm", "--compile", "make -s -j2 check")
    print("\n".join("         " + line for line in done.stdout.decode().splitlines()[2:]))
    check(os.listdir(m.directory) == [] and os.listdir(plain) == [], "something is left behind")


if __name__ == "__main__":
    sys.exit(run_stories(globals(), lambda name, scratch: Machine(scratch), mount_test.can_mount()))
