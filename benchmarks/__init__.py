"""Measurements that the documents cite; each module is run by hand and writes its page."""
