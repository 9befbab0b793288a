"""Room in a file: reserved, punched, zeroed, sought, copied by the kernel."""
import errno
import os
import random

from harness import case
from system import (FALLOC_COLLAPSE_RANGE, FALLOC_INSERT_RANGE, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE,
                    copy_file_range, fallocate, opened, read, write)

NOISE = random.Random(2).randbytes(1 << 20)


@case()
def fallocate_reserves_and_grows(t):
    with opened("f") as fd:
        os.write(fd, b"abc")
        fallocate(fd, 0, 0, 100_000)
        t.equal(os.fstat(fd).st_size, 100_000, "size")
        t.check(os.pread(fd, 100_001, 0) == b"abc" + bytes(99_997), "content stays, the rest is zeros")
        fallocate(fd, 0, 10, 20)
        t.equal(os.fstat(fd).st_size, 100_000, "size after a reservation inside")
        os.posix_fallocate(fd, 0, 100_001)
        t.equal(os.fstat(fd).st_size, 100_001, "size after posix_fallocate")


@case()
def fallocate_keep_size(t):
    with opened("f") as fd:
        os.write(fd, b"abc")
        fallocate(fd, FALLOC_KEEP_SIZE, 0, 1 << 20)
        t.equal(os.fstat(fd).st_size, 3, "size")
        os.pwrite(fd, b"d", 10)
        t.equal(os.pread(fd, 100, 0), b"abc" + bytes(7) + b"d", "content")


@case()
def fallocate_refuses(t):
    write("f", b"x")
    with opened("f", os.O_RDONLY) as fd:
        t.fails(errno.EBADF, fallocate, fd, 0, 0, 10)
    with opened("f") as fd:
        t.fails(errno.EINVAL, fallocate, fd, 0, 0, 0)
        t.fails(errno.EINVAL, fallocate, fd, 0, -1, 10)
        t.fails(errno.EINVAL, fallocate, fd, 0, 0, -1)
        t.fails(errno.EFBIG, fallocate, fd, 0, (1 << 63) - 10, 20)
        t.fails((errno.EOPNOTSUPP, errno.EINVAL), fallocate, fd, FALLOC_PUNCH_HOLE, 0, 10)
        t.fails((errno.EOPNOTSUPP, errno.EINVAL), fallocate, fd, 1 << 20, 0, 10)
    t.equal(read("f"), b"x", "content")


@case()
def a_punched_hole_reads_as_zeros(t):
    model = bytearray(NOISE)
    draw = random.Random(4)
    with opened("f") as fd:
        os.write(fd, NOISE)
        os.fsync(fd)
        before = os.fstat(fd).st_blocks
        for _ in range(20):
            at, length = draw.randrange(len(model)), draw.choice([1, 100, 4096, 10_000, 65_536])
            fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, at, length)
            end = min(at + length, len(model))
            model[at:end] = bytes(end - at)
            t.check(os.pread(fd, len(model), 0) == model, f"content after a hole of {length} at {at}")
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 0, 2 << 20)
        t.equal(os.fstat(fd).st_size, len(model), "size stays")
        os.fsync(fd)
        t.check(os.fstat(fd).st_blocks < before // 4, "the room is given back")
    t.check(read("f") == bytes(len(model)), "zeros after close")


@case()
def a_punched_hole_can_be_filled_again(t):
    with opened("f") as fd:
        os.write(fd, b"x" * 20_000)
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 5_000, 10_000)
        os.pwrite(fd, b"new", 7_000)
        t.check(os.pread(fd, 20_000, 0) == b"x" * 5_000 + bytes(2_000) + b"new" + bytes(7_997) + b"x" * 5_000, "content")


@case()
def a_zeroed_range_is_zeros(t):
    with opened("f") as fd:
        os.write(fd, NOISE[:100_000])
        fallocate(fd, FALLOC_ZERO_RANGE, 10_001, 50_000)
        t.check(os.pread(fd, 200_000, 0) == NOISE[:10_001] + bytes(50_000) + NOISE[60_001:100_000], "content")
        fallocate(fd, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE, 90_000, 50_000)
        t.equal(os.fstat(fd).st_size, 100_000, "size kept")
        fallocate(fd, FALLOC_ZERO_RANGE, 90_000, 50_000)
        t.equal(os.fstat(fd).st_size, 140_000, "size grown")
        t.check(os.pread(fd, 50_000, 90_000) == bytes(50_000), "zeros at the end")


@case()
def collapse_and_insert_are_real_or_refused(t):
    with opened("f") as fd:
        os.write(fd, NOISE[:1 << 18])
        for flag, expected in ((FALLOC_COLLAPSE_RANGE, NOISE[:65_536] + NOISE[131_072:1 << 18]),
                               (FALLOC_INSERT_RANGE, NOISE[:65_536] + bytes(65_536) + NOISE[131_072:1 << 18])):
            try:
                fallocate(fd, flag, 65_536, 65_536)
            except OSError as error:
                t.check(error.errno in (errno.EOPNOTSUPP, errno.EINVAL), "the refusal")
                t.check(os.pread(fd, 1 << 19, 0) == NOISE[:1 << 18], "content untouched")
                return
            t.check(os.pread(fd, 1 << 19, 0) == expected, "content")


def extents(fd):
    """[(from, to)] of data, as SEEK_DATA and SEEK_HOLE tell."""
    found, at = [], 0
    while True:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return found
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        found.append((begin, at))


