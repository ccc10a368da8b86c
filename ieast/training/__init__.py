"""The training loop on Lightning: one iteration, what is saved and shown, and `fit`."""
