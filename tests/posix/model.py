"""A tree as POSIX has it, in memory: what random operations are compared with, and what a crash may leave of them."""
import errno
import os
import stat

FILE, DIRECTORY, LINK = "file", "directory", "link"
BLOCK = 4096


class Inode:
    def __init__(self, number, kind, mode):
        self.number = number
        self.kind = kind
        self.mode = mode
        self.data = bytearray()
        self.target = ""
        self.entries = {}       # of a directory: name -> Inode
        self.parent = None      # of a directory
        self.links = 0          # names of it
        self.xattrs = {}
        self.mtime_ns = None    # where it was set and nothing has moved it since
        self.versions = []      # (content, mode, xattrs), from the one that is durable to the present one
        self.named_at = 0       # the state in which its names last changed
        self.entered_at = 0     # of a directory: the state in which its entries last changed

    def version(self):
        return bytes(self.data), self.mode, dict(self.xattrs)


class Model:
    def __init__(self, remember):
        self.remember = remember  # what a crash may leave
        self.count = 0
        self.root = Inode(0, DIRECTORY, 0o755)
        self.root.parent = self.root
        self.states = [self.picture()]  # of the names, one after each change; the first is durable, or was
        self.floor = 0                  # the oldest that a crash may leave

    # --- what is there ------------------------------------------------------------------------------------------------------

    def walk(self, directory=None, path=""):
        """(path, Inode) of everything below the root."""
        for name, inode in (directory or self.root).entries.items():
            below = f"{path}/{name}" if path else name
            yield below, inode
            if inode.kind == DIRECTORY:
                yield from self.walk(inode, below)

    def picture(self):
        return {path: (inode.kind, inode.number, inode.target) for path, inode in self.walk()}

    def inodes(self):
        return {inode.number: inode for _, inode in self.walk()}

    def is_within(self, inode, directory):
        """Whether `inode` is `directory` or above it."""
        while directory is not inode:
            if directory is self.root:
                return False
            directory = directory.parent
        return True

    # --- changes ------------------------------------------------------------------------------------------------------------

    def new(self, kind, mode, target=""):
        self.count += 1
        inode = Inode(self.count, kind, mode)
        inode.target = target
        inode.versions = [inode.version()]
        return inode

    def enter(self, directory, name, inode):
        directory.entries[name] = inode
        inode.links += 1
        if inode.kind == DIRECTORY:
            inode.parent = directory

    def leave(self, directory, name):
        inode = directory.entries.pop(name)
        inode.links -= 1

    def names_changed(self, directories, inodes):
        """Ends a change of names."""
        for directory in directories:
            directory.mtime_ns = None
        if not self.remember:
            return
        self.states.append(self.picture())
        for inode in inodes:
            inode.named_at = len(self.states) - 1
        for directory in directories:
            directory.entered_at = len(self.states) - 1

    def content_changed(self, inode):
        inode.mtime_ns = None
        self.attributes_changed(inode)

    def attributes_changed(self, inode):
        if self.remember:
            inode.versions.append(inode.version())

    def synced(self, inode):
        """Durable now: the inode itself, its names and those of the directories above it."""
        inode.versions = [inode.version()]
        if inode.links == 0 and inode is not self.root:
            return
        above = [directory for directory in self.inodes().values() if directory.kind == DIRECTORY and self.is_within(directory, inode)] \
            if inode.kind == DIRECTORY else [d for p, n in self.walk() if n is inode for d in self.above(p)]
        self.floor = max(self.floor, inode.named_at, inode.entered_at, *(directory.named_at for directory in above), 0)

    def above(self, path):
        directory, found = self.root, []
        for name in path.split("/")[:-1]:
            directory = directory.entries[name]
            found.append(directory)
        return found

    def all_synced(self):
        for inode in self.inodes().values():
            inode.versions = [inode.version()]
            inode.named_at = inode.entered_at = 0
        self.root.named_at = self.root.entered_at = 0
        self.states, self.floor = [self.picture()], 0

    # --- what calls must answer: the errors that apply; none means that it succeeds -----------------------------------------------

    @staticmethod
    def errors_of_unlink(inode):
        return {errno.ENOENT} if inode is None else {errno.EISDIR} if inode.kind == DIRECTORY else set()

    @staticmethod
    def errors_of_rmdir(inode):
        if inode is None:
            return {errno.ENOENT}
        if inode.kind != DIRECTORY:
            return {errno.ENOTDIR}
        return {errno.ENOTEMPTY} if inode.entries else set()

    @staticmethod
    def errors_of_link(inode, other):
        found = {errno.ENOENT} if inode is None else {errno.EPERM} if inode.kind == DIRECTORY else set()
        return found | ({errno.EEXIST} if other is not None else set())

    def errors_of_rename(self, inode, other, from_directory, to_directory, noreplace, exchange):
        if inode is None:
            return {errno.ENOENT}
        found = set()
        if inode.kind == DIRECTORY and self.is_within(inode, to_directory):
            found.add(errno.EINVAL)
        if exchange:
            if other is None:
                return found | {errno.ENOENT}
            if other.kind == DIRECTORY and self.is_within(other, from_directory):
                found.add(errno.EINVAL)
            return found
        if other is None:
            return found
        if noreplace:
            return found | {errno.EEXIST}
        if other is inode:
            return found
        if other.kind == DIRECTORY and self.is_within(other, from_directory):
            found.add(errno.ENOTEMPTY)
        if inode.kind == DIRECTORY and other.kind != DIRECTORY:
            found.add(errno.ENOTDIR)
        if inode.kind != DIRECTORY and other.kind == DIRECTORY:
            found.add(errno.EISDIR)
        if inode.kind == DIRECTORY and other.kind == DIRECTORY and other.entries:
            found.add(errno.ENOTEMPTY)
        return found


