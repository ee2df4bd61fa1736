"""Recurrent cells and small functions, float64, each in the layout of the toolkit that it is named after.

x [X], h and c [H]. Every function returns the new state.
"""

from __future__ import annotations

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def softmax(e: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    w = np.exp(e - e.max(-1, keepdims=True))
    return w / w.sum(-1, keepdims=True)


def log_softmax(e: np.ndarray) -> np.ndarray:
    shifted = e - e.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def sparsemax(e: np.ndarray) -> np.ndarray:
    """Martins and Astudillo 2016, algorithm 1: the Euclidean projection of e [S] onto the simplex."""
    z = np.sort(e)[::-1]
    k = np.arange(1, len(z) + 1)
    above = 1 + k * z > np.cumsum(z)
    count = k[above].max()
    tau = (z[:count].sum() - 1) / count
    return np.maximum(e - tau, 0)


def layer_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray | float = 0.0, epsilon: float = 1e-6) -> np.ndarray:
    """Ba et al. 2016: over the last axis, variance biased."""
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + bias


def lstm_torch(x, h, c, w_ih, w_hh, b_ih=0.0, b_hh=0.0):
    """torch.nn.LSTMCell: gate blocks i, f, g, o of [4 H, X]."""
    i, f, g, o = np.split(w_ih @ x + b_ih + w_hh @ h + b_hh, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_torch(x, h, w_ih, w_hh, b_ih=0.0, b_hh=0.0):
    """torch.nn.GRUCell: gate blocks r, z, n of [3 H, X]; the reset is applied to W_hn h + b_hn; h = (1 - z) n + z h."""
    xr, xz, xn = np.split(w_ih @ x + b_ih, 3)
    hr, hz, hn = np.split(w_hh @ h + b_hh, 3)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + r * hn) + z * h


def rnn_torch(x, h, w_ih, w_hh, b_ih=0.0, b_hh=0.0, function=np.tanh):
    """torch.nn.RNNCell."""
    return function(w_ih @ x + b_ih + w_hh @ h + b_hh)


def run_torch(kind: str, xs: np.ndarray, weights: dict, prefix: str, suffix: str, reverse: bool, start=None):
    """One direction of one layer of torch.nn.{LSTM,GRU,RNN} over xs [S, X]: weights `{prefix}weight_ih_{suffix}` and so
    on. Returns the outputs [S, H] in the order of xs, and the final (h, c); c is None but for an LSTM."""
    w_ih, w_hh = weights[f"{prefix}weight_ih_{suffix}"], weights[f"{prefix}weight_hh_{suffix}"]
    b_ih, b_hh = weights.get(f"{prefix}bias_ih_{suffix}", 0.0), weights.get(f"{prefix}bias_hh_{suffix}", 0.0)
    hidden = w_hh.shape[1]
    h, c = start if start is not None else (np.zeros(hidden), np.zeros(hidden))
    out = np.zeros((len(xs), hidden))
    for j in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
        if kind == "LSTM":
            h, c = lstm_torch(xs[j], h, c, w_ih, w_hh, b_ih, b_hh)
        elif kind == "GRU":
            h = gru_torch(xs[j], h, w_ih, w_hh, b_ih, b_hh)
        else:
            h = rnn_torch(xs[j], h, w_ih, w_hh, b_ih, b_hh)
        out[j] = h
    return out, (h, c if kind == "LSTM" else None)
