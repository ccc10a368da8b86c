"""The six terms of Eq. 7: pure functions, and their weighted sum with its switches."""
