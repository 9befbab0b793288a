#!/usr/bin/env python3
"""The layer fences: linking upward is refused by CMake, and no layer's sources include a header of one above it."""
import pathlib
import re
import subprocess
import sys
import tempfile

ORDER = ["base", "pastry", "tapestry", "past", "objstore", "fuse"]


def configure(root, layer, uses):
    """Configures a project in which `layer` links `uses`; returns (status, output)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "a.cpp").write_text("int a;\n")
        (folder / "CMakeLists.txt").write_text(f"""
cmake_minimum_required(VERSION 3.25)
project(fence LANGUAGES CXX)
function(pelago_use_pch target)
endfunction()
include({root}/cmake/Layers.cmake)
add_library({uses} INTERFACE)
add_layer({layer} SOURCES a.cpp PUBLIC {uses})
""")
        done = subprocess.run(["cmake", "-S", scratch, "-B", scratch + "/build"], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    status, output = configure(root, "pastry", "past")
    assert status != 0 and "pastry must not use past" in output, output
    status, output = configure(root, "past", "base_host")
    assert status != 0 and "layers see the doors" in output, output
    status, output = configure(root, "past", "pastry")
    assert status == 0, output

    failures = []
    for level, layer in enumerate(ORDER):
        above = ORDER[level + 1:]
        for path in sorted((root / layer).rglob("*.?pp")):
            for used in re.findall(r'#include [<"](\w+)/', path.read_text(encoding="utf-8")):
                if used in above:
                    failures.append(f"{path.relative_to(root)} includes {used}, a layer above {layer}")
    print("\n".join(failures) or "every layer uses only layers below it")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
