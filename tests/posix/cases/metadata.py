"""Modes, owners, times, counts: what stat says, and when it changes."""
import errno
import os
import random
import stat
import time

from harness import ROOT, USER, case
from system import AT_SYMLINK_NOFOLLOW, UTIME_NOW, UTIME_OMIT, birth_time_ns, copy_file_range, fallocate, opened, read, utimensat, write

LATER = 2 * 10**9 * 10**9  # 2033


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def times(path):
    seen = os.lstat(path)
    return seen.st_atime_ns, seen.st_mtime_ns, seen.st_ctime_ns


def pause():
    """Until the clock that stamps files has moved on."""
    time.sleep(0.012)


def changes(t, path, what, function, *arguments, mtime=False, ctime=False):
    """The call moves exactly these times of `path`."""
    before = times(path)
    pause()
    function(*arguments)
    after = times(path)
    t.equal((after[1] > before[1], after[2] > before[2]), (mtime, ctime), f"{what} moves mtime, ctime of {path}")


@case()
def every_mode_sticks(t):
    write("f")
    os.mkdir("d")
    draw = random.Random(5)
    for wanted in [0, 0o777, 0o4755, 0o2711, 0o1777, *(draw.randrange(0o10000) for _ in range(20))]:
        os.chmod("f", wanted)
        t.equal(mode("f"), wanted, "mode of a file")
        os.chmod("d", wanted)
        t.equal(mode("d"), wanted, "mode of a directory")
    with opened("g", os.O_RDWR | os.O_CREAT) as fd:
        os.fchmod(fd, 0o604)
        t.equal(mode("g"), 0o604, "fchmod")
    os.symlink("f", "s")
    os.chmod("s", 0o640)
    t.equal((mode("f"), mode("s")), (0o640, 0o777), "chmod through a link")
    t.fails(errno.ENOENT, os.chmod, "absent", 0o600)


@case()
def umask_takes_bits_away(t):
    for mask in (0, 0o022, 0o077, 0o777):
        os.umask(mask)
        os.close(os.open("f", os.O_CREAT | os.O_RDWR, 0o666))
        os.mkdir("d", 0o777)
        os.mkfifo("p", 0o666)
        os.mknod("n", stat.S_IFREG | 0o640)
        t.equal((mode("f"), mode("d"), mode("p"), mode("n")), (0o666 & ~mask, 0o777 & ~mask, 0o666 & ~mask, 0o640 & ~mask),
                f"modes under umask {mask:o}")
        for name in ("f", "p", "n"):
            os.unlink(name)
        os.rmdir("d")


@case()
def a_file_made_unreadable_stays_open(t):
    with opened("f", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0) as fd:
        os.write(fd, b"x")
        t.equal(os.pread(fd, 1, 0), b"x", "content")
        t.equal(mode("f"), 0, "mode")


@case(ROOT)
def every_owner_sticks(t):
    write("f")
    os.mkdir("d")
    os.symlink("f", "s")
    for uid, gid in ((1, 2), (65_534, 65_534), (2**31, 2**31 + 1), (2**32 - 2, 2**32 - 2), (0, 0)):
        for path in ("f", "d", "s"):
            os.lchown(path, uid, gid)
            seen = os.lstat(path)
            t.equal((seen.st_uid, seen.st_gid), (uid, gid), f"owner of {path}")
    os.chown("f", 7, -1)
    os.chown("f", -1, 8)
    t.equal((os.stat("f").st_uid, os.stat("f").st_gid), (7, 8), "one at a time")
    os.chown("s", 9, 9)
    t.equal((os.stat("f").st_uid, os.lstat("s").st_uid), (9, 0), "chown through a link")
    with opened("f") as fd:
        os.fchown(fd, 10, 10)
    t.equal(os.stat("f").st_uid, 10, "fchown")


@case(USER)
def an_ordinary_user_gives_nothing_away(t):
    write("f")
    t.fails(errno.EPERM, os.chown, "f", 0, -1)
    t.fails(errno.EPERM, os.chown, "f", t.uid + 1, -1)
    t.fails(errno.EPERM, os.chown, "f", -1, t.gid + 1)
    os.chown("f", t.uid, t.gid)
    os.chown("f", -1, -1)


@case(ROOT)
def an_owner_may_choose_among_his_groups(t):
    write("f")
    os.chown("f", 4000, 4000)

    def choose():
        os.chown("f", -1, 4001)
        t.equal(os.stat("f").st_gid, 4001, "group")
        t.fails(errno.EPERM, os.chown, "f", -1, 4002)
        os.chmod("f", 0o2755)
        t.equal(mode("f"), 0o2755, "set-gid of a group of his")
    t.alone(choose, uid=4000, gid=4000, groups=[4001])

    def lose():
        os.chmod("f", 0o2755)
        t.equal(mode("f"), 0o755, "set-gid of a group that is not his")
    t.alone(lose, uid=4000, gid=4000)


