"""What networks and methods compute features with: statistics, convolutions, attention, whitening, style swap, colour."""
