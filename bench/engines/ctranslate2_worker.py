"""CTranslate2, one thread, on a Transformer of a student's sizes with random weights: it has no recurrent decoders, so
this is what the nearest model that it runs costs. Sorted by length, so that no batch is padded; lengths forced, which
takes a call for each length, as its bounds are a call's."""

import pathlib

import ctranslate2
import numpy as np
from ctranslate2.specs import transformer_spec

import work

SPECIALS = ["</s>", "<unk>"]


def random_model(sizes, words, folder):
    """Writes the model; `words` are the vocabulary behind the specials."""
    rng, dim = np.random.default_rng(8), sizes["dim"]

    def linear(spec, rows, columns):
        spec.weight = (rng.standard_normal((rows, columns)) * columns**-0.5).astype(np.float32)
        spec.bias = np.zeros(rows, np.float32)

    def norm(spec):
        spec.gamma, spec.beta = np.ones(dim, np.float32), np.zeros(dim, np.float32)

    def attention(spec, parts):
        for at, rows in enumerate(parts):
            linear(spec.linear[at], rows * dim, dim)
        norm(spec.layer_norm)

    def feed_forward(spec):
        linear(spec.linear_0, sizes["ffn"], dim)
        linear(spec.linear_1, dim, sizes["ffn"])
        norm(spec.layer_norm)

    spec = transformer_spec.TransformerSpec.from_config(
        (sizes["encoder"], sizes["decoder"]), sizes["heads"], pre_norm=False
    )
    table = (rng.standard_normal((sizes["size"], dim)) * dim**-0.5).astype(np.float32)
    embedded = spec.encoder.embeddings
    (embedded[0] if isinstance(embedded, list) else embedded).weight = table
    spec.decoder.embeddings.weight = table
    spec.decoder.projection.weight = table
    spec.decoder.projection.bias = np.zeros(sizes["size"], np.float32)
    # The tables' rows are multiplied by the root of the size.
    spec.decoder.scale_embeddings = True
    spec.encoder.scale_embeddings = True
    positions = np.zeros((512, dim), np.float32)
    spec.encoder.position_encodings.encodings = positions
    spec.decoder.position_encodings.encodings = positions
    for layer in spec.encoder.layer:
        attention(layer.self_attention, (3, 1))
        feed_forward(layer.ffn)
    for layer in spec.decoder.layer:
        attention(layer.self_attention, (3, 1))
        attention(layer.attention, (1, 2, 1))
        feed_forward(layer.ffn)
    vocabulary = SPECIALS + words
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.bos_token = spec.config.eos_token = "</s>"
    spec.config.decoder_start_token = "</s>"
    spec.config.add_source_eos = True
    spec.validate()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))


def main():
    spec = work.specification()
    folder = pathlib.Path(spec["folder"])
    if not (folder / "model.bin").exists():
        words = pathlib.Path(spec["words"]).read_text(encoding="utf-8").splitlines()
        random_model(spec["sizes"], words, folder)
    translator = ctranslate2.Translator(
        str(folder), device="cpu", compute_type=spec["precision"], inter_threads=1, intra_threads=1
    )

    def prepare(lines):
        by_length = {}
        for line in lines:
            words = line.split()
            by_length.setdefault(len(words) + 1, []).append(words)
        return by_length

    def run(by_length, rows, beam):
        tokens = 0
        for length, sources in by_length.items():
            wanted = int(spec["a"] * length + spec["b"])
            found = translator.translate_batch(
                sources, max_batch_size=max(1, rows // beam), batch_type="examples", beam_size=beam,
                max_decoding_length=wanted, min_decoding_length=wanted, return_scores=False,
            )  # fmt: skip
            tokens += sum(len(r.hypotheses[0]) for r in found)
        return tokens

    work.serve({"ctranslate2": ctranslate2.__version__}, prepare, run)


if __name__ == "__main__":
    main()
