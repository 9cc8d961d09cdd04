"""The REST protocol that existing software speaks."""
