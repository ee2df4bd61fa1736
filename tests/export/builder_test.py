#!/usr/bin/python3
"""The builder: what it emits, what it refuses, and that a bundle appears whole or not at all."""

import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import numpy as np
import presets  # noqa: F401  (sets the import path)
from heed_export import cli
from heed_export.bundle import bundle, certificate, publish, upgrade
from heed_export.model import builder, layers, vocabulary
from reference import trace

ROOT = presets.ROOT
CARD = publish.Card("tiny", "CC0-1.0", "de", "en", segmentation="none")


def matrix(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).uniform(-1, 1, shape).astype(np.float32)


def pieces(n: int) -> list[str]:
    return ["<unk>", "<pad>", "<s>", "</s>"] + [f"p{i}" for i in range(n - 4)]


def vocabularies(source: int = 9, target: int = 8) -> tuple[vocabulary.Vocabulary, vocabulary.Vocabulary]:
    ids = dict(unk=0, bos=2, eos=3, special=[1])
    return (
        vocabulary.Vocabulary(pieces=pieces(source), add_eos=True, **ids),
        vocabulary.Vocabulary(pieces=pieces(target), **ids),
    )


def tiny(embedding: int = 5, hidden: int = 4) -> builder.Model:
    """Input feeding, general attention, an LSTM."""
    m = builder.Model(*vocabularies())
    lstm = [
        layers.Cell("lstm", matrix(4 * hidden, embedding, seed=i), matrix(4 * hidden, hidden, seed=i)) for i in (1, 2)
    ]
    x = m.encoder.embed("source_embedding", matrix(9, embedding))
    memory = m.encoder.birnn("memory", x, *lstm)
    h0 = m.init.concat("first_h", memory.finals)
    c0 = m.init.concat("first_c", memory.finals_c)
    d = 2 * hidden
    table = matrix(8, d)
    e = m.step.embed("target_embedding", table)
    fed = m.step.previous("attended", size=d)
    s = m.step.cell("state", [e, fed], layers.Cell("lstm", matrix(4 * d, 2 * d), matrix(4 * d, d)), h0, c0)
    c = m.step.attend("attention", "general", s, memory, key_weight=matrix(d, d))
    a = m.step.linear("attended", [c, s], matrix(d, 2 * d), function="tanh")
    m.step.output("prediction", a, table, matrix(8))
    m.start_with(2)
    return m


