"""``python -m hydrallm``."""

from __future__ import annotations

from hydrallm.cli.main import main

if __name__ == "__main__":
    main()
