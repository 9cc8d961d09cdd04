"""Bundles: one document's story with its proofs in one file, made here, checked anywhere (docs/evidence-bundle.md)."""
