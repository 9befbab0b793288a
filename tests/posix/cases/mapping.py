"""Files in memory, shared between processes; and past the cache with O_DIRECT."""
import errno
import mmap
import os
import random
import shutil
import signal
import subprocess

from harness import Failed, case
from system import FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, PAGE, fallocate, opened, read, write


def mapped(fd, size, writable=True):
    return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))


@case()
def a_shared_map_and_calls_see_each_other(t):
    with opened("f") as fd:
        os.ftruncate(fd, 4 * PAGE)
        with mapped(fd, 4 * PAGE) as area:
            area[100:105] = b"store"
            t.equal(os.pread(fd, 5, 100), b"store", "read after a store")
            os.pwrite(fd, b"write", 2 * PAGE - 2)
            t.equal(area[2 * PAGE - 2:2 * PAGE + 3], b"write", "load after a write")
            with opened("f") as other:
                t.equal(os.pread(other, 5, 100), b"store", "read by another descriptor")
        expected = bytes(100) + b"store" + bytes(2 * PAGE - 107) + b"write" + bytes(2 * PAGE - 3)
        t.check(os.pread(fd, 5 * PAGE, 0) == expected, "content after unmapping")


@case()
def stores_reach_the_file(t):
    draw = random.Random(1)
    size = 1 << 20
    model = bytearray(size)
    with opened("f") as fd:
        os.ftruncate(fd, size)
        with mapped(fd, size) as area:
            for _ in range(300):
                at, data = draw.randrange(size - 5000), draw.randbytes(draw.randrange(1, 5000))
                area[at:at + len(data)] = data
                model[at:at + len(data)] = data
            area.flush()
    t.check(read("f") == model, "content")


@case()
def stores_through_a_map_whose_descriptor_is_closed(t):
    write("f", bytes(PAGE))
    with opened("f") as fd:
        area = mapped(fd, PAGE)
    area[:6] = b"closed"
    area.close()
    t.equal(read("f")[:6], b"closed", "content")


@case()
def a_map_outlives_the_name(t):
    write("f", b"x" * PAGE)
    with opened("f") as fd:
        area = mapped(fd, PAGE)
        os.unlink("f")
    area[:3] = b"abc"
    t.equal(area[:5], b"abcxx", "content")
    area.flush()
    area.close()


