"""How good a bundle is, and how fast: what a server made of texts, against references and against PyTorch."""
