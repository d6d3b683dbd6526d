"""Public speech and audio data sets, read in their own layout."""
