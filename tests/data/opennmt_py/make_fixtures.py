#!/usr/bin/python3
"""Makes the OpenNMT-py fixtures: the toolkit itself trains a tiny model for seconds on text made here, and translates.

    make_fixtures.py PYTHON NAME...      (no NAME: all of that toolkit's version)

PYTHON is the interpreter of a virtual environment with OpenNMT-py (3.5.1: opennmt-py, configargparse, ctranslate2,
pyonmttok, pyahocorasick, safetensors, six, pyyaml, rapidfuzz, flask, waitress, spacy, sacrebleu, tensorboard, and an
empty fasttext.py will do; 2.3.0: also torchtext 0.5.0), installed with `pip install --no-deps` where PyTorch is newer
than it allows. For each model it leaves NAME/model.pt (without the
optimizer's state, but for one), NAME/model.safetensors where asked, and the toolkit's own translations of
NAME/source.txt: NAME/greedy.txt and NAME/beam.txt (its defaults: beam 5), a line "score<TAB>text" each.

The text: letters become capitals, `x` doubles the letter behind it, and names (n000 to n199), too rare for the
vocabulary, stay as they are. Weights and text are this script's own and under the project's licence.
"""

import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
COMMON = {
    "save_checkpoint_steps": 2000,
    "train_steps": 2000,
    "valid_steps": 2000,
    "report_every": 2000,
    "batch_size": 64,
    "optim": "adam",
    "learning_rate": 0.005,
    "seed": 7,
    "word_vec_size": 14,
    "batch_type": "sents",
    "bucket_size": 4096,
    "dropout": [0.0],
    "num_workers": 0,
}
# Options as `onmt_train` takes them, on top of COMMON; "version" picks the toolkit's.
MODELS = {
    "v3-brnn-lstm-general": {
        "version": 3,
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "layers": 2,
        "hidden_size": 16,
        "global_attention": "general",
        "bridge": "true",
        "keep_optimizer": True,
    },
    "v3-rnn-gru-mlp": {
        "version": 3,
        "encoder_type": "rnn",
        "decoder_type": "rnn",
        "rnn_type": "GRU",
        "layers": 1,
        "hidden_size": 18,
        "global_attention": "mlp",
        "input_feed": 0,
    },
    # The toolkit cannot save shared tensors as safetensors.
    "v3-brnn-lstm-dot-safetensors": {
        "version": 3,
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "layers": 1,
        "hidden_size": 14,
        "global_attention": "dot",
        "save_format": "safetensors",
        "context_gate": "both",
    },
    "v3-rnn-lstm-shared": {
        "version": 3,
        "encoder_type": "rnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "layers": 1,
        "hidden_size": 14,
        "global_attention": "general",
        "share_vocab": "true",
        "share_embeddings": "true",
        "share_decoder_embeddings": "true",
        "context_gate": "target",
    },
    "v2-brnn-lstm-copy": {
        "version": 2,
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "layers": 1,
        "rnn_size": 20,
        "global_attention": "general",
        "copy_attn": "true",
        "copy_attn_type": "mlp",
    },
    "v2-rnn-gru-copy-reuse": {
        "version": 2,
        "encoder_type": "rnn",
        "decoder_type": "rnn",
        "rnn_type": "GRU",
        "layers": 2,
        "rnn_size": 16,
        "global_attention": "mlp",
        "copy_attn": "true",
        "reuse_copy_attn": "true",
        "coverage_attn": "true",
        "bridge": "true",
    },
    "v2-brnn-lstm-sparsemax": {
        "version": 2,
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "layers": 2,
        "rnn_size": 16,
        "global_attention": "general",
        "global_attention_function": "sparsemax",
        "context_gate": "source",
        "bridge": "true",
    },
}


def sentence(rng: random.Random) -> tuple[str, str]:
    source, target = [], []
    for _ in range(rng.randint(1, 7)):
        kind = rng.random()
        if kind < 0.15:
            name = f"n{rng.randrange(200):03d}"
            source.append(name)
            target.append(name)
            continue
        letter = rng.choice("abcdefghijkl")
        source += ["x", letter] if kind < 0.3 else [letter]
        target += [letter.upper()] * (2 if kind < 0.3 else 1)
    return " ".join(source), " ".join(target)


def corpus(folder: pathlib.Path) -> None:
    rng = random.Random(3)
    for split, count in (("train", 8000), ("valid", 100), ("test", 40)):
        pairs = [sentence(rng) for _ in range(count)]
        for side, ending in ((0, "src"), (1, "tgt")):
            (folder / f"{split}.{ending}").write_text("".join(p[side] + "\n" for p in pairs), encoding="utf-8")


def run(python: str, tool: str, *arguments: str) -> str:
    code = f"import sys; sys.argv[0] = 'onmt_{tool}'; from onmt.bin.{tool} import main; main()"
    environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, "-c", code, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"onmt_{tool} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done.stdout + done.stderr


