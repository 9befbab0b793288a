"""Directories read entry by entry, while others change them."""
import errno
import os
import random
import stat

from harness import case
from system import Listing, names, opened, write


def fill(path, count):
    os.mkdir(path)
    made = []
    for number in range(count):
        name = f"entry-{number:05}"
        os.close(os.open(os.path.join(path, name), os.O_CREAT | os.O_WRONLY))
        made.append(name)
    return made


def listed(entries):
    return [name for _, _, _, name in entries if name not in (".", "..")]


@case()
def each_entry_comes_once_with_its_inode_and_kind(t):
    made = fill("d", 200)
    os.mkdir("d/sub")
    os.symlink("x", "d/link")
    os.mkfifo("d/fifo")
    listing = Listing("d")
    entries = listing.rest()
    t.equal(sorted(name for _, _, _, name in entries), sorted([".", "..", "sub", "link", "fifo", *made]), "names")
    for inode, _, kind, name in entries:
        seen = os.lstat(os.path.join("d", name))
        t.check(kind in (0, stat.S_IFMT(seen.st_mode) >> 12), f"kind of {name}")
        if name != "..":
            t.equal(inode, seen.st_ino, f"inode of {name}")
    t.equal({name: inode for inode, _, _, name in entries}[".."], os.stat(".").st_ino, "inode of '..'")
    t.equal(listing.rest(), [], "nothing after the end")
    t.equal(len({offset for _, offset, _, _ in entries}), len(entries), "offsets differ")
    listing.close()


@case()
def dot_dot_follows_a_move(t):
    os.makedirs("a/d")
    os.mkdir("b")
    os.rename("a/d", "b/d")
    listing = Listing("b/d")
    t.equal({name: inode for inode, _, _, name in listing.rest()}[".."], os.stat("b").st_ino, "inode of '..'")
    listing.close()


@case()
def many_entries(t):
    made = fill("d", 1500)
    t.equal(names("d"), made, "names")
    for number in random.Random(1).sample(range(1500), 100):
        t.check(stat.S_ISREG(os.stat(f"d/entry-{number:05}").st_mode), "each can be found")
    for name in made[::2]:
        os.unlink(os.path.join("d", name))
    t.equal(names("d"), made[1::2], "names after half of them went")


@case()
def long_names_fill_many_buffers(t):
    os.mkdir("d")
    made = sorted(f"{number:03}" + "n" * 252 for number in range(300))
    for name in made:
        write(os.path.join("d", name))
    for size in (300, 512, 4096, 1 << 16):
        listing = Listing("d", size)
        t.equal(sorted(listed(listing.rest())), made, f"names with a buffer of {size}")
        listing.close()


@case()
def offsets_lead_back(t):
    made = fill("d", 500)
    listing = Listing("d", 512)
    entries = listing.rest()
    t.equal(len(entries), len(made) + 2, "entries")
    draw = random.Random(2)
    for _ in range(50):
        at = draw.randrange(len(entries) - 1)
        listing.seek(entries[at][1])
        t.equal(listing.read()[0][3], entries[at + 1][3], "the entry behind the offset")
    listing.seek(entries[-1][1])
    t.equal(listing.read(), [], "behind the last")
    listing.seek(0)
    t.equal([e[3] for e in listing.rest()], [e[3] for e in entries], "the whole again, in the same order")
    listing.close()


@case()
def offsets_lead_back_in_another_descriptor(t):
    fill("d", 300)
    one, two = Listing("d", 512), Listing("d", 512)
    entries = one.rest()
    for at in (0, 5, 100, 250):
        two.seek(entries[at][1])
        t.equal(two.read()[0][3], entries[at + 1][3], "the entry behind the offset")
    one.close()
    two.close()


