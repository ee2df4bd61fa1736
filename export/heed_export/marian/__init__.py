"""Marian's files and its models, as far as its importer needs them: containers, int8 weights, cells, programs."""
