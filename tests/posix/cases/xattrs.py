"""Extended attributes: user., trusted. and security., their flags, limits and permissions."""
import errno
import os
import random

from harness import ROOT, USER, case
from system import opened, raw_getxattr, raw_listxattr, write

CAPABILITY = b"\x01\x00\x00\x02\x00\x20\x00\x00" + bytes(12)  # cap_net_raw, effective


def mine(path):
    """The attributes that a case set; security modules set others."""
    return sorted(name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(("user.", "trusted.")))


@case()
def set_get_list_remove(t):
    write("f")
    os.mkdir("d")
    for path in ("f", "d"):
        os.setxattr(path, "user.one", b"first")
        os.setxattr(path, "user.two", b"\0binary\xff")
        t.equal(os.getxattr(path, "user.one"), b"first", "value")
        t.equal(os.getxattr(path, "user.two"), b"\0binary\xff", "binary value")
        t.equal(mine(path), ["user.one", "user.two"], "names")
        os.setxattr(path, "user.one", b"second, longer")
        t.equal(os.getxattr(path, "user.one"), b"second, longer", "replaced")
        os.setxattr(path, "user.one", b"")
        t.equal(os.getxattr(path, "user.one"), b"", "empty value")
        os.removexattr(path, "user.one")
        t.equal(mine(path), ["user.two"], "names after removal")
        t.fails(errno.ENODATA, os.getxattr, path, "user.one")
        t.fails(errno.ENODATA, os.removexattr, path, "user.one")
    with opened("f") as fd:
        os.setxattr(fd, "user.fd", b"x")
        t.equal(os.getxattr(fd, "user.fd"), b"x", "by descriptor")
        os.unlink("f")
        t.equal(os.getxattr(fd, "user.fd"), b"x", "of an unlinked file")


@case()
def create_and_replace(t):
    write("f")
    t.fails(errno.ENODATA, os.setxattr, "f", "user.x", b"1", os.XATTR_REPLACE)
    os.setxattr("f", "user.x", b"1", os.XATTR_CREATE)
    t.fails(errno.EEXIST, os.setxattr, "f", "user.x", b"2", os.XATTR_CREATE)
    t.equal(os.getxattr("f", "user.x"), b"1", "value")
    os.setxattr("f", "user.x", b"3", os.XATTR_REPLACE)
    t.equal(os.getxattr("f", "user.x"), b"3", "value")
    t.fails(errno.EINVAL, os.setxattr, "f", "user.x", b"4", 1 << 8)


@case()
def sizes_are_told_and_bounded(t):
    write("f")
    os.setxattr("f", "user.x", b"v" * 1000)
    t.equal(raw_getxattr("f", "user.x", 0), 1000, "size asked for")
    t.equal(raw_getxattr("f", "user.x", 1000), 1000, "a buffer that fits")
    t.fails(errno.ERANGE, raw_getxattr, "f", "user.x", 999)
    length = raw_listxattr("f", 0)
    t.check(length >= len("user.x") + 1, "length of the list")
    t.equal(raw_listxattr("f", length), length, "a list that fits")
    t.fails(errno.ERANGE, raw_listxattr, "f", length - 1)
    t.fails(errno.E2BIG, os.setxattr, "f", "user.y", b"v" * 65_537)
    name = "user." + "n" * 250
    os.setxattr("f", name, b"1")
    t.equal(os.getxattr("f", name), b"1", "a name of 255 bytes")
    t.fails(errno.ERANGE, os.setxattr, "f", name + "n", b"1")
    t.fails(errno.ERANGE, os.setxattr, "f", "", b"1")


@case()
def the_largest_value_fits(t):
    write("f")
    value = random.Random(1).randbytes(65_536)
    os.setxattr("f", "user.large", value)
    t.check(os.getxattr("f", "user.large") == value, "64 KiB")


@case()
def a_value_too_large_for_the_disk_leaves_nothing(t):
    write("f")
    try:
        os.setxattr("f", "user.large", bytes(65_536))
    except OSError as error:
        t.check(error.errno in (errno.ENOSPC, errno.E2BIG), f"refused with {errno.errorcode[error.errno]}")
        t.equal(mine("f"), [], "names")
    t.equal(os.stat("f").st_size, 0, "size")


@case()
def many_attributes(t):
    write("f")
    count = 50
    for number in range(count):
        os.setxattr("f", f"user.name{number}", b"value %d" % number)
    t.equal(len(mine("f")), count, "names")
    for number in range(0, count, 2):
        os.removexattr("f", f"user.name{number}")
    t.equal(mine("f"), sorted(f"user.name{number}" for number in range(1, count, 2)), "names")
    t.equal(os.getxattr("f", "user.name7"), b"value 7", "value")


