"""Names: links, symbolic links, renames, directories made and removed, what a name may be."""
import errno
import os
import random
import stat

from harness import ROOT, USER, case
from system import (AT_FDCWD, AT_SYMLINK_FOLLOW, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, linkat, names, opened, read,
                    renameat2, write)


def elsewhere(t):
    """A directory on another file system that everybody may write in."""
    for path in ("/dev/shm", "/tmp", "/var/tmp"):
        if os.path.isdir(path) and os.stat(path).st_dev != os.stat(".").st_dev:
            return path
    return t.skip("no second file system")


@case()
def hard_links_are_one_file(t):
    write("f", b"one")
    os.mkdir("d")
    os.link("f", "d/g")
    first, second = os.stat("f"), os.stat("d/g")
    t.equal((second.st_ino, second.st_nlink), (first.st_ino, 2), "inode and links")
    with opened("d/g") as fd:
        os.pwrite(fd, b"two", 0)
        t.equal(read("f"), b"two", "content by the other name")
        os.chmod("f", 0o600)
        t.equal(stat.S_IMODE(os.fstat(fd).st_mode), 0o600, "mode by the other name")
    for number in range(50):
        os.link("f", f"l{number}")
    t.equal(os.stat("d/g").st_nlink, 52, "links")
    os.unlink("f")
    t.equal(os.stat("d/g").st_nlink, 51, "links after unlink")
    t.equal(read("l49"), b"two", "content")


@case()
def link_refuses(t):
    write("f")
    write("g")
    os.mkdir("d")
    t.fails(errno.EEXIST, os.link, "f", "g")
    t.fails(errno.EEXIST, os.link, "f", "d")
    t.fails(errno.ENOENT, os.link, "absent", "h")
    t.fails(errno.EPERM, os.link, "d", "e")
    t.fails(errno.ENOTDIR, os.link, "f", "g/x")
    t.fails(errno.ENOENT, os.link, "f", "absent/x")
    t.equal(os.stat("f").st_nlink, 1, "links")


@case()
def a_symbolic_link_can_have_hard_links(t):
    write("f", b"x")
    os.symlink("f", "s")
    os.link("s", "t", follow_symlinks=False)
    t.check(os.path.islink("t"), "a link to the link")
    t.equal(os.lstat("s").st_nlink, 2, "links")
    linkat(AT_FDCWD, "s", "u", AT_SYMLINK_FOLLOW)
    t.equal(os.lstat("u").st_ino, os.stat("f").st_ino, "a link to what it points to")


@case()
def symbolic_links_hold_any_text(t):
    for target in ("f", "/absolute/path", "../..", "x" * 1000, "sp ace\n", "ü"):
        os.symlink(target, "link")
        t.equal(os.readlink("link"), target, "target")
        seen = os.lstat("link")
        t.check(stat.S_ISLNK(seen.st_mode), "a link")
        t.equal(seen.st_size, len(os.fsencode(target)), "size")
        t.equal(stat.S_IMODE(seen.st_mode), 0o777, "mode")
        os.unlink("link")
    os.symlink(b"\xff\xfe", b"link")
    t.equal(os.readlink(b"link"), b"\xff\xfe", "target that is not UTF-8")
    t.fails(errno.ENOENT, os.symlink, "", "empty")
    t.fails(errno.EEXIST, os.symlink, "x", "link")
    long = "y/" * 2047 + "z"
    os.symlink(long, "long")
    t.equal(os.readlink("long"), long, "target of 4,095 bytes")
    t.fails(errno.ENAMETOOLONG, os.symlink, "y" * 4096, "longer")
    write("f")
    t.fails(errno.EINVAL, os.readlink, "f")


