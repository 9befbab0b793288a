#!/usr/bin/env python3
"""Compares two directory trees in everything a restore must bring back, and shares no code with what it checks.

usage: compare_trees.py [--no-owner] A B     exit code 0 equal, 1 different (the differences are printed)

Bytes, types, modes, owners, times in nanoseconds, link targets, device numbers, which names are one file, extended
attributes (ACLs are such), and where the holes are. Times of symbolic links count; access and change times do not.
"""
import argparse
import hashlib
import os
import stat
import sys

PIECE = 1 << 20


def data_ranges(fd, size):
    """The stretches of a file that are not holes."""
    ranges, at = [], 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break  # ENXIO: a hole to the end
        at = os.lseek(fd, start, os.SEEK_HOLE)
        ranges.append((start, at))
    return ranges


def content(path, size):
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME if os.geteuid() == 0 else os.O_RDONLY)
    try:
        ranges, digest = data_ranges(fd, size), hashlib.sha256()
        for start, end in ranges:
            at = start
            while at < end:
                piece = os.pread(fd, min(PIECE, end - at), at)
                if not piece:
                    break
                # What is all zero may be a hole on one side: it is the same content.
                if piece.count(0) != len(piece):
                    digest.update(at.to_bytes(8, "little") + piece)
                at += len(piece)
        return ranges, digest.hexdigest()
    finally:
        os.close(fd)


def attributes(path):
    try:
        return {name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux"}
    except OSError as error:
        return {"unreadable": str(error).encode()}


def picture(root, owner):
    """Relative path (bytes) -> what there is to say about it."""
    root, seen, first_name = os.fsencode(root), {}, {}

    def look(path, name):
        info = os.lstat(path)
        kind = stat.S_IFMT(info.st_mode)
        facts = {"type": kind, "mode": stat.S_IMODE(info.st_mode), "mtime": info.st_mtime_ns, "xattrs": attributes(path)}
        if owner:
            facts["owner"] = (info.st_uid, info.st_gid)
        if kind == stat.S_IFLNK:
            facts["target"] = os.readlink(path)
        elif kind == stat.S_IFREG:
            facts["size"] = info.st_size
            facts["ranges"], facts["content"] = content(path, info.st_size)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            facts["device"] = info.st_rdev
        if kind != stat.S_IFDIR and info.st_nlink > 1:
            facts["same file as"] = first_name.setdefault((info.st_dev, info.st_ino), name)
        seen[name] = facts
        if kind == stat.S_IFDIR:
            for entry in sorted(os.listdir(path)):
                look(path + b"/" + entry, name + b"/" + entry)

    look(root, b".")
    return seen


def differences(a, b, owner=True, ignore=()):
    """Sentences; empty if the trees are the same."""
    left, right, found = picture(a, owner), picture(b, owner), []
    for name in sorted(left.keys() | right.keys()):
        shown = os.fsdecode(name).encode("unicode_escape").decode()
        if name not in left or name not in right:
            found.append(f"{shown}: only in {a if name in left else b}")
            continue
        for fact in sorted(left[name].keys() | right[name].keys()):
            one, other = left[name].get(fact), right[name].get(fact)
            if one != other and fact not in ignore:
                found.append(f"{shown}: {fact}: {str(one)[:200]} is not {str(other)[:200]}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-owner", action="store_true", help="an ordinary user cannot restore owners")
    parser.add_argument("a")
    parser.add_argument("b")
    given = parser.parse_args()
    found = differences(given.a, given.b, owner=not given.no_owner)
    print("\n".join(found[:50] + ([f"... and {len(found) - 50} more"] if len(found) > 50 else [])) or "the same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
