"""Pictures, folders and clips stylized by a model, and the pictures that show what a model does."""
