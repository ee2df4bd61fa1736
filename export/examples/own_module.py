"""A description whose proof runs the PyTorch module itself: for a model of your own, which heed cannot know.

describe() is bentrevett.py's here; yours stands in its place, and your module in that of translator.py.
"""

import torch
from bentrevett import SOS, describe  # noqa: F401
from reference.trace import Attended, StepValues
from translator import Translator


class Oracle:
    def __init__(self, model):
        self.model = model.double().eval()  # float64, so that errors are heed's alone

    def encode(self, ids):
        return self.model.encoder(torch.tensor(ids)[:, None])  # outputs, first state

    def start(self, memory):
        return memory[1]

    def step(self, state, memory, token):
        logits, state, weights = self.model.decoder(torch.tensor([token]), state, memory[0])
        p = logits[0].log_softmax(0).numpy()
        return StepValues(p, {"attention": Attended(weights.numpy())}), state


def oracle(weights):
    torch.set_grad_enabled(False)
    model = Translator(source=34, target=32, embedding=12, hidden=16, state=24)
    model.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
    return Oracle(model), SOS
