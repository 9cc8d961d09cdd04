"""How what was accepted leaves the exchange: fan-out, slips, notices, the retry ladder (contract §3)."""
