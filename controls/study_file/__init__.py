"""Study files: what is claimed, from which data and against which controls, read from TOML and run."""
