"""Experiments over the scheduler: published studies run again."""
