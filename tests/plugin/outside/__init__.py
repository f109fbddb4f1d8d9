"""A package from outside: an attack, a defence and a metric, added by entry points alone."""
