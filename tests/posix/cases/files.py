"""Bytes of a file: created, read, written, appended, cut, kept while open."""
import errno
import os
import random
import resource
import signal
import socket
import stat
import threading

from harness import ROOT, USER, case
from system import AT_EMPTY_PATH, PAGE, linkat, names, opened, read, sync_file_range, syncfs, write


@case()
def a_new_file_is_empty_and_ours(t):
    with opened("f", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666) as fd:
        seen = os.fstat(fd)
        t.check(stat.S_ISREG(seen.st_mode), "a regular file")
        t.equal(stat.S_IMODE(seen.st_mode), 0o644, "mode under umask 022")
        t.equal((seen.st_size, seen.st_nlink), (0, 1), "size and links")
        t.equal((seen.st_uid, seen.st_gid), (t.uid, t.gid), "owner")
        t.equal(os.read(fd, 10), b"", "content")
        t.equal(os.stat("f").st_ino, seen.st_ino, "inode by name and by descriptor")


@case()
def exclusive_create_takes_nothing_that_is_there(t):
    write("f")
    os.mkdir("d")
    os.symlink("nowhere", "dangling")
    for name in ("f", "d", "dangling"):
        t.fails(errno.EEXIST, os.open, name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    t.check(not os.path.lexists("nowhere"), "nothing was made through the link")


@case()
def create_follows_a_dangling_link(t):
    os.symlink("target", "link")
    write("link", b"x")
    t.equal(read("target"), b"x", "what the link points to")
    t.check(os.path.islink("link"), "the link stays a link")


@case()
def open_refuses_what_the_flags_rule_out(t):
    os.mkdir("d")
    write("f")
    os.symlink("f", "link")
    os.symlink("loop", "loop")
    t.fails(errno.ENOENT, os.open, "absent", os.O_RDONLY)
    t.fails(errno.EISDIR, os.open, "d", os.O_WRONLY)
    t.fails(errno.EISDIR, os.open, "d", os.O_RDWR)
    t.fails(errno.EISDIR, os.open, "d", os.O_CREAT | os.O_RDWR)
    t.fails(errno.ENOTDIR, os.open, "f", os.O_RDONLY | os.O_DIRECTORY)
    t.fails(errno.ELOOP, os.open, "link", os.O_RDONLY | os.O_NOFOLLOW)
    t.fails(errno.ELOOP, os.open, "loop", os.O_RDONLY)
    t.fails(errno.ENOTDIR, os.open, "f/x", os.O_RDONLY)
    t.fails(errno.ENOTDIR, os.open, "f/x", os.O_CREAT | os.O_RDWR)
    t.fails(errno.ENOENT, os.open, "absent/x", os.O_CREAT | os.O_RDWR)
    t.fails((errno.ENOTDIR, errno.EISDIR), os.open, "f/", os.O_RDONLY)
    t.fails(errno.EISDIR, os.open, "new/", os.O_CREAT | os.O_RDWR)
    t.equal(names(), ["d", "f", "link", "loop"], "nothing was made")


@case()
def access_mode_binds_the_descriptor(t):
    write("f", b"abc")
    with opened("f", os.O_RDONLY) as fd:
        t.fails(errno.EBADF, os.write, fd, b"x")
        t.fails((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 0)
    with opened("f", os.O_WRONLY) as fd:
        t.fails(errno.EBADF, os.read, fd, 1)
    with opened("f", os.O_PATH) as fd:
        t.fails(errno.EBADF, os.read, fd, 1)
        t.equal(os.fstat(fd).st_size, 3, "fstat of O_PATH")
    with opened(".", os.O_RDONLY) as fd:
        t.fails(errno.EISDIR, os.read, fd, 1)
    t.equal(read("f"), b"abc", "content")


@case()
def random_writes_read_back(t):
    draw = random.Random(1)
    model = bytearray()
    with opened("f") as fd:
        for step in range(300):
            at = draw.randrange(200_000)
            data = draw.randbytes(draw.choice([1, 7, 100, PAGE, 5000, 20_000]))
            t.equal(os.pwrite(fd, data, at), len(data), "bytes written")
            if at > len(model):
                model.extend(bytes(at - len(model)))
            model[at:at + len(data)] = data
            at = draw.randrange(220_000)
            length = draw.randrange(30_000)
            t.check(os.pread(fd, length, at) == model[at:at + length], f"step {step}: read of {length} at {at}")
        t.equal(os.fstat(fd).st_size, len(model), "size")
    t.check(read("f") == model, "content after close")


@case()
def sizes_around_pages_and_requests(t):
    for size in (0, 1, 511, 512, PAGE - 1, PAGE, PAGE + 1, 65_535, 65_536, 131_071, 131_072, 131_073, 1 << 20, (1 << 20) + 1):
        data = random.Random(size).randbytes(size)
        write("f", data)
        t.equal(os.stat("f").st_size, size, "size")
        t.check(read("f") == data, f"content of {size} bytes")


@case()
def reads_end_at_the_end(t):
    write("f", b"0123456789")
    with opened("f") as fd:
        t.equal(os.pread(fd, 100, 5), b"56789", "short read")
        t.equal(os.pread(fd, 100, 10), b"", "read at the end")
        t.equal(os.pread(fd, 100, 1 << 40), b"", "read far behind the end")
        t.fails(errno.EINVAL, os.pread, fd, 1, -1)
        t.equal(os.pread(fd, 0, 0), b"", "read of nothing")


@case()
def a_hole_reads_as_zeros(t):
    with opened("f") as fd:
        os.pwrite(fd, b"end", 1_000_000)
        t.equal(os.fstat(fd).st_size, 1_000_003, "size")
        t.check(os.pread(fd, 1_000_000, 0) == bytes(1_000_000), "zeros before it")
        t.equal(os.pread(fd, 10, 1_000_000), b"end", "what was written")


@case()
def a_file_may_be_larger_than_the_disk(t):
    with opened("f") as fd:
        os.pwrite(fd, b"far", 1 << 40)
        t.equal(os.fstat(fd).st_size, (1 << 40) + 3, "size")
        t.equal(os.pread(fd, 5, (1 << 40) - 1), b"\0far", "bytes at 1 TiB")
        os.ftruncate(fd, 1 << 35)
        t.equal(os.pread(fd, 10, (1 << 35) - 4), bytes(4), "zeros at the new end")


@case()
def append_writes_at_the_end_wherever_the_offset_is(t):
    write("f", b"begin")
    with opened("f", os.O_RDWR | os.O_APPEND) as fd, opened("f") as other:
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"+1")
        os.pwrite(other, b"+2", 7)
        os.write(fd, b"+3")
        t.equal(os.lseek(fd, 0, os.SEEK_CUR), 11, "offset after an append")
        os.pwrite(fd, b"+4", 0)  # Linux appends here too
        os.ftruncate(other, 3)
        os.write(fd, b"!")
    t.equal(read("f"), b"beg!", "content")


@case()
def appends_of_several_processes_are_all_there(t):
    write("f")

    def append(letter):
        with opened("f", os.O_WRONLY | os.O_APPEND) as fd:
            for _ in range(100):
                os.write(fd, letter * 37 + b"\n")

    children = []
    for letter in (b"a", b"b", b"c"):
        child = os.fork()
        if child == 0:
            append(letter)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    lines = read("f").split(b"\n")
    t.equal(sorted(set(lines)), [b"", b"a" * 37, b"b" * 37, b"c" * 37], "whole lines")
    t.equal(len(lines), 301, "lines")


@case()
def truncate_cuts_and_grows_with_zeros(t):
    write("f", b"x" * 10_000)
    os.truncate("f", 5_001)
    t.equal(os.stat("f").st_size, 5_001, "size when cut")
    os.truncate("f", 20_000)
    t.check(read("f") == b"x" * 5_001 + bytes(14_999), "the cut bytes do not come back")
    with opened("f", os.O_RDWR | os.O_TRUNC) as fd:
        t.equal(os.fstat(fd).st_size, 0, "size after O_TRUNC")
        os.ftruncate(fd, PAGE)
        t.check(os.pread(fd, PAGE, 0) == bytes(PAGE), "zeros")
        t.fails(errno.EINVAL, os.ftruncate, fd, -1)
    t.fails(errno.EINVAL, os.truncate, "f", -1)
    t.fails(errno.EISDIR, os.truncate, ".", 0)
    t.fails(errno.ENOENT, os.truncate, "absent", 0)


@case()
def truncate_by_name_shows_on_an_open_descriptor(t):
    with opened("f") as fd:
        os.write(fd, b"y" * 9_000)
        os.truncate("f", 100)
        t.equal(os.fstat(fd).st_size, 100, "size")
        os.write(fd, b"z")
        t.check(os.pread(fd, 9_001, 0) == b"y" * 100 + bytes(8_900) + b"z", "a write at the old offset leaves a hole")


@case()
def vectors_and_sendfile(t):
    with opened("f") as fd, opened("g") as other:
        t.equal(os.writev(fd, [b"ab", b"", b"cde"]), 5, "writev")
        t.equal(os.pwritev(fd, [b"XY", b"Z"], 4), 3, "pwritev")
        one, two = bytearray(3), bytearray(10)
        t.equal(os.preadv(fd, [one, two], 0), 7, "preadv")
        t.equal(bytes(one + two[:4]), b"abcdXYZ", "what it read")
        t.equal(os.sendfile(other, fd, 1, 5), 5, "sendfile")
        t.equal(read("g"), b"bcdXY", "what it sent")


@case()
def descriptors_share_the_offset_across_dup_and_fork(t):
    write("f", b"0123456789")
    with opened("f") as fd:
        twin = os.dup(fd)
        os.read(fd, 3)
        t.equal(os.read(twin, 2), b"34", "through dup")
        child = os.fork()
        if child == 0:
            os.read(fd, 2)
            os._exit(0)
        os.waitpid(child, 0)
        t.equal(os.read(fd, 1), b"7", "after the child's read")
        os.close(twin)


@case()
def a_file_unlinked_while_open_lives_until_close(t):
    with opened("f") as fd:
        os.write(fd, b"still")
        os.unlink("f")
        t.equal(names(), [], "names")
        t.equal(os.fstat(fd).st_nlink, 0, "links")
        os.write(fd, b" here")
        t.equal(os.pread(fd, 100, 0), b"still here", "content")
        os.ftruncate(fd, 2)
        os.fchmod(fd, 0o600)
        os.utime(fd, ns=(5, 6))
        os.fsync(fd)
        seen = os.fstat(fd)
        t.equal((seen.st_size, seen.st_mtime_ns, stat.S_IMODE(seen.st_mode)), (2, 6, 0o600), "attributes")
        write("f", b"another")
        t.equal(os.pread(fd, 100, 0), b"st", "not mixed with the new file of that name")
        t.check(os.stat("f").st_ino != seen.st_ino, "two inodes")


@case()
def a_file_replaced_while_open_keeps_its_bytes(t):
    write("f", b"old")
    with opened("f") as fd:
        write("new", b"new")
        os.rename("new", "f")
        t.equal(os.pread(fd, 10, 0), b"old", "through the descriptor")
        t.equal(os.fstat(fd).st_nlink, 0, "links of the old")
        os.pwrite(fd, b"OLD", 0)
        t.equal(read("f"), b"new", "by name")


@case()
def a_file_renamed_while_open_is_the_same(t):
    with opened("f") as fd:
        os.write(fd, b"one")
        os.mkdir("d")
        os.rename("f", "d/g")
        os.write(fd, b"two")
        t.equal(read("d/g"), b"onetwo", "content")
        t.equal(os.stat("d/g").st_ino, os.fstat(fd).st_ino, "inode")


@case()
def an_unnamed_file_can_be_given_a_name(t):
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b"unseen")
    t.equal(names(), [], "names before")
    linkat(-100, f"/proc/self/fd/{fd}", "f", 0x400)
    os.close(fd)
    t.equal(read("f"), b"unseen", "content")


