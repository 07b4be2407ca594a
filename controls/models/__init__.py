"""Models: reach into a torch module: capture what passes a layer, swap weights in place and put them back."""
