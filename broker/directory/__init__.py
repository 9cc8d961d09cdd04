"""The directory: who exists, under which codes, who serves whom, and whose certificate is whose.

`records` and `snapshot` (with `suggestions`) decide and are pure; `live`, `changes` and `importing` talk to PostgreSQL.
"""
