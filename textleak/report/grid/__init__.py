"""The report of an audit: a page, tables and plots, all of one summary of its results."""
