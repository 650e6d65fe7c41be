"""`python -m featward` is the command `featward`, for where no script of that name is, as in the image."""

from featward.cli import main

if __name__ == "__main__":
    main()