class Seen:
    """A tree as it is on disk."""

    def __init__(self, top):
        self.stats, self.contents, self.targets, self.xattrs = {}, {}, {}, {}
        for parent, directories, files in os.walk(top):
            for name in directories + files:
                full = os.path.join(parent, name)
                path = os.path.relpath(full, top)
                seen = os.lstat(full)
                self.stats[path] = seen
                if stat.S_ISLNK(seen.st_mode):
                    self.targets[path] = os.readlink(full)
                    continue
                self.xattrs[path] = {name: os.getxattr(full, name) for name in os.listxattr(full) if name.startswith("user.")}
                if stat.S_ISREG(seen.st_mode):
                    with open(full, "rb") as file:
                        self.contents[path] = file.read()

    def kind(self, path):
        mode = self.stats[path].st_mode
        return FILE if stat.S_ISREG(mode) else DIRECTORY if stat.S_ISDIR(mode) else LINK


def first_difference(a, b):
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"at {at}: {bytes(a[at:at + 8])!r}, expected {bytes(b[at:at + 8])!r}"


def difference(model, seen):
    """What is not as the model has it; None if nothing."""
    expected = dict(model.walk())
    if set(expected) != set(seen.stats):
        return f"missing: {sorted(set(expected) - set(seen.stats))[:5]}, too many: {sorted(set(seen.stats) - set(expected))[:5]}"
    numbers = {}
    for path, inode in expected.items():
        found = seen.stats[path]
        if seen.kind(path) != inode.kind:
            return f"{path} is a {seen.kind(path)}, expected a {inode.kind}"
        if numbers.setdefault(inode.number, found.st_ino) != found.st_ino:
            return f"{path} is another inode than its other names"
        if inode.kind == LINK:
            if seen.targets[path] != inode.target:
                return f"{path} -> {seen.targets[path]!r}, expected {inode.target!r}"
            continue
        if stat.S_IMODE(found.st_mode) != inode.mode:
            return f"mode of {path}: {stat.S_IMODE(found.st_mode):o}, expected {inode.mode:o}"
        if seen.xattrs[path] != inode.xattrs:
            return f"attributes of {path}: {seen.xattrs[path]}, expected {inode.xattrs}"
        if inode.mtime_ns is not None and found.st_mtime_ns != inode.mtime_ns:
            return f"mtime of {path}: {found.st_mtime_ns}, expected {inode.mtime_ns}"
        links = inode.links if inode.kind == FILE else 2 + sum(i.kind == DIRECTORY for i in inode.entries.values())
        if found.st_nlink != links:
            return f"links of {path}: {found.st_nlink}, expected {links}"
        if inode.kind == FILE and seen.contents[path] != inode.data:
            return f"{path} ({found.st_size} bytes, expected {len(inode.data)}) differs {first_difference(seen.contents[path], inode.data)}"
    if len(set(numbers.values())) != len(numbers):
        return "two files share an inode number"
    return None


def crash_difference(model, seen, known):
    """What a crash may not have left: the names are those of one moment since the last sync, in which every file has content
    that it had at some moment since it was last synced, block by block. `known`: every inode that there was, by number."""
    kinds = {path: (seen.kind(path), seen.targets.get(path, "")) for path in seen.stats}
    nearest = None
    for state in reversed(model.states[model.floor:]):
        if {path: (kind, target) for path, (kind, _, target) in state.items()} != kinds:
            continue
        nearest = next((text for path, (kind, number, _) in state.items()
                        if (text := version_difference(path, kind, known[number], seen))), None)
        if nearest is None:
            return None
    if nearest:
        return nearest
    lost = sorted(path for path in model.states[model.floor] if path not in kinds)[:5]
    return f"the names are not those of any moment since the last sync ({len(model.states) - model.floor} moments); of those synced, " \
           f"missing: {lost}; there: {sorted(kinds)[:20]}"


def version_difference(path, kind, inode, seen):
    if kind == LINK:
        return None
    if stat.S_IMODE(seen.stats[path].st_mode) not in {mode for _, mode, _ in inode.versions}:
        return f"mode of {path} is none that it had since it was synced"
    if seen.xattrs[path] not in [xattrs for _, _, xattrs in inode.versions]:
        return f"attributes of {path} are none that it had since it was synced: {seen.xattrs[path]}"
    if kind == DIRECTORY:
        return None
    content = seen.contents[path]
    if any(content == data for data, _, _ in inode.versions):
        return None
    if len(content) not in {len(data) for data, _, _ in inode.versions}:
        return f"{path} has {len(content)} bytes, a size that it never had since it was synced ({len(inode.versions)} versions)"
    for at in range(0, len(content), BLOCK):
        block = content[at:at + BLOCK]
        if not any(block == data[at:at + len(block)].ljust(len(block), b"\0") for data, _, _ in inode.versions):
            return f"{path}: the block at {at} was never written so since the file was synced ({len(inode.versions)} versions)"
    return None
