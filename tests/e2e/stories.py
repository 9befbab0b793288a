"""What the end-to-end suites stand on: a story is a function test_*, and each is given a machine and a scratch directory of its own."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

PELAGO = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "pelago"
ROOT = os.geteuid() == 0


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failed(text)


def run_stories(stories, machine, cannot=None):
    """Runs those that the command line names, or all; returns the exit code.

    machine(name, scratch) makes what a story is given; clean() of that ends what it began. `cannot`: why none can run here.
    """
    failed = 0
    for name, story in list(stories.items()):
        if not name.startswith("test_") or (sys.argv[2:] and name not in sys.argv[2:]):
            continue
        scratch = tempfile.mkdtemp(prefix="pelago-e2e-")
        m = None
        began = time.monotonic()
        try:
            if cannot:
                raise Skipped(cannot)
            m = machine(name, scratch)
            story(m)
            print(f"ok       {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Skipped as why:
            print(f"skipped  {name}: {why}", flush=True)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"FAILED   {name}: {error}", flush=True)
        finally:
            if m:
                m.clean()
            shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0
