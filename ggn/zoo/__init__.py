"""The model zoo: rows, published numbers, what is released, and how it is brought or made."""
