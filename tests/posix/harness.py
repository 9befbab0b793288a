"""How the cases run: each in a process and a directory of its own, as root or as an ordinary user."""
import errno
import json
import os
import pathlib
import select
import shutil
import signal
import stat
import sys
import time
import traceback

REGISTRY = {}  # name -> Case, in the order of the sources
CASE_TIMEOUT_S = 30
ROOT, USER = "root", "user"


class Case:
    def __init__(self, name, function, who):
        self.name = name
        self.function = function
        self.who = who


def case(*who):
    """Registers a function as a case: for root and an ordinary user alike, unless `who` says for which."""
    def register(function):
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        REGISTRY[name] = Case(name, function, who or (ROOT, USER))
        return function
    return register


class Failed(Exception):
    pass


class Skipped(Exception):
    """The file system or its mount leaves nothing to be asked here; the text says why."""


class Trial:
    """What a case is given: an empty directory, which is also the working directory, and ways to say what must hold."""

    def __init__(self, directory, uid, gid, kind, options):
        self.dir = directory
        self.uid = uid
        self.gid = gid
        self.kind = kind        # of the file system, as the kernel names it: "ext4", "fuse.pelago"
        self.options = options  # of its mount
        self.assertions = 0

    def check(self, condition, text):
        self.assertions += 1
        if not condition:
            raise Failed(text)

    def equal(self, seen, expected, what):
        self.assertions += 1
        if seen != expected:
            raise Failed(f"{what}: {shown(seen)}, expected {shown(expected)}")

    def fails(self, expected, function, *arguments, **keywords):
        """The call fails, with `expected` or one of them."""
        self.assertions += 1
        wanted = expected if isinstance(expected, tuple) else (expected,)
        what = f"{getattr(function, '__name__', function)}{shown(arguments)}"
        names = " or ".join(errno.errorcode[number] for number in wanted)
        try:
            result = function(*arguments, **keywords)
        except OSError as error:
            if error.errno not in wanted:
                raise Failed(f"{what}: {errno.errorcode.get(error.errno, error.errno)}, expected {names}") from None
            return
        raise Failed(f"{what}: succeeded with {shown(result)}, expected {names}")

    def skip(self, why):
        raise Skipped(why)

    def alone(self, function, *arguments, uid=None, gid=None, groups=()):
        """Runs the function in a process of its own, as `uid` if given (with no other groups than `groups`); what it returns, which
        JSON can hold. An OSError, a Failed, or a death by signal (as OSError EINTR) there is raised here."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            code = 1
            try:
                if uid is not None:
                    become(uid, uid if gid is None else gid, groups)
                answer = outcome(function, arguments)
                answer["assertions"] = self.assertions
                os.write(writer, json.dumps(answer).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        text = b""
        while piece := os.read(reader, 65536):
            text += piece
        os.close(reader)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            raise Failed(f"killed by {signal.Signals(os.WTERMSIG(status)).name}")
        answer = json.loads(text)
        self.assertions = max(self.assertions, answer.pop("assertions"))
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer["value"]

    def beside(self, function, *arguments):
        """Starts the function in a process of its own, which goes on beside us."""
        return Companion(function, arguments)


class Companion:
    """A second process of a case; talks in lines: it is asked, and answers."""

    def __init__(self, function, arguments):
        to_child, self._ask = os.pipe()
        self._hear, to_parent = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._ask)
            os.close(self._hear)
            try:
                function(Line(to_child, to_parent), *arguments)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(to_child)
        os.close(to_parent)
        self.line = Line(self._hear, self._ask)

    def ask(self, text):
        self.line.say(text)
        return self.line.hear()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def end(self):
        """Waits until it ended by itself, which a companion does when it hears nothing more."""
        os.close(self._ask)
        os.waitpid(self.pid, 0)
        os.close(self._hear)


class Line:
    def __init__(self, reader, writer):
        self.reader, self.writer, self.kept = reader, writer, b""

    def say(self, text):
        os.write(self.writer, text.encode() + b"\n")

    def hear(self, timeout=10):
        """The next line; None at the end, and after the time."""
        while b"\n" not in self.kept:
            if not select.select([self.reader], [], [], timeout)[0]:
                return None
            piece = os.read(self.reader, 4096)
            if not piece:
                return None
            self.kept += piece
        text, _, self.kept = self.kept.partition(b"\n")
        return text.decode()


def shown(value):
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def outcome(function, arguments):
    """Calls it; what came out, as JSON can hold it."""
    try:
        return {"value": function(*arguments)}
    except Skipped as why:
        return {"skipped": str(why)}
    except Failed as error:
        return {"failed": f"{error}{place_of(error)}"}
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error.errno))
        return {"errno": error.errno, "failed": f"{name} ({error.strerror}) {error.filename or ''}{place_of(error)}"}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}{place_of(error)}"}


def place_of(error):
    """Where in a case it happened."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "/cases/" in frame.filename:
            return f" ({os.path.basename(frame.filename)}:{frame.lineno})"
    return ""


