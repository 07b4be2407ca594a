"""Case study: is a token embedding sparser in a dictionary than random rows like it?"""