class Emitted(unittest.TestCase):
    def test_each_hard_sigmoid_has_its_name(self):
        m = tiny()
        h = m.step.values["state"]
        for i, (name, want) in enumerate(
            (
                ("hard_sigmoid", "FUNCTION_HARD_SIGMOID"),
                ("hard_sigmoid_sixth", "FUNCTION_HARD_SIGMOID_SIXTH"),
                ("hardsigmoid", "FUNCTION_HARD_SIGMOID_SIXTH"),  # torch.nn.functional's name
            )
        ):
            m.step.activation(f"hard{i}", h, name)
            self.assertEqual(want, m.step.ops[-1]["activation"]["function"])

    def test_every_field_is_one_of_the_schema(self):
        source = re.sub(r"//.*", "", (ROOT / "proto/heed/model/v1/model.proto").read_text(encoding="utf-8"))
        fields = set(re.findall(r"(\w+) = \d+", source))
        names: set[str] = set()

        def walk(value):
            if isinstance(value, dict):
                names.update(value)
                for item in value.values():
                    walk(item)
            elif isinstance(value, list):
                for item in value:
                    walk(item)
            elif isinstance(value, str) and re.fullmatch(r"[A-Z]+(_[A-Z]+)+", value):
                names.add(value)

        walk(publish.spec_of(tiny(), CARD, {}))
        self.assertEqual(set(), names - fields)

    def test_the_search_is_held_to_the_rules_of_its_fields(self):
        m = tiny()
        m.set_search(beam_size=5, average={"alpha": 1.0}, banned_ids=[1], unknowns="UNKNOWN_POLICY_BAN", n_best=2)
        m.set_search(gnmt={"alpha": 0.6})  # in average's place
        self.assertEqual(["beam_size", "banned_ids", "unknowns", "n_best", "gnmt"], list(m.search))
        for search, said in (
            ({"beams": 3}, "search: there is no field beams"),
            ({"length_alpha": 1}, "search: there is no field length_alpha"),
            ({"beam_size": 0}, "search.beam_size is 0, expected 1 to 1024"),
            ({"beam_size": 2.5}, "search.beam_size is 2.5, expected a whole number"),
            ({"beam_size": True}, "search.beam_size is true, expected a whole number"),
            ({"gnmt": {"alpha": 11}}, "search.gnmt.alpha is 11, expected 0 to 10"),
            ({"word_penalty": float("nan")}, "search.word_penalty is nan, expected -100 to 100"),
            ({"beam_policy": "SHRINK"}, 'search.beam_policy is "SHRINK", expected a known BeamPolicy'),
            ({"replace_unknowns": 1}, "search.replace_unknowns is 1, expected true or false"),
            ({"banned_ids": [1, -1]}, "search.banned_ids[1] is -1, expected at least 0"),
            ({"banned_ids": 1}, "search.banned_ids is 1, expected a list"),
            ({"banned_ids": [0] * 1025}, "search.banned_ids is a list of 1025, expected a list of at most 1024"),
            ({"max_length": 9, "max_length_b": 3}, "search.max_length is 9, expected unset where max_length_b is set"),
            ({"none": {}, "average": {}}, "search.average is set, expected unset where none is set"),
        ):
            with self.subTest(said), self.assertRaises(builder.BuildError) as caught:
                m.set_search(**search)
            self.assertEqual(said, str(caught.exception))

    def test_an_array_given_twice_is_stored_once(self):
        m = tiny()
        spec = m.programs()
        embed, output = spec["step"]["ops"][0]["embed"], spec["step"]["ops"][-1]["output"]
        self.assertEqual(embed["table"], output["weight"])
        self.assertEqual(1, sum(name == embed["table"] for name in m.tensors.by_name))

    def test_equal_matrices_of_two_arrays_are_stored_once_and_vectors_are_not_mixed_up(self):
        m = builder.Model(*vocabularies())
        x = m.encoder.embed("x", matrix(9, 4))
        a = m.encoder.linear("a", x, matrix(4, 4), np.zeros(4))
        b = m.encoder.linear("b", x, matrix(4, 4).copy(), np.zeros(4))
        ops = {op["name"]: op["linear"] for op in m.encoder.ops if "linear" in op}
        self.assertEqual(ops["a"]["weight"], ops["b"]["weight"])
        self.assertEqual({"encoder.a.bias", "encoder.b.bias"}, {ops["a"]["bias"], ops["b"]["bias"]})
        self.assertNotEqual(a.name, b.name)

    def test_the_encoder_exports_what_the_others_read_and_initials_are_what_step_reads_primed(self):
        spec = tiny().programs()
        self.assertEqual(
            {"memory_forward.h", "memory_backward.h", "memory_forward.c", "memory_backward.c", "memory"},
            set(spec["encoder"]["outputs"]),
        )
        self.assertEqual(
            [
                {"name": "attended", "zero": True},
                {"name": "state", "from": "first_h"},
                {"name": "state.c", "from": "first_c"},
            ],
            spec["init"]["initials"],
        )

    def test_a_second_cell_of_a_step_names_the_state_it_goes_on_from(self):
        m = builder.Model(*vocabularies())
        memory = m.encoder.embed("memory", matrix(9, 4))
        first = m.init.pool("first", memory, "mean")
        e = m.step.embed("e", matrix(8, 3))
        before = m.step.previous("s", first)
        gru = layers.Cell("gru", matrix(12, 3), matrix(12, 4), reset="after")
        s1 = m.step.cell("s1", e, gru, state=before)
        c = m.step.attend("attention", "dot", s1, memory)
        s = m.step.cell("s", c, layers.Cell("gru", matrix(12, 4), matrix(12, 4), reset="after"), state=s1)
        m.step.output("prediction", s, matrix(8, 4))
        m.start_with(builder.ZERO)
        spec = m.programs()
        cells = {op["name"]: op["cell"] for op in spec["step"]["ops"] if "cell" in op}
        self.assertEqual(["s'", "s1"], [cells["s1"]["state"], cells["s"]["state"]])
        self.assertEqual([{"name": "s", "from": "first"}], spec["init"]["initials"])
        self.assertTrue(spec["step"]["start_zero"])

    def test_a_bias_of_one_row_is_a_vector(self):
        m = builder.Model(*vocabularies())
        x = m.encoder.embed("x", matrix(9, 4))
        m.encoder.linear("a", x, matrix(3, 4), matrix(1, 3))
        self.assertEqual((3,), m.tensors.by_name["encoder.a.bias"].shape)

    def test_gates_are_reordered_in_blocks(self):
        w = np.repeat(np.arange(4), 2)[:, None]
        self.assertEqual([2, 2, 0, 0, 1, 1, 3, 3], layers.reorder(w, "ifgo", "gifo")[:, 0].tolist())


