"""colorkit: the library behind a course that gives gray photographs their colours back."""
