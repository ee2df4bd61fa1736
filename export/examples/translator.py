"""A translator as people write them by hand in PyTorch, standing for a model of yours: own_module.py proves its bundle
by running it, and tests/data/pytorch/make.py trained a small one. Structure and names are those that bentrevett.py
describes: a bidirectional GRU, additive attention before the decoder's GRU."""

import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, vocabulary, embedding, hidden, state):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.rnn = nn.GRU(embedding, hidden, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, state)

    def forward(self, source):
        """Ids [S, B] to outputs [S, B, 2 hidden] and the decoder's first state [B, state]."""
        outputs, last = self.rnn(self.embedding(source))
        return outputs, torch.tanh(self.fc(torch.cat([last[0], last[1]], 1)))


class Attention(nn.Module):
    def __init__(self, hidden, state):
        super().__init__()
        self.attn = nn.Linear(state + 2 * hidden, state)
        self.v = nn.Linear(state, 1, bias=False)

    def forward(self, state, outputs):
        """Weights [B, S]."""
        beside = torch.cat([state.expand(len(outputs), *state.shape), outputs], 2)
        return self.v(torch.tanh(self.attn(beside)))[:, :, 0].softmax(0).t()


class Decoder(nn.Module):
    def __init__(self, vocabulary, embedding, hidden, state):
        super().__init__()
        self.attention = Attention(hidden, state)
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.rnn = nn.GRU(embedding + 2 * hidden, state)
        self.fc_out = nn.Linear(state + 2 * hidden + embedding, vocabulary)

    def forward(self, token, state, outputs):
        """One step, from the token before, [B]: logits [B, V], the new state, the attention's weights [B, S]."""
        embedded = self.embedding(token)
        weights = self.attention(state, outputs)
        context = torch.einsum("bs,sbh->bh", weights, outputs)
        output, state = self.rnn(torch.cat([embedded, context], 1)[None], state[None])
        return self.fc_out(torch.cat([output[0], context, embedded], 1)), state[0], weights


class Translator(nn.Module):
    def __init__(self, source, target, embedding, hidden, state):
        super().__init__()
        self.encoder = Encoder(source, embedding, hidden, state)
        self.decoder = Decoder(target, embedding, hidden, state)
