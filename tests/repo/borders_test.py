#!/usr/bin/python3
"""Holds the borders of docs/architecture.md: which folder may include which, and which library stays behind which; and the
sizes that docs/development.md names."""
import ast
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)

# The folders in the order of the flow, each with what it may include beside itself.
ENGINE = {
    "engine/base": [],
    "engine/fields": ["engine/base", "heed/v1"],
    "engine/kernels": ["engine/base"],
    "engine/model": ["engine/base", "engine/fields", "engine/kernels", "heed/model/v1", "heed/v1"],
    "engine/search": ["engine/base"],
    "engine/run": ["engine/base", "engine/kernels", "engine/model", "engine/search", "heed/model/v1"],
}
SERVER_ORDER = ["net", "edge", "text", "errors", "scheduler", "metrics", "models", "admission", "reply", "config", "verify",
                "lifecycle", "http", "serving", "rpc"]
PROTOS = ["heed/v1", "heed/model/v1", "heed/server/v1", "google/rpc"]

# Library: how its headers are spelled, and the only places that may include them.
LIBRARIES = {
    "gRPC": (r"^(grpc|grpcpp|grpc\+\+)/|\.grpc\.pb\.h$", ["server/rpc/", "server/main.cc", "client/"]),
    "oneDNN": (r"^(oneapi/)?(dnnl|mkldnn)", ["engine/kernels/"]),
    "Highway": (r"^hwy/", ["engine/kernels/"]),
    "prometheus-cpp": (r"^prometheus/", ["server/metrics/"]),
    "nghttp2": (r"^nghttp2/", ["server/edge/"]),
    "zlib": (r"^zlib", ["server/edge/"]),
    # Debian's libsentencepiece exports a protobuf of its own that clashes with the real one: nobody may link it.
    "SentencePiece": (r"^sentencepiece", []),
    "Boost": (r"^boost/", ["server/http/"]),
    "ICU": (r"^unicode/", ["server/text/", "client/cli/"]),
}


def may_include():
    allowed = dict(ENGINE)
    for position, name in enumerate(SERVER_ORDER):
        before = ["server/" + earlier for earlier in SERVER_ORDER[:position]]
        allowed["server/" + name] = list(ENGINE) + before + PROTOS
    allowed["client"] = PROTOS
    # The command, not the library: the words for what somebody may have meant, and for bounds, are the server's too.
    allowed["client/cli"] = ["client", "engine/base", "engine/fields"] + PROTOS
    return allowed