@case(ROOT)
def an_open_file_can_be_linked_by_its_descriptor(t):
    with opened("f") as fd:
        linkat(fd, "", "g", AT_EMPTY_PATH)
        t.equal(os.fstat(fd).st_nlink, 2, "links")
        os.unlink("f")
        os.unlink("g")
        t.fails(errno.ENOENT, linkat, fd, "", "h", AT_EMPTY_PATH)


@case()
def a_write_beyond_the_limit_of_the_process_is_efbig(t):
    def body():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        with opened("f") as fd:
            t.equal(os.pwrite(fd, b"x" * 100, 9_950), 50, "written up to the limit")
            t.fails(errno.EFBIG, os.pwrite, fd, b"x", 10_000)
            t.fails(errno.EFBIG, os.ftruncate, fd, 10_001)
            t.equal(os.fstat(fd).st_size, 10_000, "size")
    t.alone(body)


@case()
def offsets_beyond_the_largest_file_are_refused(t):
    with opened("f") as fd:
        t.fails((errno.EFBIG, errno.EINVAL), os.pwrite, fd, b"xx", (1 << 63) - 2)
        t.fails(errno.EINVAL, os.pwrite, fd, b"x", -1)
        t.fails(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)
        t.equal(os.lseek(fd, 100, os.SEEK_END), 100, "seek behind the end")
        t.equal(os.fstat(fd).st_size, 0, "size")


