"""Locks between processes: flock and fcntl."""
import errno
import fcntl
import os
import signal
import struct
import time

from harness import case
from system import opened, write

F_OFD_SETLK = 37
LAYOUT = "hhqqixxxx"  # struct flock


def lock(fd, kind, start=0, length=0, wait=False):
    fcntl.fcntl(fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, struct.pack(LAYOUT, kind, os.SEEK_SET, start, length, 0))


def holder(fd, kind, start=0, length=0):
    """Who holds what is in the way: (kind, start, length, pid); None if nothing is."""
    seen = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(LAYOUT, kind, os.SEEK_SET, start, length, 0))
    kind, _, start, length, pid = struct.unpack(LAYOUT, seen)
    return None if kind == fcntl.F_UNLCK else (kind, start, length, pid)


def locker(line):
    """Another process: does the calls it is told, on its own descriptor."""
    fd = os.open("f", os.O_RDWR)
    while (text := line.hear(timeout=25)) is not None:
        verb, *numbers = text.split()
        numbers = [int(number) for number in numbers]
        try:
            if verb == "flock":
                fcntl.flock(fd, numbers[0])
            elif verb == "lock":
                lock(fd, *numbers)
            elif verb == "wait":
                lock(fd, *numbers, wait=True)
            elif verb == "reopen":
                os.close(fd)
                fd = os.open("f", os.O_RDWR)
            line.say("ok")
        except OSError as error:
            line.say(errno.errorcode[error.errno])


def refused(text):
    return text in ("EAGAIN", "EACCES")


@case()
def flock_excludes_other_processes(t):
    write("f")
    with opened("f") as fd:
        other = t.beside(locker)
        fcntl.flock(fd, fcntl.LOCK_EX)
        t.equal(other.ask(f"flock {fcntl.LOCK_EX | fcntl.LOCK_NB}"), "EAGAIN", "exclusive against exclusive")
        t.equal(other.ask(f"flock {fcntl.LOCK_SH | fcntl.LOCK_NB}"), "EAGAIN", "shared against exclusive")
        fcntl.flock(fd, fcntl.LOCK_SH)
        t.equal(other.ask(f"flock {fcntl.LOCK_SH | fcntl.LOCK_NB}"), "ok", "shared beside shared")
        t.fails(errno.EAGAIN, fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        t.equal(other.ask(f"flock {fcntl.LOCK_UN}"), "ok", "unlock")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
        t.equal(other.ask(f"flock {fcntl.LOCK_EX | fcntl.LOCK_NB}"), "ok", "exclusive when free")
        other.kill()
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        t.check(True, "a killed process's lock is gone")


@case()
def flock_belongs_to_the_open_file(t):
    write("f")
    with opened("f") as one, opened("f") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        t.fails(errno.EAGAIN, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        twin = os.dup(one)
        fcntl.flock(twin, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(twin)
        t.fails(errno.EAGAIN, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)


@case()
def closing_the_last_descriptor_frees_a_flock(t):
    write("f")
    fd = os.open("f", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)
    with opened("f") as fd:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        t.check(True, "locked")


@case()
def a_waiting_flock_wakes(t):
    write("f")
    with opened("f") as fd:
        other = t.beside(locker)
        fcntl.flock(fd, fcntl.LOCK_EX)
        other.line.say(f"flock {fcntl.LOCK_EX}")
        t.equal(other.line.hear(timeout=0.1), None, "while it is held")
        fcntl.flock(fd, fcntl.LOCK_UN)
        t.equal(other.line.hear(), "ok", "when it is free")
        other.end()


@case()
def a_directory_can_be_flocked(t):
    with opened(".", os.O_RDONLY) as one, opened(".", os.O_RDONLY) as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        t.fails(errno.EAGAIN, fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)


@case()
def record_locks_exclude_by_range(t):
    write("f", b"x" * 100)
    with opened("f") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_WRLCK, 10, 10)
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 15 1")), "inside")
        t.check(refused(other.ask(f"lock {fcntl.F_RDLCK} 0 11")), "overlapping")
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 0 10"), "ok", "before")
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 20 0"), "ok", "behind, to the end of all")
        t.equal(holder(fd, fcntl.F_WRLCK, 0, 5), (fcntl.F_WRLCK, 0, 10, other.pid), "who is in the way")
        t.equal(holder(fd, fcntl.F_WRLCK, 1 << 40, 1), (fcntl.F_WRLCK, 20, 0, other.pid), "who is in the way far behind")
        t.equal(holder(fd, fcntl.F_WRLCK, 12, 2), None, "our own lock is not")
        t.fails((errno.EAGAIN, errno.EACCES), lock, fd, fcntl.F_WRLCK, 5, 10)
        other.kill()
        lock(fd, fcntl.F_WRLCK, 0, 0)
        t.check(True, "a killed process's locks are gone")


@case()
def read_locks_share(t):
    write("f", b"x" * 100)
    with opened("f") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_RDLCK, 0, 100)
        t.equal(other.ask(f"lock {fcntl.F_RDLCK} 50 10"), "ok", "read beside read")
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 0 10")), "write against read")
        lock(fd, fcntl.F_UNLCK, 0, 10)
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 0 10"), "ok", "write where it was unlocked")
        t.fails((errno.EAGAIN, errno.EACCES), lock, fd, fcntl.F_WRLCK, 55, 1)
        other.end()


@case()
def record_locks_split_and_change_kind(t):
    write("f", b"x" * 100)
    with opened("f") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_WRLCK, 0, 100)
        lock(fd, fcntl.F_UNLCK, 40, 20)
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 40 20"), "ok", "the hole")
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 39 1")), "left of it")
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 60 1")), "right of it")
        lock(fd, fcntl.F_RDLCK, 0, 40)
        t.equal(other.ask(f"lock {fcntl.F_RDLCK} 0 40"), "ok", "read where it was lowered")
        t.check(refused(other.ask(f"lock {fcntl.F_RDLCK} 99 1")), "write where it was not")
        other.end()


