#!/usr/bin/env python3
"""Several commands at once on the store of one machine that joined no network: one holds it and answers the others.

usage: one_store_test.py PELAGO [TEST...]
"""
import os
import signal
import subprocess
import sys
import time

from embedded_test import PATIENCE_S, Machine, check, main, random_tree, same, wait_for_stored


def begin_backup(m, source, files=60):
    """A backup that has the store and is under way."""
    random_tree(m.path(source), 1, files, 1 << 20)
    m.run("volume", "create", "archive")
    m.run("volume", "create", "second")
    process = m.start("archive", "backup", m.path(source))
    check(wait_for_stored(m, process, 4 << 20), "the backup was over before anything else began")
    return process


def ended(process, expect=0):
    out, err = process.communicate(timeout=PATIENCE_S)
    check(process.returncode == expect, f"exit {process.returncode}: {out[-2000:]}{err[-2000:]}")
    return err.decode()


def test_a_command_is_answered_while_another_holds_the_store(m):
    holder = begin_backup(m, "source", files=200)
    m.run("archive", "snapshots")
    check(holder.poll() is None, "the backup was over too soon for this test")
    random_tree(m.path("other"), 2, 20, 1 << 20)
    m.run("archive", "backup", m.path("other"), "--volume", "second")
    ended(holder)
    m.restore(m.path("out"))
    same(m.path("source"), m.path("out") + m.path("source"))
    m.restore(m.path("out2"), "latest", "--volume", "second")
    same(m.path("other"), m.path("out2") + m.path("other"))
    check(not os.path.exists(os.path.join(m.data, "node.sock")), "a socket stays behind")


def test_who_uses_the_store_of_a_command_that_ends_goes_on_without_it(m):
    for harm in (signal.SIGKILL, signal.SIGINT):
        user = Machine(m.path(harm.name))
        os.mkdir(user.scratch)
        holder = begin_backup(user, "source", files=300)
        random_tree(user.path("other"), 2, 100, 1 << 20)
        guest = user.start("archive", "backup", user.path("other"), "--volume", "second")
        time.sleep(0.3)
        holder.send_signal(harm)
        holder.communicate(timeout=PATIENCE_S)
        ended(guest)
        user.restore(user.path("out"), "latest", "--volume", "second", "--verify")
        same(user.path("other"), user.path("out") + user.path("other"))


def test_many_commands_at_once_all_end_well(m):
    random_tree(m.path("source"), 3, 20, 100_000)
    names = [f"v{n}" for n in range(8)]
    for name in names:
        m.run("volume", "create", name)
    backups = [m.start("archive", "backup", m.path("source"), "--volume", name) for name in names]
    for process in backups:
        ended(process)
    for name in names:
        m.run("archive", "restore", "latest", "--volume", name, "--target", m.path(name), "--verify")
        same(m.path("source"), m.path(name) + m.path("source"))


def test_a_holder_that_is_stopped_is_waited_for(m):
    holder = begin_backup(m, "source")
    holder.send_signal(signal.SIGSTOP)
    waiting = m.start("archive", "snapshots")
    time.sleep(4)
    check(waiting.poll() is None, "it did not wait")
    holder.send_signal(signal.SIGCONT)
    ended(waiting)
    ended(holder)


if __name__ == "__main__":
    sys.exit(main(globals()))
