"""The plain transcription of the paper that tests and benchmarks compare with."""