@case(USER)
def writing_clears_set_id(t):
    def after(change, wanted=0o6777):
        os.chmod("f", wanted)
        t.equal(mode("f"), wanted, "mode before")
        change()
        return mode("f")

    write("f", b"x" * 100)
    with opened("f") as fd, opened("g") as source:
        os.write(source, b"abc")
        t.equal(after(lambda: os.pwrite(fd, b"y", 0)), 0o777, "after a write")
        t.equal(after(lambda: os.ftruncate(fd, 50)), 0o777, "after ftruncate")
        t.equal(after(lambda: os.truncate("f", 20)), 0o777, "after truncate")
        t.equal(after(lambda: os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))), 0o777, "after O_TRUNC")
        t.equal(after(lambda: fallocate(fd, 0, 0, 100)), 0o777, "after fallocate")
        t.equal(after(lambda: copy_file_range(source, 0, fd, 0, 3)), 0o777, "after copy_file_range")
        t.equal(after(lambda: os.pwrite(fd, b"y", 0), 0o4744), 0o744, "set-uid after a write")
        t.equal(after(lambda: read("f")), 0o6777, "after a read")
        t.equal(after(lambda: os.utime("f")), 0o6777, "after utime")
    t.equal(after(lambda: os.rename("f", "h") or os.rename("h", "f")), 0o6777, "after a rename")


@case(ROOT)
def chown_clears_set_id(t):
    write("f")
    os.chmod("f", 0o6755)
    os.chown("f", 5, 5)
    t.equal(mode("f"), 0o755, "a file")
    os.mkdir("d")
    os.chmod("d", 0o6755)
    os.chown("d", 5, 5)
    t.equal(mode("d"), 0o6755, "a directory keeps them")
    os.chmod("f", 0o6755)
    with opened("f") as fd:
        os.pwrite(fd, b"x", 0)
    t.equal(mode("f"), 0o6755, "a write by root does not")


@case(ROOT)
def set_id_of_another_s_file_is_cleared_by_a_writer(t):
    write("f", b"x")
    os.chmod("f", 0o6777)

    def body():
        with opened("f", os.O_RDWR) as fd:
            os.pwrite(fd, b"y", 0)
    t.alone(body, uid=4000)
    t.equal(mode("f"), 0o777, "after a stranger's write")


@case()
def times_are_kept_to_the_nanosecond(t):
    write("f")
    os.mkdir("d")
    os.symlink("f", "s")
    draw = random.Random(7)
    for _ in range(10):
        wanted = (draw.randrange(LATER), draw.randrange(LATER))
        for path in ("f", "d", "s"):
            os.utime(path, ns=wanted, follow_symlinks=False)
            t.equal(times(path)[:2], wanted, f"atime, mtime of {path}")
    os.utime("f", ns=(0, 0))
    t.equal(times("f")[:2], (0, 0), "1970")
    os.utime("f", ns=(-1_500_000_000, -1))
    t.equal(times("f")[:2], (-1_500_000_000, -1), "before 1970")
    os.utime("f", ns=(5_000_000_000 * 10**9, 5_000_000_001 * 10**9))
    t.equal(times("f")[:2], (5_000_000_000 * 10**9, 5_000_000_001 * 10**9), "after 2106")
    with opened("f") as fd:
        os.utime(fd, ns=(11, 12))
        t.equal(times("f")[:2], (11, 12), "futimens")


@case()
def now_and_omit(t):
    write("f")
    os.utime("f", ns=(1, 2))
    utimensat("f", (0, UTIME_OMIT), (7, 8))
    t.equal(times("f")[:2], (1, 7 * 10**9 + 8), "atime left out")
    utimensat("f", (9, 10), (0, UTIME_OMIT))
    t.equal(times("f")[:2], (9 * 10**9 + 10, 7 * 10**9 + 8), "mtime left out")
    before = times("f")
    pause()
    utimensat("f", (0, UTIME_OMIT), (0, UTIME_OMIT))
    t.equal(times("f"), before, "both left out: nothing changes, ctime neither")
    utimensat("f", (0, UTIME_NOW), (0, UTIME_OMIT))
    t.check(abs(times("f")[0] - time.time_ns()) < 5 * 10**9, "atime now")
    t.equal(times("f")[1], 7 * 10**9 + 8, "mtime left out")
    utimensat("f", (0, UTIME_NOW), (0, UTIME_NOW))
    t.check(abs(times("f")[1] - time.time_ns()) < 5 * 10**9, "mtime now")
    t.fails(errno.EINVAL, utimensat, "f", (0, 10**9), (0, 0))
    os.symlink("absent", "s")
    utimensat("s", (3, 0), (4, 0), AT_SYMLINK_NOFOLLOW)
    t.equal(times("s")[1], 4 * 10**9, "of a link")
    t.fails(errno.ENOENT, utimensat, "s", (3, 0), (4, 0))