@case()
def paths_go_through_symbolic_links(t):
    os.mkdir("d")
    write("d/f", b"x")
    os.symlink("d", "s")
    t.equal(read("s/f"), b"x", "through a link")
    t.equal(names("s/"), ["f"], "names")
    os.symlink(os.path.abspath("d"), "absolute")
    t.equal(read("absolute/f"), b"x", "through an absolute link")
    os.symlink("b", "a")
    os.symlink("a", "b")
    t.fails(errno.ELOOP, os.stat, "a")
    t.fails(errno.ELOOP, os.stat, "a/x")
    os.symlink("d", "n0")
    for number in range(39):
        os.symlink(f"n{number}", f"n{number + 1}")
    t.equal(os.stat("n39").st_ino, os.stat("d").st_ino, "40 links in a row")
    os.symlink("n39", "n40")
    t.fails(errno.ELOOP, os.stat, "n40")
    t.fails(errno.ENOTDIR, os.rmdir, "s")
    os.unlink("s")
    t.equal(names("d"), ["f"], "unlink removes the link, not its target")


@case()
def rename_moves_and_replaces(t):
    write("a", b"a")
    inode = os.stat("a").st_ino
    os.rename("a", "b")
    t.equal((names(), os.stat("b").st_ino), (["b"], inode), "moved")
    write("c", b"c")
    os.rename("b", "c")
    t.equal((names(), read("c"), os.stat("c").st_ino), (["c"], b"a", inode), "replaced")
    os.mkdir("d")
    os.rename("c", "d/c")
    t.equal((names(), names("d")), (["d"], ["c"]), "to another directory")
    os.symlink("nowhere", "s")
    os.rename("s", "d/s")
    t.equal(os.readlink("d/s"), "nowhere", "a link is moved, not followed")
    write("e")
    os.rename("e", "d/s")
    t.check(not os.path.islink("d/s"), "a link is replaced, not followed")
    os.rename("d/c", "d/c")
    t.equal(read("d/c"), b"a", "onto itself")


@case()
def rename_of_one_link_onto_the_other_does_nothing(t):
    write("a", b"x")
    os.link("a", "b")
    os.rename("a", "b")
    t.equal(names(), ["a", "b"], "both stay")
    t.equal(os.stat("a").st_nlink, 2, "links")


@case()
def rename_moves_directories(t):
    os.makedirs("a/b/c")
    write("a/b/c/f", b"deep")
    os.mkdir("x")
    os.rename("a/b", "x/b")
    t.equal(read("x/b/c/f"), b"deep", "the tree below")
    t.equal(os.stat("x/b/..").st_ino, os.stat("x").st_ino, "'..' of it")
    t.equal((os.stat("a").st_nlink, os.stat("x").st_nlink), (2, 3), "links of the parents")
    os.mkdir("empty")
    os.rename("x/b", "empty")
    t.equal(names("empty"), ["c"], "over an empty directory")
    t.equal(os.stat("empty/..").st_ino, os.stat(".").st_ino, "'..' again")


@case()
def rename_refuses(t):
    os.makedirs("a/b")
    os.makedirs("full/x")
    write("f")
    t.fails(errno.EINVAL, os.rename, "a", "a/b/c")
    t.fails(errno.EINVAL, os.rename, "a", "a/c")
    t.fails((errno.ENOTEMPTY, errno.EEXIST), os.rename, "a", "full")
    t.fails((errno.ENOTEMPTY, errno.EEXIST), os.rename, "a/b", "a")
    t.fails(errno.EISDIR, os.rename, "f", "a")
    t.fails(errno.ENOTDIR, os.rename, "a", "f")
    t.fails(errno.ENOENT, os.rename, "absent", "y")
    t.fails(errno.ENOENT, os.rename, "f", "absent/y")
    t.fails(errno.ENOTDIR, os.rename, "f", "f/y")
    t.fails(errno.ENOTDIR, os.rename, "f/", "y")
    t.fails(errno.ENOTDIR, os.rename, "f", "y/")
    t.fails((errno.EBUSY, errno.EINVAL), os.rename, "a/.", "y")
    t.fails((errno.EBUSY, errno.EINVAL), os.rename, "a/..", "y")
    t.equal(names(), ["a", "f", "full"], "names")


@case()
def rename_noreplace(t):
    write("a", b"a")
    write("b", b"b")
    os.mkdir("d")
    t.fails(errno.EEXIST, renameat2, "a", "b", RENAME_NOREPLACE)
    t.fails(errno.EEXIST, renameat2, "a", "d", RENAME_NOREPLACE)
    t.fails(errno.EEXIST, renameat2, "a", "a", RENAME_NOREPLACE)
    t.equal((read("a"), read("b")), (b"a", b"b"), "content")
    renameat2("a", "c", RENAME_NOREPLACE)
    t.equal(names(), ["b", "c", "d"], "names")


