#!/usr/bin/python3
"""Makes the fixtures of this folder with PyTorch: trains export/examples/translator.py, for a minute, to say German
numbers in English (drei und zwanzig: twenty three), on text made up here. Writes model.pt, src.txt and tgt.txt beside
itself.

    python3 tests/data/pytorch/make.py
"""

import pathlib
import random
import sys

import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "export/examples"))

from translator import Translator  # noqa: E402

SPECIALS = ["<unk>", "<pad>", "<sos>", "<eos>"]
PAD, SOS, EOS = 1, 2, 3
GERMAN = "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn".split()
GERMAN += ["siebzehn", "achtzehn", "neunzehn"]
GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
ENGLISH = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
ENGLISH += ["seventeen", "eighteen", "nineteen"]
ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
STEPS = 1500


def german(n):
    if n >= 100:
        return [GERMAN[n // 100 - 1], "hundert", *(german(n % 100) if n % 100 else [])]
    if n < 20:
        return ["eins" if n == 1 else GERMAN[n - 1]]
    unit = [GERMAN[n % 10 - 1], "und"] if n % 10 else []
    return [*unit, GERMAN_TENS[n // 10 - 2]]


def english(n):
    if n >= 100:
        return [ENGLISH[n // 100 - 1], "hundred", *(english(n % 100) if n % 100 else [])]
    if n < 20:
        return [ENGLISH[n - 1]]
    return [ENGLISH_TENS[n // 10 - 2], *([ENGLISH[n % 10 - 1]] if n % 10 else [])]


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    chance = random.Random(1)
    source = SPECIALS + ["eins", *GERMAN, *GERMAN_TENS, "hundert", "und"]
    target = SPECIALS + [*ENGLISH, *ENGLISH_TENS, "hundred"]
    for name, pieces in (("src.txt", source), ("tgt.txt", target)):
        (HERE / name).write_text("".join(piece + "\n" for piece in pieces), encoding="utf-8")
    numbers = list(range(1, 1000))
    chance.shuffle(numbers)
    held_out, numbers = numbers[:100], numbers[100:]
    model = Translator(len(source), len(target), 12, 16, 24)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    by_length = {}
    for n in numbers:
        by_length.setdefault(len(german(n)), []).append(n)
    lengths = [length for length, some in by_length.items() for _ in range(len(some) // 8 + 1)]
    for step in range(STEPS):  # sources of one length, so that nothing is padded but targets
        batch = chance.sample(some := by_length[chance.choice(lengths)], min(40, len(some)))
        x = torch.tensor([[SOS, *map(source.index, german(n)), EOS] for n in batch]).t()
        wanted = [[SOS, *map(target.index, english(n)), EOS] for n in batch]
        most = max(map(len, wanted))
        y = torch.tensor([w + [PAD] * (most - len(w)) for w in wanted]).t()
        outputs, state = model.encoder(x)
        loss = 0
        for before, after in zip(y, y[1:]):
            logits, state, _ = model.decoder(before, state, outputs)
            loss = loss + nn.functional.cross_entropy(logits, after, ignore_index=PAD, reduction="sum")
        optimizer.zero_grad()
        (loss / len(batch)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
        if step % 300 == 299:
            print(step + 1, float(loss / len(batch)))
    right = 0
    with torch.no_grad():
        for n in held_out:
            outputs, state = model.encoder(torch.tensor([SOS, *map(source.index, german(n)), EOS])[:, None])
            token, said = SOS, []
            while token != EOS and len(said) < 10:
                logits, state, _ = model.decoder(torch.tensor([token]), state, outputs)
                token = int(logits.argmax())
                said.append(token)
            right += [target[i] for i in said[:-1]] == english(n)
    print(f"{right} of {len(held_out)} numbers that were not trained on are right")
    torch.save({"steps": STEPS, "model": model.state_dict()}, HERE / "model.pt")


if __name__ == "__main__":
    main()
