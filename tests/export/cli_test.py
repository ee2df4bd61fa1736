#!/usr/bin/python3
"""The command heed-export as people start it: from a checkout, and as pyproject.toml installs it."""

import contextlib
import importlib
import importlib.util
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import presets
from heed_export import cli
from heed_export.bundle import publish, spdx
from heed_export.measure import precision
from heed_export.text import language_tag

EXPORT = presets.ROOT / "export"


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(EXPORT / "heed-export"), *arguments], capture_output=True, text=True, timeout=60)


class Command(unittest.TestCase):
    def test_help_names_every_toolkit_and_what_it_needs(self):
        shown = run("--help")
        self.assertEqual((0, ""), (shown.returncode, shown.stderr))
        flat = " ".join(shown.stdout.split())
        for name in cli.TOOLKITS:
            module = importlib.import_module(f"heed_export.importers.{name}")
            self.assertIn(f"{module.NAME} {' '.join(module.HELP.split())}", flat)
        self.assertIn(f"{precision.NAME} {precision.HELP}", flat)

    def test_precision_lists_its_flags(self):
        shown = run("precision", "--help")
        self.assertEqual((0, ""), (shown.returncode, shown.stderr))
        for flag in ("BUNDLE", "--test", "--reference", "--test-set", "--build", "--dry-run"):
            self.assertIn(flag, shown.stdout)

    def test_every_toolkits_help_lists_its_own_and_the_common_flags(self):
        for name in cli.TOOLKITS:
            module = importlib.import_module(f"heed_export.importers.{name}")
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

    def test_a_license_or_a_language_that_is_none_is_named_with_the_nearest_before_anything_is_read(self):
        given = {"--license": "MIT", "--source-language": "ko", "--target-language": "en"}
        for flag, value, message in (
            ("--license", "Apache2", "--license is 'Apache2': 'Apache2' is no SPDX license identifier; did you mean Apache-2.0?"),
            (
                "--source-language",
                "korean",
                "--source-language is 'korean': it is no BCP 47 language tag: 'korean' is no registered language; did "
                "you mean ko?",
            ),
            (
                "--target-language",
                "en_US",
                "--target-language is 'en_US': it is no BCP 47 language tag: subtags are 1 to 8 letters and digits with "
                "'-' between them; did you mean en-US?",
            ),
        ):
            flags = [word for pair in (given | {flag: value}).items() for word in pair]
            shown = run("opennmt-py", "/nowhere/m.pt", "--out", "/nowhere/x", "--no-verify", *flags)
            self.assertEqual((1, "", f"heed-export opennmt-py: {message}\n"), (shown.returncode, shown.stdout, shown.stderr))

    def test_license_expressions_are_spdx(self):
        for given, canonical in (
            ("mit", "MIT"),
            ("PSF-2.0 AND LicenseRef-CC-BY-2.0-FR", "PSF-2.0 AND LicenseRef-CC-BY-2.0-FR"),
            ("gpl-2.0-only with classpath-exception-2.0 or (mit and cc0-1.0)",
             "GPL-2.0-only WITH Classpath-exception-2.0 OR (MIT AND CC0-1.0)"),
            ("GPL-2.0+", "GPL-2.0+"),
            ("DocumentRef-a:LicenseRef-b", "DocumentRef-a:LicenseRef-b"),
        ):  # fmt: skip
            self.assertEqual(canonical, spdx.canonical(given))
        for given, said in (
            ("", "it must be an SPDX"),
            ("MITT", "did you mean MIT?"),
            ("Apache 2.0", "did you mean Apache-2.0?"),
            ("GPLv3", "did you mean GPL-3.0-only?"),
            ("CC-BY-SA", "did you mean CC-BY-SA-4.0?"),
            ("proprietary", "LicenseRef-NAME is one of your own"),
            ("GPL-2.0-only WITH Classpath", "'Classpath' is no SPDX exception identifier; did you mean Classpath-exception-2.0?"),
            ("MIT AND", "at its end"),
            ("OR MIT", "before 'OR'"),
            ("(MIT", "closes each parenthesis"),
            ("MIT)", "without AND or OR"),
            ("MIT Apache-2.0", "without AND or OR"),
        ):  # fmt: skip
            with self.assertRaisesRegex(ValueError, re.escape(said), msg=given):
                spdx.canonical(given)

    def test_languages_are_bcp_47_tags(self):
        for given, canonical in (
            ("KO", "ko"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("de-1996", "de-1996"), ("und", "und"),
            ("sr-Latn-RS-ekavsk", "sr-Latn-RS-ekavsk"), ("zh-yue", "zh-yue"), ("x-mine", "x-mine"), ("qaa", "qaa"),
            ("en-us-u-ca-buddhist", "en-US-u-ca-buddhist"), ("i-klingon", "i-klingon"), ("de-x-own", "de-x-own"),
        ):  # fmt: skip
            self.assertEqual(canonical, language_tag.canonical(given))
        for given, said in (
            ("", "1 to 8 letters"), ("de-", "1 to 8 letters"), ("xx", "'xx' is no registered language"),
            ("jp", "did you mean ja?"), ("kor", "did you mean ko?"), ("german_DE", "did you mean de-DE?"),
            ("en-UK", "did you mean en-GB?"), ("englsh", "did you mean en?"), ("en-US-Latn", "does not stand where"),
            ("en-a", "must begin an extension"),
        ):  # fmt: skip
            with self.assertRaisesRegex(ValueError, re.escape(said), msg=given):
                language_tag.canonical(given)

    def test_what_is_described_in_python_is_held_to_the_same(self):
        card = publish.Card("m", "mit", "KO", "en-us")
        self.assertEqual(("MIT", "ko", "en-US"), (card.license, card.source_language, card.target_language))
        with self.assertRaisesRegex(ValueError, "^license is 'MITT': .* did you mean MIT[?]$"):
            publish.Card("m", "MITT", "ko", "en")
        with self.assertRaisesRegex(ValueError, "^target_language is 'english': .* did you mean en[?]$"):
            publish.Card("m", "MIT", "ko", "english")

    def test_the_importers_need_no_pytorch(self):
        code = "import sys; from heed_export import cli; cli.make_parser(); sys.exit('torch' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], cwd=EXPORT, check=True, timeout=60)

    def test_a_package_that_a_toolkit_needs_and_python_lacks_is_one_line(self):
        err = io.StringIO()
        find = importlib.util.find_spec
        lacking = lambda name: None if name == "yaml" else find(name)  # noqa: E731
        with unittest.mock.patch.object(importlib.util, "find_spec", lacking):
            with contextlib.redirect_stderr(err):
                code = cli.main(["joeynmt", "/nowhere/best.ckpt", "--out", "/nowhere/x", "--license", "MIT"])
        self.assertEqual(1, code)
        said = r"\Aheed-export joeynmt: needs PyYAML, which \S+ lacks: .*pip install pyyaml\n\Z"
        self.assertRegex(err.getvalue(), said)

    def test_the_installed_command_is_this_one(self):
        whole = tomllib.loads((EXPORT / "pyproject.toml").read_text(encoding="utf-8"))
        self.assertEqual(["*.txt", "*.json"], whole["tool"]["setuptools"]["package-data"]["*"])
        project = whole["project"]
        module, function = project["scripts"]["heed-export"].split(":")
        self.assertIs(cli.main, getattr(importlib.import_module(module), function))
        version = (presets.ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
        self.assertIn(f"project(heed VERSION {project['version']} ", version)

    def test_install_deps_has_what_the_importers_need(self):
        listed = [presets.ROOT / "scripts/install-deps", "--list", "import"]
        said = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        self.assertEqual(["python3", "python3-numpy", "python3-yaml", "zstd"], said)


class Environments(unittest.TestCase):
    """Which Python the command runs with, and what it says where that one lacks something."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", cls.folder / "venv"], check=True, timeout=60)
        cls.kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}

    def run_in(self, command, **environment: str) -> tuple[int, str, str]:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, env=self.kept | environment)
        return shown.returncode, shown.stdout, shown.stderr

    def test_debians_python_unless_an_environment_is_active(self):
        venv = self.folder / "venv"
        path = f"{venv}/bin:{self.kept['PATH']}"
        self.assertEqual(0, self.run_in([EXPORT / "heed-export", "--help"])[0])
        for command, active in (
            ([EXPORT / "heed-export", "--help"], {"PATH": path, "VIRTUAL_ENV": str(venv)}),
            ([EXPORT / "heed-export", "--help"], {"PATH": path, "CONDA_PREFIX": str(venv)}),
            ([venv / "bin/python3", EXPORT / "heed-export", "--help"], {}),
        ):
            with self.subTest(active):
                lacking = f"heed-export: needs NumPy, which {venv}/bin/python3 lacks: pip install numpy\n"
                self.assertEqual((1, "", lacking), self.run_in(command, **active))

    def test_a_recipe_says_what_it_needs(self):
        for name, needed in (("recipe", "NumPy and PyTorch and SentencePiece"), ("text.words", "NumPy and SentencePiece")):
            command = [f"{self.folder}/venv/bin/python", "-m", f"heed_export.{name}"]
            code, _, err = self.run_in(command, PYTHONPATH=str(EXPORT))
            self.assertEqual((1, 1), (code, err.count("\n")))
            self.assertRegex(err, f"^heed_export.{name}: needs {needed}, which .* lacks: pip install numpy")

    def test_git_sees_nothing_of_what_pip_leaves_of_installing_export(self):
        left = ["export/build/lib/heed_export/cli.py", "export/heed_export.egg-info/PKG-INFO"]
        ignored = subprocess.run(["git", "check-ignore", *left], cwd=presets.ROOT, capture_output=True, text=True)
        self.assertEqual(left, ignored.stdout.split())


if __name__ == "__main__":
    unittest.main()
