#!/usr/bin/env python3
"""What a shell offers and what a person reads.

usage: terminal_test.py PELAGO [TEST...]
"""
import os
import socket
import subprocess
import sys

from embedded_test import Skipped, check, main


def offered(m, *words):
    """What bash completes the last of these words to."""
    script = m.path("completion.bash")
    if not os.path.exists(script):
        with open(script, "wb") as out:
            out.write(m.run("completion", "bash").stdout)
    if subprocess.run(["which", "bash"], capture_output=True).returncode != 0:
        raise Skipped("no bash")
    ask = 'source "$1"; shift; COMP_WORDS=(pelago "$@"); COMP_CWORD=$#; _pelago; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", ask, "bash", script, *words], capture_output=True, check=True, cwd=m.scratch)
    return done.stdout.decode().split()


def test_bash_offers_verbs_options_and_values_each_where_they_belong(m):
    check("backup" in offered(m, "archive", ""), "no verbs")
    check(offered(m, "archive", "back") == ["backup"], str(offered(m, "archive", "back")))
    check(offered(m, "archive", "backup", "") == [], "files are left to the shell")
    options = offered(m, "archive", "backup", "--")
    check("--exclude" in options and "--json" in options, str(options))
    values = offered(m, "archive", "restore", "latest", "--overwrite", "")
    check("if-changed" in values and not any(v.startswith("-") for v in values), str(values))
    check(offered(m, "archive", "restore", "latest", "--target", "") == [], "a directory is left to the shell")


def test_a_port_that_is_taken_is_told_once_with_its_remedy(m):
    m.run("network", "create", "home")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = m.run("node", "run", "--listen", f"127.0.0.1:{port}", expect=1).stderr.decode().strip()
    check(said == f"pelago: port {port} on 127.0.0.1 is in use; choose another with --listen", said)


if __name__ == "__main__":
    sys.exit(main(globals()))
