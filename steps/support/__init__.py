"""What steps have in common: runs, tracking, scores, summaries."""
