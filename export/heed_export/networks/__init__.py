"""The recipe's architectures in PyTorch, as trained, and the batches that they take."""
