"""What is written of a run and read back: its header, record, folder and log."""
