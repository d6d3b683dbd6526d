"""The eight kinds of block an objective is composed of, each found by its registered name (`registry.build`)."""
