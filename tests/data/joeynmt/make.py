"""Makes the fixtures of this folder with JoeyNMT itself (2.3.0, PyTorch 2.x): each trains a tiny model for seconds on
text made up here and keeps what the toolkit wrote: checkpoint, configuration, vocabularies, and its own translations of
test.src, greedy and with beam 5 (alpha 1).

    python -m venv joey && joey/bin/pip install joeynmt==2.3.0
    joey/bin/python tests/data/joeynmt/make.py tests/data/joeynmt
"""

import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

SYLLABLES = ["ba", "Ke", "mi", "no", "Su", "ta", "re", "lo"]

BASE = """
name: "{name}"
joeynmt_version: "2.3.0"
model_dir: "{work}/{name}"
use_cuda: False
fp16: False
random_seed: 7
data:
    train: "{work}/train"
    dev: "{work}/dev"
    test: "{work}/test"
    dataset_type: "plain"
    src: {{lang: "src", max_length: 40, lowercase: {lowercase}, {source}}}
    trg: {{lang: "trg", max_length: 40, lowercase: {lowercase}, {target}}}
testing: {{n_best: 1, beam_size: 1, beam_alpha: 1.0, eval_metrics: ["bleu"], max_output_length: 40, batch_size: 10,
    batch_type: "sentence", return_prob: "none"}}
training: {{optimizer: "adam", learning_rate: 0.005, batch_size: 20, batch_type: "sentence", scheduling: "exponential",
    decrease_factor: 0.99, early_stopping_metric: "bleu", epochs: {epochs}, validation_freq: {steps}, logging_freq: 50,
    overwrite: True, keep_best_ckpts: 1}}
model:
    initializer: "xavier_uniform"
    tied_softmax: {tied}
    encoder: {{type: "recurrent", rnn_type: "{cell}", embeddings: {{embedding_dim: {embed}, scale: {scale}}},
        hidden_size: {encoder_hidden}, bidirectional: True, dropout: 0.0, num_layers: {layers}}}
    decoder: {{type: "recurrent", rnn_type: "{decoder_cell}", embeddings: {{embedding_dim: {embed}, scale: {scale}}},
        hidden_size: {hidden}, dropout: 0.0, hidden_dropout: 0.0, num_layers: {layers}, input_feeding: {feed},
        init_hidden: "{init}", attention: "{attention}"}}
"""

WORD = 'level: "word", voc_min_freq: 1'
BPE = 'level: "bpe", voc_min_freq: 1, tokenizer_type: "subword-nmt", tokenizer_cfg: {{codes: "{work}/merges"}}'
MODELS = {
    # name: what differs from model to model; between them every option of the recurrent models.
    "gru-bahdanau-last": dict(cell="gru", decoder_cell="gru", layers=2, attention="bahdanau", init="last", feed=False,
                              tied=True, scale=True, embed=16, encoder_hidden=16, hidden=16, lowercase=False,
                              source=WORD, target=WORD),
    "lstm-luong-bridge-char": dict(cell="lstm", decoder_cell="lstm", layers=1, attention="luong", init="bridge",
                                   feed=True, tied=False, scale=False, embed=12, encoder_hidden=12, hidden=20,
                                   lowercase=True, source='level: "char"', target='level: "char"'),
    "gru-lstm-zero-bpe": dict(cell="gru", decoder_cell="lstm", layers=1, attention="bahdanau", init="zero", feed=True,
                              tied=False, scale=False, embed=12, encoder_hidden=12, hidden=16, lowercase=False,
                              source=BPE, target=BPE),
}  # fmt: skip


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """A word is one to three syllables; the translation turns the words' order round and each word's first letter
    up."""
    rng, pairs = random.Random(seed), []
    for _ in range(count):
        words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 2))) for _ in range(rng.randint(1, 5))]
        pairs.append((" ".join(words), " ".join(w.capitalize() for w in reversed(words))))
    return pairs


def run(*command: str, **kwargs) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **kwargs)


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for split, count, seed in (("train", 3000, 1), ("dev", 40, 2), ("test", 40, 3)):
            pairs = sentences(count, seed)
            if split == "test":
                pairs[0] = ("zzz mi", "Mi Zzz")  # letters that no vocabulary has
            for side, lang in enumerate(("src", "trg")):
                (work / f"{split}.{lang}").write_text("".join(p[side] + "\n" for p in pairs))
        shutil.copy(work / "test.src", out / "test.src")
        run(sys.executable, "-m", "subword_nmt.learn_bpe", "-s", "20", "-i", str(work / "train.src"),
            "-o", str(work / "merges"))  # fmt: skip
        for name, options in MODELS.items():
            fields = {k: v.format(work=work) if isinstance(v, str) else v for k, v in options.items()}
            config = work / f"{name}.yaml"
            config.write_text(BASE.format(name=name, work=work, epochs=4, steps=300, **fields))
            run(sys.executable, "-m", "joeynmt", "train", str(config), "--skip-test")
            kept = out / name
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            model = work / name
            shutil.copy((model / "best.ckpt").resolve(), kept / "best.ckpt")
            for file in ("config.yaml", "src_vocab.txt", "trg_vocab.txt"):
                shutil.copy(model / file, kept / file)
            if "merges" in fields["source"]:
                shutil.copy(work / "merges", kept / "merges")
            for beam in (1, 5):
                text = config.read_text()
                testing = work / "translate.yaml"
                testing.write_text(
                    text.replace("beam_size: 1", f"beam_size: {beam}").replace(
                        "testing: {", f'testing: {{load_model: "{model}/best.ckpt", '
                    )
                )
                with open(work / "test.src") as source, open(kept / f"beam{beam}.hyp", "w") as hyp:
                    subprocess.run(
                        [sys.executable, "-m", "joeynmt", "translate", str(testing)],
                        check=True, stdin=source, stdout=hyp, stderr=subprocess.DEVNULL,
                    )  # fmt: skip
            print(name, "done", flush=True)


if __name__ == "__main__":
    main()
