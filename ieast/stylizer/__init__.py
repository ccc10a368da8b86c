"""How one picture of any size is made: what every method answers, styles and their shares, tiles, and memory."""
