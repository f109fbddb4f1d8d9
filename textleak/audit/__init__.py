"""The only place where truth and reconstruction meet: run an attack, then score it."""

from textleak.audit.each import NO_WATCHER, AttackCall, Watcher
from textleak.audit.result import Audit, BatchResult, SequenceResult
from textleak.audit.run import PrivateText, audit_client, audit_update

__all__ = [
    "NO_WATCHER",
    "AttackCall",
    "Audit",
    "BatchResult",
    "PrivateText",
    "SequenceResult",
    "Watcher",
    "audit_client",
    "audit_update",
]
