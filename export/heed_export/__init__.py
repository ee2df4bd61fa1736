"""heed_export: makes the bundles that heed serves (training recipe, bundle writer, parity set)."""
