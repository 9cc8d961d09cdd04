"""edXML, the national message format (QCVN 102:2016): reading, writing, and turning it into manifests and back.

Pure: bytes in, records out, no clock, no files. Compatible with the samples of the published SDK; the text of the
regulation was not to be had, so nothing here claims conformance with it.
"""
