"""How the adapter is trained: the Trainer, packing, kernels, several processes."""
