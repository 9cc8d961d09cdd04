"""What runs at the exchange. Imports `schemas`, never `adapters`."""