@case(ROOT)
def who_may_set_times(t):
    write("f")
    os.chmod("f", 0o666)
    write("g")
    os.chmod("g", 0o644)

    def body():
        os.utime("f")
        t.fails(errno.EPERM, os.utime, "f", ns=(1, 1))
        t.fails(errno.EPERM, utimensat, "f", (0, UTIME_NOW), (0, UTIME_OMIT))
        t.fails(errno.EACCES, os.utime, "g")
        t.fails(errno.EPERM, os.utime, "g", ns=(1, 1))
    t.alone(body, uid=4000)


@case()
def what_moves_the_times_of_a_file(t):
    write("f", b"x" * 100)
    with opened("f") as fd:
        changes(t, "f", "write", os.pwrite, fd, b"y", 0, mtime=True, ctime=True)
        changes(t, "f", "ftruncate", os.ftruncate, fd, 50, mtime=True, ctime=True)
        changes(t, "f", "truncate", os.truncate, "f", 60, mtime=True, ctime=True)
        changes(t, "f", "read", os.pread, fd, 10, 0)
        changes(t, "f", "a write of nothing", os.pwrite, fd, b"", 0)
        changes(t, "f", "fsync", os.fsync, fd)
        changes(t, "f", "fallocate", fallocate, fd, 0, 0, 1000, mtime=True, ctime=True)
    changes(t, "f", "close and open", lambda: os.close(os.open("f", os.O_RDWR)))
    changes(t, "f", "chmod", os.chmod, "f", 0o600, ctime=True)
    changes(t, "f", "chown", os.chown, "f", t.uid, t.gid, ctime=True)
    changes(t, "f", "link", os.link, "f", "g", ctime=True)
    changes(t, "f", "unlink of the other name", os.unlink, "g", ctime=True)
    changes(t, "f", "setxattr", os.setxattr, "f", "user.x", b"1", ctime=True)
    changes(t, "f", "removexattr", os.removexattr, "f", "user.x", ctime=True)
    changes(t, "f", "O_TRUNC", lambda: os.close(os.open("f", os.O_WRONLY | os.O_TRUNC)), mtime=True, ctime=True)
    changes(t, "f", "stat", os.stat, "f")
    changes(t, "f", "utime", os.utime, "f", mtime=True, ctime=True)


@case()
def what_moves_the_times_of_a_directory(t):
    os.mkdir("d")
    os.mkdir("e")
    both = {"mtime": True, "ctime": True}
    changes(t, "d", "create", write, "d/f", **both)
    changes(t, "d", "a write into a file", write, "d/f", b"more")
    changes(t, "d", "chmod of a file", os.chmod, "d/f", 0o600)
    changes(t, "d", "mkdir", os.mkdir, "d/sub", **both)
    changes(t, "d", "symlink", os.symlink, "x", "d/s", **both)
    changes(t, "d", "mkfifo", os.mkfifo, "d/p", **both)
    changes(t, "d", "link", os.link, "d/f", "d/g", **both)
    changes(t, "d", "rename within", os.rename, "d/f", "d/h", **both)
    changes(t, "e", "rename into", os.rename, "d/h", "e/h", **both)
    changes(t, "e", "rename out of", os.rename, "e/h", "d/h", **both)
    changes(t, "d", "unlink", os.unlink, "d/g", **both)
    changes(t, "d", "rmdir", os.rmdir, "d/sub", **both)
    changes(t, "d", "readdir", os.listdir, "d")
    changes(t, "d", "create in a subdirectory", os.mkdir, "e/x")
    changes(t, "d", "a failed mkdir", lambda: t.fails(errno.EEXIST, os.mkdir, "d/h"))
    changes(t, "d", "chmod", os.chmod, "d", 0o700, ctime=True)


@case()
def a_rename_keeps_the_file_s_own_mtime(t):
    write("f")
    os.utime("f", ns=(1, 2))
    os.rename("f", "g")
    t.equal(times("g")[:2], (1, 2), "atime, mtime")


@case()
def times_set_on_a_written_file_survive_its_close(t):
    with opened("f") as fd:
        os.write(fd, b"x" * 10_000)
        os.utime("f", ns=(100, 200))
    t.equal(times("f")[1], 200, "mtime after close")
    with opened("f") as fd:
        os.write(fd, b"x" * 10_000)
        os.utime(fd, ns=(300, 400))
        os.fsync(fd)
        t.equal(times("f")[1], 400, "mtime after fsync")
    t.equal(times("f")[1], 400, "mtime after close")


