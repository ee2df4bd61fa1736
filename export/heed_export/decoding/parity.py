"""parity.json: what PyTorch makes of a few inputs with a bundle's stored weights, so that whoever serves the bundle can
check that it computes the same.

Its fields are those of proto/heed/model/v1/parity.proto; of attention head 0 of the last `attend`. Each text is one
segment.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np
import torch

from ..bundle import bundle, certificate
from . import decode, text

FILE = "parity.json"
TOLERANCE = {"log_probability": 1e-4, "weight": 1e-5, "energy": 1e-4}


def _rounded(values: np.ndarray | list) -> list:
    """Eight significant digits: well under the tolerances, and shorter than what float32 prints as a double."""
    return [_rounded(v) if isinstance(v, (list, np.ndarray)) else float(f"{v:.8g}") for v in values]


def make(source: bundle.Bundle, texts: Sequence[str]) -> bytes:
    """The file's bytes, for a bundle whose files hold its tokenisers. Each text runs alone, so no padding plays in."""
    model, words = decode.load(source), text.Text(source)
    attends = [op["name"] for op in source.spec["step"]["ops"] if "attend" in op]
    cases = []
    for line in texts:
        ids = words.encode(line)
        copies = {"copy_ids": words.extended(line)} if words.copies else {}
        found = decode.greedy(model, [ids], batch=1, attention=True, copies=list(copies.values()) or None)[0]
        ended = found.tokens[-1] == source.spec["target"]["eos_id"]
        case = {
            "text": line,
            "source_ids": ids,
            **copies,
            "target_ids": found.tokens,
            "output": words.decode(found.tokens, line),
            "log_probabilities": _rounded(found.log_probabilities),
            "finish": "eos" if ended else "length",
        }
        if attends:
            matrices = {"weights": _rounded(found.weights), "energies": _rounded(found.energies)}
            case["attentions"] = [{"attend": attends[-1], "head": 0, **matrices}]
        cases.append(case)
    head = {
        "format_version": certificate.FORMAT_VERSION,
        "reference": f"PyTorch {torch.__version__}, float32, the stored weights, one row at a time",
        "search": {"beam_size": 1, **{k: source.spec["search"][k] for k in ("max_length_a", "max_length_b")}},
        "tolerance": TOLERANCE,
    }
    return certificate.document(head, cases)
