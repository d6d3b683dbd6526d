"""Speech and other sound: audio files to log-mel patches."""
