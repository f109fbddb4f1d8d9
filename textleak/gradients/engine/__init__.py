"""Gradient matching without forming gradients: the engine that every attack evaluates.

An attack asks, thousands of times: how far is the gradient of this dummy batch from the shared one,
and how does that distance change with the dummy batch? The usual answer (`OracleMatcher`) forms
every parameter's gradient with `create_graph=True`, compares, and backpropagates: several passes of
memory traffic over tensors as large as the model. `EngineMatcher` never forms them.

**A layer's gradient is a product of two thin factors.** A linear layer with input A (n, in) and
output gradient D (n, out) has the weight gradient g = Dᵀ A: n rows (tokens) decide in·out numbers.
A distance needs only inner products, and those factorise, with G the shared gradient:

    <g, G>  = sum (D G) ∘ A            ||g||² = sum (D Dᵀ) ∘ (A Aᵀ)        (n × n matrices)

A table that is looked up has a one-hot (or soft) first factor, so a decoder tied to the word table
adds its factors to the same tensor and the cross term is a gather. Biases, norms and small kernels
are cheaper to form. D comes from one backward pass to the layers' outputs; the weights themselves
take no part in autograd, so nothing of a weight's size is made.

**The shared gradient is as thin.** It came from a batch too: its rank is at most the client's
tokens. It is written once as G = U Vᵀ (`lowrank`), exact to rounding, and <g, G> becomes
sum (D U) ∘ (A V). A noisy or pruned update has no such form and keeps its dense G.

**Candidates ride along.** R dummy batches lie one after another on the leading axis; sums are kept
apart by candidate. The weights are read once for all of them.

**Anything else is still right.** A parameter that is used outside a recognised layer is found by
autograd itself and differentiated the plain way. Hypothesis tests hold engine and oracle equal.

    matcher = EngineMatcher(model, update.gradients, Distance("cosine"))
    distance = matcher(lambda recorder: loss_of(model(inputs_embeds=dummy)))     # (R,)
    (slope,) = torch.autograd.grad(distance.sum(), dummy)
"""

from textleak.gradients.engine.evaluation import EngineMatcher

__all__ = ["EngineMatcher"]