@case()
def data_and_holes_are_found(t):
    with opened("f") as fd:
        os.ftruncate(fd, 8 << 20)
        for at in (0, 3 << 20, (8 << 20) - 4096):
            os.pwrite(fd, NOISE[:4096], at)
        os.fsync(fd)
        found = extents(fd)
        t.check(all(a < b for a, b in found), "extents go forward")
        for at in (0, 3 << 20, (8 << 20) - 4096):
            t.check(any(a <= at and at + 4096 <= b for a, b in found), f"what was written at {at} is data")
        t.check(not any(a <= 1 << 20 < b for a, b in found), "the middle of a hole of 3 MiB is a hole")
        t.equal(os.lseek(fd, 0, os.SEEK_DATA), 0, "data at 0")
        t.check(os.lseek(fd, 0, os.SEEK_HOLE) >= 4096, "a hole after it")
        t.equal(os.lseek(fd, (8 << 20) - 1, os.SEEK_HOLE), 8 << 20, "a hole at the end")
        t.fails(errno.ENXIO, os.lseek, fd, 8 << 20, os.SEEK_DATA)
        t.fails(errno.ENXIO, os.lseek, fd, 9 << 20, os.SEEK_HOLE)


@case()
def what_seek_calls_a_hole_is_zeros(t):
    draw = random.Random(6)
    with opened("f") as fd:
        for _ in range(20):
            os.pwrite(fd, NOISE[:draw.choice([1, 5_000, 70_000])], draw.randrange(4 << 20))
        size = os.fstat(fd).st_size
        for _ in range(2):
            at = 0
            for begin, end in [*extents(fd), (size, size)]:
                t.check(os.pread(fd, begin - at, at) == bytes(begin - at), f"zeros from {at} to {begin}")
                at = end
            os.fsync(fd)


@case()
def a_trailing_hole_has_no_data(t):
    with opened("f") as fd:
        os.pwrite(fd, b"x", 0)
        os.ftruncate(fd, 4 << 20)
        os.fsync(fd)
        t.fails(errno.ENXIO, os.lseek, fd, 2 << 20, os.SEEK_DATA)
        t.equal(os.lseek(fd, 2 << 20, os.SEEK_HOLE), 2 << 20, "SEEK_HOLE inside of it")


@case()
def copy_file_range_copies(t):
    write("f", NOISE)
    with opened("f", os.O_RDONLY) as source, opened("g") as target:
        done = 0
        while done < len(NOISE):
            done += copy_file_range(source, done, target, done, len(NOISE) - done)
        t.check(read("g") == NOISE, "the whole")
        t.equal(copy_file_range(source, len(NOISE), target, 0, 100), 0, "from the end")
        t.equal(copy_file_range(source, len(NOISE) - 10, target, 7, 100), 10, "a short copy at the end")
        t.check(read("g") == NOISE[:7] + NOISE[-10:] + NOISE[17:], "in the middle, unaligned")
        t.equal(copy_file_range(source, 0, target, 3 << 20, 5), 5, "behind the end")
        t.check(os.pread(target, 10, (3 << 20) - 4) == bytes(4) + NOISE[:5], "with a hole before")
        os.pwrite(target, b"!", 0)
        t.check(read("f") == NOISE, "the source does not change with the copy")


@case()
def copy_file_range_within_a_file(t):
    write("f", NOISE[:100_000])
    with opened("f") as fd:
        t.equal(copy_file_range(fd, 0, fd, 50_000, 20_000), 20_000, "bytes")
        t.check(os.pread(fd, 100_000, 0) == NOISE[:50_000] + NOISE[:20_000] + NOISE[70_000:100_000], "content")
        t.fails(errno.EINVAL, copy_file_range, fd, 0, fd, 10_000, 20_000)


@case()
def a_copy_shows_what_was_just_written(t):
    with opened("f") as source, opened("g") as target:
        for number in range(20):
            os.pwrite(source, b"%06d" % number * 1000, 0)
            t.equal(copy_file_range(source, 0, target, 0, 6000), 6000, "bytes")
            t.check(os.pread(target, 6000, 0) == b"%06d" % number * 1000, f"copy {number}")


@case()
def copy_file_range_refuses(t):
    write("f", b"abc")
    with opened("f", os.O_RDONLY) as reader, opened("g", os.O_WRONLY | os.O_CREAT) as writer, \
            opened("g", os.O_WRONLY | os.O_APPEND) as appender, opened(".", os.O_RDONLY) as directory:
        t.fails(errno.EBADF, copy_file_range, writer, 0, writer, 10, 3)
        t.fails(errno.EBADF, copy_file_range, reader, 0, reader, 10, 3)
        t.fails(errno.EBADF, copy_file_range, reader, 0, appender, 0, 3)
        t.fails(errno.EINVAL, copy_file_range, reader, 0, writer, 0, 3, 1)
        t.fails((errno.EISDIR, errno.EINVAL), copy_file_range, directory, 0, writer, 0, 3)
    t.equal(read("g"), b"", "content")


@case()
def punching_is_seen_by_other_descriptors(t):
    write("f", b"x" * 10_000)
    with opened("f") as fd, opened("f", os.O_RDONLY) as other:
        t.equal(os.pread(other, 1, 5_000), b"x", "before")
        fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, 4_000, 2_000)
        t.equal(os.pread(other, 1, 5_000), b"\0", "after")
