"""A model described in Python: its tensors, its programs' ops, cells in every toolkit's layout, its vocabularies."""
