"""Who may do what: classes of the mode, search, sticky directories, groups."""
import errno
import os
import shutil
import stat
import subprocess

from harness import ROOT, USER, case
from system import opened, read, write

OWNER, GROUP, OTHER = (4000, 4000), (4001, 4100), (4002, 4002)


@case(ROOT)
def each_class_has_its_bits(t):
    """Owner 4000, group 4100: the first class that fits decides, even where a later one would allow more."""
    write("f", b"x")
    os.chown("f", 4000, 4100)

    def may():
        answer = ""
        for letter, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY)):
            try:
                os.close(os.open("f", flags))
                answer += letter
            except PermissionError as error:
                t.equal(error.errno, errno.EACCES, "the refusal")
        return answer + ("x" if os.access("f", os.X_OK) else "")

    for shift, (uid, gid) in ((6, OWNER), (3, GROUP), (0, OTHER)):
        for bits, letters in ((0, ""), (4, "r"), (2, "w"), (1, "x"), (6, "rw"), (7, "rwx")):
            os.chmod("f", bits << shift)
            t.equal(t.alone(may, uid=uid, gid=gid), letters, f"{uid}:{gid} of mode {bits << shift:o}")
            os.chmod("f", 0o777 & ~(7 << shift) | bits << shift)
            t.equal(t.alone(may, uid=uid, gid=gid), letters, f"{uid}:{gid} of mode {0o777 & ~(7 << shift) | bits << shift:o}")


@case(ROOT)
def supplementary_groups_count(t):
    write("f", b"x")
    os.chown("f", 0, 4100)
    os.chmod("f", 0o640)
    t.equal(t.alone(lambda: len(read("f")), uid=4002, groups=[4100]), 1, "member")
    t.equal(t.alone(lambda: len(read("f")), uid=4002, groups=[*range(5000, 5040), 4100]), 1, "member of 41 groups")
    t.fails(errno.EACCES, t.alone, lambda: len(read("f")), uid=4002, groups=[4101])


@case(ROOT)
def root_reads_and_writes_everything_but_runs_only_programs(t):
    shutil.copy("/bin/true", "program")
    os.chown("program", 4000, 4000)
    os.chmod("program", 0)
    with opened("program", os.O_RDWR) as fd:
        os.read(fd, 1)
    t.fails(errno.EACCES, os.execv, "./program", ["program"])
    os.mkdir("d", 0)
    write("d/f", b"x")
    t.equal(read("d/f"), b"x", "through a directory of mode 0")


@case()
def programs_run_where_the_mode_says_so(t):
    if "noexec" in t.options:
        t.skip("mounted noexec")
    shutil.copy("/bin/true", "program")
    os.chmod("program", 0o644)
    t.fails(errno.EACCES, os.execv, "./program", ["program"])
    os.chmod("program", 0o755)
    t.equal(subprocess.run(["./program"], check=False).returncode, 0, "exit code")
    write("script", b"#!/bin/sh\nexit 7\n", 0o755)
    t.equal(subprocess.run(["./script"], check=False).returncode, 7, "exit code of a script")


@case()
def a_program_that_runs_is_not_written(t):
    if "noexec" in t.options:
        t.skip("mounted noexec")
    shutil.copy("/bin/sleep", "program")
    os.chmod("program", 0o755)
    with subprocess.Popen(["./program", "20"]) as process:
        t.fails(errno.ETXTBSY, os.open, "program", os.O_WRONLY)
        process.kill()


@case(ROOT)
def set_user_id_programs_run_as_their_owner(t):
    if {"nosuid", "noexec"} & set(t.options):
        t.skip("mounted nosuid or noexec")
    shutil.copy("/usr/bin/id", "id")
    os.chown("id", 4001, 4001)
    os.chmod("id", 0o4755)
    t.equal(t.alone(lambda: subprocess.run(["./id", "-u"], capture_output=True, text=True, check=False).stdout.strip(), uid=4000),
            "4001", "effective user")


@case(USER)
def a_directory_is_searched_listed_and_changed_by_its_bits(t):
    os.mkdir("d")
    write("d/f", b"x")
    os.chmod("d", 0o400)
    t.equal(os.listdir("d"), ["f"], "r: list")
    t.fails(errno.EACCES, os.stat, "d/f")
    t.fails(errno.EACCES, os.open, "d/f", os.O_RDONLY)
    os.chmod("d", 0o100)
    t.fails(errno.EACCES, os.listdir, "d")
    t.equal(read("d/f"), b"x", "x: go through")
    t.fails(errno.EACCES, os.open, "d/g", os.O_CREAT | os.O_RDWR)
    os.chmod("d", 0o500)
    for function, arguments in ((os.unlink, ("d/f",)), (os.mkdir, ("d/g",)), (os.symlink, ("x", "d/g")), (os.rename, ("d/f", "d/g")),
                                (os.rename, ("d/f", "g")), (os.link, ("d/f", "d/g")), (os.mkfifo, ("d/g",))):
        t.fails(errno.EACCES, function, *arguments)
    with opened("d/f", os.O_RDWR) as fd:
        os.pwrite(fd, b"y", 0)
    os.chmod("d", 0o600)
    t.fails(errno.EACCES, os.unlink, "d/f")
    os.chmod("d", 0o300)
    os.rename("d/f", "d/g")
    os.unlink("d/g")
    os.rmdir("d")


