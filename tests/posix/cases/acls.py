"""POSIX access control lists: what they allow, the mask, inheritance, and how they and the mode move each other."""
import errno
import os
import stat
import struct

from harness import ROOT, USER, case
from system import opened, read, write

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
USER_OBJ, NAMED_USER, GROUP_OBJ, NAMED_GROUP, MASK, OTHERS = 1, 2, 4, 8, 16, 32
NOBODY = 0xFFFFFFFF


def acl(*entries):
    """Of (tag, bits) and (tag, bits, id)."""
    return struct.pack("=I", 2) + b"".join(struct.pack("=HHI", e[0], e[1], e[2] if len(e) > 2 else NOBODY) for e in entries)


def entries(text):
    return [struct.unpack_from("=HHI", text, at) for at in range(4, len(text), 8)]


def bits_of(path, tag, name=ACCESS):
    return [bits for kind, bits, _ in entries(os.getxattr(path, name)) if kind == tag]


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


FRIEND = acl((USER_OBJ, 6), (NAMED_USER, 6, 4000), (GROUP_OBJ, 4), (MASK, 6), (OTHERS, 0))


def can(t, path, uid, groups=()):
    def look():
        answer = ""
        for letter, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY)):
            try:
                os.close(os.open(path, flags))
                answer += letter
            except PermissionError:
                pass
        return answer
    return t.alone(look, uid=uid, groups=groups)


@case()
def an_access_list_is_kept_and_shows_in_the_mode(t):
    write("f")
    t.fails(errno.ENODATA, os.getxattr, "f", ACCESS)
    os.setxattr("f", ACCESS, FRIEND)
    t.equal(entries(os.getxattr("f", ACCESS)), entries(FRIEND), "entries")
    t.equal(mode("f"), 0o660, "the group bits of the mode are the mask")
    t.check(ACCESS in os.listxattr("f"), "listed")
    os.removexattr("f", ACCESS)
    t.fails(errno.ENODATA, os.getxattr, "f", ACCESS)
    t.equal(mode("f") & 0o707, 0o600, "mode of owner and others stays")


@case()
def chmod_changes_the_mask(t):
    write("f")
    os.setxattr("f", ACCESS, FRIEND)
    os.chmod("f", 0o644)
    t.equal((bits_of("f", MASK), bits_of("f", GROUP_OBJ), bits_of("f", OTHERS)), ([4], [4], [4]), "mask, group, others")
    t.equal(bits_of("f", NAMED_USER), [6], "named user")
    os.chmod("f", 0o600)
    t.equal(bits_of("f", MASK), [0], "mask")
    t.equal(mode("f"), 0o600, "mode")


@case()
def a_list_that_says_no_more_than_a_mode_is_a_mode(t):
    write("f")
    os.setxattr("f", ACCESS, FRIEND)
    os.setxattr("f", ACCESS, acl((USER_OBJ, 7), (GROUP_OBJ, 5), (OTHERS, 1)))
    t.equal(mode("f"), 0o751, "mode")
    t.fails(errno.ENODATA, os.getxattr, "f", ACCESS)


@case()
def malformed_lists_are_refused(t):
    write("f")
    os.mkdir("d")
    for name, text in (("no mask", acl((USER_OBJ, 6), (NAMED_USER, 6, 4000), (GROUP_OBJ, 4), (OTHERS, 0))),
                       ("no owner", acl((GROUP_OBJ, 4), (OTHERS, 0))),
                       ("two owners", acl((USER_OBJ, 6), (USER_OBJ, 6), (GROUP_OBJ, 4), (OTHERS, 0))),
                       ("bits above 7", acl((USER_OBJ, 15), (GROUP_OBJ, 4), (OTHERS, 0))),
                       ("cut", FRIEND[:-3])):
        t.fails(errno.EINVAL, os.setxattr, "f", ACCESS, text)
        t.fails(errno.EINVAL, os.setxattr, "d", DEFAULT, text)
        t.equal(mode("f"), 0o644, f"mode after {name}")
    t.fails((errno.EOPNOTSUPP, errno.EINVAL), os.setxattr, "f", ACCESS, struct.pack("=I", 1) + FRIEND[4:])
    t.fails(errno.EACCES, os.setxattr, "f", DEFAULT, FRIEND)
    os.symlink("f", "s")
    t.fails(errno.EOPNOTSUPP, os.setxattr, "s", ACCESS, FRIEND, 0, follow_symlinks=False)


@case(ROOT)
def named_users_get_what_list_and_mask_say(t):
    write("f", b"x")
    t.equal((can(t, "f", 4000), can(t, "f", 4002)), ("r", "r"), "before")
    os.setxattr("f", ACCESS, FRIEND)
    t.equal((can(t, "f", 4000), can(t, "f", 4002)), ("rw", ""), "named, stranger")
    os.chmod("f", 0o640)
    t.equal(can(t, "f", 4000), "r", "the mask takes w away")
    os.setxattr("f", ACCESS, acl((USER_OBJ, 6), (NAMED_USER, 0, 4000), (GROUP_OBJ, 6), (MASK, 7), (OTHERS, 6)))
    t.equal((can(t, "f", 4000), can(t, "f", 4002)), ("", "rw"), "who is named with nothing gets nothing")


