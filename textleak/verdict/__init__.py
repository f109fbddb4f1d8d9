"""What a recovery is called: proven, consistent or unexplained, and what each rests on."""
