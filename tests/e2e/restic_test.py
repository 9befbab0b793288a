#!/usr/bin/env python3
"""Command lines as restic's manual has them, with `pelago archive` for `restic`: they run as they stand, or docs/from-restic.md says why not.

usage: restic_test.py PELAGO [TEST...]

{home} is the home directory, {id}, {id2} ids of snapshots (their first digits).
"""
import json
import os
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from embedded_test import Machine, check  # noqa: E402
from stories import run_stories  # noqa: E402

MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "from-restic.md")

# Each runs on the same volume, one after the other, and ends with exit code 0.
LINES = {
    "backup": """
        --verbose backup {home}/papers
        backup --dry-run -vv {home}/papers
        backup {home}/papers --exclude="*.c" --exclude-file={home}/excludes.txt
        backup --iexclude "*.TMP" --exclude-caches --exclude-if-present .nobackup --exclude-larger-than 10M {home}/papers
        backup --files-from {home}/files_to_backup {home}/papers/some_file
        backup --files-from-raw {home}/files_raw --files-from-verbatim {home}/files_to_backup
        backup --tag projectX --tag foo --tag bar {home}/papers
        backup --tag one,two {home}/papers
        backup --stdin-filename production.sql --stdin-from-command -- echo data
        backup --stdin --stdin-filename dump.sql
        backup --skip-if-unchanged {home}/papers
        backup --one-file-system -x {home}/papers
        backup --host luigi --time "2021-01-01 10:00:00" {home}/papers
        backup --compression max --no-scan --read-concurrency 4 {home}/papers
        backup --force --parent {id} --group-by host,tags {home}/papers
        backup --ignore-inode --ignore-ctime --json {home}/papers
        -q backup {home}/papers
    """,
    "snapshots": """
        snapshots
        snapshots --path="{home}/papers"
        snapshots --host luigi
        snapshots --tag foo,bar --tag projectX
        snapshots --group-by host
        snapshots -g host,paths -c
        snapshots --latest 1
        snapshots --compact --json
        --json snapshots latest
        snapshots {id}
    """,
    "ls": """
        ls latest
        ls -l latest
        ls latest {home}/papers
        ls --long --recursive latest {home}/papers
        ls {id}
        ls --json latest
        ls --host luigi latest
        ls --tag foo --path {home}/papers latest
        ls {id}:{home}/papers
        ls latest {home}/papers/some_file
    """,
    "find": """
        find some_file
        find -l some_file
        find "*.c" --snapshot {id}
        find --long -s latest some_file
        find --oldest 2010-01-01 --newest "2035-01-01 10:00:00" some_file
        find -i SOME_FILE
        find --json some_file other
        find --tag foo some_file
        find --host luigi --path {home}/papers some_file
        find -R some_file
    """,
    "diff": """
        diff {id} {id2}
        diff {id} latest
        diff --metadata {id} {id2}
        --json diff {id} {id2}
        -q diff {id} {id2}
        diff -v {id} {id2}
        diff --json --metadata {id} latest
        diff latest latest
        diff --tag foo {id} latest
        diff --host luigi {id} latest
    """,
    "dump": """
        dump latest {home}/papers/some_file
        dump {id} {home}/papers/some_file
        dump latest {home}/papers
        dump -a tar {id} {home}/papers
        dump --archive tar latest /
        dump latest:{home}/papers some_file
        dump --target {home}/out.tar {id} {home}/papers
        dump -t {home}/out2.tar {id} /
        dump --path {home}/papers latest {home}/papers/some_file
        dump --host luigi --tag foo {id} {home}/papers/some_file
    """,
    "restore": """
        restore {id} --target {home}/restore-work
        restore latest --target {home}/restore-art --path "{home}/papers"
        restore latest -t {home}/restore-host --host luigi
        restore {id} --target {home}/restore-inc --include {home}/papers/some_file
        restore {id} --target {home}/restore-exc --exclude "*.c" --iexclude "*.TMP"
        restore {id}:{home}/papers --target {home}/restore-sub
        restore {id} --target {home}/restore-work --overwrite if-changed
        restore {id} --target {home}/restore-work --dry-run --delete -vv
        restore {id} --target {home}/restore-work --delete --verify
        restore --include-file {home}/includes.txt --target {home}/restore-file {id}
        restore --json --tag foo latest --target {home}/restore-json
    """,
    "stats": """
        stats
        stats latest
        stats {id} {id2}
        stats --mode restore-size latest
        stats --mode raw-data
        stats --mode files-by-contents {id}
        stats --mode blobs-per-file {id}
        stats --host luigi --mode raw-data latest
        --json stats
        stats --tag foo
    """,
    "tag": """
        tag --set NL --set CH {id}
        tag --add UK --remove CH --tag NL
        tag --set NL,SOMETHING --tag UK
        tag --remove SOMETHING
        tag --add a,b --host luigi
        tag --remove a --remove b
        tag --set '' --tag NL
        tag --add x --path {home}/papers latest
        -q tag --remove x
        tag --json --add y --tag foo
    """,
    "rewrite": """
        rewrite --exclude secret-file
        rewrite --dry-run --exclude "*.c"
        rewrite --exclude secret-file {id}
        rewrite --exclude-file {home}/excludes.txt --dry-run
        rewrite --iexclude "*.TMP" latest
        rewrite --forget --exclude secret-file
        rewrite --new-host newhost --new-time "1999-01-01 11:11:11" {id}
        rewrite --new-host newhost --forget {id2}
        rewrite --host luigi --tag foo --exclude some_file --dry-run
        rewrite --path {home}/papers --exclude x -n
    """,
    "key": """
        key passwd --new-password-file {home}/password
        --password-file {home}/password key list
        key add --new-password-file {home}/password2 --password-file {home}/password
        key list --json
        --password-file {home}/password key remove 2
        key add --new-password-file {home}/password2 --password-file={home}/password
        key passwd --new-password-file {home}/password3 --password-file {home}/password2
        --password-file {home}/password3 key remove 1
        key list
        --password-file {home}/password3 snapshots
        key passwd --no-password --password-file {home}/password3
    """,
    "check": """
        check
        check --read-data
        check --read-data-subset=1/5
        check --read-data-subset=2.5%
        check --read-data-subset=50M
        check --read-data-subset=10%
        check --json
        check -v
        -q check
        check --json --read-data
    """,
    "forget": """
        forget --dry-run --keep-last 1
        forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly 75 --dry-run
        forget --tag foo --keep-last 1
        forget --keep-within 2y5m7d3h --dry-run
        forget --keep-within-daily 7d --keep-within-weekly 1m --keep-within-monthly 1y --keep-within-yearly 75y -n
        forget --keep-hourly 24 --group-by host --compact -n
        forget --group-by '' --keep-tag y --keep-last 3
        forget -l 2 -d 1 -w 1 -m 1 -y 1 --prune --dry-run
        forget --host luigi --keep-last 1 --path {home}/papers
        forget {id}
        forget --keep-last 5 --prune --json
        forget --tag foo --unsafe-allow-remove-all
    """,
    "prune": """
        prune --dry-run
        prune
        -v prune
        prune --max-unused 5%
        prune --max-unused 0% -n
        prune --json
        -q prune
        prune -n -v
        prune --max-unused 20%
        prune --max-unused=unlimited
    """,
}

