"""What is it good for? Few labels, honest error bars: tasks, designs, heads, scores. Arrays in, scores out."""
