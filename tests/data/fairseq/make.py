"""Makes the fixtures of this folder with fairseq itself (fairseq-fixed 0.12.3.1, PyTorch 2.x): each trains a tiny
LSTM for seconds on text made up here and keeps what the toolkit wrote: the checkpoint (without its optimizer state,
to keep it small), dictionaries, and its own translations of test.src, greedy and with beam 5.

    python -m venv fairseq && fairseq/bin/pip install fairseq-fixed torchaudio
    fairseq/bin/python tests/data/fairseq/make.py tests/data/fairseq
"""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

SYLLABLES = ["ba", "ke", "mi", "no", "su", "ta", "re", "lo"]
MODELS = {
    # Between them: one and two directions, one and two layers, projected initial states, additional_fc, shared
    # embeddings, no attention.
    "bidirectional": ["--encoder-embed-dim", "12", "--encoder-hidden-size", "10", "--encoder-bidirectional",
                      "--encoder-layers", "2", "--decoder-embed-dim", "14", "--decoder-hidden-size", "16",
                      "--decoder-layers", "2", "--decoder-out-embed-dim", "11"],
    "shared": ["--encoder-embed-dim", "16", "--encoder-hidden-size", "16", "--decoder-embed-dim", "16",
               "--decoder-hidden-size", "16", "--decoder-out-embed-dim", "16", "--share-all-embeddings"],
    "no-attention": ["--encoder-embed-dim", "12", "--encoder-hidden-size", "24", "--decoder-embed-dim", "12",
                     "--decoder-hidden-size", "24", "--decoder-out-embed-dim", "24", "--decoder-attention", "0"],
}  # fmt: skip


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Syllables; the translation turns their order round."""
    rng, pairs = random.Random(seed), []
    for _ in range(count):
        words = rng.choices(SYLLABLES, k=rng.randint(1, 5))
        pairs.append((" ".join(words), " ".join(reversed(words))))
    return pairs


def tool(name: str, *arguments: str, **kwargs) -> subprocess.CompletedProcess:
    code = f"import sys; from fairseq_cli.{name} import cli_main; sys.exit(cli_main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, **kwargs
    )


def main() -> None:
    import torch

    out = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for split, count, seed in (("train", 3000, 1), ("valid", 40, 2), ("test", 40, 3)):
            pairs = sentences(count, seed)
            if split == "test":
                pairs[0] = ("zzz mi", "mi zzz")
            for side, lang in enumerate(("src", "tgt")):
                (work / f"{split}.{lang}").write_text("".join(p[side] + "\n" for p in pairs))
        shutil.copy(work / "test.src", out / "test.src")
        for name, options in MODELS.items():
            data, save = work / f"{name}-data", work / f"{name}-save"
            joined = ["--joined-dictionary"] if "--share-all-embeddings" in options else []
            tool("preprocess", "-s", "src", "-t", "tgt", "--trainpref", str(work / "train"), "--validpref",
                 str(work / "valid"), "--testpref", str(work / "test"), "--destdir", str(data), *joined)  # fmt: skip
            tool("train", str(data), "--arch", "lstm", "--cpu", "--optimizer", "adam", "--lr", "0.005", "--dropout", "0",
                 "--criterion", "cross_entropy", "--max-epoch", "5", "--batch-size", "20", "--seed", "7",
                 "--save-dir", str(save), "--no-epoch-checkpoints", "--num-workers", "0", *options)  # fmt: skip
            kept = out / name
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            state = torch.load(save / "checkpoint_last.pt", map_location="cpu", weights_only=False)
            state["last_optimizer_state"] = None
            torch.save(state, kept / "model.pt")
            for lang in ("src", "tgt"):
                shutil.copy(data / f"dict.{lang}.txt", kept / f"dict.{lang}.txt")
            for beam in (1, 5):
                lines = tool("generate", str(data), "--path", str(kept / "model.pt"), "--cpu", "--beam", str(beam),
                             "--gen-subset", "test", "--batch-size", "1", "--log-format", "none").stdout.splitlines()  # fmt: skip
                found = {int(line.split("\t")[0][2:]): line for line in lines if line.startswith("H-")}
                # The line's number, the score (per token, to base 2) and the text; fairseq-generate leaves one line
                # out.
                rows = [(i, *found[i].split("\t")[1:]) for i in sorted(found)]
                (kept / f"beam{beam}.tsv").write_text("".join(f"{i}\t{score}\t{text}\n" for i, score, text in rows))
            print(name, "done", flush=True)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # fairseq keeps its arguments in the checkpoint
    main()