@case()
def new_files_are_stamped_now(t):
    before = time.time_ns() - 10**8
    write("f")
    os.mkdir("d")
    os.symlink("x", "s")
    for path in ("f", "d", "s"):
        for stamp in times(path):
            t.check(before <= stamp <= time.time_ns() + 10**8, f"{path} is of now")


@case()
def the_time_of_a_write_does_not_move_later(t):
    with opened("f") as fd:
        os.write(fd, b"x")
        first = times("f")[1:]
        pause()
        t.equal(times("f")[1:], first, "while open")
    pause()
    t.equal(times("f")[1:], first, "after close")


@case()
def reading_moves_an_atime_older_than_mtime(t):
    if "noatime" in t.options:
        t.skip("mounted noatime")
    write("f", b"x" * 100)
    os.utime("f", ns=(10**9, 2 * 10**9))
    pause()
    read("f")
    seen = times("f")
    t.check(seen[0] > 10**9, "atime moves")
    t.equal(seen[1], 2 * 10**9, "mtime does not")
    pause()
    read("f")
    if "relatime" in t.options:
        t.equal(times("f")[0], seen[0], "a second read moves nothing (relatime)")


@case()
def o_noatime_leaves_atime(t):
    write("f", b"x" * 100)
    os.utime("f", ns=(10**9, 2 * 10**9))
    with opened("f", os.O_RDONLY | os.O_NOATIME) as fd:
        os.read(fd, 100)
    t.equal(times("f")[0], 10**9, "atime")


@case()
def birth_time_stays(t):
    before = time.time_ns() - 10**8
    write("f")
    born = birth_time_ns("f")
    t.check(born is not None, "statx has a birth time")
    t.check(before <= born <= time.time_ns(), "of now")
    write("f", b"more")
    os.utime("f", ns=(1, 1))
    os.rename("f", "g")
    t.equal(birth_time_ns("g"), born, "after write, utime and rename")


@case()
def blocks_count_what_is_there(t):
    with opened("f") as fd:
        os.ftruncate(fd, 64 << 20)
        os.pwrite(fd, random.Random(9).randbytes(4096), 32 << 20)
        os.fsync(fd)
        t.check(os.fstat(fd).st_blocks * 512 < 1 << 20, "a sparse file of 64 MiB takes less than 1 MiB")
    with opened("g") as fd:
        os.write(fd, random.Random(9).randbytes(1 << 20))
        os.fsync(fd)
        t.check(os.fstat(fd).st_blocks * 512 >= 1 << 20, "1 MiB of noise takes 1 MiB")
        os.ftruncate(fd, 0)
        t.check(os.fstat(fd).st_blocks * 512 < 1 << 17, "nothing takes next to nothing")
    write("empty")
    t.equal(os.stat("empty").st_blocks, 0, "an empty file takes nothing")


@case()
def inode_numbers_stay(t):
    write("f")
    os.mkdir("d")
    number, device = os.stat("f").st_ino, os.stat("f").st_dev
    t.equal(device, os.stat(".").st_dev, "device")
    os.rename("f", "d/g")
    with opened("d/g") as fd:
        os.write(fd, b"x")
    t.equal(os.stat("d/g").st_ino, number, "after rename and write")
    made = {os.stat(write(f"n{i}")).st_ino for i in range(100)}
    t.equal(len(made), 100, "different files have different numbers")


@case()
def statfs_makes_sense(t):
    write("f")
    for seen in (os.statvfs("."), os.statvfs("f")):
        t.check(seen.f_bsize > 0 and seen.f_frsize > 0, "block size")
        t.check(seen.f_blocks >= seen.f_bfree >= seen.f_bavail > 0, "blocks >= free >= available > 0")
        t.check(seen.f_files >= seen.f_ffree, "inodes >= free")
        t.equal(seen.f_namemax, 255, "longest name")
    with opened("f") as fd:
        t.equal(os.fstatvfs(fd).f_bsize, os.statvfs(".").f_bsize, "by descriptor")


@case()
def access_asks_the_mode(t):
    write("f")
    os.chmod("f", 0o500)
    t.check(os.access("f", os.R_OK | os.X_OK), "r-x for its owner")
    t.equal(os.access("f", os.W_OK), t.uid == 0, "no w, but for root")
    os.chmod("f", 0o400)
    t.check(not os.access("f", os.X_OK), "no x, root neither")
    t.check(not os.access("absent", os.F_OK), "absent")


@case()
def hidden_bits_of_new_files(t):
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o7755)
    os.close(fd)
    seen = mode("f")
    if seen & 0o777 != 0o755:
        raise Failed(f"permission bits {seen:o}")
    t.equal(seen & 0o4000, 0o4000, "set-uid may be asked for at creation")
