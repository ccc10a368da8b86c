"""The model at work: an HTTP service with bounds, and the web page that uses it."""