class Refused(unittest.TestCase):
    def check(self, message: str, action):
        with self.assertRaises(builder.BuildError) as caught:
            action()
        self.assertEqual(message, str(caught.exception))

    def test_shapes_that_disagree_are_named_with_the_op_and_the_field(self):
        m = builder.Model(*vocabularies())
        x = m.encoder.embed("x", matrix(9, 4))
        self.check(
            "encoder.a (linear): weight is [3,5], expected [n,4]", lambda: m.encoder.linear("a", x, matrix(3, 5))
        )
        self.check(
            "encoder.a (linear): bias is [4], expected [3]", lambda: m.encoder.linear("a", x, matrix(3, 4), matrix(4))
        )
        self.check("encoder.y (embed): table is [8,4], expected [9,n]", lambda: m.encoder.embed("y", matrix(8, 4)))
        self.check(
            "encoder.r (rnn): weight_input is [16,5], expected [16,4]",
            lambda: m.encoder.rnn("r", x, layers.Cell("lstm", matrix(16, 5), matrix(16, 4))),
        )
        self.check(
            "encoder.r (rnn): weight_state is [15,4], expected [12,3]",
            lambda: m.encoder.rnn("r", x, layers.Cell("lstm", matrix(12, 4), matrix(15, 4))),
        )
        self.check(
            "encoder.r (rnn): reset is missing",
            lambda: m.encoder.rnn("r", x, layers.Cell("gru", matrix(12, 4), matrix(12, 4))),
        )
        h = m.step.previous("h", size=6)
        self.check(
            "step.c (attend): queries have size 6, expected 4 as the keys have", lambda: m.step.attend("c", "dot", h, x)
        )
        with self.assertRaisesRegex(builder.BuildError, r"step\.c \(attend\): there is no option head, only key_weight, "):
            m.step.attend("c", "dot", h, x, head=2)
        self.check("encoder.x (concat): the name is taken", lambda: m.encoder.concat("x", [x]))

    def test_values_of_the_wrong_program_or_kind_are_refused(self):
        m = builder.Model(*vocabularies())
        x = m.encoder.embed("x", matrix(9, 4))
        first = m.init.pool("first", x, "last")
        self.check(
            "step.a (concat): input first is a value of the init program; step reads init through previous(first=...)",
            lambda: m.step.concat("a", [first]),
        )
        self.check("step.b (concat): input x is a sequence, expected a vector", lambda: m.step.concat("b", [x]))

    def test_numbers_that_are_not_finite_are_refused(self):
        m = builder.Model(*vocabularies())
        for bad in (np.nan, np.inf, 1e39):
            table = matrix(9, 4).astype(np.float64)
            table[2, 3] = bad
            self.check(
                "encoder.x: table holds a value that is not finite in float32", lambda: m.encoder.embed("x", table)
            )

    def test_a_primed_value_that_nothing_makes_is_named(self):
        m = builder.Model(*vocabularies())
        fed = m.step.previous("fed", size=4)
        m.step.output("prediction", fed, matrix(8, 4))
        m.start_with(2)
        self.check("step.fed': no op makes fed", m.programs)

    def test_unknown_search_fields_are_named(self):
        self.check("search: there is no field beam", lambda: tiny().set_search(beam=3))


