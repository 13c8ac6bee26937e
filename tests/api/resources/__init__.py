"""Tests of the rows and of what is made from them."""
