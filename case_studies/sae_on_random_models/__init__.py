"""SAEs on models that never learned, and on texts that say nothing."""
