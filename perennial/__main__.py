"""`python -m perennial`, where the script is not on the PATH."""

from perennial.app import main

if __name__ == "__main__":
    main()
