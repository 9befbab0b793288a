"""A small tree with what file systems hold besides plain files. Seeded: the same seed makes the same tree."""
import os
import random
import socket
import stat


def make(root, seed=1, files=40, megabytes=4):
    rng = random.Random(seed)
    os.makedirs(root)
    path = os.fsencode(root)

    def write(name, data, mode=0o644):
        with open(path + b"/" + name, "wb") as out:
            out.write(data)
        os.chmod(path + b"/" + name, mode)

    for n in range(files):
        folder = b"dir%d" % (n % 5)
        os.makedirs(path + b"/" + folder, exist_ok=True)
        write(folder + b"/file%d.txt" % n, rng.randbytes(rng.choice([0, 1, 100, 2048, 2049, 70_000])), rng.choice([0o600, 0o644, 0o755]))
    write(b"large.bin", rng.randbytes(megabytes << 20))
    write(b"compressible.txt", b"the same line again and again\n" * 50_000)
    write(b"empty", b"")
    write(b"set-id", b"#!/bin/sh\n", 0o4755)
    write(b"unreadable mode", b"x", 0o000)
    os.makedirs(path + b"/empty directory/below it")
    write(b"n" * 255, b"255 bytes of name")
    write(b"not utf-8: \xff\xfe", b"bytes")
    write(b"new\nline and \x1b[31mcolour", b"control characters")
    write("grüße".encode(), b"utf-8")
    os.symlink("dir0/file0.txt", path + b"/link")
    os.symlink("/nowhere/at all", path + b"/dangling link")
    os.link(path + b"/large.bin", path + b"/dir1/hard link to large.bin")
    os.mkfifo(path + b"/fifo", 0o640)
    socket.socket(socket.AF_UNIX).bind(path + b"/socket") if len(path) < 90 else None
    with open(path + b"/sparse", "wb") as out:
        out.truncate(5 << 30)
        out.seek(1 << 30)
        out.write(b"in the middle of nothing")
    with open(path + b"/hole at the end", "wb") as out:
        out.write(b"x" * 8192)
        out.truncate(1 << 20)
    try:
        os.setxattr(path + b"/dir0", b"user.colour", b"blue")
        os.setxattr(path + b"/empty", b"user.bytes", bytes(range(256)))
    except OSError:
        pass  # this file system has none
    if os.geteuid() == 0:
        os.chown(path + b"/empty", 12345, 54321)
        os.lchown(path + b"/link", 1, 2)
        try:
            os.mknod(path + b"/null device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.setxattr(path + b"/large.bin", b"trusted.mark", b"only root sees this")
        except OSError:
            pass  # a container without these rights
    for folder, folders, names in os.walk(path, topdown=False):
        for name in names + folders + [b"."]:
            when = rng.randrange(-10**18, 2 * 10**18)
            os.utime(folder + b"/" + name, ns=(when, when), follow_symlinks=False)
