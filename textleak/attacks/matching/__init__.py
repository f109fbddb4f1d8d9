"""Gradient matching as a library: dummies, labels, decoding, and the loops of Adam and L-BFGS.

`dlg`, `tag`, `cosine` and `lamp` are thin over it, and so are those attacks on images that move points:
the loops (`adam`, `lbfgs`) know points (R, D) and their objectives, nothing of what they stand for.
"""
