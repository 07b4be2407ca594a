"""Questions put to real models with the public names of ``controls``: a folder each, with claim, run and result."""