@case()
def they_belong_to_the_file_not_to_its_name(t):
    write("f")
    os.setxattr("f", "user.x", b"1")
    os.link("f", "g")
    os.rename("f", "h")
    t.equal((os.getxattr("g", "user.x"), os.getxattr("h", "user.x")), (b"1", b"1"), "by both names")
    write("f")
    t.equal(mine("f"), [], "a new file has none")
    os.rename("f", "h")
    t.equal(mine("h"), [], "of the file that replaced it")


@case()
def names_of_no_known_kind_are_refused(t):
    write("f")
    for name in ("nothing", "other.x", "userx"):
        t.fails(errno.EOPNOTSUPP, os.setxattr, "f", name, b"1")
        t.fails(errno.EOPNOTSUPP, os.getxattr, "f", name)
    t.fails((errno.EINVAL, errno.EOPNOTSUPP), os.setxattr, "f", "user.", b"1")
    t.fails(errno.ENOENT, os.getxattr, "absent", "user.x")


@case()
def user_attributes_are_for_files_and_directories_only(t):
    write("f")
    os.symlink("f", "s")
    os.mkfifo("p")
    t.fails(errno.EPERM, os.setxattr, "s", "user.x", b"1", 0, follow_symlinks=False)
    t.fails(errno.EPERM, os.setxattr, "p", "user.x", b"1")
    os.setxattr("s", "user.x", b"1")
    t.equal(os.getxattr("f", "user.x"), b"1", "through a link")


@case(USER)
def user_attributes_ask_the_mode(t):
    write("f")
    os.setxattr("f", "user.x", b"1")
    os.chmod("f", 0o400)
    t.fails(errno.EACCES, os.setxattr, "f", "user.x", b"2")
    t.fails(errno.EACCES, os.removexattr, "f", "user.x")
    t.equal(os.getxattr("f", "user.x"), b"1", "readable")
    os.chmod("f", 0o200)
    t.fails(errno.EACCES, os.getxattr, "f", "user.x")
    t.equal(mine("f"), ["user.x"], "names need no right")


@case(ROOT)
def in_a_sticky_directory_of_another_they_are_the_owner_s(t):
    write("f")
    os.mkdir("d")
    os.chmod("d", 0o1777)
    t.fails(errno.EPERM, t.alone, os.setxattr, "d", "user.x", b"1", uid=4000)


@case(ROOT)
def trusted_attributes_are_root_s(t):
    write("f")
    os.chmod("f", 0o666)
    os.setxattr("f", "trusted.x", b"secret")
    t.equal(os.getxattr("f", "trusted.x"), b"secret", "value")
    t.equal(mine("f"), ["trusted.x"], "names")

    def stranger():
        t.fails(errno.EPERM, os.setxattr, "f", "trusted.y", b"1")
        t.fails((errno.EPERM, errno.ENODATA), os.getxattr, "f", "trusted.x")
        t.equal(mine("f"), [], "names that an ordinary user sees")
    t.alone(stranger, uid=4000)
    os.symlink("f", "s")
    os.setxattr("s", "trusted.s", b"1", 0, follow_symlinks=False)
    t.equal((mine("s"), mine("f")), (["trusted.s"], ["trusted.x"]), "names of a link and of its target")
    os.removexattr("s", "trusted.s", follow_symlinks=False)
    os.mkfifo("p")
    os.setxattr("p", "trusted.p", b"1")
    t.equal(os.getxattr("p", "trusted.p"), b"1", "of a fifo")


@case(ROOT)
def security_attributes_are_set_by_root_and_seen_by_all(t):
    write("f")
    os.setxattr("f", "security.pelago-test", b"1")
    t.equal(os.getxattr("f", "security.pelago-test"), b"1", "value")
    t.fails(errno.EPERM, t.alone, os.setxattr, "f", "security.pelago-test", b"2", uid=4000)
    t.equal(t.alone(lambda: os.getxattr("f", "security.pelago-test").decode(), uid=4000), "1", "seen by an ordinary user")
    t.check("security.pelago-test" in os.listxattr("f"), "listed")


@case(ROOT)
def file_capabilities_go_with_a_write(t):
    for change in (lambda fd: os.pwrite(fd, b"x", 0), lambda fd: os.ftruncate(fd, 0), lambda fd: os.fchown(fd, 4000, 4000)):
        write("f", b"program")
        os.setxattr("f", "security.capability", CAPABILITY)
        t.equal(os.getxattr("f", "security.capability"), CAPABILITY, "value")
        with opened("f") as fd:
            change(fd)
        t.fails(errno.ENODATA, os.getxattr, "f", "security.capability")
        os.unlink("f")