@case()
def seeks_count_from_start_here_and_end(t):
    write("f", b"x" * 100)
    with opened("f") as fd:
        t.equal(os.lseek(fd, 10, os.SEEK_SET), 10, "SEEK_SET")
        t.equal(os.lseek(fd, 5, os.SEEK_CUR), 15, "SEEK_CUR")
        t.equal(os.lseek(fd, -1, os.SEEK_END), 99, "SEEK_END")
        with opened("f") as other:
            os.pwrite(other, b"y", 199)
        t.equal(os.lseek(fd, 0, os.SEEK_END), 200, "SEEK_END after another's write")
        t.fails(errno.EINVAL, os.lseek, fd, 0, 99)


@case()
def every_kind_of_sync_is_taken(t):
    with opened("f") as fd, opened(".", os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.write(fd, b"x" * 10_000)
        os.fsync(fd)
        os.fdatasync(fd)
        sync_file_range(fd, 0, 0, 7)
        os.fsync(directory)
        syncfs(directory)
        with opened("f", os.O_RDONLY) as reader:
            os.fsync(reader)
        os.unlink("f")
        os.fsync(fd)
        t.equal(os.fstat(fd).st_size, 10_000, "size")


@case()
def synchronous_writes(t):
    for flag in (os.O_SYNC, os.O_DSYNC):
        with opened("f", os.O_RDWR | os.O_CREAT | flag) as fd:
            os.pwrite(fd, b"sync", 3)
            t.equal(os.pread(fd, 10, 0), b"\0\0\0sync", "content")


@case()
def many_files_open_at_once(t):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(500, soft - 50)
    fds = [os.open(f"f{number}", os.O_CREAT | os.O_RDWR) for number in range(count)]
    for number, fd in enumerate(fds):
        os.write(fd, b"%d" % number)
    for number, fd in enumerate(fds):
        os.lseek(fd, 0, os.SEEK_SET)
        t.equal(os.read(fd, 10), b"%d" % number, f"file {number}")
        os.close(fd)
    t.equal(len(names()), count, "names")


@case()
def two_processes_write_side_by_side(t):
    half = 300_000
    with opened("f") as fd:
        child = os.fork()
        if child == 0:
            with opened("f") as mine:
                for at in range(0, half, 1000):
                    os.pwrite(mine, b"c" * 1000, 2 * at + 1000)
            os._exit(0)
        for at in range(0, half, 1000):
            os.pwrite(fd, b"p" * 1000, 2 * at)
        os.waitpid(child, 0)
    t.check(read("f") == (b"p" * 1000 + b"c" * 1000) * (half // 1000), "every stripe is the writer's")


@case()
def threads_of_one_process_write_side_by_side(t):
    with opened("f") as fd:
        def stripe(number):
            for at in range(50):
                os.pwrite(fd, bytes([number]) * 4000, (at * 4 + number) * 4000)
        threads = [threading.Thread(target=stripe, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = b"".join(bytes([number]) * 4000 for number in range(4)) * 50
        t.check(os.pread(fd, len(expected) + 1, 0) == expected, "content")


@case()
def a_writer_sees_and_shows_its_bytes_at_once(t):
    def answer(line):
        fd = os.open("f", os.O_RDONLY)
        while line.hear() is not None:
            line.say(os.pread(fd, 100, 0).decode())
    with opened("f") as fd:
        other = t.beside(answer)
        for number in range(20):
            os.pwrite(fd, b"%03d" % number, 0)
            t.equal(other.ask("?"), f"{number:03}", "what another process reads")
        os.ftruncate(fd, 1)
        t.equal(other.ask("?"), "0", "what another process reads after a cut")
        other.end()


@case()
def fifos_carry_bytes_between_processes(t):
    os.mkfifo("fifo", 0o640)
    seen = os.stat("fifo")
    t.check(stat.S_ISFIFO(seen.st_mode), "a fifo")
    t.equal(stat.S_IMODE(seen.st_mode), 0o640, "mode")
    t.fails(errno.ENXIO, os.open, "fifo", os.O_WRONLY | os.O_NONBLOCK)
    child = os.fork()
    if child == 0:
        with opened("fifo", os.O_WRONLY) as fd:
            os.write(fd, b"through")
        os._exit(0)
    with opened("fifo", os.O_RDONLY) as fd:
        t.equal(os.read(fd, 100), b"through", "what came")
        t.fails(errno.ESPIPE, os.lseek, fd, 0, os.SEEK_SET)
    os.waitpid(child, 0)
    t.fails(errno.EEXIST, os.mkfifo, "fifo")


@case()
def sockets_have_names(t):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        t.check(stat.S_ISSOCK(os.stat("socket").st_mode), "a socket")
        client.connect("socket")
        with server.accept()[0] as side:
            side.send(b"hello")
            t.equal(client.recv(10), b"hello", "what came")
        t.fails(errno.ENXIO, os.open, "socket", os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as second:
            t.fails(errno.EADDRINUSE, second.bind, "socket")
            t.fails(errno.ENOENT, second.connect, "absent")
    os.rename("socket", "moved")
    os.unlink("moved")
    t.equal(names(), [], "names")


@case(ROOT)
def devices_keep_their_numbers(t):
    for name, kind, number in (("null", stat.S_IFCHR, os.makedev(1, 3)), ("block", stat.S_IFBLK, os.makedev(7, 250)),
                               ("large", stat.S_IFCHR, os.makedev(4000, 1_000_000))):
        os.mknod(name, kind | 0o620, number)
        seen = os.stat(name)
        t.equal(stat.S_IFMT(seen.st_mode), kind, "kind")
        t.equal(seen.st_rdev, number, "device number")
        t.equal(stat.S_IMODE(seen.st_mode), 0o620 & ~0o022, "mode under umask 022")


@case(USER)
def an_ordinary_user_makes_no_devices(t):
    t.fails(errno.EPERM, os.mknod, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    t.fails(errno.EPERM, os.mknod, "block", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    os.mknod("file", stat.S_IFREG | 0o600)
    os.mknod("fifo", stat.S_IFIFO | 0o600)
    os.mknod("socket", stat.S_IFSOCK | 0o600)
    t.equal([stat.S_IFMT(os.stat(name).st_mode) for name in ("file", "fifo", "socket")],
            [stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK], "kinds")
    t.fails(errno.EEXIST, os.mknod, "file", stat.S_IFREG | 0o600)
