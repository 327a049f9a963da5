"""What a plug-in file must be, in words, and files that are it to start from."""
