"""Every C++ file looks as .clang-format says. Usage: format_test.py ROOT"""
import pathlib
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
files = [path for suffix in ("*.cpp", "*.hpp") for path in root.rglob(suffix) if root / "build" not in path.parents]
assert len(files) > 300, f"only {len(files)} files found under {root}"
clang_format = ["clang-format-19", "--dry-run", "-Werror"]
found = subprocess.run(clang_format + files, capture_output=True, text=True)
if found.returncode:
    print(found.stderr[:4000])
    print("Remedy: clang-format-19 -i the files named above.")
sys.exit(found.returncode)
