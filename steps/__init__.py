"""One step a file: typed input, one call into `ieast`, a record of it, typed output."""
