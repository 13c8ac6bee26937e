"""Published studies, run on the real engine and compared with what was published."""
