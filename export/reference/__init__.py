"""What each toolkit computes, in float64 NumPy, written from the toolkits' equations alone.

Nothing here imports `heed_export` or knows the engine: a model's weights come in under the toolkit's own names and in
its own layout, so that a fault of an importer shows. One module a toolkit; each function cites its source.
"""
