#!/usr/bin/python3
"""The command heed-export as people start it: from a checkout, and as pyproject.toml installs it."""

import importlib
import pathlib
import subprocess
import sys
import tomllib
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets
from heed_export import cli, precision

EXPORT = presets.ROOT / "export"


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(EXPORT / "heed-export"), *arguments], capture_output=True, text=True, timeout=60)


class Command(unittest.TestCase):
    def test_help_names_every_toolkit_and_what_it_needs(self):
        shown = run("--help")
        self.assertEqual((0, ""), (shown.returncode, shown.stderr))
        flat = " ".join(shown.stdout.split())
        for name in cli.TOOLKITS:
            module = importlib.import_module(f"heed_export.{name}")
            self.assertIn(f"{module.NAME} {' '.join(module.HELP.split())}", flat)
        self.assertIn(f"{precision.NAME} {precision.HELP}", flat)

    def test_precision_lists_its_flags(self):
        shown = run("precision", "--help")
        self.assertEqual((0, ""), (shown.returncode, shown.stderr))
        for flag in ("BUNDLE", "--test", "--reference", "--test-set", "--build", "--dry-run"):
            self.assertIn(flag, shown.stdout)

    def test_every_toolkits_help_lists_its_own_and_the_common_flags(self):
        for name in cli.TOOLKITS:
            module = importlib.import_module(f"heed_export.{name}")
            shown = run(module.NAME, "--help")
            self.assertEqual((0, ""), (shown.returncode, shown.stderr))
            for flag in ("--out", "--license", "--heed-server", "--cases", "--source-language"):
                self.assertIn(flag, shown.stdout, module.NAME)

    def test_a_wrong_command_line_is_exit_code_2(self):
        for arguments in ([], ["nothing"], ["opennmt-py"], ["opennmt-py", "m.pt", "--out", "x"], ["precision", "x"]):
            self.assertEqual(2, run(*arguments).returncode, arguments)

    def test_a_missing_file_is_one_line(self):
        shown = run("opennmt-py", "/nowhere/m.pt", "--out", "/nowhere/x", "--license", "MIT", "--no-verify")
        self.assertEqual(
            (1, "", "heed-export opennmt-py: /nowhere/m.pt: does not exist\n"),
            (shown.returncode, shown.stdout, shown.stderr),
        )

    def test_the_importers_need_no_pytorch(self):
        code = "import sys; from heed_export import cli; cli.make_parser(); sys.exit('torch' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], cwd=EXPORT, check=True, timeout=60)

    def test_the_installed_command_is_this_one(self):
        project = tomllib.loads((EXPORT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        module, function = project["scripts"]["heed-export"].split(":")
        self.assertIs(cli.main, getattr(importlib.import_module(module), function))
        version = (presets.ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        self.assertIn(f"project(heed VERSION {project['version']} ", version)


if __name__ == "__main__":
    unittest.main()
