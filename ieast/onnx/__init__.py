"""Trained models on ONNX Runtime: exported from PyTorch, and run without it."""
