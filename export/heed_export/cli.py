"""The command heed-export: a sub-command for each toolkit whose models it imports, and those that measure or rewrite a bundle."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pathlib
import sys
import textwrap
from typing import NoReturn

from . import needs
from .bundle import upgrade
from .importers import importer
from .measure import calibrate, precision
from .reading.shown import escaped, say_failure

# Modules of importers/ in the order of --help.
TOOLKITS = ("opennmt_py", "joeynmt", "fairseq", "marian", "nematus", "pytorch")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Of a wrong command line, whose names of files may come from a wildcard."""
        super().error(escaped(message))


def make_parser() -> argparse.ArgumentParser:
    """The parser; each sub-command's `run` does it, with the arguments."""
    parser = _Parser(
        prog="heed-export",
        description="Turns a model that another toolkit trained into a bundle that heed-server serves, with a file "
        "(parity.json) that proves it says the same. Nothing of a checkpoint is executed.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for name in TOOLKITS:
        if importlib.util.find_spec(f"{__package__}.importers.{name}") is None:
            continue
        module = importlib.import_module(f"{__package__}.importers.{name}")
        ways = (f"heed-export {module.NAME} {line} {importer.USAGE}" for line in module.USAGE)
        usage = "\n       ".join(textwrap.fill(way, 100, subsequent_indent=" " * 11) for way in ways)
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP, usage=usage)
        module.add_arguments(command)
        importer.add_common_arguments(command)
        needed = getattr(module, "NEEDS", ())
        run = getattr(module, "run", None) or (lambda args, read=module.read: importer.run(args, read))
        command.set_defaults(run=run, needs=needed)
    for module in (precision, calibrate, upgrade):
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run, needs=())  # sacrebleu for some bundles: precision says so
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 with one line on stderr and nothing written; 2 for a wrong command line."""
    # The oracles (export/reference) stand beside this package and are no part of it.
    export = str(pathlib.Path(__file__).resolve().parents[1])
    if export not in sys.path:
        sys.path.insert(0, export)
    args = make_parser().parse_args(arguments)
    try:
        lacking = needs.missing(*args.needs)
        if lacking:
            raise ValueError(lacking)
        args.run(args)
        return 0
    except Exception as error:
        say_failure(f"heed-export {args.command}", error, args.debug)
        return 1


if __name__ == "__main__":
    sys.exit(main())
