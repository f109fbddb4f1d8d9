"""A package from outside: an attack, a defence, a metric, a model family and a reader of updates, added by entry points alone."""