def production_sources():
    for top in ("engine", "server", "client"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cc"):
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def folder_of(name, folders):
    return max((f for f in folders if name.startswith(f + "/")), key=len, default=None)


class Borders(unittest.TestCase):
    def test_there_are_sources_to_check(self):
        self.assertGreater(len(list(production_sources())), 20)

    def test_each_folder_includes_only_what_lies_before_it(self):
        allowed = may_include()
        wrong = []
        for name, text in production_sources():
            folder = folder_of(name, allowed)
            if folder is None:
                if name != "server/main.cc":
                    wrong.append(f"{name}: its folder is missing from the table in {__file__}")
                continue
            for header in INCLUDE.findall(text):
                if not header.startswith(("engine/", "server/", "client/", "bench/", "tests/", "heed/", "google/rpc/")):
                    continue
                if folder_of(header, [folder] + allowed[folder]) is None:
                    wrong.append(f"{name} includes {header}")
        self.assertEqual([], wrong)

    def test_each_library_stays_behind_its_wrapper(self):
        wrong = []
        for name, text in production_sources():
            for header in INCLUDE.findall(text):
                for library, (spelling, places) in LIBRARIES.items():
                    if re.search(spelling, header) and not name.startswith(tuple(places)):
                        wrong.append(f"{name} includes {header}: {library} belongs in {', '.join(places)}")
        self.assertEqual([], wrong)

    def test_transports_reach_the_stages_through_the_pipeline_alone(self):
        # Of the scheduler's folder they have threads' tools; of admission the request's plain structs and limits.
        stages = re.compile(r"^server/(reply|models|scheduler|admission)/(?!deferred_wakes\.h$|cores\.h$|admission\.h$)"
                            r"|^server/lifecycle/text_")
        parts = re.compile(r"(?<!options)(?:->|\.)(?:scheduler|registry|admission|text_pool)\b"
                           r"|\b(?:Scheduler|Registry|ReplyMaker|WorkItem|WorkResult|AdmittedRequest|TextPool)\b")
        wrong = []
        for name, text in production_sources():
            if not name.startswith("server/rpc/"):
                continue
            wrong += [f"{name} includes {header}" for header in INCLUDE.findall(text) if stages.search(header)]
            wrong += [f"{name} names {part}" for part in parts.findall(re.sub(r"//.*", "", text))]
        self.assertEqual([], wrong)

    def test_behind_the_pipeline_no_request_is_a_message_of_the_api(self):
        # But for `search`, which is merged with the bundle's; what answers is made of the API's results.
        message = re.compile(r"\bv1::(?:\w*Request|ModelSelector|AttentionOptions)\b")
        folders = tuple(f"server/{name}/" for name in ("text", "scheduler", "models", "admission", "reply"))
        wrong = [f"{name} names {found}" for name, text in production_sources() if name.startswith(folders)
                 for found in message.findall(text)]
        self.assertEqual([], wrong)

    def test_two_files_know_prometheus(self):
        # What counts, and what writes the form that the library cannot.
        spelling, _ = LIBRARIES["prometheus-cpp"]
        users = {name for name, text in production_sources()
                 if any(re.search(spelling, header) for header in INCLUDE.findall(text))}
        self.assertLessEqual(len(users), 2, f"prometheus-cpp is included by {sorted(users)}")

    def test_the_engine_knows_no_human_text(self):
        # Of the API it knows the settings of a search, which bundles have too.
        text_headers = re.compile(r"^(regex|locale|codecvt|cwchar|cwctype|cuchar|iostream)$|^heed/v1/(?!rules|search)|^spdlog/")
        wrong = [f"{name} includes {header}" for name, text in production_sources() if name.startswith("engine/")
                 for header in INCLUDE.findall(text) if text_headers.search(header)]
        self.assertEqual([], wrong)


# Longer than the rule, each with its reason.
LONG = {
    "engine/model/program.h": 260,  # one struct per op of the step program
    "engine/run/ops.h": 250,  # the same, packed
}


class Shape(unittest.TestCase):
    def test_headers_and_sources_stay_small(self):
        large = []
        for name, text in production_sources():
            lines, bound = text.count("\n"), LONG.get(name, 150 if name.endswith(".h") else 450)
            if lines > bound:
                large.append(f"{name} has {lines} lines, above {bound}: usually two ideas")
        self.assertEqual([], large)

    def test_headers_have_an_include_guard(self):
        bare = [name for name, text in production_sources() if name.endswith(".h")
                and not name.endswith("-inl.h") and "#pragma once" not in text]
        self.assertEqual([], bare)

    def test_scripts_name_debians_python(self):
        wrong = []
        for top in ("scripts", "export", "tests", "bench", "deploy"):
            for path in (ROOT / top).rglob("*"):
                if path.is_file() and path.suffix in (".py", "") and "node_modules" not in path.parts:
                    first = path.read_bytes().split(b"\n", 1)[0].decode("utf-8", "replace")
                    if first.startswith("#!") and "python" in first and first != "#!/usr/bin/python3":
                        wrong.append(f"{path.relative_to(ROOT)}: {first}")
        self.assertEqual([], wrong)


# heed_export's packages in the order of the flow: each may import those before it, and `needs`.
PACKAGES = ["text", "reading", "model", "networks", "bundle", "decoding", "marian", "importers", "presets", "measure", "training"]


def python_sources():
    for top in ("export", "bench", "scripts", "tests", "deploy"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and path.suffix in (".py", ""):
                text = path.read_bytes()
                if path.suffix == ".py" or text.startswith(b"#!/usr/bin/python3"):
                    yield path.relative_to(ROOT).as_posix(), text.decode("utf-8")


def imported(name, tree, modules):
    """The modules of heed_export that a module of it imports: `a.b` for heed_export/a/b.py."""
    package = name.removeprefix("export/heed_export/").removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if not isinstance(node, (ast.ImportFrom, ast.Import)):
            continue
        if isinstance(node, ast.Import):
            named = [alias.name.removeprefix("heed_export.") for alias in node.names if alias.name.startswith("heed_export.")]
        elif node.level == 0 and not (node.module or "").startswith("heed_export"):
            continue
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            base += (node.module or "").removeprefix("heed_export").strip(".").split(".") if node.module else []
            base = ".".join(part for part in base if part)
            named = [base] + [f"{base}.{alias.name}".strip(".") for alias in node.names]
        yield from (one for one in named if one in modules)


class Python(unittest.TestCase):
    def test_packages_import_only_what_lies_before_them(self):
        sources = {name: text for name, text in python_sources() if name.startswith("export/heed_export/")}
        modules = {name.removeprefix("export/heed_export/").removesuffix(".py").replace("/", ".") for name in sources}
        self.assertGreater(len(modules), 60)
        wrong, arrows = [], 0
        for name, text in sources.items():
            own = name.removeprefix("export/heed_export/").split("/")
            if len(own) == 1:
                continue  # commands, and what descriptions import
            if own[0] not in PACKAGES:
                wrong.append(f"{name}: its package is missing from the table in {__file__}")
                continue
            allowed = PACKAGES[: PACKAGES.index(own[0]) + 1]
            for module in imported(name, ast.parse(text), modules):
                arrows += 1
                if module != "needs" and module.split(".")[0] not in allowed:
                    wrong.append(f"{name} imports {module}")
        self.assertEqual([], wrong)
        self.assertGreater(arrows, 200)

    def test_no_modules_import_each_other(self):
        sources = {name.removeprefix("export/heed_export/").removesuffix(".py").replace("/", "."): (name, text)
                   for name, text in python_sources() if name.startswith("export/heed_export/")}
        # Wherever an import stands: one for types alone, or one inside a function, hides a circle and does not undo it.
        arrows = {module: set(imported(name, ast.parse(text), sources)) - {module} for module, (name, text) in sources.items()}
        while open_ := {module: targets & set(arrows) for module, targets in arrows.items()}:
            free = [module for module, targets in open_.items() if not targets]
            if not free:
                break
            arrows = {module: targets for module, targets in open_.items() if module not in free}
        self.assertEqual({}, arrows, "these import each other, or are imported by such")

    def test_files_and_functions_stay_small(self):
        large = []
        for name, text in python_sources():
            bound = 450
            if text.count("\n") > bound:
                large.append(f"{name} has {text.count(chr(10))} lines, above {bound}: usually two ideas")
            for node in ast.walk(ast.parse(text)):
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    continue
                called, lines = f"{name}: {node.name}", node.end_lineno - node.lineno + 1
                parameters = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
                if lines > 70:
                    large.append(f"{called} has {lines} lines, above 70")
                if parameters > 10:
                    large.append(f"{called} has {parameters} parameters, above 10")
        self.assertEqual([], large)


if __name__ == "__main__":
    unittest.main()