@case(USER)
def a_file_is_opened_by_its_bits(t):
    write("f", b"x")
    os.chmod("f", 0o400)
    t.fails(errno.EACCES, os.open, "f", os.O_WRONLY)
    t.fails(errno.EACCES, os.open, "f", os.O_RDWR)
    t.fails(errno.EACCES, os.open, "f", os.O_RDONLY | os.O_TRUNC)
    t.fails(errno.EACCES, os.open, "f", os.O_CREAT | os.O_WRONLY)
    t.fails(errno.EACCES, os.truncate, "f", 0)
    t.equal(read("f"), b"x", "content")
    os.chmod("f", 0o200)
    t.fails(errno.EACCES, os.open, "f", os.O_RDONLY)
    with opened("f", os.O_WRONLY) as fd:
        os.chmod("f", 0)
        os.write(fd, b"y")
    os.chmod("f", 0o400)
    t.equal(read("f"), b"y", "a descriptor keeps what it was opened for")


@case(ROOT)
def only_the_owner_changes_mode_and_owner(t):
    write("f")
    os.chmod("f", 0o666)
    t.fails(errno.EPERM, t.alone, os.chmod, "f", 0o600, uid=4000)
    t.fails(errno.EPERM, t.alone, os.chown, "f", 4000, 4000, uid=4000)
    os.chown("f", 4000, 4000)
    t.alone(os.chmod, "f", 0o600, uid=4000)
    t.equal(stat.S_IMODE(os.stat("f").st_mode), 0o600, "mode")


@case(ROOT)
def a_sticky_directory_protects_the_files_of_others(t):
    os.mkdir("d")
    os.chown("d", 4000, 4000)
    os.chmod("d", 0o1777)
    for name, owner in (("f", 4001), ("mine", 4002), ("dir", 4001)):
        write(f"d/{name}") if name != "dir" else os.mkdir("d/dir")
        os.chown(f"d/{name}", owner, owner)
        os.chmod(f"d/{name}", 0o777)

    def stranger():
        t.fails((errno.EPERM, errno.EACCES), os.unlink, "d/f")
        t.fails((errno.EPERM, errno.EACCES), os.rmdir, "d/dir")
        t.fails((errno.EPERM, errno.EACCES), os.rename, "d/f", "d/g")
        t.fails((errno.EPERM, errno.EACCES), os.rename, "d/mine", "d/f")
        os.rename("d/mine", "d/own")
        write("d/new")
        os.unlink("d/new")
    t.alone(stranger, uid=4002)
    t.alone(os.rename, "d/f", "d/g", uid=4001)
    t.alone(os.unlink, "d/g", uid=4000)
    t.equal(sorted(os.listdir("d")), ["dir", "own"], "names")


@case(ROOT)
def a_directory_of_another_is_not_moved_without_writing_it(t):
    """Its '..' would change."""
    for name in ("a", "b"):
        os.mkdir(name)
        os.chmod(name, 0o777)
    os.mkdir("a/d")
    os.chown("a/d", 4001, 4001)
    os.chmod("a/d", 0o755)

    def stranger():
        t.fails(errno.EACCES, os.rename, "a/d", "b/d")
        os.rename("a/d", "a/e")
    t.alone(stranger, uid=4002)


@case(ROOT)
def new_files_belong_to_who_makes_them(t):
    os.mkdir("d")
    os.chmod("d", 0o777)

    def make():
        write("d/f")
        os.mkdir("d/sub")
        os.symlink("x", "d/s")
        os.mkfifo("d/p")
        os.link("d/f", "d/l")
    t.alone(make, uid=4000, gid=4100)
    for name in ("f", "sub", "s", "p", "l"):
        seen = os.lstat(f"d/{name}")
        t.equal((seen.st_uid, seen.st_gid), (4000, 4100), f"owner of {name}")


@case(ROOT)
def an_effective_user_is_asked_not_the_real_one(t):
    write("f")
    os.chown("f", 4000, 4000)
    os.chmod("f", 0o600)

    def body():
        os.setresuid(-1, 4000, -1)
        t.equal(read("f"), b"", "as effective owner")
        t.check(os.access("f", os.R_OK), "access asks the real user, root")
        os.setresuid(-1, 0, -1)
        os.setresuid(4002, 4000, 0)
        t.check(not os.access("f", os.R_OK), "access asks the real user, a stranger")
        t.equal(read("f"), b"", "as effective owner still")
    t.alone(body)


@case(ROOT)
def creating_asks_the_directory_of_the_creator(t):
    os.mkdir("d")
    os.chmod("d", 0o755)
    for function, arguments in ((write, ("d/f",)), (os.mkdir, ("d/x",)), (os.symlink, ("x", "d/x")), (os.mkfifo, ("d/x",))):
        t.fails(errno.EACCES, t.alone, function, *arguments, uid=4000)
    t.equal(os.listdir("d"), [], "names")
