"""The tests, as a package of their own: some distributions install another one under this name."""
