"""A bundle decoded in PyTorch: what the engine is compared with."""