@case()
def two_processes_share_a_map(t):
    def answer(line):
        with opened("f") as mine, mapped(mine, PAGE) as area:
            while (text := line.hear()) is not None:
                line.say(area[:4].decode())
                area[4:8] = text.encode()
    write("f", b"zero" * (PAGE // 4))
    with opened("f") as fd, mapped(fd, PAGE) as area:
        other = t.beside(answer)
        for number in range(10):
            area[:4] = b"%04d" % number
            t.equal(other.ask(f"{number + 500:04}"), f"{number:04}", "what the other process loads")
            other.ask(f"{number + 500:04}")
            t.equal(area[4:8], b"%04d" % (number + 500), "what it stored")
        other.end()


@case()
def a_private_map_changes_nothing(t):
    write("f", b"x" * PAGE)
    with opened("f", os.O_RDONLY) as fd:
        area = mmap.mmap(fd, PAGE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        area[:3] = b"abc"
        t.equal(area[:5], b"abcxx", "in memory")
        area.close()
    t.check(read("f") == b"x" * PAGE, "the file")


@case()
def a_map_needs_the_rights_of_its_descriptor(t):
    write("f", b"x" * PAGE)
    with opened("f", os.O_RDONLY) as fd:
        t.fails(errno.EACCES, mapped, fd, PAGE)
        t.equal(mapped(fd, PAGE, writable=False)[0:1], b"x", "read only")
    with opened("f", os.O_WRONLY) as fd:
        t.fails(errno.EACCES, mapped, fd, PAGE)


@case()
def beyond_the_end_is_sigbus(t):
    write("f", b"x" * PAGE)
    with opened("f") as fd, mapped(fd, PAGE) as area:
        t.equal(area[PAGE - 1:PAGE], b"x", "inside")
        os.ftruncate(fd, 0)
        try:
            t.alone(lambda: area[0])
        except Failed as died:
            t.equal(str(died), "killed by SIGBUS", "a load behind the end")
            return
        raise Failed("a load behind the end gave a byte")


@case()
def a_cut_clears_what_is_mapped_behind_it(t):
    write("f", b"x" * (2 * PAGE))
    with opened("f") as fd, mapped(fd, 2 * PAGE) as area:
        os.ftruncate(fd, 100)
        t.equal(area[98:103], b"xx\0\0\0", "the rest of the page")
        os.ftruncate(fd, 2 * PAGE)
        t.check(area[:] == b"x" * 100 + bytes(2 * PAGE - 100), "grown again")


@case()
def what_is_stored_behind_the_end_stays_out_of_the_file(t):
    write("f", b"abc")
    with opened("f") as fd, mapped(fd, 3) as area:
        whole = mapped(fd, 3)
        whole[2:3] = b"C"
        whole.flush()
        t.equal(area[:], b"abC", "inside")
        t.equal(os.fstat(fd).st_size, 3, "size")
        os.ftruncate(fd, 10)
    t.equal(read("f"), b"abC" + bytes(7), "content when grown")


@case()
def a_hole_punched_under_a_map_shows(t):
    write("f", b"x" * (4 * PAGE))
    with opened("f") as fd, mapped(fd, 4 * PAGE) as area:
        t.equal(area[PAGE:PAGE + 1], b"x", "before")
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, PAGE, PAGE)
        t.check(area[:] == b"x" * PAGE + bytes(PAGE) + b"x" * (2 * PAGE), "after")


@case()
def a_store_moves_mtime_by_msync(t):
    write("f", bytes(PAGE))
    os.utime("f", ns=(1, 1))
    with opened("f") as fd, mapped(fd, PAGE) as area:
        area[:1] = b"x"
        area.flush()
        os.fsync(fd)
    t.check(os.stat("f").st_mtime_ns > 1, "mtime")


@case()
def a_mapped_file_read_whole_in_random_order(t):
    data = random.Random(8).randbytes(2 << 20)
    write("f", data)
    with opened("f", os.O_RDONLY) as fd, mapped(fd, len(data), writable=False) as area:
        pages = list(range(len(data) // PAGE))
        random.Random(9).shuffle(pages)
        for page in pages:
            if area[page * PAGE:(page + 1) * PAGE] != data[page * PAGE:(page + 1) * PAGE]:
                raise Failed(f"page {page}")
        t.check(area[:] == data, "content")


@case()
def programs_run_from_a_map(t):
    if "noexec" in t.options:
        t.skip("mounted noexec")
    shutil.copy("/bin/cat", "cat")
    os.chmod("cat", 0o755)
    done = subprocess.run(["./cat"], input=b"through", capture_output=True, check=False)
    t.equal((done.returncode, done.stdout), (0, b"through"), "what it wrote")


def aligned(size, data=b""):
    area = mmap.mmap(-1, size)
    area[:len(data)] = data
    return area


def direct(path):
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)


@case()
def direct_writes_and_reads(t):
    draw = random.Random(10)
    model = bytearray()
    fd = direct("f")
    for _ in range(40):
        at, pages = draw.randrange(60) * 4096, draw.randrange(1, 20)
        data = draw.randbytes(pages * 4096)
        t.equal(os.pwritev(fd, [aligned(len(data), data)], at), len(data), "bytes written")
        if at > len(model):
            model.extend(bytes(at - len(model)))
        model[at:at + len(data)] = data
        at = draw.randrange(60) * 4096
        buffer = aligned(8 * 4096)
        got = os.preadv(fd, [buffer], at)
        t.check(buffer[:got] == model[at:at + 8 * 4096], "read")
    os.close(fd)
    t.check(read("f") == model, "content through the cache")


@case()
def direct_and_cached_see_each_other(t):
    fd = direct("f")
    with opened("f") as cached:
        for number in range(10):
            os.pwrite(cached, b"%04d" % number * 1024, 0)
            buffer = aligned(4096)
            t.equal(os.preadv(fd, [buffer], 0), 4096, "bytes")
            t.equal(buffer[:4], b"%04d" % number, "direct read after a cached write")
            os.pwritev(fd, [aligned(4096, b"%04d" % (number + 100) * 1024)], 0)
            t.equal(os.pread(cached, 4, 0), b"%04d" % (number + 100), "cached read after a direct write")
    os.close(fd)


@case()
def a_direct_read_ends_at_the_end(t):
    fd = direct("f")
    with opened("f") as cached:
        os.pwrite(cached, b"x" * 5000, 0)
    buffer = aligned(8192)
    t.equal(os.preadv(fd, [buffer], 0), 5000, "bytes")
    t.equal(os.preadv(fd, [buffer], 8192), 0, "bytes behind the end")
    os.close(fd)


@case()
def a_map_and_direct_writes(t):
    fd = direct("f")
    os.ftruncate(fd, 4 * 4096)
    with opened("f") as cached, mapped(cached, 4 * 4096) as area:
        area[:4] = b"map1"
        buffer = aligned(4096)
        os.preadv(fd, [buffer], 0)
        t.equal(buffer[:4], b"map1", "direct read after a store")
        os.pwritev(fd, [aligned(4096, b"dir2")], 4096)
        t.equal(area[4096:4100], b"dir2", "load after a direct write")
    os.close(fd)


@case()
def a_killed_process_leaves_its_stores(t):
    write("f", bytes(PAGE))

    def body(line):
        with opened("f") as fd:
            area = mapped(fd, PAGE)
            area[:4] = b"left"
            line.say("stored")
            signal.pause()
    other = t.beside(body)
    t.equal(other.line.hear(), "stored", "the other process")
    other.kill()
    t.equal(read("f")[:4], b"left", "content")
