"""The machine that tests the whole engine against a small model."""
