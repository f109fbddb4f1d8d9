"""What a user sees of a run: live view, plain lines, end report, JSON, saved folders."""
