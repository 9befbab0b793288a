#!/usr/bin/env python3
"""What POSIX and Linux promise of a directory, asked of DIR: a few hundred cases, failures by name.

    run.py DIR [--only PATTERN] [--as root,user] [--as-user UID] [--json] [--list]

Each case runs in a process and an empty directory of its own below DIR/pelago-posix, which is removed afterwards: as root and as an
ordinary user (UID, 12345 if not given) where run.py is started by root, else as whoever started it. What a file system is known not
to do is listed in exceptions.json, by its type, with a reason; a case that is listed there must fail, so that the list stays true.
Exit code: 0 all as expected, 1 not, 2 usage. Only Python's standard library.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir", nargs="?", metavar="DIR")
    parser.add_argument("--only", action="append", metavar="PATTERN", help="cases by name, with * and ?; may be repeated")
    parser.add_argument("--as", dest="who", default="root,user", help="root, user or root,user")
    parser.add_argument("--as-user", type=int, default=12345, metavar="UID", help="the ordinary user (default: 12345)")
    parser.add_argument("--json", action="store_true", help="one document on standard output")
    parser.add_argument("--list", action="store_true", help="the names of the cases")
    options = parser.parse_args()
    harness.load_cases()
    if options.list:
        print("\n".join(harness.REGISTRY))
        return 0
    if not options.dir:
        parser.error("which DIR?")
    if not os.path.isdir(options.dir):
        parser.error(f"{options.dir} is no directory")
    cases = [entry for entry in harness.REGISTRY.values()
             if not options.only or any(fnmatch.fnmatch(entry.name, pattern) for pattern in options.only)]
    if not cases:
        parser.error("no case has such a name")
    if not set(options.who.split(",")) <= {harness.ROOT, harness.USER}:
        parser.error("--as takes root, user or root,user")
    return run(cases, options)


def run(cases, options):
    began = time.monotonic()
    kind, mount_options = harness.mount_of(options.dir)
    known = json.loads((pathlib.Path(__file__).parent / "exceptions.json").read_text()).get(kind, {})
    top = os.path.join(os.path.abspath(options.dir), "pelago-posix")
    try:
        os.mkdir(top, 0o755)
    except FileExistsError:
        sys.exit(f"run.py: {top} is there already; remove it")
    asked = options.who.split(",")
    results = []
    try:
        if harness.USER in asked and os.getuid() == 0:
            check_reachable(top, options.as_user)
        for entry in cases:
            for who in entry.who:
                if who not in asked:
                    continue
                if who == harness.ROOT and os.getuid() != 0:
                    results.append({"name": f"{entry.name} as root", "state": "skipped", "assertions": 0, "seconds": 0,
                                    "text": "needs root"})
                    continue
                result = harness.run_case(entry, who, top, options.as_user, kind, mount_options)
                results.append(judged(result, known.get(entry.name)))
                if results[-1]["state"] == "failed" and not options.json:
                    print(f"FAILED {results[-1]['name']}: {results[-1]['text']}", flush=True)
    finally:
        harness.remove(top)
    return report(results, kind, time.monotonic() - began, options)


def judged(result, reason):
    """The result in the light of the list of exceptions."""
    if reason is None or result["state"] == "skipped":
        return result
    if result["state"] == "failed":
        return {**result, "state": "excepted", "text": f"{reason} [{result['text']}]"}
    return {**result, "state": "failed", "text": f"passes, but is listed as an exception: {reason}"}


def check_reachable(top, uid):
    """The ordinary user must be able to get there, or every failure would say only that."""
    def look():
        os.stat(top)
        return True
    try:
        harness.Trial(top, 0, 0, "", []).alone(look, uid=uid)
    except OSError as error:
        os.rmdir(top)
        sys.exit(f"run.py: user {uid} cannot reach {top} ({error.strerror}); mount with allow_other, or give --as root")


def report(results, kind, seconds, options):
    count = {state: sum(r["state"] == state for r in results) for state in ("passed", "failed", "excepted", "skipped")}
    assertions = sum(r["assertions"] for r in results)
    if options.json:
        print(json.dumps({"file_system": kind, "seconds": round(seconds, 2), "assertions": assertions, **count, "cases": results}, indent=1))
    else:
        for state in ("excepted", "skipped"):
            for r in results:
                if r["state"] == state:
                    print(f"{state} {r['name']}: {r['text']}")
        print(f"{kind}: {count['passed']} passed, {count['failed']} failed, {count['excepted']} known exceptions, "
              f"{count['skipped']} skipped; {assertions} assertions in {seconds:.1f} s")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
