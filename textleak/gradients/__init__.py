"""How far a dummy batch's gradient is from the shared one, and its slope, for text and images alike.

`engine` is the fast way and `oracle` the slow, obvious one, behind the interface in `matcher`; the
tests hold them equal. `layers` has a rule for every kind of layer that the engine recognises, and
`quick` a few operations whose second derivatives are written out.
"""

from textleak.core.registry import Registry
from textleak.gradients.agreement import Agreement, agreement
from textleak.gradients.distances import Distance
from textleak.gradients.engine.evaluation import EngineMatcher
from textleak.gradients.matcher import Forward, Matcher, Recorder
from textleak.gradients.oracle import OracleMatcher
from textleak.gradients.plain import parameter_gradients, relative_error
from textleak.gradients.slopes import value_and_slope

MATCHERS: Registry[type[Matcher]] = Registry(
    "matcher",
    {
        "oracle": "textleak.gradients.oracle:OracleMatcher",
        "engine": "textleak.gradients.engine:EngineMatcher",
    },
)

__all__ = [
    "MATCHERS",
    "Agreement",
    "Distance",
    "EngineMatcher",
    "Forward",
    "Matcher",
    "OracleMatcher",
    "Recorder",
    "agreement",
    "parameter_gradients",
    "relative_error",
    "value_and_slope",
]
