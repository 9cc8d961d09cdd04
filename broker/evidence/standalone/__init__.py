"""Programs for auditors, each one file that imports nothing of this project: copy it, read it, run it."""