@case(ROOT)
def named_groups_get_what_list_and_mask_say(t):
    write("f", b"x")
    os.setxattr("f", ACCESS, acl((USER_OBJ, 6), (GROUP_OBJ, 0), (NAMED_GROUP, 4, 4100), (NAMED_GROUP, 2, 4101), (MASK, 6), (OTHERS, 0)))
    t.equal(can(t, "f", 4000, [4100]), "r", "one group")
    t.equal(can(t, "f", 4000, [4101]), "w", "the other")
    t.equal(can(t, "f", 4000, [4100, 4101]), "rw", "both, one after the other")
    t.equal(can(t, "f", 4000, [4102]), "", "neither")


@case()
def a_default_list_is_inherited(t):
    os.mkdir("d")
    default = acl((USER_OBJ, 7), (NAMED_USER, 6, 4000), (GROUP_OBJ, 5), (MASK, 7), (OTHERS, 5))
    os.setxattr("d", DEFAULT, default)
    t.equal(entries(os.getxattr("d", DEFAULT)), entries(default), "entries")
    t.fails(errno.ENODATA, os.getxattr, "d", ACCESS)
    os.umask(0o077)
    with opened("d/f", os.O_CREAT | os.O_RDWR, 0o666):
        pass
    t.equal(mode("d/f"), 0o664, "mode of a file: what was asked for, cut by the list; the umask does not count")
    t.equal((bits_of("d/f", NAMED_USER), bits_of("d/f", MASK), bits_of("d/f", GROUP_OBJ)), ([6], [6], [5]), "its list")
    t.fails(errno.EACCES, os.setxattr, "d/f", DEFAULT, default)
    os.mkdir("d/sub", 0o750)
    t.equal(entries(os.getxattr("d/sub", DEFAULT)), entries(default), "a subdirectory inherits the default")
    t.equal((mode("d/sub"), bits_of("d/sub", MASK)), (0o750, [5]), "and its access list from it")
    os.mkfifo("d/p", 0o666)
    t.equal(mode("d/p"), 0o664, "mode of a fifo")
    os.symlink("x", "d/s")
    os.removexattr("d", DEFAULT)
    with opened("d/g", os.O_CREAT | os.O_RDWR, 0o666):
        pass
    t.equal(mode("d/g"), 0o600, "without a default the umask counts")
    t.fails(errno.ENODATA, os.getxattr, "d/g", ACCESS)


@case()
def a_default_list_that_is_only_a_mode_gives_only_a_mode(t):
    os.mkdir("d")
    os.setxattr("d", DEFAULT, acl((USER_OBJ, 7), (GROUP_OBJ, 7), (OTHERS, 0)))
    write("d/f", mode=0o666)
    t.equal(mode("d/f"), 0o660, "mode")
    t.fails(errno.ENODATA, os.getxattr, "d/f", ACCESS)


@case(ROOT)
def only_the_owner_sets_a_list(t):
    write("f")
    os.chmod("f", 0o666)
    t.fails(errno.EPERM, t.alone, os.setxattr, "f", ACCESS, FRIEND, uid=4000)
    os.chown("f", 4000, 4000)
    t.alone(os.setxattr, "f", ACCESS, FRIEND, uid=4000)
    t.equal(t.alone(lambda: len(os.getxattr("f", ACCESS)), uid=4002), len(FRIEND), "anybody may look")


@case(ROOT)
def a_list_opens_a_directory(t):
    os.mkdir("d", 0o700)
    write("d/f", b"x")
    os.setxattr("d", ACCESS, acl((USER_OBJ, 7), (NAMED_USER, 5, 4000), (GROUP_OBJ, 0), (MASK, 5), (OTHERS, 0)))
    t.equal(t.alone(lambda: [os.listdir("d"), len(read("d/f"))], uid=4000), [["f"], 1], "for the named user")
    t.fails(errno.EACCES, t.alone, os.listdir, "d", uid=4002)


@case()
def lists_move_with_renames_and_links(t):
    write("f")
    os.setxattr("f", ACCESS, FRIEND)
    os.link("f", "g")
    os.rename("f", "h")
    t.equal((bits_of("g", NAMED_USER), bits_of("h", NAMED_USER)), ([6], [6]), "by both names")


@case(USER)
def set_gid_goes_when_a_stranger_to_the_group_sets_a_list(t):
    """As with chmod: only where the owner is not in the file's group, which for a file of ours he is."""
    write("f")
    os.chmod("f", 0o2775)
    os.setxattr("f", ACCESS, FRIEND)
    t.equal(os.stat("f").st_mode & stat.S_ISGID, stat.S_ISGID, "set-gid of our own group stays")
