"""The networks of the disentanglement_lib study (Locatello et al. 2019, arXiv:1811.12359, table 1), in numbers."""

SIDE = 64  # of the images that they are for
HIDDEN = (32, 32, 64, 64, 256)  # channels of layers of stride 2, then a width
KERNELS = (4, 4, 2, 2)  # of the encoder; those of the decoder are all 4
