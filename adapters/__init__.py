"""What runs at an agency. Imports `schemas` only."""
