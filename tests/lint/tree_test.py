#!/usr/bin/env python3
"""Checks the rules of CONTRIBUTING.md that can be read off the text of the tree. Each rule proves itself first on a
planted offence, so that none of them can rot into a check that never fails."""
import pathlib
import re
import sys

LAYERS = ["pastry", "tapestry", "past", "objstore", "fuse"]
CODE = {".cpp", ".hpp"}
MAX_LINES = 700
# The one place that includes libfuse owns its session's thread (docs/architecture.md, "Threads").
OWNS_A_THREAD = re.compile(r"fuse/src/adapter_notifier\.[ch]pp")
LIBFUSE = r"#include\s*<fuse"


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def offences(pattern, text):
    code = without_comments(text)
    return [code.count("\n", 0, m.start()) + 1 for m in re.finditer(pattern, code, flags=re.S)]


# Rule 3: above base the world is seen through the doors only.
DOORS = (r"\b(?:std::random_device|std::mt19937|this_thread|std::thread|std::jthread|fopen|std::[io]?fstream|"
         r"getenv|(?<!\w)::socket\s*\(|(?<!\w)::open\s*\(|gettimeofday|clock_gettime|(?:steady|system|high_resolution)_clock::now)\b")
# Rule 7: work is spawned through TaskGroup; detached only at the edges.
DETACHED = r"\basio::detached\b"
# Rule 9: name it, then move it (GCC 12 destroys such temporaries twice).
# (Durations are exempt: they have nothing to destroy.)
CO_AWAIT_TEMPORARY = r"co_await\b(?=(?:[^;{]|seconds\{|minutes\{|Duration\{)*?[,(]\s*(?!(?:std::chrono::)?\w*(?:seconds|minutes|hours)\{|(?:base::)?Duration\{)(?:(?:[\w:]|<[^<>]*>)*\{\s*[^\s}]|\[[^\]\n]+\]\s*(?:\(|\{|mutable)))"
CO_AWAIT_CHOICE = r"co_await\s*\([^;?]*\?"
# A count and its noun: "1 blocks" is what a person sees of it. plural() makes them agree.
COUNT_AND_NOUN = (r"\b(?:human_count|to_string)\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\s*\+\s*"
                  r"\" (?:blocks|bytes|copies|directories|entries|files|machines|members|nodes|objects|peers|snapshots|volumes)\b")
UNFINISHED = r"\b(?:TODO|FIXME|XXX|HACK)\b"


def self_test():
    planted = [
        (DOORS, "auto t = std::chrono::steady_clock::now();"),
        (DOORS, "std::thread worker;"),
        (DETACHED, "co_spawn(e, f(), asio::detached);"),
        (CO_AWAIT_TEMPORARY, "co_await send(Put{1, bytes});"),
        (CO_AWAIT_TEMPORARY, "co_await pool.run([block] { return 1; });"),
        (CO_AWAIT_CHOICE, "co_await (ok ? a() : b());"),
        (LIBFUSE, "#include <fuse_lowlevel.h>"),
        (COUNT_AND_NOUN, 'print(human_count(store["blocks"].get<int>()) + " blocks, ");'),
    ]
    for pattern, text in planted:
        assert offences(pattern, text), f"the rule does not see {text!r}"
    for fine in ("co_await send(std::move(put));", "co_await f(a[1], b);", "ok ? co_await a() : 0;", "co_await wait();"):
        assert not offences(CO_AWAIT_TEMPORARY, fine) and not offences(CO_AWAIT_CHOICE, fine), fine


def main():
    self_test()
    root = pathlib.Path(sys.argv[1])
    found = []
    files = [p for p in root.rglob("*") if p.is_file() and ".git" not in p.parts and "build" not in p.parts]
    sources = [p for p in files if p.suffix in CODE]
    for path in sources:
        name = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        layer = name.parts[0]

        def report(rule, pattern, where=text):
            found.extend(f"{name}:{line}: {rule}" for line in offences(pattern, where))

        if "fuse/src/adapter" not in str(name):
            report("only the adapter includes libfuse", LIBFUSE)
        if layer in LAYERS and not OWNS_A_THREAD.fullmatch(str(name)):
            report("rule 3: reach the world through a door of base", DOORS)
        if layer in LAYERS:
            report("rule 7: spawn through TaskGroup", DETACHED)
        if layer == "tools":
            report("a count and its noun agree by plural()", COUNT_AND_NOUN)
        report("rule 9: name it, then move it", CO_AWAIT_TEMPORARY)
        report("rule 9: no ?: over awaitables", CO_AWAIT_CHOICE)
        if re.search(UNFINISHED, text):
            found.append(f"{name}: finish it, or say it in an issue")
        if text.count("\n") > MAX_LINES:
            found.append(f"{name}: rule 10: {text.count(chr(10))} lines; a file tells one story")
        if path.suffix == ".hpp" and "#pragma once" not in text:
            found.append(f"{name}: no #pragma once")
        if "pb.h" in text and not path.name.startswith("codec") and "#include" in text and re.search(r'#include ".*\.pb\.h"', text):
            found.append(f"{name}: only a layer's codec includes generated headers")
    for path in files:
        if path.suffix in {".md", ".txt", ".cmake", ".py", ".sh", ".proto", ".json", ""} | CODE:
            text = path.read_text(encoding="utf-8", errors="replace")
            if re.search(r"(?<![\w.])/(?:workspace|w" + r"ork)/\w", text):
                found.append(f"{path.relative_to(root)}: a path that only one machine has")
    print("\n".join(sorted(found)) or f"{len(sources)} source files keep the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
