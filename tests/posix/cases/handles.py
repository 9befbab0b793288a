"""Files by handle, as an NFS server looks them up. Opening one needs root."""
import errno
import os
import time

from harness import ROOT, case
from system import Handle, opened, read, write


def stale_soon(t, handle, mount):
    """The kernel tells a FUSE file system of the last close() later: until then the file is one that is still open."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.close(handle.open(mount, os.O_RDONLY))
        except OSError:
            break
        time.sleep(0.01)
    t.fails(errno.ESTALE, handle.open, mount, os.O_RDONLY)


@case()
def a_handle_names_a_file_whatever_it_is_called(t):
    write("f")
    first = Handle("f").value()
    os.link("f", "g")
    t.equal(Handle("g").value(), first, "by another name")
    os.rename("f", "h")
    t.equal(Handle("h").value(), first, "after a rename")
    write("f")
    t.check(Handle("f").value() != first, "another file has another")
    t.fails(errno.ENOENT, Handle, "absent")


@case(ROOT)
def a_file_is_opened_by_its_handle(t):
    write("f", b"content")
    os.mkdir("d")
    handle = Handle("f")
    with opened(".", os.O_RDONLY) as mount:
        fd = handle.open(mount, os.O_RDWR)
        t.equal(os.pread(fd, 10, 0), b"content", "content")
        os.pwrite(fd, b"CONTENT", 0)
        os.close(fd)
        os.rename("f", "d/g")
        fd = handle.open(mount, os.O_RDONLY)
        t.equal((os.read(fd, 10), os.fstat(fd).st_ino), (b"CONTENT", os.stat("d/g").st_ino), "after a rename")
        os.close(fd)
        os.unlink("d/g")
        stale_soon(t, handle, mount)


@case(ROOT)
def a_directory_is_opened_by_its_handle(t):
    os.makedirs("a/b/c")
    write("a/b/c/f", b"x")
    handle = Handle("a/b/c")
    with opened(".", os.O_RDONLY) as mount:
        fd = handle.open(mount, os.O_RDONLY | os.O_DIRECTORY)
        t.equal(os.listdir(fd), ["f"], "names")
        t.equal(os.stat("..", dir_fd=fd).st_ino, os.stat("a/b").st_ino, "'..'")
        with opened(f"/proc/self/fd/{fd}/f", os.O_RDONLY) as file:
            t.equal(os.read(file, 10), b"x", "a file below it")
        os.rename("a/b", "moved")
        t.equal(os.listdir(fd), ["f"], "names after a parent moved")
        os.close(fd)
        os.unlink("moved/c/f")
        os.rmdir("moved/c")
        stale_soon(t, handle, mount)


@case(ROOT)
def an_unlinked_file_that_is_open_still_has_its_handle(t):
    with opened("f") as fd, opened(".", os.O_RDONLY) as mount:
        os.write(fd, b"open")
        handle = Handle("f")
        os.unlink("f")
        try:
            again = handle.open(mount, os.O_RDONLY)
        except OSError as error:
            t.equal(error.errno, errno.ESTALE, "the refusal")
        else:
            t.equal(os.pread(again, 10, 0), b"open", "content")
            os.close(again)
        t.equal(os.pread(fd, 10, 0), b"open", "content through the old descriptor")


@case(ROOT)
def many_handles_lead_to_their_files(t):
    handles = []
    for number in range(300):
        write(f"f{number}", b"%d" % number)
        handles.append(Handle(f"f{number}"))
    with opened(".", os.O_RDONLY) as mount:
        for number, handle in enumerate(handles):
            fd = handle.open(mount, os.O_RDONLY)
            t.equal(os.read(fd, 10), b"%d" % number, f"file {number}")
            os.close(fd)
    t.equal(read("f7"), b"7", "by name")
