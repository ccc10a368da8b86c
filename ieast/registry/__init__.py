"""Registered models: what is served, how it is registered, and who becomes champion."""