@case()
def what_stays_comes_exactly_once_while_others_come_and_go(t):
    draw = random.Random(3)
    made = fill("d", 600)
    stays = set(made[::3])
    goes = [name for name in made if name not in stays]
    draw.shuffle(goes)
    listing, seen, step = Listing("d", 512), [], 0
    while entries := listing.read():
        seen += listed(entries)
        for _ in range(20):
            if goes:
                os.unlink(os.path.join("d", goes.pop()))
            write(os.path.join("d", f"new-{step:05}"))
            step += 1
        if step > 100_000:
            break
    listing.close()
    t.equal(len(seen), len(set(seen)), "no name twice")
    t.equal(sorted(stays - set(seen)), [], "what stayed and was not seen")
    t.check(set(seen) <= set(made) | {f"new-{number:05}" for number in range(step)}, "nothing but what was there at some time")


@case()
def offsets_stay_while_others_come_and_go(t):
    made = fill("d", 400)
    listing = Listing("d", 512)
    entries = [e for e in listing.rest()]
    keep = set(made[::4])
    for name in made:
        if name not in keep:
            os.unlink(os.path.join("d", name))
    for number in range(200):
        write(os.path.join("d", f"new-{number}"))
    order = [e[3] for e in entries]
    for at in range(0, len(entries) - 1, 37):
        listing.seek(entries[at][1])
        later = [name for name in listed(listing.rest()) if name in keep]
        t.equal(later, [name for name in order[at + 1:] if name in keep], f"what stayed, behind offset {at}")
    listing.close()


@case()
def removing_while_reading_empties_a_directory(t):
    made = fill("d", 1000)
    listing, count = Listing("d", 1024), 0
    while entries := listing.read():
        for name in listed(entries):
            os.unlink(os.path.join("d", name))
            count += 1
    listing.close()
    t.equal(count, len(made), "removed in one pass")
    os.rmdir("d")


@case()
def renaming_while_reading_ends(t):
    fill("d", 300)
    listing, seen = Listing("d", 512), []
    while entries := listing.read():
        for name in listed(entries):
            seen.append(name)
            if name.startswith("entry"):
                os.rename(os.path.join("d", name), os.path.join("d", "renamed-" + name))
        if len(seen) > 2000:
            break
    listing.close()
    t.check(300 <= len(seen) <= 600, f"{len(seen)} names of 300 that were each renamed once")
    t.check(all(name.startswith("renamed-") for name in names("d")), "all renamed")


@case()
def rewinding_shows_what_is_new(t):
    fill("d", 10)
    listing = Listing("d")
    listing.rest()
    write("d/new")
    listing.seek(0)
    t.check("new" in listed(listing.rest()), "the new entry")
    os.unlink("d/new")
    listing.seek(0)
    t.check("new" not in listed(listing.rest()), "gone again")
    listing.close()


@case()
def listings_do_not_disturb_each_other(t):
    made = fill("d", 300)
    one, two = Listing("d", 512), Listing("d", 2048)
    first, second = [], []
    while True:
        a, b = one.read(), two.read()
        first += listed(a)
        second += listed(b)
        if not a and not b:
            break
    t.equal((sorted(first), sorted(second)), (made, made), "names of both")
    one.close()
    two.close()


@case()
def reading_a_directory_refuses(t):
    write("f")
    os.mkdir("d")
    t.fails(errno.ENOTDIR, os.listdir, "f")
    t.fails(errno.ENOENT, os.listdir, "absent")
    listing = Listing("d", 4096)
    listing.size = 10
    t.fails(errno.EINVAL, listing.read)
    listing.close()
    with opened("f") as fd:
        t.fails(errno.ENOTDIR, os.listdir, fd)


@case()
def a_new_name_shows_at_once_after_a_listing(t):
    os.mkdir("d")
    for number in range(30):
        t.equal(len(names("d")), number, "names")
        write(f"d/{number}")
        t.check(os.path.exists(f"d/{number}"), "found")


@case()
def a_listing_with_attributes_is_current(t):
    fill("d", 50)
    for number in range(0, 50, 5):
        write(f"d/entry-{number:05}", b"x" * number)
    sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in os.scandir("d")}
    t.equal(sizes, {f"entry-{n:05}": n if n % 5 == 0 else 0 for n in range(50)}, "sizes")
    with opened("d/entry-00007") as fd:
        os.write(fd, b"open")
        sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in os.scandir("d")}
        t.equal(sizes["entry-00007"], 4, "size of a file that is being written")