class Upgraded(unittest.TestCase):
    """A bundle as heed-export wrote them before format version 2."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "b"
        shutil.copytree(ROOT / "tests/data/version1", self.folder)

    def test_the_search_is_rewritten_and_nothing_else(self):
        before = bundle.read(self.folder)
        bytes_before = {p.name: p.read_bytes() for p in self.folder.iterdir()}
        self.assertEqual(0, cli.main(["upgrade", str(self.folder)]))
        after = bundle.read(self.folder)  # SHA256SUMS is right
        search = after.spec["search"]
        self.assertEqual((2, {"alpha": 0.6, "beta": 0}), (after.spec["format_version"], search["gnmt"]))
        self.assertEqual({n for n in before.spec["search"] if not n.startswith("length_")} | {"gnmt", "length_offset"},
                         set(search))  # fmt: skip
        self.assertEqual({k: v for k, v in before.spec.items() if k not in ("format_version", "search")},
                         {k: v for k, v in after.spec.items() if k not in ("format_version", "search")})  # fmt: skip
        changed = {p.name for p in self.folder.iterdir() if p.read_bytes() != bytes_before[p.name]}
        self.assertEqual({"model.json", "SHA256SUMS"}, changed)
        self.assertEqual(0, cli.main(["upgrade", str(self.folder)]))  # again: nothing to do
        self.assertEqual(after.digest, bundle.read(self.folder).digest)

    def test_what_length_normalisation_was(self):
        kind = "LENGTH_NORMALIZATION_"
        for old, new in (
            ({"beam_size": 1, "length_alpha": 1.0}, {"beam_size": 1, "average": {"alpha": 1.0}}),
            ({"length_alpha": 0}, {}),
            ({"length_normalization": kind + "NONE", "length_alpha": 1}, {"none": {}}),
            ({"length_normalization": kind + "POWER"}, {"average": {"alpha": 0}}),
            ({"length_normalization": kind + "GNMT", "length_alpha": 0.9}, {"gnmt": {"alpha": 0.9, "beta": 5}}),
        ):
            self.assertEqual(new, upgrade.search_of_version_1(old))

    def test_what_is_no_version_1_is_left_alone(self):
        for spec, said in (
            ({"format_version": 3}, "model.json: format_version is 3, expected 1 to 2"),
            ({"format_version": 1, "search": {"length_alpha": 11}}, "search.average.alpha is 11, expected 0 to 10"),
        ):
            with self.assertRaises(ValueError) as caught:
                upgrade.upgraded(spec)
            self.assertEqual(said, str(caught.exception))


class Published(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def proof(self) -> certificate.Certificate:
        found = trace.Attended(np.full((1, 2), 0.5), np.zeros((1, 2)), np.ones(8))
        step = trace.StepValues(np.zeros(8), {"attention": found})
        t = trace.Trace([4, 3], [5, 3], [-1.0, -2.0], [0.5, float("inf")], [step, step], True)
        return certificate.Certificate("nobody", [certificate.Case(t, contexts=True)], {"beam_size": 1})

    def test_what_is_written_is_read_back(self):
        m = tiny()
        publish.publish(m, self.folder / "a" / "tiny", CARD, self.proof())
        back = bundle.read(self.folder / "a" / "tiny")
        self.assertEqual(publish.spec_of(m, CARD, {}), back.spec)
        self.assertEqual(
            {"LICENSE", "README.md", "parity.json", "source.pieces.json", "target.pieces.json"}, set(back.files)
        )
        for name, values in m.tensors.by_name.items():
            np.testing.assert_array_equal(values, back.tensors[name])
        case = json.loads(back.files["parity.json"])["cases"][0]
        self.assertEqual(
            ([4, 3], [5, 3], "eos", [0.5, 1e6]),
            (case["source_ids"], case["target_ids"], case["finish"], case["margins"]),
        )
        self.assertEqual([[0.5, 0.5]] * 2, case["attentions"][0]["weights"])
        self.assertEqual([[1.0] * 8] * 2, case["attentions"][0]["contexts"])
        self.assertEqual(["tiny"], [p.name for p in (self.folder / "a").iterdir()])

    def test_a_bundle_says_how_its_sentences_are_cut_and_what_becomes_of_long_ones(self):
        lists = {"inside": ["Bf"], "ordinals": True}
        m = tiny()
        m.max_source_tokens = 100
        card = publish.Card("tiny", "CC0-1.0", "de", "en", sentence_lists=lists, too_long="split")
        spec = publish.spec_of(m, card, {})
        self.assertEqual(lists, spec["sentence_lists"])
        self.assertEqual({"max_source_tokens": 100, "too_long": "TOO_LONG_POLICY_SPLIT"}, spec["limits"])
        for wrong, said in (
            ({"insides": []}, "sentence_lists: there is no field insides"),
            ({"inside": "Bf"}, 'sentence_lists.inside is "Bf", expected a list'),
            ({"inside": [3]}, "sentence_lists.inside[0] is 3, expected a string"),
        ):
            with self.assertRaises(ValueError) as caught:
                publish.Card("tiny", "CC0-1.0", "de", "en", sentence_lists=wrong)
            self.assertEqual(said, str(caught.exception))
        with self.assertRaisesRegex(ValueError, "of no use"):
            publish.Card("tiny", "CC0-1.0", "de", "en", segmentation="none", sentence_lists=lists)

    def test_equal_vocabularies_share_a_file(self):
        ids = dict(unk=0, bos=2, eos=3)
        m = builder.Model(
            vocabulary.Vocabulary(pieces=pieces(9), **ids), vocabulary.Vocabulary(pieces=pieces(9), **ids)
        )
        files: dict[str, bytes] = {}
        names = [v.spec(side, files)["pieces"] for v, side in ((m.source, "source"), (m.target, "target"))]
        self.assertEqual((["source.pieces.json"] * 2, 1), (names, len(files)))

    def test_a_failure_leaves_nothing_behind_and_what_was_there_as_it_was(self):
        server = self.folder / "heed-server"
        server.write_text("#!/bin/sh\necho 'heed-server: model.json: no' >&2\nexit 2\n")
        server.chmod(0o755)
        for there in (False, True):
            out = self.folder / "deep" / "er" / "tiny"
            if there:
                publish.publish(tiny(), out, CARD)
                before = {p.name: p.read_bytes() for p in out.iterdir()}
            with self.assertRaisesRegex(ValueError, "^heed-server verify: heed-server: model.json: no$"):
                publish.publish(tiny(), out, CARD, self.proof(), server)
            if there:
                self.assertEqual(before, {p.name: p.read_bytes() for p in out.iterdir()})
                self.assertEqual(["tiny"], [p.name for p in out.parent.iterdir()])
            else:
                self.assertEqual(["heed-server"], [p.name for p in self.folder.iterdir()])

    def test_only_the_same_models_bundle_is_replaced_unasked(self):
        out = self.folder / "tiny"
        spec, proof = publish.head(CARD), self.proof()
        bundle.check_place(out, spec, "JoeyNMT 2.3.0")
        proof.toolkit = "JoeyNMT 2.3.0"
        publish.publish(tiny(), out, CARD, proof)
        bundle.check_place(out, {**spec, "version": "2"}, "JoeyNMT 2.0.0")
        for change, toolkit, new in (
            ({"name": "other"}, "JoeyNMT 2.3.0", "other (translate, {languages}, from JoeyNMT)"),
            ({"task": "TASK_SUMMARIZE"}, "JoeyNMT 2.3.0", "{name} (summarize, {languages}, from JoeyNMT)"),
            ({"target_language": "fi"}, "JoeyNMT 2.3.0", "{name} (translate, {source} to fi, from JoeyNMT)"),
            ({}, "fairseq", "{name} (translate, {languages}, from fairseq)"),
            ({}, "", "{name} (translate, {languages})"),
        ):
            source, languages = CARD.source_language, f"{CARD.source_language} to {CARD.target_language}"
            said = f"{out} holds another model, {CARD.name} (translate, {languages}, from JoeyNMT), and this is "
            said += new.format(name=CARD.name, languages=languages, source=source)
            with self.subTest(new), self.assertRaises(ValueError) as refused:
                bundle.check_place(out, {**spec, **change}, toolkit)
            self.assertEqual(said, str(refused.exception))
        publish.publish(tiny(), out, CARD)
        bundle.check_place(out, spec, "fairseq")  # without parity.json nobody knows where it came from
        (out / "model.json").write_text("[")
        with self.assertRaisesRegex(ValueError, "tiny holds a damaged bundle, and this is "):
            bundle.check_place(out, spec, "fairseq")
        (out / "SHA256SUMS").unlink()
        with self.assertRaisesRegex(ValueError, "tiny exists and is no bundle$"):
            bundle.check_place(out, spec, "fairseq")

    def test_an_oracle_that_gives_no_number_is_refused(self):
        proof = self.proof()
        proof.cases[0].trace.log_probabilities[1] = float("-inf")
        with self.assertRaisesRegex(ValueError, "no finite number"):
            publish.publish(tiny(), self.folder / "tiny", CARD, proof)
        self.assertEqual([], list(self.folder.iterdir()))


if __name__ == "__main__":
    unittest.main()
