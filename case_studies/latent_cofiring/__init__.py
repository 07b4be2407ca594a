"""Do SAE latents fire together beyond what their rates and the tokens' sparsity explain?"""
