#!/usr/bin/python3
"""Holds the `runtime` list of scripts/install-deps and NOTICE to what the programs named on the command line really load."""
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


@functools.lru_cache(maxsize=None)
def packages_loaded():
    """The packages of the libraries that the programs load, each with one of its libraries."""
    libraries = set()
    for program in PROGRAMS:
        libraries |= {line.split("=>")[1].split()[0] for line in output_of("ldd", str(program)).splitlines() if "=> /" in line}
    # dpkg may know a file by its path before /lib became a link to /usr/lib.
    spellings = {}
    for library in libraries:
        path = str(pathlib.Path(library).resolve())
        spellings.update({path: library, path.removeprefix("/usr"): library})
    found = subprocess.run(["dpkg-query", "--search", *spellings], capture_output=True, text=True).stdout
    packages = {}
    for line in found.splitlines():
        package, path = re.match(r"([^:,]+).*: (/.*)", line).groups()
        packages[package] = spellings[path]
    unknown = libraries - set(packages.values()) - {spellings[path] for path in re.findall(r": (/.*)", found)}
    assert not unknown, f"no package has {unknown}"
    return packages


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
        missing = {f"{package} ({library})" for package, library in packages_loaded().items() if package not in reached}
        self.assertEqual(set(), missing)

    def test_no_runtime_package_is_listed_in_vain(self):
        listed = set(output_of("scripts/install-deps", "--list", "runtime").split())
        self.assertEqual(set(), listed - set(packages_loaded()))

    def test_notice_names_what_is_linked(self):
        linked = set()
        for program in PROGRAMS:
            linked |= set(re.findall(r"^  NEEDED +(\S+?)\.so", output_of("objdump", "-p", str(program)), re.M))
        table = (ROOT / "NOTICE").read_text(encoding="utf-8").split("\nLIBRARY", 1)[1].split("\n\n", 1)[0]
        named = {name for row in table.splitlines()[1:] for name in re.split(r" {2,}", row)[1].split()}
        covers = lambda name, library: library.startswith(name[:-1]) if name.endswith("*") else library == name
        self.assertEqual(set(), {one for one in linked if not any(covers(name, one) for name in named)}, "not in NOTICE")
        # What others link for themselves need not be in the programs' own lists.
        loaded = {pathlib.Path(line.split()[0]).name.split(".so")[0]
                  for program in PROGRAMS for line in output_of("ldd", str(program)).splitlines()}
        self.assertEqual(set(), {name for name in named if not any(covers(name, one) for one in loaded)}, "not linked")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
