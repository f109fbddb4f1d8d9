"""What an image attack shows and writes: the live view, the figure, the folder."""
