"""Tests, in the layout of what they test. `support` has what several of them share."""