def become(uid, gid, groups=()):
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def mount_of(path):
    """(type, options) of the mount that holds `path`."""
    path = os.path.realpath(path)
    best = ("", "", [])
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for text in file:
            fields = text.split()
            rest = fields[fields.index("-") + 1:]
            point = fields[4].encode().decode("unicode_escape")
            if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
                best = (point, rest[0], fields[5].split(",") + rest[2].split(","))
    return best[1], best[2]


def run_case(entry, who, top, uid, kind, options):
    """One case as `who`; {"name", "state": passed|failed|skipped, "text", "assertions", "seconds"}."""
    label = f"{entry.name} as {who}"
    directory = os.path.join(top, entry.name.replace(".", "-") + "-" + who)
    began = time.monotonic()
    os.mkdir(directory, 0o755)
    if who == USER and os.getuid() == 0:
        os.chown(directory, uid, uid)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 1
        try:
            os.setpgid(0, 0)
            os.umask(0o022)
            if who == USER and os.getuid() == 0:
                become(uid, uid)
            os.chdir(directory)
            trial = Trial(directory, os.getuid(), os.getgid(), kind, options)
            answer = outcome(entry.function, (trial,))
            answer["assertions"] = trial.assertions
            answer.pop("value", None)
            os.write(writer, json.dumps(answer).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    answer = read_answer(reader, child)
    os.close(reader)
    remove(directory)
    result = {"name": label, "assertions": answer.get("assertions", 0), "seconds": round(time.monotonic() - began, 3)}
    if "failed" in answer:
        return {**result, "state": "failed", "text": answer["failed"]}
    if "skipped" in answer:
        return {**result, "state": "skipped", "text": answer["skipped"]}
    return {**result, "state": "passed", "text": ""}


def read_answer(reader, child):
    text = b""
    give_up = time.monotonic() + CASE_TIMEOUT_S
    while True:
        ready, _, _ = select.select([reader], [], [], max(0, give_up - time.monotonic()))
        if not ready:
            answer = {"failed": f"not done after {CASE_TIMEOUT_S} s"}
            break
        piece = os.read(reader, 65536)
        if piece:
            text += piece
            continue
        answer = json.loads(text) if text else {"failed": "ended without an answer"}
        break
    try:
        os.killpg(child, signal.SIGKILL)  # it, and what it may have left behind
    except ProcessLookupError:
        pass
    os.waitpid(child, 0)
    return answer


def remove(directory):
    """All of it, whatever modes a case has set."""
    def again(function, path, _):
        os.chmod(os.path.dirname(path), 0o700)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, 0o700)
        function(path)
    try:
        shutil.rmtree(directory, onerror=again)
    except OSError as error:
        print(f"cannot remove {directory}: {error}", file=sys.stderr)


def load_cases():
    import importlib
    for path in sorted((pathlib.Path(__file__).parent / "cases").glob("[a-z]*.py")):
        importlib.import_module(f"cases.{path.stem}")
