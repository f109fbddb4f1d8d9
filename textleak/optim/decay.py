"""How a learning rate falls."""

# Of all iterations, a tenth each time: as in Inverting Gradients (Geiping et al., NeurIPS 2020).
DECAY_AT = (3 / 8, 5 / 8, 7 / 8)