@case()
def record_locks_go_with_any_close_of_the_process(t):
    write("f", b"x")
    with opened("f") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_WRLCK)
        os.close(os.open("f", os.O_RDONLY))
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 0 0"), "ok", "as POSIX has it")
        other.end()


@case()
def a_child_has_none_of_its_parent_s_record_locks(t):
    write("f", b"x")
    with opened("f") as fd:
        lock(fd, fcntl.F_WRLCK)
        t.fails((errno.EAGAIN, errno.EACCES), t.alone, lock, fd, fcntl.F_WRLCK)
        other = t.beside(locker)
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 0 0")), "the parent's is still there")
        other.end()


@case()
def a_waiting_record_lock_wakes(t):
    write("f", b"x")
    with opened("f") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_WRLCK)
        other.line.say(f"wait {fcntl.F_WRLCK} 0 0")
        t.equal(other.line.hear(timeout=0.1), None, "while it is held")
        lock(fd, fcntl.F_UNLCK)
        t.equal(other.line.hear(), "ok", "when it is free")
        other.end()


@case()
def a_waiting_record_lock_can_be_interrupted(t):
    write("f", b"x")

    def body(line):
        def alarm(*_):
            raise InterruptedError
        signal.signal(signal.SIGALRM, alarm)
        with opened("f") as mine:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            try:
                lock(mine, fcntl.F_WRLCK, wait=True)
                line.say("got it")
            except InterruptedError:
                line.say("interrupted")
    with opened("f") as fd:
        lock(fd, fcntl.F_WRLCK)
        other = t.beside(body)
        t.equal(other.line.hear(), "interrupted", "the other process")
        other.end()


@case()
def a_circle_of_waiting_locks_is_refused(t):
    write("f", b"x" * 10)
    with opened("f") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_WRLCK, 0, 1)
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 1 1"), "ok", "the other's first")
        other.line.say(f"wait {fcntl.F_WRLCK} 0 1")
        time.sleep(0.2)
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 3)
        t.fails(errno.EDEADLK, lock, fd, fcntl.F_WRLCK, 1, 1, True)
        other.kill()


@case()
def locks_ask_how_the_file_is_open(t):
    write("f", b"x")
    with opened("f", os.O_RDONLY) as fd:
        t.fails(errno.EBADF, lock, fd, fcntl.F_WRLCK)
        lock(fd, fcntl.F_RDLCK)
    with opened("f", os.O_WRONLY) as fd:
        t.fails(errno.EBADF, lock, fd, fcntl.F_RDLCK)
        lock(fd, fcntl.F_WRLCK)


@case()
def flock_and_record_locks_do_not_meet(t):
    write("f", b"x")
    with opened("f") as fd:
        other = t.beside(locker)
        fcntl.flock(fd, fcntl.LOCK_EX)
        t.equal(other.ask(f"lock {fcntl.F_WRLCK} 0 0"), "ok", "a record lock beside a flock")
        other.end()


@case()
def locks_of_an_open_file_description(t):
    write("f", b"x")
    with opened("f") as one, opened("f") as two:
        everything = struct.pack(LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(one, F_OFD_SETLK, everything)
        t.fails((errno.EAGAIN, errno.EACCES), fcntl.fcntl, two, F_OFD_SETLK, everything)


@case()
def locks_follow_the_file_not_its_name(t):
    write("f", b"x")
    os.link("f", "g")
    with opened("g") as fd:
        other = t.beside(locker)
        lock(fd, fcntl.F_WRLCK)
        os.rename("g", "h")
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 0 0")), "by another name of it")
        write("g", b"y")
        with opened("g") as new:
            lock(new, fcntl.F_WRLCK)
        t.check(refused(other.ask(f"lock {fcntl.F_WRLCK} 0 0")), "a new file of the old name is another")
        other.end()


@case()
def locked_counting_loses_nothing(t):
    write("f", b"%08d" % 0)
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            with opened("f") as fd:
                for _ in range(50):
                    lock(fd, fcntl.F_WRLCK, wait=True)
                    count = int(os.pread(fd, 8, 0))
                    os.pwrite(fd, b"%08d" % (count + 1), 0)
                    lock(fd, fcntl.F_UNLCK)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    with opened("f") as fd:
        t.equal(int(os.read(fd, 8)), 150, "count")
