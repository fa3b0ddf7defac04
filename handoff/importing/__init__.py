"""Data of other systems as facts: read and mapped, published, and waited for."""
