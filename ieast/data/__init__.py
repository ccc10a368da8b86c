"""Datasets: how pictures are prepared, drawn and versioned."""
