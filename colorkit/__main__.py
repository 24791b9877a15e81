"""``python -m colorkit``: the same as the command ``colorkit``."""

from colorkit.cli import main

if __name__ == "__main__":
    main()