@case()
def rename_exchange(t):
    write("f", b"f")
    os.makedirs("d/sub")
    os.makedirs("e/x/y")
    inodes = {name: os.stat(name).st_ino for name in ("f", "d", "e", "e/x")}
    renameat2("f", "d", RENAME_EXCHANGE)
    t.equal((read("d"), names("f")), (b"f", ["sub"]), "a file and a directory")
    t.equal(os.stat("f").st_ino, inodes["d"], "inode")
    renameat2("f", "e/x", RENAME_EXCHANGE)
    t.equal((names("f"), names("e/x")), (["y"], ["sub"]), "directories of two parents")
    t.equal(os.stat("e/x/..").st_ino, inodes["e"], "'..' of one")
    t.equal(os.stat("f/..").st_ino, os.stat(".").st_ino, "'..' of the other")
    write("g", b"g")
    renameat2("g", "e/x/sub", RENAME_EXCHANGE)
    t.equal((os.stat("e/x").st_nlink, os.stat("e").st_nlink, os.stat(".").st_nlink), (2, 3, 5), "links of the parents")
    t.fails(errno.ENOENT, renameat2, "f", "absent", RENAME_EXCHANGE)
    t.fails(errno.EINVAL, renameat2, "e", "e/x", RENAME_EXCHANGE)
    t.fails(errno.EINVAL, renameat2, "d", "g", RENAME_EXCHANGE | RENAME_NOREPLACE)
    t.fails(errno.EINVAL, renameat2, "d", "g", 1 << 7)


@case(ROOT)
def rename_whiteout_is_real_or_refused(t):
    write("f", b"x")
    try:
        renameat2("f", "g", RENAME_WHITEOUT)
    except OSError as error:
        t.equal(error.errno, errno.EINVAL, "the refusal")
        t.equal(names(), ["f"], "names")
        return
    seen = os.stat("f")
    t.check(stat.S_ISCHR(seen.st_mode) and seen.st_rdev == 0, "a whiteout in its place")


@case()
def nothing_crosses_file_systems(t):
    other = elsewhere(t)
    write("f")
    os.mkdir("d")
    target = os.path.join(other, f"pelago-posix-{os.getpid()}")
    t.fails(errno.EXDEV, os.rename, "f", target)
    t.fails(errno.EXDEV, os.rename, "d", target)
    t.fails(errno.EXDEV, os.link, "f", target)


@case()
def unlink_refuses(t):
    os.mkdir("d")
    t.fails(errno.EISDIR, os.unlink, "d")
    t.fails(errno.ENOENT, os.unlink, "absent")
    write("f")
    t.fails(errno.ENOTDIR, os.unlink, "f/x")
    t.fails(errno.ENOTDIR, os.unlink, "f/")
    os.unlink("f")
    t.fails(errno.ENOENT, os.unlink, "f")


@case()
def mkdir_and_rmdir(t):
    os.mkdir("d", 0o777)
    seen = os.stat("d")
    t.check(stat.S_ISDIR(seen.st_mode), "a directory")
    t.equal(stat.S_IMODE(seen.st_mode), 0o755, "mode under umask 022")
    t.equal((seen.st_uid, seen.st_gid, seen.st_nlink), (t.uid, t.gid, 2), "owner and links")
    t.equal(names("d"), [], "names")
    t.fails(errno.EEXIST, os.mkdir, "d")
    t.fails(errno.ENOENT, os.mkdir, "absent/x")
    write("f")
    t.fails(errno.EEXIST, os.mkdir, "f")
    t.fails(errno.ENOTDIR, os.mkdir, "f/x")
    t.fails(errno.EEXIST, os.mkdir, "/")
    os.mkdir("with-slash/")
    t.fails(errno.ENOTDIR, os.rmdir, "f")
    t.fails(errno.ENOENT, os.rmdir, "absent")
    t.fails(errno.EINVAL, os.rmdir, "d/.")
    t.fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, "d/..")
    write("d/f")
    t.fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, "d")
    os.unlink("d/f")
    os.rmdir("d")
    t.fails(errno.ENOENT, os.stat, "d")


