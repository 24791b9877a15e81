"""Pictures: photographs decoded safely, worlds drawn by code, and prepared stores of both."""
