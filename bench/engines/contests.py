"""What is compared with what: a contest is a shape, a search and a number of rows, and has its engines."""

import dataclasses
import json
import pathlib
import re
import struct

import running
import shapes

SEARCHES = {"greedy": 1, "shortlist": 1, "beam5": 5, "beam10": 10}
HEED = ("float32", "bfloat16", "int8")


@dataclasses.dataclass(frozen=True)
class Contest:
    """`rows` are rows of a step: texts times beam size, at most."""

    shape: str
    search: str
    rows: int

    @property
    def name(self):
        return f"{self.shape}/{self.search}/{self.rows}"

    @property
    def beam(self):
        return SEARCHES[self.search]

    @property
    def at_once(self):
        """Texts that are worked on together."""
        return max(1, self.rows // self.beam)

    @property
    def step_rows(self):
        """Rows of a full step: whole beams."""
        return self.at_once * self.beam

    @property
    def kind(self):
        return shapes.SHAPES[self.shape].kind


def every():
    """All contests, in the order of the tables."""
    found = []
    for name, shape in shapes.SHAPES.items():
        for search, beam in SEARCHES.items():
            if search == "shortlist" and shape.kind != "student":
                continue
            found += [Contest(name, search, rows) for rows in ((1, 8, 64) if beam == 1 else (beam, 64))]
    return found


def _tensor_shapes(weights):
    """{name: shape} of a safetensors file."""
    with open(weights, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}


def products(bundle):
    """(k, n) of each product with weights in one step of a bundle's decoder. An LSTM's two are one."""
    bundle = pathlib.Path(bundle)
    sizes = _tensor_shapes(bundle / "weights.safetensors")
    found = []
    for op in json.loads((bundle / "model.json").read_text(encoding="utf-8"))["step"]["ops"]:
        kind = next(k for k in op if k != "name")
        spec = op[kind]
        if kind in ("linear", "output"):
            n, k = sizes[spec["weight"]]
            found.append((k, n))
        elif kind == "attend" and "query_weight" in spec:
            n, k = sizes[spec["query_weight"]]
            found.append((k, n))
        elif kind == "cell":
            cell = spec["cell"]
            n, k = sizes[cell["weight_input"]]
            state = sizes[cell["weight_state"]][1] if "weight_state" in cell else 0
            found += [(k, n), (state, n)] if cell["kind"] == "CELL_KIND_GRU" else [(k + state, n)]
    return found


class Engines:
    """Makes the engines of contests, and keeps their processes while one shape is measured. `builds` are heed's, by
    name: the first is called heed. `wanted` is a regular expression of engines' names, `precisions` are heed's."""

    def __init__(self, environments, builds, models, cache, core, wanted=".", precisions=HEED):
        self._environments, self._builds, self._models = environments, builds, models
        self._cache, self._core, self._precisions = cache, core, precisions
        self._wanted = re.compile(wanted)
        self._kept, self._shape = {}, None
        self.missing = {}  # why an engine is not there, by its name

    def bundle(self, contest, kind="bundle"):
        if contest.kind == "shipped":
            return self._models / contest.shape
        kind = "shortlist" if contest.search == "shortlist" else kind
        return shapes.make(contest.shape, self._cache) / kind / contest.shape

    def of(self, contest):
        """{name: engine} in the order in which they take turns; those that cannot be had are left out."""
        if contest.shape != self._shape:
            self.stop()
            self._shape = contest.shape
        found = {}
        for name, make, key in [*self._heed(contest), *self._peers(contest), *self._bounds(contest)]:
            if not self._wanted.search(name):
                continue
            key = (name, *key)
            if key not in self._kept:
                try:
                    self._kept[key] = make()
                except (RuntimeError, OSError) as error:
                    self._kept[key] = None
                    self.missing[f"{contest.name}: {name}"] = str(error)
            if self._kept[key] is not None:
                found[name] = self._kept[key]
        return found

    def drop(self, contest, engine, why):
        """Leaves out an engine that failed while it was measured."""
        for key, kept in self._kept.items():
            if kept is engine:
                self._kept[key] = None
                self.missing[f"{contest.name}: {key[0]}"] = why
        try:
            engine.stop()
        except OSError:
            pass  # it has ended

    def pids(self):
        return [pid for engine in self._kept.values() if engine is not None for pid in engine.pids()]

    def stop(self):
        for engine in self._kept.values():
            if engine is not None:
                engine.stop()
        self._kept = {}

    def _heed(self, contest):
        lengths = None if contest.kind == "shipped" else (shapes.TARGET_A, shapes.TARGET_B)
        found = []
        for which, build in self._builds.items():
            knows = running.has_flag(build / "bench/engine_bench", "precision")
            for precision in self._precisions if knows else ("float32",):
                found.append((f"{which} {precision}", lambda b=build, p=precision: running.HeedEngine(
                    b, self.bundle(contest), p, lengths, self._core), (contest.search == "shortlist",)))  # fmt: skip
            if knows and contest.kind == "student" and contest.search != "shortlist":
                found.append((f"{which} int8, Firefox's own weights", lambda b=build: running.HeedEngine(
                    b, self.bundle(contest, "int8"), "int8", lengths, self._core), ()))  # fmt: skip
            if contest.beam == 1 and contest.rows in running.CALLERS:
                precision = self._precisions[-1] if knows else "float32"
                found.append((f"{which} {precision} through gRPC", lambda b=build, p=precision: running.HeedServer(
                    b, self.bundle(contest), p, self._core), (contest.search == "shortlist",)))  # fmt: skip
        return found

    def _bounds(self, contest):
        if contest.search == "shortlist" or not (self._builds["heed"] / "bench/kernel_bench").exists():
            return []
        listed = products(self.bundle(contest))
        return [(f"bound {p}", lambda p=p: running.Bound(self._builds["heed"], listed, p, self._core), ())
                for p in self._precisions]  # fmt: skip

    def _peers(self, contest):
        plain = contest.search != "shortlist"
        found = []
        if plain and (contest.beam == 1 or contest.kind != "shipped"):
            for precision in ("float32", "bfloat16", "int8"):
                found.append((f"PyTorch {precision}", lambda p=precision: self._torch(contest, p), ()))
        if plain and contest.beam == 1:
            for precision in ("float32", "int8"):
                found.append((f"ONNX Runtime {precision}, step alone", lambda p=precision: self._onnx(contest, p), ()))
        if contest.kind != "student":
            return found
        if plain:
            for precision in ("float32", "int8"):
                name = f"CTranslate2 {precision}, Transformer"
                found.append((name, lambda p=precision: self._ctranslate2(contest, p), ()))
        files = shapes.make(contest.shape, self._cache) / "marian"
        lex = None if plain else files / shapes.SHORTLIST
        if contest.beam == 1:
            if contest.rows == 1:
                found.append(("fxtranslate wheel", lambda: self._wheel(files, lex), (plain,)))
            found.append(("fxtranslate crate", lambda: self._crate(files, lex), (plain,)))
        found.append(("Marian, WebAssembly", lambda: self._marian(files, lex, contest.beam), (plain, contest.beam)))
        return found

    def _python(self, environment, worker, specification, export=False):
        self._environments.make(environment)
        here = pathlib.Path(__file__).resolve().parent
        path = {"PYTHONPATH": str(shapes.ROOT / "export")} if export else {}
        command = [self._environments.python(environment), here / worker, "SPEC"]
        return running.Worker(command, specification, self._core, path)

    def _torch(self, contest, precision):
        specification = {"bundle": str(self.bundle(contest)), "precision": precision}
        return self._python("torch", "torch_worker.py", specification, export=True)

    def _onnx(self, contest, precision):
        bundle = self.bundle(contest)
        model = shapes.home(self._cache) / "onnx" / f"{contest.shape}.onnx"
        if not model.exists():
            self._environments.make("torch")
            running.export_onnx(self._environments.python("torch"), bundle, model)
        spec = json.loads((bundle / "model.json").read_text(encoding="utf-8"))
        pieces = bundle / spec["source"]["sentencepiece"]["file"]
        shipped = contest.kind == "shipped"
        return self._python("onnxruntime", "onnxruntime_worker.py", {
            "model": str(model), "precision": precision, "pieces": str(pieces),
            # What a shipped model says is about as long as what it reads; to a step it makes no difference.
            "a": 1 if shipped else shapes.TARGET_A, "b": 0 if shipped else shapes.TARGET_B,
        })  # fmt: skip

    def _ctranslate2(self, contest, precision):
        words = shapes.home(self._cache) / "words.txt"
        words.write_text("".join(f"{shapes.word(i)}\n" for i in range(2, shapes.PIECES)), encoding="utf-8")
        return self._python("ctranslate2", "ctranslate2_worker.py", {
            "folder": str(shapes.home(self._cache) / "ctranslate2" / contest.shape), "words": str(words),
            "sizes": shapes.SHAPES[contest.shape].sizes, "precision": precision,
            "a": shapes.TARGET_A, "b": shapes.TARGET_B,
        })  # fmt: skip

    def _wheel(self, files, lex):
        return self._python("fxtranslate", "fxtranslate_worker.py", {
            "model": str(files / shapes.SHIPPED), "pieces": str(files / shapes.SPM), "shortlist": lex and str(lex),
            "a": shapes.TARGET_A, "b": shapes.TARGET_B,
        })  # fmt: skip

    def _crate(self, files, lex):
        self._environments.make("fxtranslate-crate")
        paths = [files / shapes.SHIPPED, files / shapes.SPM, *([lex] if lex else [])]
        return running.Worker([self._environments.crate(), *paths], {}, self._core)

    def _marian(self, files, lex, beam):
        self._environments.make("marian")
        here = pathlib.Path(__file__).resolve().parent
        return running.Worker(["node", here / "marian.cjs", "SPEC"], {
            "worker": str(self._environments.marian_worker()), "model": str(files / shapes.SHIPPED),
            "pieces": str(files / shapes.SPM), "shortlist": lex and str(lex), "precision": "int8shiftAlphaAll",
            "beam": beam, "batch_words": 4096,
        }, self._core)  # fmt: skip
