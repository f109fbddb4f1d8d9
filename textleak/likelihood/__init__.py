"""How likely texts are, given an update and the noise of its protocol."""