@case()
def a_directory_counts_its_subdirectories(t):
    for number in range(5):
        os.mkdir(f"d{number}")
    t.equal(os.stat(".").st_nlink, 7, "links")
    os.rmdir("d0")
    os.rename("d1", "d2/d1")
    t.equal((os.stat(".").st_nlink, os.stat("d2").st_nlink), (5, 3), "links after rmdir and rename")
    write("f")
    t.equal(os.stat(".").st_nlink, 5, "files do not count")


@case()
def a_removed_directory_that_is_open_is_empty(t):
    os.mkdir("d")
    with opened("d", os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.rmdir("d")
        t.equal(os.fstat(fd).st_nlink, 0, "links")
        t.fails(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_RDWR, dir_fd=fd)
        t.fails(errno.ENOENT, os.mkdir, "sub", dir_fd=fd)
        t.fails(errno.ENOENT, os.stat, "f", dir_fd=fd)
        t.equal(os.listdir(fd), [], "names")
        os.mkdir("d")
        t.check(os.stat("d").st_ino != os.fstat(fd).st_ino, "a new one of that name is another")


@case()
def a_removed_working_directory_makes_nothing(t):
    os.mkdir("d")
    os.chdir("d")
    os.rmdir("../d")
    t.fails(errno.ENOENT, os.getcwd)
    t.fails(errno.ENOENT, os.mkdir, "x")
    t.fails(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_RDWR)


@case()
def names_may_be_long_but_not_longer(t):
    longest = "n" * 255
    write(longest, b"x")
    os.mkdir("d" * 255)
    os.rename(longest, "d" * 255 + "/" + longest)
    t.equal(read("d" * 255 + "/" + longest), b"x", "content")
    write("f")
    longer = "n" * 256
    t.fails(errno.ENAMETOOLONG, os.open, longer, os.O_CREAT | os.O_RDWR)
    t.fails(errno.ENAMETOOLONG, os.mkdir, longer)
    t.fails(errno.ENAMETOOLONG, os.symlink, "x", longer)
    t.fails(errno.ENAMETOOLONG, os.link, "f", longer)
    t.fails(errno.ENAMETOOLONG, os.rename, "f", longer)
    t.fails(errno.ENAMETOOLONG, os.mkfifo, longer)
    t.fails(errno.ENAMETOOLONG, os.stat, longer)
    t.fails(errno.ENAMETOOLONG, os.unlink, longer)
    t.fails(errno.ENAMETOOLONG, os.rmdir, longer)
    t.fails(errno.ENAMETOOLONG, os.stat, "./" * 2048)
    t.equal(os.stat("./" * 2040 + "f").st_size, 0, "a path of 4,081 bytes")
    t.equal(os.statvfs(".").f_namemax, 255, "f_namemax")


@case()
def names_are_bytes(t):
    made = [b"a", b"A", b"\xc3\xbc", b"u\xcc\x88", b"\xff\xfe", b"new\nline", b" ", b"-rf", b"...", b"tab\t", b"\x01", b"a\\b", b"*"]
    for number, name in enumerate(made):
        write(os.path.join(b".", name), b"%d" % number)
    t.equal(sorted(os.listdir(b".")), sorted(made), "names")
    for number, name in enumerate(made):
        t.equal(read(name), b"%d" % number, f"content of {name!r}")
    t.fails(errno.ENOENT, os.stat, b"B")
    t.fails(errno.ENOENT, os.stat, b"")
    t.fails(errno.ENOENT, os.open, b"", os.O_CREAT | os.O_RDWR)


@case()
def dot_and_dot_dot_name_what_they_should(t):
    os.makedirs("a/b")
    here, a, b = (os.stat(path).st_ino for path in (".", "a", "a/b"))
    t.equal([os.stat(path).st_ino for path in ("a/.", "a/b/..", "a/b/../..", "a/b/.")], [a, a, here, b], "inodes")
    t.fails((errno.EEXIST, errno.ENOTEMPTY), os.mkdir, "a/.")
    t.fails((errno.EEXIST, errno.ENOTEMPTY), os.mkdir, "a/..")
    t.check(len({here, a, b}) == 3 and 0 not in (here, a, b), "three inodes, none of them 0")


@case()
def deep_trees(t):
    top = os.getcwd()
    for _ in range(100):
        os.mkdir("deep")
        os.chdir("deep")
    write("f", b"bottom")
    t.equal(os.getcwd(), top + "/deep" * 100, "working directory")
    os.chdir("../" * 100)
    t.equal(os.getcwd(), top, "back")
    os.rename("deep", "moved")
    t.equal(read("moved" + "/deep" * 99 + "/f"), b"bottom", "content")


@case()
def a_name_removed_and_made_again_is_new(t):
    for number in range(30):
        write("f", b"%d" % number)
        t.equal(read("f"), b"%d" % number, "content")
        os.unlink("f")
        t.fails(errno.ENOENT, os.stat, "f")
        os.mkdir("f")
        t.check(stat.S_ISDIR(os.stat("f").st_mode), "a directory now")
        os.rmdir("f")


@case()
def what_one_process_changes_another_sees(t):
    def answer(line):
        while (text := line.hear()) is not None:
            line.say(",".join(names()) if text == "names" else str(os.path.exists(text)))
    other = t.beside(answer)
    t.equal(other.ask("f"), "False", "before")
    write("f")
    t.equal(other.ask("f"), "True", "after create")
    os.rename("f", "g")
    t.equal(other.ask("f"), "False", "the old name after rename")
    t.equal(other.ask("names"), "g", "names")
    os.unlink("g")
    t.equal(other.ask("names"), "", "names after unlink")
    other.end()


@case()
def one_of_several_exclusive_creators_wins(t):
    for number in range(10):
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                try:
                    os.open(f"f{number}", os.O_CREAT | os.O_EXCL | os.O_RDWR)
                except FileExistsError:
                    os._exit(1)
                os._exit(0)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        t.equal(sorted(codes), [0, 1, 1, 1], "exit codes")


@case()
def renames_over_one_name_never_leave_it_missing(t):
    write("target", b"-1")
    child = os.fork()
    if child == 0:
        for number in range(50):
            write("new", b"%d" % number)
            os.rename("new", "target")
        os._exit(0)
    looks = 0
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        t.check(read("target") != b"", "whole at every look")
        looks += 1
    t.check(looks > 0, "looked")


@case()
def a_tree_made_and_removed_at_random(t):
    draw = random.Random(3)
    model = {""}
    for _ in range(400):
        parent = draw.choice(sorted(model))
        path = os.path.join(parent, f"n{draw.randrange(6)}")
        if path in model:
            if any(other.startswith(path + "/") for other in model):
                t.fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, path)
            else:
                os.rmdir(path)
                model.remove(path)
        elif path.count("/") < 6:
            os.mkdir(path)
            model.add(path)
    found = {os.path.relpath(path, ".") for path, _, _ in os.walk(".")}
    t.equal(found, {path or "." for path in model}, "the tree")


@case(USER)
def the_group_of_a_set_gid_directory_is_inherited(t):
    os.mkdir("d")
    os.chmod("d", 0o2775)
    if not os.stat("d").st_mode & stat.S_ISGID:
        t.skip("set-gid does not stick here")
    os.mkdir("d/sub")
    write("d/f")
    t.check(os.stat("d/sub").st_mode & stat.S_ISGID, "a subdirectory is set-gid too")
    t.check(not os.stat("d/f").st_mode & stat.S_ISGID, "a file is not")


@case(ROOT)
def a_set_gid_directory_gives_its_group(t):
    os.mkdir("d")
    os.chown("d", -1, 4242)
    os.chmod("d", 0o2775)
    os.mkdir("d/sub")
    write("d/f")
    os.symlink("x", "d/s")
    os.mkfifo("d/p")
    t.equal([os.lstat(f"d/{name}").st_gid for name in ("sub", "f", "s", "p")], [4242] * 4, "groups")
    t.check(os.stat("d/sub").st_mode & stat.S_ISGID, "a subdirectory is set-gid too")
    write("f")
    t.equal(os.stat("f").st_gid, t.gid, "elsewhere it is the process's")
