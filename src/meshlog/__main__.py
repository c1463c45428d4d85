"""``python -m meshlog`` is the command ``meshlog``."""

from meshlog.cli import main

if __name__ == "__main__":
    main()
