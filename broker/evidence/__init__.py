"""The log: every event in one order, hashed into a Merkle tree, signed, and checked against everything it covers."""
