"""The model zoo: rows, published numbers, releases, and how they are fetched or made."""
