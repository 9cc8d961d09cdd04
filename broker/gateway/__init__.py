"""HTTP: content store, certificates, directory, the REST façade, auditors' pages, health and metrics (contract §6)."""
