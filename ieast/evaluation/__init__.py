"""How good stylizations are: distances, temporal stability, and pictures to look at."""
