#!/usr/bin/python3
"""Holds the `runtime` list of scripts/install-deps to what the programs named on the command line really load."""
import functools
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = [pathlib.Path(argument) for argument in sys.argv[1:]]


def output_of(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def libraries(program):
    return [line.split("=>")[1].split()[0] for line in output_of("ldd", str(program)).splitlines() if "=> /" in line]


@functools.lru_cache(maxsize=None)
def package_of(library):
    """The package that a file belongs to; dpkg may know it by its path before /lib became a link to /usr/lib."""
    path = str(pathlib.Path(library).resolve())
    for spelling in (path, path.removeprefix("/usr"), "/usr" + path):
        found = subprocess.run(["dpkg-query", "--search", spelling], capture_output=True, text=True)
        if found.returncode == 0:
            return re.split(r"[:,]", found.stdout)[0]
    raise AssertionError(f"no package has {library}")


def with_dependencies(packages):
    listed = output_of("dpkg-query", "-W", "-f", "${Package}|${Essential}|${Depends},${Pre-Depends}\n")
    depends, reached = {}, set()
    for line in listed.splitlines():
        name, essential, needs = line.split("|", 2)
        depends.setdefault(name, set()).update(re.split(r"[\s:(]", need.strip())[0] for need in re.split(r"[,|]", needs))
        if essential == "yes":
            packages = packages + [name]
    waiting = list(packages)
    while waiting:
        name = waiting.pop()
        if name and name not in reached:
            reached.add(name)
            waiting.extend(depends.get(name, ()))
    return reached


class Runtime(unittest.TestCase):
    def test_the_runtime_packages_bring_every_library(self):
        self.assertTrue(PROGRAMS)
        reached = with_dependencies(output_of("scripts/install-deps", "--list", "runtime").split())
        missing = {f"{package_of(library)} ({library})" for program in PROGRAMS for library in libraries(program)
                   if package_of(library) not in reached}
        self.assertEqual(set(), missing)

    def test_no_runtime_package_is_listed_in_vain(self):
        loaded = {package_of(library) for program in PROGRAMS for library in libraries(program)}
        self.assertEqual(set(), set(output_of("scripts/install-deps", "--list", "runtime").split()) - loaded)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
