"""Parts of speech and directions of heads, read from two language models beside every control."""
