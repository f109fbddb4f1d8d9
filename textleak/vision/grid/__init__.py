"""A grid of audits on images, through the planner's keys, the executors and the log of those on text."""
