"""The demonstration: a real directory, real papers, real servers; then both ends are asked whether they agree."""
