"""The client: private text in, a shared update out. Nothing under `attacks/` may import this."""

from textleak.client.client import Client, ClientOptions, PrivateBatch

__all__ = ["Client", "ClientOptions", "PrivateBatch"]
