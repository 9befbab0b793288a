"""System calls that Python's os module does not have, and small tools that many cases use."""
import contextlib
import ctypes
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_COLLAPSE_RANGE, FALLOC_ZERO_RANGE, FALLOC_INSERT_RANGE = 1, 2, 8, 16, 32
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
PAGE = os.sysconf("SC_PAGE_SIZE")
GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]


def call(function, *arguments):
    result = function(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old, new, flags):
    call(LIBC.renameat2, AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), ctypes.c_uint(flags))


def linkat(fd, old, new, flags):
    call(LIBC.linkat, fd, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags)


def fallocate(fd, mode, offset, length):
    call(LIBC.fallocate, fd, mode, ctypes.c_longlong(offset), ctypes.c_longlong(length))


def copy_file_range(source, from_offset, target, to_offset, length, flags=0):
    source_offset = ctypes.c_longlong(from_offset)
    target_offset = ctypes.c_longlong(to_offset)
    LIBC.copy_file_range.restype = ctypes.c_ssize_t
    return call(LIBC.copy_file_range, source, ctypes.byref(source_offset), target, ctypes.byref(target_offset),
                ctypes.c_size_t(length), ctypes.c_uint(flags))


def utimensat(path, atime, mtime, flags=0):
    """Times as (seconds, nanoseconds)."""
    call(LIBC.utimensat, AT_FDCWD, os.fsencode(path), struct.pack("=qqqq", *atime, *mtime), flags)


def raw_getxattr(path, name, size):
    """The length that the call returns; `size` 0 asks for it."""
    buffer = ctypes.create_string_buffer(size) if size else None
    LIBC.getxattr.restype = ctypes.c_ssize_t
    return call(LIBC.getxattr, os.fsencode(path), os.fsencode(name), buffer, ctypes.c_size_t(size))


def raw_listxattr(path, size):
    buffer = ctypes.create_string_buffer(size) if size else None
    LIBC.listxattr.restype = ctypes.c_ssize_t
    return call(LIBC.listxattr, os.fsencode(path), buffer, ctypes.c_size_t(size))


def syncfs(fd):
    call(LIBC.syncfs, fd)


def sync_file_range(fd, offset, length, flags):
    call(LIBC.sync_file_range, fd, ctypes.c_longlong(offset), ctypes.c_longlong(length), ctypes.c_uint(flags))


def birth_time_ns(path):
    """None where the file system has none to tell."""
    class Statx(ctypes.Structure):
        _fields_ = [("mask", ctypes.c_uint32), ("before", ctypes.c_uint8 * 76), ("seconds", ctypes.c_int64),
                    ("nanoseconds", ctypes.c_uint32), ("after", ctypes.c_uint8 * 164)]
    buffer = Statx()
    call(LIBC.statx, AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW, ctypes.c_uint(0x800), ctypes.byref(buffer))
    return buffer.seconds * 10**9 + buffer.nanoseconds if buffer.mask & 0x800 else None


class Handle:
    """A file as name_to_handle_at names it."""

    def __init__(self, path, flags=0):
        self.bytes = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
        mount = ctypes.c_int()
        call(LIBC.name_to_handle_at, AT_FDCWD, os.fsencode(path), self.bytes, ctypes.byref(mount), flags)

    def value(self):
        length, kind = struct.unpack_from("=Ii", self.bytes.raw)
        return kind, self.bytes.raw[8:8 + length]

    def open(self, mount_fd, flags):
        return call(LIBC.open_by_handle_at, mount_fd, self.bytes, flags)


class Listing:
    """A directory read through the kernel's own call, entry by entry, with its offsets."""

    def __init__(self, path, size=4096):
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.size = size

    def read(self):
        """The next few entries: [(inode, offset of what follows, type, name)]; empty at the end."""
        buffer = ctypes.create_string_buffer(self.size)
        length = call(LIBC.syscall, ctypes.c_long(GETDENTS64), self.fd, buffer, ctypes.c_size_t(self.size))
        at, entries = 0, []
        while at < length:
            inode, offset, size, kind = struct.unpack_from("=QqHB", buffer, at)
            name = buffer.raw[at + 19:at + size].split(b"\0", 1)[0]
            entries.append((inode, offset, kind, os.fsdecode(name)))
            at += size
        return entries

    def rest(self):
        found = []
        while entries := self.read():
            found += entries
        return found

    def seek(self, offset):
        os.lseek(self.fd, offset, os.SEEK_SET)

    def close(self):
        os.close(self.fd)


@contextlib.contextmanager
def opened(path, flags=os.O_RDWR | os.O_CREAT, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def write(path, data=b"", mode=0o644):
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode) as fd:
        while data:
            data = data[os.write(fd, data):]
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def names(path="."):
    return sorted(os.listdir(path))
