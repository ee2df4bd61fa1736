"""Shapes of torch.nn's recurrent layers by their names."""

BLOCKS = {"lstm": 4, "gru": 3}


def cell(kind: str, prefix: str, inputs: int, hidden: int, suffix: str = "") -> dict[str, tuple]:
    """One layer and direction, or (without suffix) a *Cell."""
    k = BLOCKS[kind]
    return {
        f"{prefix}weight_ih{suffix}": (k * hidden, inputs),
        f"{prefix}weight_hh{suffix}": (k * hidden, hidden),
        f"{prefix}bias_ih{suffix}": (k * hidden,),
        f"{prefix}bias_hh{suffix}": (k * hidden,),
    }


def stack(kind: str, prefix: str, inputs: int, hidden: int, layers: int, bidirectional: bool) -> dict[str, tuple]:
    """All layers of a torch.nn.{LSTM,GRU}."""
    shapes: dict[str, tuple] = {}
    for layer in range(layers):
        for way in ("", "_reverse")[: 1 + bidirectional]:
            width = hidden * (1 + bidirectional) if layer else inputs
            shapes |= cell(kind, prefix, width, hidden, f"_l{layer}{way}")
    return shapes


PRESETS: list = []
