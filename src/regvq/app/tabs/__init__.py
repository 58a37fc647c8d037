"""The page's tabs, one a file: each is a function that builds it from the studio."""