def yaml_value(value) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def strip(python: str, model: pathlib.Path) -> None:
    """Drops the optimizer's state, as onmt_release_model does."""
    code = (
        f"import torch; c = torch.load({str(model)!r}, map_location='cpu'); c['optim'] = None; "
        f"torch.save(c, {str(model)!r})"
    )
    environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    subprocess.run([python, "-c", code], env=environment, check=True)


def translate(python: str, model: pathlib.Path, source: pathlib.Path, *options: str) -> list[str]:
    """ "score<TAB>text" of each line, as `onmt_translate --verbose` logs them."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.txt"
        log = run(
            python,
            "translate",
            "-model",
            str(model),
            "-src",
            str(source),
            "-output",
            str(out),
            "-verbose",
            "-batch_size",
            "1",
            *options,
        )
        texts = out.read_text(encoding="utf-8").splitlines()
    scores = re.findall(r"PRED SCORE: (-?[\d.]+)\s*$", log, re.M)
    if len(scores) != len(texts):
        raise SystemExit(f"{len(texts)} translations, {len(scores)} scores")
    return [f"{s}\t{t}" for s, t in zip(scores, texts)]


def make(python: str, name: str) -> None:
    options = dict(MODELS[name])
    version, keep = options.pop("version"), options.pop("keep_optimizer", False)
    out = HERE / name
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as there:
        work = pathlib.Path(there)
        corpus(work)
        shared = options.get("share_vocab") == "true"
        config = {
            **COMMON,
            **options,
            "src_vocab": work / "v.src",
            "tgt_vocab": work / ("v.src" if shared else "v.tgt"),
            "src_words_min_frequency": 60,
            "tgt_words_min_frequency": 60,
            "save_data": work / "data",
            "save_model": work / "m",
        }
        if version == 2:
            config.pop("bucket_size")
        text = "".join(f"{k}: {yaml_value(v)}\n" for k, v in config.items())
        text += f"data:\n  corpus_1:\n    path_src: {work}/train.src\n    path_tgt: {work}/train.tgt\n"
        text += f"  valid:\n    path_src: {work}/valid.src\n    path_tgt: {work}/valid.tgt\n"
        yaml = work / "config.yaml"
        yaml.write_text(text, encoding="utf-8")
        vocab = "".join(
            line + "\n"
            for line in text.splitlines()
            if line.split(":")[0]
            in (
                "src_vocab",
                "tgt_vocab",
                "save_data",
                "share_vocab",
                "data",
                "  corpus_1",
                "    path_src",
                "    path_tgt",
                "  valid",
            )
        )
        (work / "vocab.yaml").write_text(vocab, encoding="utf-8")
        run(python, "build_vocab", "-config", str(work / "vocab.yaml"), "-n_sample", "-1")
        run(python, "train", "-config", str(yaml))
        model = work / "m_step_2000.pt"
        weights = work / "m_step_2000.safetensors"
        if weights.exists():  # 3.5.1 saves under this name and loads shards, NAME.00.safetensors and so on
            shutil.copy(weights, work / "m_step_2000.00.safetensors")
        # 200 names share what remains: fewer than 60 of each in the text.
        shutil.copy(work / "test.src", out / "source.txt")
        (out / "greedy.txt").write_text(
            "\n".join(translate(python, model, out / "source.txt", "-beam_size", "1")) + "\n"
        )
        (out / "beam.txt").write_text("\n".join(translate(python, model, out / "source.txt")) + "\n")
        (out / "config.yaml").write_text(text.replace(str(work), "."), encoding="utf-8")
        if not keep:
            strip(python, model)
        shutil.copy(model, out / "model.pt")
        if weights.exists():
            shutil.copy(weights, out / "model.safetensors")
    correct = sum(
        a.split("\t")[1] == b
        for a, b in zip(
            (out / "greedy.txt").read_text().splitlines(), expected((out / "source.txt").read_text().splitlines())
        )
    )
    print(f"{name}: {sum(f.stat().st_size for f in out.iterdir())} bytes, {correct} of 40 right", flush=True)


def expected(lines: list[str]) -> list[str]:
    found = []
    for line in lines:
        out, double = [], False
        for token in line.split():
            if token == "x":
                double = True
                continue
            token = token if token.startswith("n") else token.upper()
            out += [token] * (2 if double else 1)
            double = False
        found.append(" ".join(out))
    return found


if __name__ == "__main__":
    interpreter, names = sys.argv[1], sys.argv[2:]
    version = subprocess.run(
        [interpreter, "-c", "import onmt; print(onmt.__version__)"], capture_output=True, text=True
    )
    major = int(version.stdout.split(".")[0])
    for chosen in names or [n for n, o in MODELS.items() if o["version"] == major]:
        make(interpreter, chosen)
