"""What happened to a document, told to operators and auditors: find, trace, explain, search, report.

Reads only. Nothing here changes a row, and `explain` and `timeline` are pure.
"""
