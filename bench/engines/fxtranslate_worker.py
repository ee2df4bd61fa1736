"""fxtranslate's wheel: one text at a time, which is all that it offers; int8 as Firefox ships it."""

import importlib.metadata
import pathlib

import fxtranslate

import work


def main():
    spec = work.specification()
    model, pieces = (pathlib.Path(spec[n]).read_bytes() for n in ("model", "pieces"))
    shortlist = pathlib.Path(spec["shortlist"]).read_bytes() if spec.get("shortlist") else None
    translator = fxtranslate.Translator(model, pieces, pieces, shortlist)

    def run(lines, rows, beam):
        for line in lines:
            translator.translate(line)
        return sum(int(spec["a"] * (len(line.split()) + 1) + spec["b"]) for line in lines)

    versions = {"fxtranslate": importlib.metadata.version("fxtranslate"), "kernel": translator.backend()}
    work.serve(versions, lambda lines: lines, run)


if __name__ == "__main__":
    main()
