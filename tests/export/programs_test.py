#!/usr/bin/python3
import unittest

import numpy as np
import torch

import support
from heed_export.text import corpus

MESSAGES = {  # field of Op -> the message of its value
    "embed": "Embed", "rnn": "Rnn", "cell": "Cell", "attend": "Attend", "linear": "Linear", "concat": "Concat",
    "output": "Output", "add": "Add", "layer_norm": "LayerNorm", "position": "Position", "self_attend": "SelfAttend",
    "copy": "Copy",
}


class Programs(unittest.TestCase):
    def test_programs_compute_what_the_training_model_computes(self):
        for arch in support.ARCHITECTURES:
            model = support.tiny_model(arch)
            run = support.Interpreter(support.tiny_bundle(arch, model=model))
            source, target = [5, 9, 3, 17, 4], [corpus.BOS, 7, 4, 4, 12]
            copy_ids = support.extended(arch, source)
            run.start(source, copy_ids)
            for t, want in enumerate(support.trained_log_probabilities(model, source, copy_ids, target)):
                got = run.step(target[t])["prediction"]
                np.testing.assert_allclose(got, want, atol=2e-5, err_msg=f"{arch} {t}")

    @torch.no_grad()
    def test_programs_attend_as_the_training_model_does(self):
        source, target = [5, 9, 3, 17, corpus.EOS], [corpus.BOS, 7, 4, 4, 12]
        for arch in ("luong-lstm", "bahdanau-gru", "copying-lstm", "copying-gru", "pointer-generator"):
            model = support.tiny_model(arch)
            run = support.Interpreter(support.tiny_bundle(arch, model=model))
            run.start(source)
            fixed, state = model.start(torch.tensor([source]), torch.tensor([len(source)]))
            for t, e in enumerate(model.prepare(torch.tensor([target]))):
                state, _, weights, energies = model.step(e, state, fixed)
                values = run.step(target[t])
                for name, want in (("weights", weights), ("energies", energies)):
                    got = values[f"attention.{name}"]
                    np.testing.assert_allclose(got, want[0].numpy(), atol=2e-5, err_msg=f"{arch} {name} {t}")

    @torch.no_grad()
    def test_a_students_layers_attend_as_the_training_model_does(self):
        source, target = [5, 9, 3, 17, corpus.EOS], [corpus.BOS, 7, 4, 4, 12]
        model = support.tiny_model("student")
        run = support.Interpreter(support.tiny_bundle("student", model=model))
        run.start(source)
        _, attended = model.decode(torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([target]))
        for t, token in enumerate(target):
            values = run.step(token)
            for layer, parts in enumerate(attended, start=1):
                for name, want in zip(("weights", "energies"), parts):
                    got = values[f"attention{layer}.{name}"]
                    self.assertEqual((3, len(source)), got.shape)
                    np.testing.assert_allclose(got, want[0, :, t].numpy(), atol=2e-5)

    def test_every_field_is_one_of_the_schema(self):
        fields = support.schema_fields()
        for arch in support.ARCHITECTURES:
            spec = support.tiny_bundle(arch).spec
            self.assertLessEqual(set(spec), fields["ModelSpec"])
            for side in ("source", "target"):
                self.assertLessEqual(set(spec[side]), fields["Vocabulary"])
            self.assertLessEqual(set(spec["encoder"]), fields["EncoderProgram"])
            self.assertLessEqual(set(spec["init"]), fields["InitProgram"])
            self.assertLessEqual(set(spec["step"]), fields["StepProgram"])
            self.assertLessEqual(set(spec["search"]), fields["SearchOptions"])
            self.assertLessEqual(set(spec["limits"]), fields["Limits"])
            for initial in spec["init"]["initials"]:
                self.assertLessEqual(set(initial), fields["Initial"])
            for op in [op for part in ("encoder", "init", "step") for op in spec[part]["ops"]]:
                kind = next(k for k in op if k != "name")
                self.assertLessEqual({"name", kind}, fields["Op"])
                self.assertLessEqual(set(op[kind]), fields[MESSAGES[kind]], op)
                if "cell" in op[kind]:
                    self.assertLessEqual(set(op[kind]["cell"]), fields["CellSpec"])

    def test_every_tensor_is_used_and_every_one_named_exists(self):
        for arch in support.ARCHITECTURES:
            source = support.tiny_bundle(arch)
            used = set()

            def visit(value):
                if isinstance(value, dict):
                    for key, inner in value.items():
                        is_name = key.startswith(("weight", "bias")) or key.endswith(("_weight", "_bias"))
                        if is_name or key in ("table", "v") or (key == "scale" and isinstance(inner, str)):
                            used.add(inner)
                        else:
                            visit(inner)
                elif isinstance(value, list):
                    for inner in value:
                        visit(inner)

            visit([source.spec[part] for part in ("encoder", "init", "step")])
            self.assertEqual(set(source.tensors), used, arch)

    def test_primed_names_are_initialised_once_each(self):
        for arch in support.ARCHITECTURES:
            spec = support.tiny_bundle(arch).spec
            primed = set()
            for op in spec["step"]["ops"]:
                body = next(v for k, v in op.items() if k != "name")
                primed.update(n[:-1] for n in body.get("inputs", []) + body.get("query", []) if n.endswith("'"))
                if "cell" in op:
                    primed.add(op["name"])
                    if op["cell"]["cell"]["kind"] in ("CELL_KIND_LSTM", "CELL_KIND_SSRU"):
                        primed.add(op["name"] + ".c")
            names = [i["name"] for i in spec["init"]["initials"]]
            self.assertEqual(sorted(primed), sorted(names), arch)

    def test_a_joint_vocabulary_stores_one_table(self):
        joint = support.tiny_bundle("bahdanau-gru")
        self.assertEqual(["embedding"], [n for n in joint.tensors if "embedding" in n])
        self.assertEqual(joint.spec["source"]["sentencepiece"], joint.spec["target"]["sentencepiece"])
        apart = support.tiny_bundle("luong-lstm")
        self.assertEqual(["source.embedding", "target.embedding"], [n for n in apart.tensors if "embedding" in n])


if __name__ == "__main__":
    unittest.main()
