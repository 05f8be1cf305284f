"""`python -m sysdisk`: the command, where its script is not on the path."""

from sysdisk.cli.main import main

if __name__ == "__main__":
    main()
