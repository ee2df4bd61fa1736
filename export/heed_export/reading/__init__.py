"""What comes in files, untrusted: each is read within bounds, without running anything that it holds, and one line
says what is wrong with it."""
