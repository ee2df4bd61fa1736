"""From text files to a bundle: variants of pairs, the training loop, the programs of what was trained."""