# What ends as a wrong use, and what docs/from-restic.md says of it.
REFUSED = {
    "init": "`init`",
    "unlock": "`unlock`",
    "cache --cleanup": "`cache`",
    "rebuild-index": "`rebuild-index`",
    "backup --with-atime {home}/papers": "`--with-atime`",
    "restore {id} --target {home}/x --sparse": "`restore --sparse`",
    "copy --from-repo /srv/restic-repo-copy": "`copy --from-repo`",
    "repair snapshots --forget": "`repair snapshots`",
    "repair index": "`repair index`",
    "repair packs": "`repair packs`",
    "find --blob 0123": "`find --blob`",
    "dump --archive zip latest /": "`dump --archive zip`",
    "diff {id}:{home} latest:{home}": "`diff SNAP:/path`",
    "ls --sort size latest": "`ls --sort`",
    "prune --max-repack-size 1G": "`--max-repack-size`",
    "check --with-cache": "`check --with-cache`",
    "snapshots --no-lock": "`--no-lock`",
    "--no-cache snapshots": "`--no-cache`",
    "-r /srv/restic-repo snapshots": "`-r`",
    "key add --host h --user u": "`key add --host`",
}


class User(Machine):
    def __init__(self, scratch):
        super().__init__(scratch)
        files = {"papers/some_file": "some", "papers/other": "other", "papers/a.c": "int a;", "papers/x.tmp": "tmp", "papers/secret-file": "secret",
                 "papers/sub/b": "b", "excludes.txt": "*.go\nfoo/**/bar\n", "includes.txt": "some_file\n",
                 "password": "one", "password2": "two", "password3": "three"}
        for name, text in files.items():
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            with open(self.path(name), "w") as out:
                out.write(text + "\n")
        with open(self.path("files_to_backup"), "w") as out:
            out.write(self.path("papers/other") + "\n")
        with open(self.path("files_raw"), "w") as out:
            out.write(self.path("papers/a.c") + "\0")
        self.ids = []

    def again(self):
        """Two snapshots that the lines can name, whatever the lines before them did."""
        self.ids = []
        for text in "one", "two":
            with open(self.path("papers", "other"), "w") as out:
                out.write(text)
            done = self.run("archive", "backup", self.path("papers"), "--host", "luigi", "--tag", "foo", "--json", stdin=b"")
            self.ids.append(json.loads(done.stdout.splitlines()[-1])["snapshot_id"][:12])

    def words(self, line):
        return shlex.split(line.format(home=self.scratch, id=self.ids[0], id2=self.ids[1]))


def test_command_lines_of_restics_manual_run_as_they_stand(m):
    wrong = []
    for verb, lines in LINES.items():
        m.again()
        for line in filter(None, map(str.strip, lines.splitlines())):
            if verb in ("tag", "rewrite", "forget") and "{id" in line:
                m.again()
            done = subprocess.run([sys.argv[1], "archive", *m.words(line)], env=m.environment, input=b"text", capture_output=True, timeout=120)
            if done.returncode != 0:
                wrong.append(f"{line}: exit {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    check(not wrong, "\n".join(["these do not run:", *wrong]))


def test_what_does_not_run_is_a_wrong_use_and_the_manual_says_why(m):
    m.again()
    with open(MANUAL) as file:
        manual = file.read()
    for line, named in REFUSED.items():
        m.run("archive", *m.words(line), expect=2)
        check(named in manual, f"docs/from-restic.md does not say why '{line}' does not run: {named}")


if __name__ == "__main__":
    sys.exit(run_stories(globals(), lambda name, scratch: User(scratch)))
