"""Finders: trainers whose findings are dictionaries; SAEs and their relatives, and adapters for those of others."""
