"""Case study: how many of very many rare features do SAEs of each kind find?"""
