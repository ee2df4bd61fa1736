"""What a command needs beside Python itself, and the one line that says what is missing and how to get it.

Neither this module nor `heed_export` itself imports anything of the kind, so that any Python 3 can read them.
"""

import importlib.util
import sys

PYTHON = (3, 11)
# By the module's name: what people call it, its Debian package ("" where there is none), its name on PyPI.
PACKAGES = {
    "numpy": ("NumPy", "python3-numpy", "numpy"),
    "yaml": ("PyYAML", "python3-yaml", "pyyaml"),
    "torch": ("PyTorch", "python3-torch", "torch"),
    "sentencepiece": ("SentencePiece", "python3-sentencepiece", "sentencepiece"),
    "sacrebleu": ("sacrebleu", "", "sacrebleu"),
}


def missing(*modules):
    """One line on those of these modules (keys of PACKAGES) that this Python lacks: which, and how to get them. Empty
    where it has them all."""
    if sys.version_info < PYTHON:
        return "needs Python %d.%d or newer; %s is %d.%d" % (*PYTHON, sys.executable, *sys.version_info[:2])
    lacking = [PACKAGES[module] for module in modules if importlib.util.find_spec(module) is None]
    if not lacking:
        return ""
    names = " and ".join(name for name, _, _ in lacking)
    apt = " ".join(package for _, package, _ in lacking if package)
    pip = "pip install " + " ".join(package for _, _, package in lacking)
    if sys.prefix != "/usr":  # a virtual environment or a Python of somebody's own: Debian's packages are not for it
        how = pip
    elif all(package for _, package, _ in lacking):
        how = "apt-get install %s, or in a virtual environment %s" % (apt, pip)
    else:
        how = "in a virtual environment (python3 -m venv --system-site-packages FOLDER, . FOLDER/bin/activate) %s" % pip
    return "needs %s, which %s lacks: %s" % (names, sys.executable, how)


def check(command, *modules):
    """Ends `command` with exit code 1 and that line, where one of the modules is missing."""
    line = missing(*modules)
    if line:
        sys.exit("%s: %s" % (command, line))
