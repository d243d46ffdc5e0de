"""Everything gin can build on top of ddsp, and the program that trains it."""
