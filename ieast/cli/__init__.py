"""The command `ieast`."""
